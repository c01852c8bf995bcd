//! The form that an application gives its errors, in the document.

use conduit::openapi::Operation;
use conduit::prelude::*;
use conduit::problem::ErrorContext;
use serde_json::{Value, json};

/// An error as this API sends it.
#[derive(serde::Serialize, JsonSchema)]
struct ApiError {
    code: u16,
    text: String,
}

fn coded(problem: Problem, _: &ErrorContext<'_>) -> Response {
    let code = problem.status().as_u16();
    let text = problem.to_string();
    (problem.status(), Json(ApiError { code, text })).into_response()
}

fn described(operation: &mut Operation) {
    let schema = operation.output_schema::<ApiError>();
    operation.response("application/json", schema);
}

#[derive(Debug, Problem)]
#[problem(status = 409, title = "Taken")]
struct Taken;

#[get("/numbers/{number}")]
fn number(_number: Path<u8>) -> Result<&'static str, Taken> {
    Err(Taken)
}

fn app() -> App<(), Routes> {
    App::new(()).routes(routes![number])
}

fn content<'d>(document: &'d Value, status: &str) -> &'d Value {
    &document["paths"]["/numbers/{number}"]["get"]["responses"][status]["content"]
}

#[test]
fn a_form_of_errors_describes_each_error() {
    let document = app().errors(coded).describe_errors(described).openapi();
    assert_eq!(document.gaps(), []);
    crate::validator::accepts(&document.to_string());
    let document = crate::json(&document);
    let expected = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/errors.ApiError" } } });
    for status in ["400", "409"] {
        assert_eq!(*content(&document, status), expected, "{status}");
    }
    assert_eq!(document["components"]["responses"]["Problem"]["content"], expected);
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("there are schemas");
    assert_eq!(schemas.keys().collect::<Vec<_>>(), ["errors.ApiError"]);
}

#[test]
fn form_that_keeps_problems_describes_both_media_types() {
    let app = app().errors(coded).describe_errors(|operation| {
        operation.any_problem().response("text/html", Operation::text());
    });
    let document = crate::json(&app.openapi());
    assert_eq!(
        *content(&document, "409"),
        json!({
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/errors.Taken" } },
            "text/html": { "schema": { "type": "string" } },
        })
    );
}

#[test]
fn form_without_a_description_is_a_gap_and_describes_no_problem() {
    let document = app().errors(coded).openapi();
    let [gap] = document.gaps() else {
        panic!("{:?}", document.gaps())
    };
    assert!(gap.what.contains("add `App::describe_errors`"), "{gap}");
    assert!(gap.file.ends_with("errors.rs") && gap.line > 1, "{gap}");
    crate::validator::accepts(&document.to_string());
    assert!(!document.to_string().contains("problem+json"), "{document}");
}
