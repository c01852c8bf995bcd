//! Guards and layers: those in lists, and those of the application.

use std::time::Duration;

use conduit::layer::{
    BodyLimit, ConcurrencyLimit, Conditional, Idempotency, RateLimit, RequestIds, Timeout, TrailingSlash,
};
use conduit::openapi::{Info, Operation, SecurityScheme};
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{ApiKey, Auth, Authenticate, Bearer, Key, KeyPlace};
use serde_json::json;

/// The docs page may send requests to the server that issues tokens, which redirects to a page below it.
#[test]
fn docs_page_signs_in_with_oauth2() {
    fn signed_in(operation: &mut Operation) {
        let flow = json!({
            "authorizationUrl": "https://issuer.example/authorize",
            "tokenUrl": "https://issuer.example/token",
            "refreshUrl": "https://issuer.example/token",
            "scopes": {},
        });
        let flows = json!({ "authorizationCode": flow });
        operation.security("issuer", SecurityScheme::oauth2(flows), &[]);
        let discovery = "https://login.example:8443/.well-known/openid-configuration";
        operation.security("login", SecurityScheme::open_id_connect(discovery), &[]);
    }
    #[get("/account", describe = signed_in)]
    fn account() -> NoContent {
        NoContent
    }
    let client = TestClient::new(App::new(()).routes(routes![account]).docs("/docs"));
    let page = client.get("/docs").undocumented().send();
    let policy = page.header("content-security-policy").expect("a policy");
    let of_requests = "connect-src 'self' https://issuer.example https://login.example:8443;";
    assert!(policy.contains(of_requests), "{policy}");
    let redirect = client.get("/docs/oauth2-redirect.html").undocumented().send();
    redirect
        .assert_status(200)
        .assert_header("content-type", "text/html; charset=utf-8");
    assert!(
        redirect.text().contains("src=\"oauth2-redirect.js\""),
        "{}",
        redirect.text()
    );
    client
        .get("/docs/oauth2-redirect.js")
        .undocumented()
        .send()
        .assert_status(200);
    let start = client.get("/docs/start.js").undocumented().send();
    assert!(start.text().contains("oauth2-redirect.html"), "{}", start.text());
}

struct Operator;

impl<S> Authenticate<S> for Operator {
    type Credentials = Bearer;

    async fn authenticate(_: Bearer, _: &S) -> Result<Self, Problem> {
        Ok(Operator)
    }
}

/// A key in a cookie.
struct Session;

impl Key for Session {
    const PLACE: KeyPlace = KeyPlace::Cookie("session");
}

/// A user with a token, or with a cookie.
struct Somebody;

impl<S> FromRequest<S> for Somebody {
    type Rejection = Problem;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Problem> {
        Ok(Somebody)
    }

    fn describe(operation: &mut Operation) {
        operation.any_of(&[
            <Bearer as FromRequest<S>>::describe,
            <ApiKey<Session> as FromRequest<S>>::describe,
        ]);
    }
}

#[derive(Debug, Problem)]
enum Closed {
    #[problem(status = 403, title = "Closed")]
    Closed,
}

async fn operators(_: Auth<Operator>, request: Request, next: Next) -> Response {
    next.run(request).await
}

async fn while_open(request: Request, next: Next) -> Result<Response, Closed> {
    match request.path() {
        "/internal/closed" => Err(Closed::Closed),
        _ => Ok(next.run(request).await),
    }
}

/// Lists the tasks.
#[get("/jobs")]
async fn jobs() -> &'static str {
    "none"
}

/// Begin a job.
#[post("/jobs")]
async fn begin(_: Somebody, name: String) -> Status<202, String> {
    Status(name)
}

/// Any request.
#[get("/anything")]
async fn anything(_: Somebody, _: Option<ApiKey<Session>>) -> Response {
    "anything".into_response()
}

#[get("/either")]
async fn either(_: Option<Auth<Operator>>, _: Option<ApiKey<Session>>) -> Redirect {
    Redirect::to("/")
}

const INNER: Routes = routes![
    jobs,
    #[layer(Idempotency::new().required())]
    begin
];

pub(crate) const ROUTES: Routes = routes![
    #[layer(operators, while_open, BodyLimit::new(1000), RateLimit::new(5, Duration::from_secs(60)))]
    "/internal" => INNER,
    #[layer(Timeout::new(Duration::from_secs(5)).status(StatusCode::GATEWAY_TIMEOUT))]
    #[layer(ConcurrencyLimit::new(10))]
    anything,
    either,
];

pub(crate) fn app() -> App<(), Routes> {
    App::new(())
        .routes(ROUTES)
        .info(Info::new("Guarded", "1"))
        .layer(Conditional::new())
        .layer(TrailingSlash::redirect())
        .layer(RequestIds::new())
}

#[test]
fn the_document_of_guarded_routes_is_unchanged() {
    crate::assert_golden("guarded.json", &app().openapi().to_string());
}

#[test]
fn guards_and_layers_of_a_list_are_in_its_operations() {
    let document = app().openapi();
    assert_eq!(document.gaps(), []);
    let document = crate::json(&document);
    let jobs = &document["paths"]["/internal/jobs"]["get"];
    assert_eq!(jobs["security"], json!([{ "bearer": [] }]));
    for status in ["200", "304", "401", "403", "412", "413", "429"] {
        assert!(jobs["responses"][status].is_object(), "{status}: {jobs:#}");
    }
    assert!(
        jobs["responses"]["429"]["headers"]["retry-after"].is_object(),
        "{jobs:#}"
    );
    assert!(jobs["responses"]["200"]["headers"]["ratelimit"].is_object(), "{jobs:#}");
    assert!(jobs["responses"]["401"]["headers"]["ratelimit"].is_null(), "{jobs:#}");
    // The outermost layer is around all answers, and its field is in the document once.
    assert_eq!(
        jobs["responses"]["401"]["headers"]["x-request-id"],
        json!({ "$ref": "#/components/headers/x-request-id" })
    );
    let parameters = jobs["parameters"].as_array().expect("there are parameters");
    assert!(
        parameters.contains(&json!({ "$ref": "#/components/parameters/x-request-id" })),
        "{jobs:#}"
    );
    let text = document.to_string();
    assert_eq!(text.matches("The name that the request has in logs.").count(), 1);
    let anything = &document["paths"]["/anything"]["get"]["responses"];
    assert!(
        anything["504"].is_object() && anything["503"].is_object(),
        "{anything:#}"
    );
    assert!(anything["413"].is_null(), "a layer of another route: {anything:#}");
}

#[test]
fn the_document_of_the_routes_alone_lacks_the_layers_of_the_application() {
    let document = crate::json(&ROUTES.openapi(Info::new("routes", "1")));
    let responses = &document["paths"]["/internal/jobs"]["get"]["responses"];
    assert!(
        responses["429"].is_object() && responses["304"].is_null(),
        "{responses:#}"
    );
}

#[test]
fn alternatives_of_security_are_complete() {
    let document = crate::json(&ROUTES.openapi(Info::new("routes", "1")));
    let security = |path: &str, method: &str| document["paths"][path][method]["security"].clone();
    // The guard of the list requires a token, and the handler accepts it.
    assert_eq!(
        security("/internal/jobs", "post"),
        json!([{ "bearer": [] }, { "bearer": [], "session": [] }])
    );
    assert_eq!(
        security("/either", "get"),
        json!([{ "bearer": [], "session": [] }, { "bearer": [] }, { "session": [] }, {}])
    );
    let schemes = document["components"]["securitySchemes"].as_object();
    let names: Vec<_> = schemes.expect("there are schemes").keys().collect();
    assert_eq!(names, ["bearer", "session"]);
}
