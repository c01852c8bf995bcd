//! Conditional requests of clients that may have the representation.

use conduit::layer::{Conditional, Preconditions};
use conduit::prelude::*;

use crate::request;
use crate::support::{Running, serve};

type Fields = [(&'static str, &'static str); 1];

#[get("/text")]
async fn text() -> &'static str {
    "some text"
}

#[get("/other")]
async fn other() -> &'static str {
    "other text"
}

#[get("/tagged")]
async fn tagged() -> (Fields, &'static str) {
    ([("etag", "W/\"v1\"")], "tagged")
}

#[get("/dated")]
async fn dated() -> (Fields, &'static str) {
    ([("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], "dated")
}

#[get("/created")]
async fn created() -> (StatusCode, &'static str) {
    (StatusCode::CREATED, "created")
}

#[put("/page")]
async fn save(conditions: Preconditions, _text: String) -> Result<StatusCode, Problem> {
    conditions.check(Some("\"v7\""), None)?;
    Ok(StatusCode::NO_CONTENT)
}

fn server() -> Running {
    serve(
        App::new(())
            .routes(routes![text, other, tagged, dated, created, save])
            .layer(Conditional::new()),
    )
}

#[test]
fn client_with_the_current_version_receives_304() {
    let server = server();
    let first = server.get("/text");
    let tag = first.header("etag").expect("a tag").to_owned();
    // The same in every build: servers of two versions return the same tag.
    assert_eq!(tag, "\"fdf901852ec1ecd942d26508484e3f4d\"");
    assert_ne!(server.get("/other").header("etag"), Some(&*tag));
    for method in ["GET", "HEAD"] {
        let mut client = server.connect();
        client.send(request(method, "/text", &[("if-none-match", &tag)]));
        let answer = client.response_to(method);
        assert_eq!((answer.status, answer.header("etag")), (304, Some(&*tag)));
        assert_eq!((answer.text(), answer.header("content-type")), ("", None));
        // The connection continues after it.
        client.send(request("GET", "/text", &[("if-none-match", "\"else\"")]));
        assert_eq!(client.response().text(), "some text");
    }
    let answer = server.request(request("GET", "/text", &[("if-match", "\"else\"")]));
    assert_eq!(answer.status, 412);
    let answer = server.request(request("GET", "/text", &[("if-match", &tag)]));
    assert_eq!(answer.text(), "some text");
}

#[test]
fn version_of_the_handler_takes_precedence() {
    let server = server();
    let get = |target, name, value| server.request(request("GET", target, &[(name, value)])).status;
    assert_eq!(get("/tagged", "if-none-match", "\"v1\""), 304);
    assert_eq!(get("/tagged", "if-none-match", "\"v0\", W/\"v1\""), 304);
    assert_eq!(get("/tagged", "if-none-match", "\"v2\""), 200);
    assert_eq!(
        get("/tagged", "if-match", "\"v1\""),
        412,
        "if-match never matches a weak tag"
    );
    assert_eq!(get("/dated", "if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), 304);
    assert_eq!(
        get("/dated", "if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT"),
        304
    );
    assert_eq!(get("/dated", "if-modified-since", "Sun Nov  6 08:49:36 1994"), 200);
    assert_eq!(get("/dated", "if-modified-since", "yesterday"), 200);
    assert_eq!(
        get("/dated", "if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT"),
        412
    );
    assert_eq!(get("/dated", "if-none-match", "*"), 304);
}

#[test]
fn only_a_200_has_versions() {
    let server = server();
    let answer = server.request(request("GET", "/created", &[("if-none-match", "*")]));
    assert_eq!((answer.status, answer.header("etag")), (201, None));
    assert_eq!(server.get("/nowhere").header("etag"), None);
}

#[test]
fn a_handler_checks_before_it_changes() {
    let server = server();
    let put = |fields: &str| {
        server
            .request(format!(
                "PUT /page HTTP/1.1\r\nhost: test\r\n{fields}content-length: 1\r\n\r\nx"
            ))
            .status
    };
    assert_eq!(put(""), 204);
    assert_eq!(put("if-match: \"v7\"\r\n"), 204);
    assert_eq!(put("if-match: \"v6\"\r\n"), 412);
    assert_eq!(put("if-match: \"v6\"\r\nif-match: \"v7\"\r\n"), 204);
    assert_eq!(put("if-none-match: *\r\n"), 412);
    // A precondition that cannot be evaluated fails: the write must not happen.
    assert_eq!(put("if-match: \"\u{e4}\"\r\n"), 412);
    assert_eq!(put("if-match: w/\"v7\"\r\n"), 412);
    assert_eq!(put("if-match: v7\r\n"), 412);
    assert_eq!(put("if-none-match: v7\r\n"), 412);
    assert_eq!(put("if-unmodified-since: Tue, 30 Dec 1969 00:00:00 GMT\r\n"), 412);
    assert_eq!(put("if-unmodified-since: yesterday\r\n"), 412);
}
