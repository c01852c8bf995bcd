//! The document of an application: golden, judged by a validator that is not ours, and told what it lacks.

mod sample;
mod validator;

use conduit::openapi::{Info, Operation};
use conduit::prelude::*;

#[test]
fn the_document_of_the_sample_is_as_it_was() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi/sample.json");
    let document = sample::ROUTES.openapi(sample::info());
    if std::env::var_os("CONDUIT_WRITE_GOLDEN").is_some() {
        std::fs::write(path, document.to_string()).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(path).expect("the golden file can be read");
    let same = document.to_string() == golden;
    assert!(
        same,
        "the document is another one: run with CONDUIT_WRITE_GOLDEN=1 and read the difference\n{document}"
    );
}

#[test]
fn the_sample_has_no_gaps() {
    assert_eq!(sample::ROUTES.openapi(sample::info()).gaps(), []);
}

#[test]
fn an_outside_validator_accepts_the_document() {
    validator::accepts(&sample::ROUTES.openapi(sample::info()).to_string());
}

#[derive(serde::Serialize)]
struct Mute;

/// A response that does not describe itself.
struct Picture;

impl IntoResponse for Picture {
    fn into_response(self) -> Response {
        "picture".into_response()
    }
}

#[get("/mute")]
fn mute() -> Json<Mute> {
    Json(Mute)
}

#[get("/picture")]
fn picture() -> Result<Picture, Problem> {
    Ok(Picture)
}

#[test]
fn what_is_not_described_is_told_with_its_place() {
    let routes: Routes = routes![mute, picture];
    let document = routes.openapi(Info::new("gaps", "1"));
    let [schema, answer] = document.gaps() else {
        panic!("{:?}", document.gaps())
    };
    assert!(
        schema.what.contains("openapi::Mute` is not known: derive `JsonSchema`"),
        "{schema}"
    );
    assert!(schema.to_string().contains("main.rs:"), "{schema}");
    assert!(answer.what.contains("implement `IntoResponse::describe`"), "{answer}");
    let document = serde_json::to_value(&document).expect("a document is JSON");
    assert_eq!(
        document["paths"]["/mute"]["get"]["responses"]["200"]["content"]["application/json"]["schema"],
        serde_json::json!({})
    );
}

#[doc(hidden)]
#[get("/hidden")]
fn hidden() {}

#[test]
fn a_hidden_handler_is_left_out() {
    let routes: Routes = routes![hidden, mute];
    let document = serde_json::to_value(routes.openapi(Info::new("hidden", "1"))).expect("a document is JSON");
    assert_eq!(document["paths"].as_object().map(|paths| paths.len()), Some(1));
}

#[test]
fn the_package_of_the_list_names_the_document() {
    let app = App::new(()).routes(routes![mute]);
    let document = serde_json::to_value(app.openapi()).expect("a document is JSON");
    assert_eq!(document["info"]["title"], "conduit-web");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn any_text_is_a_string() {
    assert_eq!(Operation::text()["type"], "string");
}
