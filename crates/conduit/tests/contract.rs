//! Contract tests: a response that differs from the OpenAPI document fails the test that received it.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use conduit::openapi::Operation;
use conduit::prelude::*;
use conduit::testing::{TestClient, TestRequest};
use conduit::{Body, Layer, Next};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// A user whose JSON is chosen by the test; the document has `{ id: u32, name: string, tags: [string] }`.
struct User(Value);

impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for User {
    fn schema_name() -> Cow<'static, str> {
        "User".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "id": { "type": "integer", "minimum": 1 },
                "name": { "type": "string", "maxLength": 8, "pattern": "^[A-Z]" },
                "role": { "enum": ["admin", "reader"] },
                "tags": { "type": "array", "maxItems": 2, "uniqueItems": true, "items": { "type": "string" } },
                "friend": generator.subschema_for::<User>(),
            },
            "required": ["id", "name"],
            "additionalProperties": false,
        })
    }
}

/// The body of the next response.
#[derive(Clone, Default)]
struct Bodies(Arc<Mutex<Value>>);

#[get("/user")]
async fn user(bodies: State<Bodies>) -> Json<User> {
    Json(User(bodies.0.0.lock().expect("no test has panicked").clone()))
}

/// A response that differs from its description, as the query selects.
struct Drifting(String);

impl IntoResponse for Drifting {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from("{\"total\":3}"));
        let mut set = |name: &'static str, value: &'static str| {
            response
                .headers_mut()
                .insert(name, http::HeaderValue::from_static(value));
        };
        set("content-type", "application/json");
        set("x-total", "3");
        match &*self.0 {
            "documented" => {}
            "unknown field" => set("x-secret", "yes"),
            "missing field" => drop(response.headers_mut().remove("x-total")),
            "another type" => set("content-type", "text/plain"),
            "a vendor's type" => set("content-type", "application/vnd.example+json"),
            "no type" => drop(response.headers_mut().remove("content-type")),
            "invalid JSON" => *response.body_mut() = Body::from("{"),
            "no body" => *response.body_mut() = Body::empty(),
            "no body and no type" => {
                *response.body_mut() = Body::empty();
                response.headers_mut().remove("content-type");
            }
            "member of another type" => *response.body_mut() = Body::from("{\"total\":\"3\"}"),
            "no member" => *response.body_mut() = Body::from("{}"),
            "list for an object" => *response.body_mut() = Body::from("[3]"),
            status => *response.status_mut() = status.parse().expect("a status"),
        }
        response
    }

    fn describe(operation: &mut Operation) {
        let schema = json!({
            "type": "object",
            "properties": { "total": { "type": "integer" } },
            "required": ["total"],
        });
        operation
            .response("application/json", schema)
            .required_response_header("x-total", "The number of items.");
    }
}

#[get("/drifting/{case}")]
async fn drifting(case: Path<String>) -> Drifting {
    Drifting(case.0.replace('_', " "))
}

/// A layer removes the location that the document requires.
#[post("/items")]
async fn create() -> Created<Json<u32>> {
    Created::at("/items/7", Json(7))
}

#[derive(Debug, Problem)]
enum OrderError {
    #[problem(status = 409, title = "Full", type = "https://example.com/full")]
    Full {
        #[problem(member)]
        limit: u32,
    },
}

#[post("/orders")]
async fn order() -> Result<NoContent, OrderError> {
    Err(OrderError::Full { limit: 3 })
}

/// Its response has no description.
#[get("/raw")]
async fn raw() -> Response {
    (StatusCode::IM_A_TEAPOT, [("x-secret", "yes")], "anything").into_response()
}

#[get("/fields")]
async fn fields() -> ([(&'static str, &'static str); 2], &'static str) {
    ([("x-open", "yes"), ("content-type", "text/csv")], "a,b")
}

#[get("/text")]
async fn text() -> &'static str {
    "text"
}

#[delete("/text")]
async fn remove() -> NoContent {
    NoContent
}

#[doc(hidden)]
#[get("/hidden")]
async fn hidden() -> Drifting {
    Drifting("another type".to_owned())
}

const ROUTES: Routes<Bodies> = routes![user, drifting, create, order, raw, fields, text, remove, hidden];

fn client() -> TestClient {
    TestClient::new(App::new(Bodies::default()).routes(ROUTES))
}

/// The message of the failed test that sends this request; `None` if it passes.
fn failure(request: TestRequest) -> Option<String> {
    let failed = catch_unwind(AssertUnwindSafe(|| drop(request.send()))).err()?;
    Some(message(&*failed))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or_default()
        .to_owned()
}

#[track_caller]
fn assert_caught(request: TestRequest, expected: &str) {
    let found = failure(request).unwrap_or_else(|| panic!("not caught: {expected}"));
    assert!(found.contains(expected), "expected {expected:?} in {found}");
    assert!(found.contains("is not documented by the operation"), "{found}");
}

#[test]
fn a_failure_names_operation_handler_and_line() {
    let found = failure(client().get("/drifting/201")).expect("the status is not documented");
    assert!(
        found.starts_with(
            "GET /drifting/201: the response is not documented by the operation GET /drifting/{case} of `"
        ),
        "{found}"
    );
    assert!(
        found.contains("::drifting` (crates/conduit/tests/contract.rs:"),
        "{found}"
    );
    assert!(found.contains("the status: expected 200"), "{found}");
    assert!(found.contains("undocumented()"), "{found}");
}

#[test]
fn an_undocumented_head_is_caught() {
    let client = client();
    for (case, expected) in [
        (
            "201",
            "the status: expected 200 or 400 or a problem, found 201 with application/json",
        ),
        ("206", "found 206 with application/json"),
        ("301", "found 301 with application/json"),
        ("404", "found 404 with application/json"),
        ("500", "found 500 with application/json"),
        ("unknown_field", "the header field x-secret is not documented"),
        (
            "missing_field",
            "the header field x-total is missing: the document requires it",
        ),
        (
            "another_type",
            "content-type: expected application/json at the status 200",
        ),
        ("a_vendor's_type", "found application/vnd.example+json"),
        (
            "no_type",
            "content-type: expected application/json, found no such field",
        ),
    ] {
        assert_caught(client.get(&format!("/drifting/{case}")), expected);
    }
    assert_eq!(failure(client.get("/drifting/documented")), None);
}

#[test]
fn an_undocumented_body_is_caught() {
    let client = client();
    for (case, expected) in [
        ("invalid_JSON", "the body is not JSON"),
        ("no_body", "the body is not JSON"),
        ("no_body_and_no_type", "content-type: expected application/json"),
        ("member_of_another_type", "the value at #/total: want integer"),
        ("no_member", "the value at #: missing properties 'total'"),
        ("list_for_an_object", "the value at #: want object"),
    ] {
        assert_caught(client.get(&format!("/drifting/{case}")), expected);
    }
}

#[test]
fn a_body_that_differs_from_the_schema_of_its_type_is_caught() {
    let bodies = Bodies::default();
    let client = TestClient::new(App::new(bodies.clone()).routes(ROUTES));
    let send = |body: &Value| {
        *bodies.0.lock().expect("no test has panicked") = body.clone();
        client.get("/user")
    };
    for (body, expected) in [
        (json!(null), "the value at #: want object"),
        (json!({ "id": 1 }), "missing properties 'name'"),
        (json!({ "id": "1", "name": "Ada" }), "the value at #/id: want integer"),
        (json!({ "id": 1.5, "name": "Ada" }), "the value at #/id: want integer"),
        (json!({ "id": 0, "name": "Ada" }), "the value at #/id: "),
        (json!({ "id": 1, "name": null }), "the value at #/name: want string"),
        (json!({ "id": 1, "name": "Adalbertine" }), "the value at #/name: "),
        (json!({ "id": 1, "name": "ada" }), "the value at #/name: "),
        (
            json!({ "id": 1, "name": "Ada", "role": "owner" }),
            "the value at #/role: ",
        ),
        (
            json!({ "id": 1, "name": "Ada", "tags": [1] }),
            "the value at #/tags/0: want string",
        ),
        (
            json!({ "id": 1, "name": "Ada", "tags": ["a", "b", "c"] }),
            "the value at #/tags: ",
        ),
        (
            json!({ "id": 1, "name": "Ada", "tags": ["a", "a"] }),
            "the value at #/tags: ",
        ),
        (
            json!({ "id": 1, "name": "Ada", "email": "ada@example.com" }),
            "the value at #: ",
        ),
        (
            json!({ "id": 1, "name": "Ada", "friend": { "id": 2 } }),
            "the value at #/friend: missing properties 'name'",
        ),
    ] {
        assert_caught(send(&body), expected);
    }
    assert_eq!(
        failure(send(&json!({ "id": 1, "name": "Ada", "tags": ["a"], "role": "admin" }))),
        None
    );
}

/// Removes parts that the document requires, and changes others.
#[derive(Clone)]
struct Removing;

impl Layer for Removing {
    async fn call(&self, request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        response.headers_mut().remove("location");
        if response.status() == StatusCode::NO_CONTENT {
            *response.status_mut() = StatusCode::OK;
        }
        if response.status() == StatusCode::CONFLICT {
            *response.body_mut() = Body::from("{\"status\":409}");
        }
        response
    }
}

#[test]
fn a_layer_that_changes_a_response_is_caught() {
    let client = TestClient::new(App::new(Bodies::default()).routes(ROUTES).layer(Removing));
    assert_caught(client.post("/items"), "the header field location is missing");
    assert_caught(
        client.delete("/text"),
        "the status: expected 204 or a problem, found 200",
    );
    assert_caught(client.post("/orders"), "missing properties");
}

#[test]
fn documented_and_unknown_responses_pass() {
    let client = client();
    client.post("/items").send().assert_status(201);
    client.post("/orders").send().assert_status(409);
    client.delete("/text").send().assert_status(204);
    client.head("/text").send().assert_status(200);
    // Each of these has no description: a raw response, fields that are known at run time, a handler outside of the document.
    client.get("/raw").send().assert_status(418);
    client.get("/fields").send().assert_header("x-open", "yes");
    client.get("/hidden").send().assert_status(200);
    // No operation matches these.
    client.get("/nothing").send().assert_status(404);
    client.put("/text").send().assert_status(405);
    client.options("/text").send().assert_status(204);
}

#[test]
fn a_request_and_a_client_accept_other_responses() {
    let client = client();
    client.get("/drifting/201").undocumented().send().assert_status(201);
    assert_caught(client.get("/drifting/201"), "found 201");
    client.without_contract().get("/drifting/201").send().assert_status(201);
}

#[test]
fn the_head_of_a_stream_is_compared_before_its_body() {
    let client = client();
    let failed = catch_unwind(AssertUnwindSafe(|| drop(client.get("/drifting/another_type").stream())));
    let text = message(&*failed.expect_err("the content type is not documented"));
    assert!(text.contains("content-type: expected application/json"), "{text}");
    let failed = catch_unwind(AssertUnwindSafe(|| {
        drop(client.get("/drifting/no_member").stream().finish())
    }));
    let text = message(&*failed.expect_err("the body is not documented"));
    assert!(text.contains("missing properties"), "{text}");
}

#[test]
fn a_client_over_a_socket_compares_too() {
    let client = TestClient::over_socket(App::new(Bodies::default()).routes(ROUTES));
    assert_caught(client.get("/drifting/201"), "found 201");
}

mod in_development {
    use std::fmt;

    use tracing::field::{Field, Visit};
    use tracing::{Event, Level, Metadata, Subscriber, span};

    use super::*;

    /// The text of each error.
    #[derive(Clone, Default)]
    struct Errors(Arc<Mutex<Vec<String>>>);

    struct Text<'t>(&'t mut String);

    impl Visit for Text<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                *self.0 = format!("{value:?}");
            }
        }
    }

    impl Subscriber for Errors {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::ERROR
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut text = String::new();
            event.record(&mut Text(&mut text));
            self.0.lock().expect("no test has panicked").push(text);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn a_layer_logs_undocumented_responses() {
        let errors = Errors::default();
        // The only test of this program that reads the log of the worker's thread.
        tracing::subscriber::set_global_default(errors.clone()).expect("no other test sets one");
        let logged = |development: bool| {
            let app = App::new(Bodies::default())
                .routes(ROUTES)
                .development(development)
                .check_responses();
            let client = TestClient::new(app).without_contract();
            client.get("/drifting/201").send().assert_status(201);
            client.get("/drifting/no_member").send().assert_status(200);
            client.get("/text").send().assert_status(200);
            client.get("/nothing").send().assert_status(404);
            std::mem::take(&mut *errors.0.lock().expect("no test has panicked"))
        };
        let all = logged(true);
        let of_this_test: Vec<&String> = all
            .iter()
            .filter(|text| text.contains("GET /drifting/{case}"))
            .collect();
        assert_eq!(of_this_test.len(), 2, "{all:?}");
        assert!(of_this_test[0].contains("found 201"), "{all:?}");
        assert!(of_this_test[1].contains("missing properties 'total'"), "{all:?}");
        assert!(logged(false).iter().all(|text| !text.contains("/drifting")));
    }
}

mod overridden_methods {
    use super::*;

    /// A layer of the application that has the name of Conduit's and does not override the method.
    #[derive(Clone)]
    struct MethodOverride;

    impl Layer for MethodOverride {
        async fn call(&self, request: Request, next: Next) -> Response {
            next.run(request).await
        }
    }

    #[post("/items")]
    async fn create() -> Json<u32> {
        Json(1)
    }

    #[delete("/items")]
    async fn remove() -> NoContent {
        NoContent
    }

    #[test]
    fn the_response_belongs_to_the_method_after_the_layer_of_that_type() {
        let app = || App::new(()).routes(routes![create, remove]);
        let status = |app| {
            let request = TestClient::new(app).post("/items");
            request.header("x-http-method-override", "DELETE").send().status()
        };
        assert_eq!(status(app()), 200);
        assert_eq!(status(app().layer(conduit::layer::MethodOverride::new())), 204);
        assert_eq!(status(app().layer(MethodOverride)), 200);
    }
}
