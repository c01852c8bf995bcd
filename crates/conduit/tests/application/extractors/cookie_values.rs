//! The values of cookies in a struct.

use conduit::prelude::*;

use crate::support::{Response as Answer, serve};

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only `Debug` reads the fields")]
struct Look {
    #[serde(rename = "page-size")]
    size: u8,
    theme: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

#[get("/look")]
fn look(look: CookieValues<Look>) -> String {
    format!("{} {:?} {:?}", look.size, look.theme, look.tags)
}

#[get("/flat")]
fn flat(_: CookieValues<std::collections::HashMap<String, String>>) {}

/// The response to a request with these header fields.
fn ask(path: &str, fields: &str) -> Answer {
    let server = serve(App::new(()).development(false).routes(routes![look, flat]));
    server.request(format!("GET {path} HTTP/1.1\r\nhost: test\r\n{fields}\r\n"))
}

fn refusal(cookies: &str) -> String {
    let answer = ask("/look", cookies);
    assert_eq!(answer.status, 400, "{answer:?}");
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("a problem is JSON");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(1), "{problem}");
    problem["detail"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn cookies_fill_a_struct_by_their_names_and_others_are_ignored() {
    assert_eq!(
        ask("/look", "cookie: page-size=7; other[x]=1; other=2\r\n").text(),
        "7 None []"
    );
    assert_eq!(
        ask(
            "/look",
            "cookie: theme=d%C3%A4rk%3B; tags=a,b\r\ncookie: page-size=8\r\n"
        )
        .text(),
        "8 Some(\"därk;\") [\"a\", \"b\"]"
    );
}

#[test]
fn mismatched_cookie_is_rejected_with_its_name() {
    assert_eq!(refusal(""), "cookie.page-size: missing");
    assert_eq!(
        refusal("cookie: page-size=many\r\n"),
        "cookie.page-size: expected a whole number from 0 to 255, found \"many\""
    );
    assert_eq!(
        refusal("cookie: page-size=1; page-size=2\r\n"),
        "cookie.page-size: expected one value, found 2"
    );
}

#[test]
fn a_type_without_fields_is_refused() {
    let answer = ask("/flat", "cookie: a=1\r\n");
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("expected a struct with a field for each cookie"),
        "{answer:?}"
    );
}
