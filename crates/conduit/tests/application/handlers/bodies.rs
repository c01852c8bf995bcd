//! Arguments that take the body of the request.

use std::pin::Pin;
use std::rc::Rc;

use conduit::prelude::*;
use futures_core::Stream;

use super::{detail, post, request};
use crate::support::{Running, serve};

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct UserBody {
    name: String,
    age: u8,
}

#[post("/json")]
async fn json(user: Json<UserBody>) -> Json<UserBody> {
    user
}

#[post("/optional-json")]
async fn optional_json(user: Option<Json<UserBody>>) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.0.name)
}

#[post("/result-json")]
async fn result_json(user: Result<Json<UserBody>, Problem>) -> String {
    match user {
        Ok(user) => user.0.name,
        Err(problem) => problem.status().to_string(),
    }
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Survey {
    name: String,
    #[serde(default)]
    answer: Vec<u32>,
}

#[post("/form")]
async fn form(survey: Form<Survey>) -> Form<Survey> {
    survey
}

#[post("/optional-form")]
async fn optional_form(survey: Option<Form<Survey>>) -> String {
    survey.map_or_else(|| "no form".to_owned(), |survey| survey.0.name)
}

#[post("/bytes")]
async fn bytes(bytes: Bytes) -> Bytes {
    bytes
}

#[post("/optional-bytes")]
async fn optional_bytes(bytes: Option<Bytes>) -> String {
    format!("{:?}", bytes.map(|bytes| bytes.len()))
}

#[post("/text")]
async fn text(text: String) -> String {
    text
}

/// Reads the stream piece by piece, and holds a value that is not `Send` meanwhile.
#[post("/stream")]
async fn stream(mut body: Body) -> Result<String, Problem> {
    let declared = body.len();
    let pieces = Rc::new(std::cell::RefCell::new(Vec::new()));
    while let Some(piece) = std::future::poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
        pieces.borrow_mut().extend_from_slice(&piece?);
    }
    let trailers = body.trailers().unwrap_or_default();
    let digest = trailers
        .get("x-digest")
        .map(|value| value.to_str().unwrap_or("?").to_owned());
    Ok(format!(
        "{declared:?} {} {digest:?}",
        String::from_utf8_lossy(&pieces.borrow())
    ))
}

#[post("/limited")]
async fn limited(body: Body) -> Result<String, Problem> {
    Ok(body.with_limit(4).collect().await?.len().to_string())
}

#[post("/more")]
async fn more(body: Body) -> Result<String, Problem> {
    Ok(body.with_limit(1 << 20).collect().await?.len().to_string())
}

#[post("/request")]
async fn whole(mut request: Request) -> Result<String, Problem> {
    let had = request.has_body();
    let first = request.take_body().collect().await?;
    assert!(!request.has_body(), "the body was taken");
    let second = request.take_body().collect().await?;
    Ok(format!("{had} {} {}", first.len(), second.len()))
}

/// The limit of the application that the tests serve, in bytes.
const LIMIT: usize = 100;

fn server() -> Running {
    let routes = routes![
        json,
        optional_json,
        result_json,
        form,
        optional_form,
        bytes,
        optional_bytes,
        text,
        stream,
        limited,
        more,
        whole
    ];
    serve(App::new(()).routes(routes).body_limit(LIMIT as u64))
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const GOOD: &str = r#"{"name":"Ada","age":36}"#;

/// A request with a chunked body, which declares no length.
fn chunked(target: &str, content_type: &str, chunks: &[&str]) -> String {
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    for chunk in chunks {
        request += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    request + "0\r\n\r\n"
}

#[test]
fn json_is_read_and_written_with_any_framing() {
    let server = server();
    let mut client = server.connect();
    for request in [
        post("/json", JSON, GOOD),
        post("/json", "application/json; charset=utf-8", GOOD),
        post("/json", "Application/JSON;charset=UTF-8", GOOD),
        post("/json", "application/vnd.user+json", GOOD),
        post(
            "/json",
            JSON,
            " {\"age\": 36, \"name\": \"\\u0041da\", \"more\": [1]} \r\n",
        ),
        chunked("/json", JSON, &["{\"name\":\"A", "da\",\"age", "\":36}"]),
    ] {
        client.send(&request);
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, GOOD), "{request}");
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("content-length"), Some("23"));
    }
}

#[test]
fn json_with_another_content_type_is_415_with_the_received_and_the_expected_type() {
    let server = server();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "json",
        "text/json",
    ] {
        let response = server.request(post("/json", content_type, GOOD));
        assert_eq!(response.status, 415, "{content_type}");
        let detail = detail(&response);
        assert!(
            detail.contains(content_type) && detail.contains("application/json"),
            "{detail}"
        );
    }
    let response = server.request(format!(
        "POST /json HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    ));
    assert_eq!(response.status, 415);
    assert_eq!(
        detail(&response),
        "the request has no content-type: expected application/json"
    );
}

#[test]
fn text_that_is_not_json_is_400_with_its_line_and_column() {
    let server = server();
    for (body, place) in [
        ("{\"name\":\n  \"Ada\",\n  age: 36}", "line 3 column 3"),
        ("{\"name\": \"Ada\"", "line 1 column 14"),
        ("{\"name\":\"Ada\",\"age\":36} x", "line 1 column 25"),
        ("", "line 1 column 0"),
    ] {
        let response = server.request(post("/json", JSON, body));
        assert_eq!(response.status, 400, "{body}");
        let detail = detail(&response);
        assert!(detail.contains(place), "{body}: no {place} in: {detail}");
    }
}

#[test]
fn mismatched_json_is_422_with_the_fault() {
    let server = server();
    for (body, part) in [
        ("{\"name\":\"Ada\"}", "body.age: missing"),
        ("{\"name\":7,\"age\":36}", "body.name: expected a string, found 7"),
        ("{\"name\":\"Ada\",\"age\":256}", "256"),
        ("[]", "body: "),
        ("null", "null"),
    ] {
        let response = server.request(post("/json", JSON, body));
        assert_eq!(response.status, 422, "{body}");
        let detail = detail(&response);
        assert!(detail.contains(part), "{body}: no {part} in: {detail}");
    }
}

#[test]
fn a_body_over_the_limit_is_413_for_every_argument_that_reads_it_whole() {
    let server = server();
    let long = "x".repeat(LIMIT + 1);
    for target in ["/json", "/form", "/bytes", "/text", "/request", "/stream"] {
        let content_type = if target == "/form" { FORM } else { JSON };
        for request in [
            post(target, content_type, &long),
            chunked(target, content_type, &[&long[1..], "x"]),
        ] {
            let response = server.request(&request);
            assert_eq!(response.status, 413, "{request}");
            assert_eq!(detail(&response), "the body is longer than the limit of 100 bytes");
        }
    }
    let response = server.request(post("/bytes", JSON, &long[1..]));
    assert_eq!((response.status, response.body.len()), (200, LIMIT));
}

#[test]
fn a_handler_sets_another_limit() {
    let server = server();
    assert_eq!(server.request(post("/limited", JSON, "1234")).text(), "4");
    assert_eq!(server.request(post("/limited", JSON, "12345")).status, 413);
    assert_eq!(server.request(chunked("/limited", JSON, &["123", "45"])).status, 413);
    let long = "x".repeat(200_000);
    assert_eq!(server.request(post("/more", JSON, &long)).text(), "200000");
    assert_eq!(server.request(chunked("/more", JSON, &[&long])).text(), "200000");
}

#[test]
fn a_form_is_read_and_written() {
    let server = server();
    for content_type in [
        FORM,
        "application/x-www-form-urlencoded; charset=utf-8",
        "APPLICATION/X-WWW-FORM-URLENCODED",
    ] {
        let response = server.request(post("/form", content_type, "name=a+b%26&answer=1&answer=2&x=y"));
        assert_eq!(
            (response.status, response.text()),
            (200, "name=a+b%26&answer=1&answer=2")
        );
        assert_eq!(response.header("content-type"), Some(FORM));
    }
}

#[test]
fn a_form_that_does_not_fit_is_415_or_422() {
    let server = server();
    let response = server.request(post("/form", JSON, "name=x"));
    assert_eq!(response.status, 415);
    assert_eq!(
        detail(&response),
        format!("the content-type is \"application/json\": expected {FORM}")
    );
    for (body, part) in [
        ("answer=1", "name"),
        (
            "name=x&answer=many",
            "body.answer[0]: expected a whole number from 0 up, of 32 bits, found \"many\"",
        ),
        ("", "name"),
    ] {
        let response = server.request(post("/form", FORM, body));
        assert_eq!(response.status, 422, "{body}");
        assert!(detail(&response).contains(part), "{body}: {}", detail(&response));
    }
}

#[test]
fn an_optional_body_may_be_absent_and_is_a_rejection_when_it_does_not_fit() {
    let server = server();
    assert_eq!(server.request(request("POST", "/optional-json")).text(), "nobody");
    assert_eq!(server.request(post("/optional-json", JSON, GOOD)).text(), "Ada");
    assert_eq!(server.request(post("/optional-json", JSON, "{")).status, 400);
    assert_eq!(server.request(post("/optional-json", "text/plain", GOOD)).status, 415);
    assert_eq!(server.request(request("POST", "/optional-form")).text(), "no form");
    assert_eq!(server.request(post("/optional-form", FORM, "name=x")).text(), "x");
    assert_eq!(server.request(post("/optional-form", FORM, "a=1")).status, 422);
    assert_eq!(server.request(request("POST", "/optional-bytes")).text(), "None");
    // A length of zero is no body, and neither is a chunked body without a byte.
    for target in ["/optional-json", "/optional-form", "/optional-bytes"] {
        let none = server.request(request("POST", target));
        let empty = server.request(post(target, JSON, ""));
        assert_eq!((empty.status, empty.text()), (none.status, none.text()), "{target}");
        let empty = server.request(chunked(target, JSON, &[]));
        assert_eq!((empty.status, empty.text()), (none.status, none.text()), "{target}");
    }
    assert_eq!(server.request(chunked("/optional-json", JSON, &[GOOD])).text(), "Ada");
    let mut client = server.connect();
    client.send("POST /optional-json HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send(format!("{:x}\r\n{GOOD}\r\n", GOOD.len()));
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "Ada", "the awaited value still exists");
}

#[test]
fn a_result_of_a_body_leaves_the_rejection_to_the_handler() {
    let server = server();
    assert_eq!(server.request(post("/result-json", JSON, GOOD)).text(), "Ada");
    assert_eq!(
        server.request(post("/result-json", JSON, "{")).text(),
        "400 Bad Request"
    );
    assert_eq!(
        server.request(post("/result-json", JSON, "{}")).text(),
        "422 Unprocessable Entity"
    );
    assert_eq!(
        server.request(request("POST", "/result-json")).text(),
        "415 Unsupported Media Type"
    );
}

#[test]
fn bytes_are_unchanged_and_text_must_be_utf_8() {
    let server = server();
    let mut client = server.connect();
    let body: Vec<u8> = (0..LIMIT as u8).map(|number| number.wrapping_mul(3)).collect();
    let head = |target| format!("POST {target} HTTP/1.1\r\nhost: test\r\ncontent-length: {LIMIT}\r\n\r\n").into_bytes();
    client.send([head("/bytes"), body.clone()].concat());
    let response = client.response();
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    assert_eq!(response.body, body);
    client.send([head("/text"), body].concat());
    let response = client.response();
    assert_eq!(response.status, 400);
    assert_eq!(
        detail(&response),
        "the body is not UTF-8: byte 43 is not part of a character"
    );
    client.send(post("/text", "text/plain", "é 🦀"));
    assert_eq!(client.response().text(), "é 🦀");
    client.send(request("POST", "/text"));
    assert_eq!(client.response().text(), "", "no body is an empty text");
}

#[test]
fn a_body_is_a_stream_of_its_pieces_and_then_has_its_trailers() {
    let server = server();
    let mut client = server.connect();
    client.send(post("/stream", JSON, "abc"));
    assert_eq!(client.response().text(), "Some(3) abc None");
    let request = chunked("/stream", JSON, &["ab", "c"]);
    client.send(&request);
    assert_eq!(client.response().text(), "None abc None");
    client.send(request.replace("\r\n0\r\n\r\n", "\r\n0\r\nx-digest: 7\r\n\r\n"));
    assert_eq!(client.response().text(), "None abc Some(\"7\")");
    client.send(super::request("POST", "/stream"));
    assert_eq!(client.response().text(), "Some(0)  None", "no body is an empty stream");
}

#[test]
fn the_body_of_a_request_can_be_taken_once() {
    let server = server();
    assert_eq!(server.request(post("/request", JSON, "abc")).text(), "true 3 0");
    assert_eq!(server.request(request("POST", "/request")).text(), "false 0 0");
}

#[derive(serde::Deserialize)]
struct PricedOrder {
    items: Vec<OrderedItem>,
}

#[derive(serde::Deserialize)]
struct OrderedItem {
    price: u32,
}

#[post("/orders")]
async fn order(order: Json<PricedOrder>) -> String {
    order.items.iter().map(|item| item.price).sum::<u32>().to_string()
}

#[get("/survey")]
async fn survey(survey: Query<Survey>) -> String {
    survey.name.clone()
}

#[test]
fn rejection_names_the_member_or_field_and_its_value() {
    let server = serve(App::new(()).routes(routes![order, survey, form]));
    let response = server.request(post(
        "/orders",
        "application/json",
        r#"{"items":[{"price":1},{"price":"12a"}]}"#,
    ));
    assert_eq!(response.status, 422);
    assert_eq!(
        detail(&response),
        "body.items[1].price: expected a whole number from 0 up, of 32 bits, found \"12a\""
    );
    assert_eq!(
        response.problem()["errors"],
        serde_json::json!([{
            "path": "body.items[1].price",
            "pointer": "#/items/1/price",
            "message": "expected a whole number from 0 up, of 32 bits, found \"12a\"",
        }])
    );
    let response = server.get("/survey?name=x&answer=1&answer=two");
    assert_eq!(response.status, 400);
    assert_eq!(
        detail(&response),
        "query.answer[1]: expected a whole number from 0 up, of 32 bits, found \"two\""
    );
    let response = server.get("/survey?name=x&answer=two");
    assert_eq!(
        detail(&response),
        "query.answer[0]: expected a whole number from 0 up, of 32 bits, found \"two\""
    );
    let response = server.request(post("/form", "application/x-www-form-urlencoded", "answer=1"));
    assert_eq!(response.status, 422);
    assert_eq!(detail(&response), "body.name: missing");
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum ShapeColor {
    Red,
    Green,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "only serde reads the fields")]
enum Shape {
    Circle { radius: u8 },
    Square(u8),
    Corners(u8, u8),
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(dead_code, reason = "only serde reads the fields")]
struct Many {
    color: Option<ShapeColor>,
    pair: Option<(u8, u8)>,
    by_number: std::collections::HashMap<u32, u8>,
    large: Option<u128>,
    shapes: Vec<Shape>,
    unit: Option<()>,
    odd: Option<std::num::NonZeroU8>,
    flag: Option<bool>,
    ratio: Option<f64>,
    text: Option<String>,
    raw: Option<Box<serde_json::value::Value>>,
}

#[post("/many")]
async fn many(many: Json<Many>) -> String {
    format!("{:?}", many.0)
}

#[test]
fn json_that_does_not_fit_is_422_with_its_place_for_each_error_of_the_parser() {
    let server = serve(App::new(()).routes(routes![many]));
    for (body, pointer, message) in [
        (r#"{"color":7}"#, "#/color", "expected `red` or `green`"),
        (
            r#"{"color":"blue"}"#,
            "#/color",
            "expected `red` or `green`, found \"blue\"",
        ),
        (r#"{"pair":[1]}"#, "#/pair", "expected a list of 2 elements, found 1"),
        (r#"{"pair":[1,2,3]}"#, "#/pair", "expected a list of 2 elements"),
        (
            r#"{"pair":[1,256]}"#,
            "#/pair/1",
            "expected a whole number from 0 to 255, found 256",
        ),
        (r#"{"pair":7}"#, "#/pair", "expected a list of 2 elements, found 7"),
        (
            r#"{"by_number":{"1":1,"x":2}}"#,
            "#/by_number/x",
            "expected a whole number from 0 up, of 32 bits, found \"x\"",
        ),
        (
            r#"{"by_number":{"7":"x"}}"#,
            "#/by_number/7",
            "expected a whole number from 0 to 255, found \"x\"",
        ),
        (
            r#"{"large":"1"}"#,
            "#/large",
            "expected a whole number from 0 up, of 128 bits",
        ),
        (
            r#"{"shapes":[{"circle":{"radius":1}},{"circle":{"radius":"x"}}]}"#,
            "#/shapes/1/circle/radius",
            "expected a whole number from 0 to 255, found \"x\"",
        ),
        (r#"{"shapes":[{"circle":{}}]}"#, "#/shapes/0/circle/radius", "missing"),
        (
            r#"{"shapes":[{"square":null}]}"#,
            "#/shapes/0/square",
            "expected a whole number from 0 to 255, found null",
        ),
        (
            r#"{"shapes":[{"corners":[1]}]}"#,
            "#/shapes/0/corners",
            "expected a list of 2 elements, found 1",
        ),
        (
            r#"{"shapes":[{"corners":[1,2,3]}]}"#,
            "#/shapes/0/corners",
            "expected a list of 2 elements",
        ),
        (
            r#"{"shapes":["round"]}"#,
            "#/shapes/0",
            "expected one of `circle`, `square`, `corners`, found \"round\"",
        ),
        (r#"{"shapes":{}}"#, "#/shapes", "expected a list, found an object"),
        (r#"{"unit":1}"#, "#/unit", "expected null, found 1"),
        (r#"{"odd":0}"#, "#/odd", "expected a nonzero u8, found 0"),
        (
            r#"{"odd":-1}"#,
            "#/odd",
            "expected a whole number from 0 to 255, found -1",
        ),
        (r#"{"flag":"true"}"#, "#/flag", "expected true or false, found \"true\""),
        (r#"{"ratio":1e999}"#, "#/ratio", "expected a number"),
        (r#"{"text":{}}"#, "#/text", "expected a string, found an object"),
        (
            r#"{"text":"a","text":"b"}"#,
            "#/text",
            "expected one value, found several",
        ),
        (r#"{"a/b":1}"#, "#/a~1b", ""),
        ("7", "#", "expected an object, found 7"),
    ] {
        let response = server.request(post("/many", JSON, body));
        assert_eq!(response.status, 422, "{body}: {response:?}");
        let fault = &response.problem()["errors"][0];
        assert_eq!(fault["pointer"], pointer, "{body}");
        let found = fault["message"].as_str().unwrap_or_default();
        let is_expected = if message.is_empty() {
            found.starts_with("unknown; expected one of")
        } else {
            found == message
        };
        assert!(is_expected, "{body}: {found}");
    }
    for body in [
        r#"{"color":7"#,
        r#"{"color":7,}"#,
        r#"{"pair":[1,2,3}"#,
        r#"{"large":"1}"#,
        r#"{"large":"1"} x"#,
        "{\"large\":\"\t\"}",
        "nul",
    ] {
        let response = server.request(post("/many", JSON, body));
        assert_eq!(response.status, 400, "{body}: {response:?}");
        assert!(detail(&response).starts_with("the body is not JSON: "), "{response:?}");
    }
    let good =
        r#"{"raw":{"a":[1,null]},"by_number":{"7":1},"shapes":[{"square":1},{"corners":[1,2]}],"te\u0078t":"x"}"#;
    let response = server.request(post("/many", JSON, good));
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.text().contains("text: Some(\"x\")"), "{response:?}");
}

#[test]
fn body_that_begins_with_a_byte_order_mark_or_is_compressed_is_refused_with_the_reason() {
    let server = server();
    let ask = |path: &str, content_type: &str, more: &str, body: &[u8]| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: {content_type}\r\n{more}content-length: {}\r\n\r\n",
            body.len()
        );
        server.request([head.as_bytes(), body].concat())
    };
    let response = ask("/json", JSON, "", &[b"\xef\xbb\xbf", GOOD.as_bytes()].concat());
    assert_eq!(response.status, 400);
    assert!(
        detail(&response).contains("begins with a byte-order mark"),
        "{response:?}"
    );
    let response = ask("/json", JSON, "", b"\x1f\x8b\x08\0");
    assert_eq!(response.status, 400);
    assert!(detail(&response).contains("compressed with gzip"), "{response:?}");
    let response = ask("/json", JSON, "", b"{\"name\":\"\xff\",\"age\":1}");
    assert_eq!(response.status, 400);
    assert!(detail(&response).contains("UTF-8"), "{response:?}");
    for (path, content_type) in [("/json", JSON), ("/form", FORM)] {
        let response = ask(path, content_type, "content-encoding: gzip\r\n", b"\x1f\x8b\x08\0");
        assert_eq!(response.status, 415);
        assert_eq!(response.header("accept-encoding"), Some("identity"));
        assert!(
            detail(&response).contains("content-encoding \"gzip\"") && detail(&response).contains("Decompression"),
            "{response:?}"
        );
    }
    assert_eq!(
        ask("/json", JSON, "content-encoding: identity\r\n", GOOD.as_bytes()).status,
        200
    );
}
