//! Return values of handlers, as the client receives them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use conduit::Error;
use conduit::prelude::*;
use futures_core::Stream;

use super::request;
use crate::support::{Response as Answer, Running, serve};

#[get("/nothing")]
fn nothing() {}

#[get("/str")]
fn text() -> &'static str {
    "text é"
}

#[get("/string")]
async fn string() -> String {
    "a string".to_owned()
}

#[get("/box")]
fn boxed() -> Box<str> {
    "boxed".into()
}

#[get("/cow/{owned}")]
fn cow(owned: Path<bool>) -> Cow<'static, str> {
    if *owned {
        Cow::Owned("owned".to_owned())
    } else {
        Cow::Borrowed("borrowed")
    }
}

#[get("/vec")]
fn vector() -> Vec<u8> {
    vec![0, 255]
}

#[get("/slice")]
fn slice() -> &'static [u8] {
    &[1, 254]
}

#[get("/array")]
fn array() -> &'static [u8; 3] {
    b"abc"
}

#[get("/bytes")]
fn bytes() -> Bytes {
    Bytes::from_static(b"bytes")
}

#[get("/body")]
fn body() -> Body {
    Body::from("a body")
}

#[get("/response")]
fn response() -> Response {
    let mut response = Response::new(Body::from("made by hand"));
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    response
        .headers_mut()
        .insert("x-made", HeaderValue::from_static("by hand"));
    response
}

#[get("/json")]
fn json() -> Json<Vec<Option<u8>>> {
    Json(vec![Some(1), None])
}

/// Its keys cannot be written as JSON, which has only strings as keys.
#[get("/json-without-text")]
fn json_without_text() -> Json<std::collections::BTreeMap<(u8, u8), u8>> {
    Json([((1, 2), 3)].into())
}

#[get("/html")]
fn html() -> Html<&'static str> {
    Html("<p>page</p>")
}

#[get("/html-string")]
fn html_string() -> Html<String> {
    Html("<p>a separate page</p>".to_owned())
}

/// Redirects to the target in the query, decoded.
#[get("/redirect/{status}/{*target}")]
fn redirect(status: Path<u16>, target: Path<String>) -> Redirect {
    match *status {
        303 => Redirect::to(target.0),
        307 => Redirect::temporary(target.0),
        _ => Redirect::permanent(target.0),
    }
}

#[post("/created/{name}")]
fn created(name: Path<String>) -> Created<Json<String>> {
    Created::at(format!("/things/{name}"), Json(name.0))
}

#[get("/status/{code}")]
fn status(code: Path<u16>) -> Result<StatusCode, Problem> {
    Ok(StatusCode::from_u16(*code)?)
}

#[get("/with-status")]
fn with_status() -> (StatusCode, &'static str) {
    (StatusCode::ACCEPTED, "accepted")
}

#[get("/with-fields")]
fn with_fields() -> impl IntoResponse {
    (
        [
            ("content-type", "text/csv"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ],
        "a,b\n",
    )
}

#[get("/with-map")]
fn with_map() -> impl IntoResponse {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/css"));
    headers.append("set-cookie", HeaderValue::from_static("a=1"));
    headers.append("set-cookie", HeaderValue::from_static("b=2"));
    (headers, "p {}")
}

#[get("/with-both")]
fn with_both() -> impl IntoResponse {
    (
        StatusCode::PARTIAL_CONTENT,
        [("cache-control", "no-store".to_owned())],
        Json(7),
    )
}

/// Sets a field to the value in the path, decoded.
#[get("/field/{value}")]
fn field(value: Path<String>) -> impl IntoResponse {
    ([("x-value", value.0)], "hidden by the fault")
}

#[get("/field-name")]
fn field_name() -> impl IntoResponse {
    ([("no name", "value")], "hidden by the fault")
}

/// Fields that only the server may set.
#[get("/framing")]
fn framing() -> impl IntoResponse {
    let fields = [
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("date", "yesterday"),
    ];
    (fields, "Hello, World!")
}

#[get("/option/{present}")]
fn option(present: Path<bool>) -> Option<&'static str> {
    present.then_some("here")
}

#[get("/failure")]
fn failure() -> Result<&'static str, Problem> {
    let text = std::fs::read_to_string("/nonexistent/secret-path")?;
    Ok(text.leak())
}

#[derive(Debug)]
struct Refusal;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::PAYMENT_REQUIRED, "pay first").into_response()
    }
}

#[get("/own-error/{fails}")]
async fn own_error(fails: Path<bool>) -> Result<(StatusCode, &'static str), Refusal> {
    if *fails {
        Err(Refusal)
    } else {
        Ok((StatusCode::ACCEPTED, "paid"))
    }
}

#[get("/problem")]
fn problem() -> Problem {
    Problem::conflict("the account has 30, and 50 are needed")
        .with_type("https://example.com/problems/credit")
        .with_title("Not enough credit")
        .with_instance("/accounts/7/transfers/8")
        .with("balance", 30)
        .with("accounts", vec!["/accounts/7", "/accounts/9"])
        .with_header(conduit::http::header::RETRY_AFTER, HeaderValue::from_static("60"))
}

#[get("/plain-problem")]
async fn plain_problem() -> Result<(), Problem> {
    Err(Problem::new(StatusCode::GONE))
}

struct TextPieces(VecDeque<&'static str>);

impl Stream for TextPieces {
    type Item = Result<&'static str, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

#[get("/stream")]
fn stream() -> impl IntoResponse {
    let pieces = TextPieces(["data: 1\n\n", "", "data: 2\n\n"].into());
    ([("content-type", "text/event-stream")], Body::from_stream(pieces))
}

const ROUTES: Routes = routes![
    nothing,
    text,
    string,
    boxed,
    cow,
    vector,
    slice,
    array,
    bytes,
    body,
    response,
    json,
    json_without_text,
    html,
    html_string,
    redirect,
    created,
    status,
    with_status,
    with_fields,
    with_map,
    with_both,
    field,
    field_name,
    framing,
    option,
    failure,
    own_error,
    problem,
    plain_problem,
    stream,
];

fn server() -> Running {
    serve(App::new(()).routes(ROUTES).development(false))
}

const TEXT: Option<&str> = Some("text/plain; charset=utf-8");
const OCTETS: Option<&str> = Some("application/octet-stream");
const HTML: Option<&str> = Some("text/html; charset=utf-8");
const JSON: Option<&str> = Some("application/json");
const PROBLEM: Option<&str> = Some("application/problem+json");

/// All values of a field.
fn all<'a>(response: &'a Answer, name: &str) -> Vec<&'a str> {
    let fields = response
        .headers
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name));
    fields.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn each_type_has_its_status_content_type_and_length() {
    let server = server();
    let mut client = server.connect();
    let cases: [(&str, u16, Option<&str>, &[u8]); 21] = [
        ("/nothing", 200, None, b""),
        ("/str", 200, TEXT, "text é".as_bytes()),
        ("/string", 200, TEXT, b"a string"),
        ("/box", 200, TEXT, b"boxed"),
        ("/cow/true", 200, TEXT, b"owned"),
        ("/cow/false", 200, TEXT, b"borrowed"),
        ("/vec", 200, OCTETS, &[0, 255]),
        ("/slice", 200, OCTETS, &[1, 254]),
        ("/array", 200, OCTETS, b"abc"),
        ("/bytes", 200, OCTETS, b"bytes"),
        ("/body", 200, None, b"a body"),
        ("/response", 418, None, b"made by hand"),
        ("/json", 200, JSON, b"[1,null]"),
        ("/html", 200, HTML, b"<p>page</p>"),
        ("/html-string", 200, HTML, b"<p>a separate page</p>"),
        ("/with-status", 202, TEXT, b"accepted"),
        ("/with-both", 206, JSON, b"7"),
        ("/option/true", 200, TEXT, b"here"),
        ("/own-error/true", 402, TEXT, b"pay first"),
        ("/own-error/false", 202, TEXT, b"paid"),
        ("/status/202", 202, None, b""),
    ];
    for (target, status, content_type, body) in cases {
        client.send(request("GET", target));
        let response = client.response();
        assert_eq!(
            (response.status, response.header("content-type")),
            (status, content_type),
            "{target}"
        );
        assert_eq!(response.body, body, "{target}");
        assert_eq!(all(&response, "content-length"), [body.len().to_string()], "{target}");
        assert_eq!(all(&response, "date").len(), 1, "{target}");
    }
}

#[test]
fn a_status_alone_is_empty_below_400_and_a_problem_from_400_up() {
    let server = server();
    let mut client = server.connect();
    for status in [200, 204, 205, 304, 299, 399] {
        client.send(request("GET", &format!("/status/{status}")));
        let response = client.response();
        assert_eq!(
            (response.status, response.body.len(), response.header("content-type")),
            (status, 0, None)
        );
    }
    for (status, title) in [
        (400, "Bad Request"),
        (404, "Not Found"),
        (451, "Unavailable For Legal Reasons"),
        (503, "Service Unavailable"),
    ] {
        client.send(request("GET", &format!("/status/{status}")));
        let response = client.response();
        assert_eq!(response.status, status);
        assert_eq!(
            response.problem(),
            serde_json::json!({ "title": title, "status": status })
        );
    }
    // A status without a reason phrase has no title.
    client.send(request("GET", "/status/499"));
    assert_eq!(client.response().problem(), serde_json::json!({ "status": 499 }));
    client.send(request("GET", "/status/99"));
    assert_eq!(
        client.response().status,
        500,
        "an invalid status is an error of the handler"
    );
}

#[test]
fn status_without_a_body_has_no_length_and_keeps_the_connection() {
    let server = server();
    let mut client = server.connect();
    for status in ["204", "304"] {
        client.send(request("GET", &format!("/status/{status}")));
        let response = client.response();
        assert_eq!(
            (response.header("content-length"), response.header("transfer-encoding")),
            (None, None)
        );
    }
    client.send(request("GET", "/str"));
    assert_eq!(client.response().text(), "text é");
}

#[test]
fn a_redirect_has_its_status_and_location() {
    let server = server();
    for status in [303, 307, 308] {
        let response = server.get(&format!("/redirect/{status}/other%3Fx=1%23part"));
        assert_eq!(
            (response.status, response.header("location")),
            (status, Some("other?x=1#part"))
        );
        assert!(response.body.is_empty());
    }
    let response = server.get("/redirect/303/https://example.com/a%20b/%C3%A9%22%3C%3E");
    assert_eq!(
        response.header("location"),
        Some("https://example.com/a%20b/%C3%A9%22%3C%3E"),
        "encoded again"
    );
    let response = server.get("/redirect/303/a%252Fb");
    assert_eq!(
        response.header("location"),
        Some("a%2Fb"),
        "encoded characters are unchanged"
    );
}

#[test]
fn a_location_cannot_add_a_field() {
    let server = server();
    let response = server.get("/redirect/303/x%0D%0Aset-cookie:%20a=1%0D%0A%0D%0A%3Cp%3E");
    assert_eq!(
        response.header("location"),
        Some("x%0D%0Aset-cookie:%20a=1%0D%0A%0D%0A%3Cp%3E")
    );
    assert_eq!(response.header("set-cookie"), None);
    let response = server.request(request("POST", "/created/x%0D%0Aset-cookie:%20a=1"));
    assert_eq!(response.header("location"), Some("/things/x%0D%0Aset-cookie:%20a=1"));
    assert_eq!(response.header("set-cookie"), None);
}

#[test]
fn created_resource_has_a_location_and_a_representation() {
    let response = server().request(request("POST", "/created/caf%C3%A9"));
    assert_eq!(
        (response.status, response.header("location")),
        (201, Some("/things/caf%C3%A9"))
    );
    assert_eq!((response.text(), response.header("content-type")), ("\"café\"", JSON));
}

#[test]
fn fields_replace_those_of_the_body_and_repeat_among_themselves() {
    let server = server();
    let response = server.get("/with-fields");
    assert_eq!(all(&response, "content-type"), ["text/csv"]);
    assert_eq!(all(&response, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(response.text(), "a,b\n");
    let response = server.get("/with-map");
    assert_eq!(all(&response, "content-type"), ["text/css"]);
    assert_eq!(all(&response, "set-cookie"), ["a=1", "b=2"]);
    let response = server.get("/with-both");
    assert_eq!(
        (response.status, response.header("cache-control")),
        (206, Some("no-store"))
    );
}

#[test]
fn an_invalid_field_is_a_500_problem_and_injects_nothing() {
    let server = server();
    assert_eq!(server.get("/field/fine%20value").header("x-value"), Some("fine value"));
    for target in [
        "/field/a%0D%0Aset-cookie:%20b=1",
        "/field/a%00",
        "/field/a%0Ab",
        "/field-name",
    ] {
        let response = server.get(target);
        assert_eq!(response.status, 500, "{target}");
        assert_eq!(
            response.problem(),
            serde_json::json!({ "title": "Internal Server Error", "status": 500 })
        );
        assert_eq!(
            (response.header("x-value"), response.header("set-cookie")),
            (None, None)
        );
    }
}

#[test]
fn a_handler_cannot_break_the_framing() {
    let server = server();
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(request("GET", "/framing"));
        let response = client.response();
        assert_eq!(all(&response, "content-length"), ["13"]);
        assert_eq!(all(&response, "transfer-encoding"), [""; 0]);
        assert_eq!(all(&response, "date").len(), 1);
        assert_eq!(response.text(), "Hello, World!");
    }
}

#[test]
fn none_is_a_404() {
    let response = server().get("/option/false");
    assert_eq!(response.status, 404);
    assert_eq!(
        response.problem(),
        serde_json::json!({ "title": "Not Found", "status": 404 })
    );
}

#[test]
fn a_custom_error_is_a_500_problem_that_hides_its_text() {
    let server = server();
    for target in ["/failure", "/json-without-text"] {
        let response = server.get(target);
        assert_eq!(
            (response.status, response.header("content-type")),
            (500, PROBLEM),
            "{target}"
        );
        assert_eq!(
            response.text(),
            r#"{"title":"Internal Server Error","status":500}"#,
            "{target}"
        );
    }
}

#[test]
fn a_problem_has_the_members_of_rfc_9457_custom_members_and_fields() {
    let server = server();
    let response = server.get("/problem");
    assert_eq!((response.status, response.header("retry-after")), (409, Some("60")));
    let expected = serde_json::json!({
        "type": "https://example.com/problems/credit",
        "title": "Not enough credit",
        "status": 409,
        "detail": "the account has 30, and 50 are needed",
        "instance": "/accounts/7/transfers/8",
        "balance": 30,
        "accounts": ["/accounts/7", "/accounts/9"],
    });
    assert_eq!(response.problem(), expected);
    let response = server.get("/plain-problem");
    assert_eq!(response.text(), r#"{"title":"Gone","status":410}"#);
}

#[test]
fn a_stream_keeps_the_fields_that_were_set_and_an_empty_piece_does_not_end_it() {
    let server = server();
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(request("GET", "/stream"));
        let response = client.response();
        assert_eq!(response.header("content-type"), Some("text/event-stream"));
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert_eq!(response.text(), "data: 1\n\ndata: 2\n\n");
    }
}

/// The return type of `main` converts from any error at start.
#[test]
fn any_error_at_start_converts_to_the_error_of_main() {
    let start = || -> conduit::Result<u16> { Ok("x".parse()?) };
    let error: Error = start().expect_err("x is no number");
    assert_eq!(
        format!("{error} {error:?}"),
        "invalid digit found in string invalid digit found in string"
    );
}
