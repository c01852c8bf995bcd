//! Versions that a header field selects, and mistakes in their configuration.

use std::panic::catch_unwind;

use conduit::layer::{Layer, Versions};
use conduit::prelude::*;

use crate::request;
use crate::support::serve;

/// A call, and two parts of the message of its panic: the value and the remedy.
type Mistake = (fn() -> Versions, &'static str, &'static str);

/// The message of the panic of a call.
#[track_caller]
fn message_of(call: fn() -> Versions) -> String {
    let panic = catch_unwind(call).expect_err("the call panics");
    panic.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn mistake_in_the_configuration_panics_with_its_remedy() {
    let mistakes: [Mistake; 6] = [
        (|| Versions::by_header("API-Version"), "API-Version", "in lower case"),
        (|| Versions::by_header("api version"), "api version", "in lower case"),
        (
            || Versions::by_header("v").version("1", "v1"),
            "\"1\", \"v1\"",
            "begins with a slash",
        ),
        (
            || Versions::by_header("v").version("1", "/v1/"),
            "\"1\", \"/v1/\"",
            "does not end with one",
        ),
        (
            || Versions::by_header("v").version("1", "/v1").version("1", "/v2"),
            "\"1\", \"/v2\"",
            "one prefix",
        ),
        (
            || Versions::by_header("v").version("1", "/v1").default_version("9"),
            "default_version(\"9\")",
            "add it with `version` before",
        ),
    ];
    for (call, value, remedy) in mistakes {
        let message = message_of(call);
        assert!(message.contains(value) && message.contains(remedy), "{message}");
    }
}

#[test]
fn name_has_the_versions_for_the_table_of_routes_and_the_lock() {
    let versions = Versions::by_header("api-version")
        .version("1", "/v1")
        .version("2", "/v2");
    assert_eq!(versions.name(), "Versions(api-version: 1=/v1, 2=/v2)");
    let versions = versions.default_version("1");
    assert_eq!(versions.name(), "Versions(api-version: 1=/v1, 2=/v2, default 1)");
}

#[get("/links")]
async fn links() -> &'static str {
    "links"
}

async fn other(request: Request) -> String {
    format!("no version of {}", request.path())
}

/// The layer rejected requests for pages that have no version.
#[test]
fn unknown_version_is_an_error_only_for_a_path_with_versions() {
    let versions = Versions::by_header("api-version").version("1", "/v1");
    let server = serve(
        App::new(())
            .routes(routes!["/v1" => [links]])
            .fallback(other)
            .layer(versions),
    );
    let get = |target: &str| server.request(request("GET", target, &[("api-version", "9")]));
    let refused = get("/links");
    assert_eq!((refused.status, refused.header("vary")), (400, Some("api-version")));
    let page = get("/about");
    assert_eq!((page.status, page.text()), (200, "no version of /about"));
    assert_eq!(page.header("vary"), Some("api-version"));
}
