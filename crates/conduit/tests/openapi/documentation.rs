//! Doc comments of all kinds, as rustdoc renders them.

use conduit::openapi::Info;
use conduit::prelude::*;
use serde_json::Value;

/// Lines.
///
///   * deep
///     deeper
#[get("/lines")]
fn lines() {}

/**
 * A block.
 *
 * * one
 *   two
 */
#[get("/stars")]
fn stars() {}

/** A block.

    Without stars.
*/
#[get("/block")]
fn block() {}

/// Mixed.
#[doc = ""]
#[doc = "By an attribute."]
///   Indented.
#[get("/mixed")]
fn mixed() {}

#[doc = "An attribute."]
#[doc = concat!("By", " a macro.")]
#[get("/attributes")]
fn attributes() {}

///No space.
#[get("/tight")]
fn tight() {}

#[test]
fn a_doc_comment_of_any_kind_is_rendered_as_rustdoc_does() {
    let routes: Routes = routes![lines, stars, block, mixed, attributes, tight];
    let document = crate::json(&routes.openapi(Info::new("documentation", "1")));
    for (path, summary, description) in [
        ("/lines", "Lines.", Some("  * deep\n    deeper")),
        ("/stars", "A block.", Some("* one\n  two")),
        ("/block", "A block.", Some("   Without stars.")),
        ("/mixed", "Mixed.", Some("By an attribute.\n  Indented.")),
        ("/attributes", "An attribute. By a macro.", None),
        ("/tight", "No space.", None),
    ] {
        let operation = &document["paths"][path]["get"];
        assert_eq!(operation["summary"], summary, "{path}");
        assert_eq!(
            operation.get("description").and_then(Value::as_str),
            description,
            "{path}"
        );
    }
}
