//! Errors of the application, each with its schema.

use conduit::openapi::Info;
use conduit::prelude::*;
use serde_json::{Value, json};

/// The available amount.
#[derive(Debug, serde::Serialize, JsonSchema)]
struct Stock {
    left: u32,
}

#[derive(Debug, serde::Serialize)]
struct SilentMember;

#[derive(Debug, Problem)]
#[allow(dead_code, reason = "they are described and never made")]
enum OrderError {
    #[problem(status = 404, title = "No such order", type = "https://example.com/no-order")]
    NoOrder,
    #[problem(status = 409, title = "Full")]
    Full {
        #[problem(member)]
        limit: u32,
        #[problem(member = "in_stock")]
        stock: Option<Stock>,
        place: String,
    },
    #[problem(status = 409, title = "Taken")]
    Taken,
    #[problem(status = 500)]
    Database(#[problem(from)] std::io::Error),
    #[problem(transparent)]
    Other(#[problem(from)] Problem),
}

#[derive(Debug, Problem)]
#[problem(status = 410, title = "Gone")]
struct GoneAway(#[problem(member = "why")] SilentMember);

/// An error with a member of any type.
#[derive(Debug, Problem)]
#[problem(status = 409, title = "Any")]
struct AnyError<T: std::fmt::Debug + serde::Serialize + JsonSchema + 'static>(#[problem(member = "value")] T);

#[get("/text")]
fn text() -> Result<(), AnyError<String>> {
    Ok(())
}

#[get("/stock")]
fn stock() -> Result<(), AnyError<Stock>> {
    Ok(())
}

#[test]
fn each_form_of_a_generic_error_has_its_schema_in_any_order() {
    let document = |routes: Routes| {
        let document = routes.openapi(Info::new("generic", "1"));
        assert_eq!(document.gaps(), []);
        crate::validator::accepts(&document.to_string());
        crate::json(&document)
    };
    let (forwards, backwards) = (document(routes![text, stock]), document(routes![stock, text]));
    for (path, value) in [
        ("/text", json!({ "type": "string" })),
        ("/stock", reference("problems.Stock")),
    ] {
        let schema = schema_of(&forwards, path, "get", "409");
        assert_eq!(schema["properties"]["value"], value);
        assert_eq!(schema, schema_of(&backwards, path, "get", "409"));
    }
    assert_eq!(forwards["components"], backwards["components"]);
}

#[derive(serde::Deserialize, JsonSchema)]
struct New {
    _name: String,
}

#[post("/orders")]
fn order(_: Json<New>) -> Result<(), OrderError> {
    Ok(())
}

#[get("/away")]
fn away() -> Result<(), GoneAway> {
    Ok(())
}

pub(crate) const ROUTES: Routes = routes![order, away];

fn document() -> Value {
    crate::json(&ROUTES.openapi(Info::new("problems", "1")))
}

fn schema_of(document: &Value, path: &str, method: &str, status: &str) -> Value {
    document["paths"][path][method]["responses"][status]["content"]["application/problem+json"]["schema"].clone()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

#[test]
fn each_variant_has_a_separate_schema() {
    let document = document();
    assert_eq!(
        schema_of(&document, "/orders", "post", "404"),
        reference("problems.OrderError_NoOrder")
    );
    assert_eq!(
        schema_of(&document, "/orders", "post", "409"),
        json!({ "anyOf": [reference("problems.OrderError_Full"), reference("problems.OrderError_Taken")] })
    );
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["problems.OrderError_NoOrder"],
        json!({
            "allOf": [reference("Problem")],
            "properties": {
                "status": { "const": 404 },
                "title": { "const": "No such order" },
                "type": { "const": "https://example.com/no-order" },
            },
            "required": ["status", "title", "type"],
        })
    );
    assert_eq!(
        schemas["problems.OrderError_Full"],
        json!({
            "allOf": [reference("Problem")],
            "properties": {
                "in_stock": { "anyOf": [reference("problems.Stock"), { "type": "null" }] },
                "limit": { "type": "integer", "format": "uint32", "minimum": 0, "maximum": 4_294_967_295_u32 },
                "status": { "const": 409 },
                "title": { "const": "Full" },
            },
            "required": ["in_stock", "limit", "status", "title"],
        })
    );
}

#[test]
fn error_matches_its_schema() {
    let stock = Some(Stock { left: 0 });
    let place = "here".to_owned();
    let problem = Problem::from(OrderError::Full { limit: 3, stock, place });
    assert_eq!(
        serde_json::to_value(&problem).expect("a problem is JSON"),
        json!({ "title": "Full", "status": 409, "limit": 3, "in_stock": { "left": 0 } })
    );
}

#[test]
fn descriptions_of_one_status_are_sentences_and_none_is_empty() {
    let document = document();
    let description = |status: &str| &document["paths"]["/orders"]["post"]["responses"][status]["description"];
    assert_eq!(*description("409"), "Full. Taken.");
    assert_eq!(*description("404"), "No such order");
    assert_eq!(*description("500"), "Internal Server Error");
    assert_eq!(schema_of(&document, "/orders", "post", "500"), reference("Problem"));
}

#[test]
fn a_member_without_a_schema_is_a_gap() {
    let document = ROUTES.openapi(Info::new("problems", "1"));
    let [gap] = document.gaps() else {
        panic!("{:?}", document.gaps())
    };
    assert!(
        gap.what
            .contains("problems::SilentMember`, the member `why` of a problem, is not known"),
        "{gap}"
    );
    assert_eq!(
        crate::json(&document)["components"]["schemas"]["problems.GoneAway"]["properties"]["why"],
        json!({})
    );
}

#[test]
fn faults_of_a_request_have_a_schema() {
    let document = document();
    assert_eq!(
        schema_of(&document, "/orders", "post", "422"),
        reference("ProblemWithFaults")
    );
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["ProblemWithFaults"]["properties"]["errors"],
        json!({ "type": "array", "items": reference("Fault") })
    );
    let fault = conduit::problem::Fault::of_json([], "wrong");
    let fault = serde_json::to_value(fault).expect("a fault is JSON");
    let members = fault.as_object().expect("it is an object").keys();
    let described = schemas["Fault"]["properties"].as_object().expect("it has properties");
    assert!(members.eq(described.keys()), "{fault} {described:?}");
}
