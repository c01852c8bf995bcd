//! Cross-origin resource sharing, as the Fetch standard specifies.

use std::time::Duration;

use conduit::layer::Cors;
use conduit::prelude::*;

use crate::request;
use crate::support::{Running, serve};

#[get("/thing")]
async fn show() -> &'static str {
    "a thing"
}

#[put("/thing")]
async fn change() {}

#[get("/varies")]
async fn varies() -> ([(&'static str, &'static str); 1], &'static str) {
    ([("vary", "accept-language, Origin")], "a thing")
}

fn serving(cors: Cors) -> Running {
    serve(App::new(()).routes(routes![show, change, varies]).layer(cors))
}

fn site() -> Cors {
    Cors::new()
        .allow_origin("https://app.example.com")
        .allow_origin("http://localhost:3000")
        .allow_methods([Method::GET, Method::PUT])
        .allow_headers(["content-type", "x-key"])
        .expose_headers(["x-total"])
        .allow_credentials()
        .max_age(Duration::from_secs(600))
}

const ORIGIN: (&str, &str) = ("Origin", "https://app.example.com");
const METHOD: (&str, &str) = ("Access-Control-Request-Method", "PUT");

#[test]
fn preflight_of_an_allowed_origin_lists_the_permissions() {
    let server = serving(site());
    let asked = ("Access-Control-Request-Headers", "content-type,x-key");
    let answer = server.request(request("OPTIONS", "/thing", &[ORIGIN, METHOD, asked]));
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN.1));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, PUT"));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("content-type, x-key")
    );
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    let vary: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "vary")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(
        vary,
        [
            "origin",
            "access-control-request-method",
            "access-control-request-headers"
        ]
    );
}

#[test]
fn origin_that_is_not_allowed_receives_no_cors_fields() {
    let server = serving(site());
    for origin in [
        "https://evil.example.com",
        "https://app.example.com.evil.org",
        "http://app.example.com",
        "null",
    ] {
        let origin = ("origin", origin);
        for request in [
            request("OPTIONS", "/thing", &[origin, METHOD]),
            request("GET", "/thing", &[origin]),
        ] {
            let answer = server.request(request);
            assert_eq!(answer.header("access-control-allow-origin"), None, "{origin:?}");
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            assert_eq!(answer.header("access-control-allow-methods"), None);
            assert_eq!(answer.header("vary").map(|vary| vary.contains("origin")), Some(true));
        }
    }
}

#[test]
fn every_response_to_an_allowed_origin_can_be_read_including_errors() {
    let server = serving(site());
    for (method, target, status) in [
        ("GET", "/thing", 200),
        ("GET", "/nowhere", 404),
        ("POST", "/thing", 405),
    ] {
        let answer = server.request(request(method, target, &[ORIGIN]));
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN.1));
        assert_eq!(answer.header("access-control-expose-headers"), Some("x-total"));
        assert_eq!(answer.header("access-control-allow-methods"), None);
        assert_eq!(answer.header("vary"), Some("origin"));
    }
}

#[test]
fn response_varies_by_origin_even_without_an_origin() {
    let server = serving(site());
    assert_eq!(server.get("/thing").header("vary"), Some("origin"));
    assert_eq!(server.get("/varies").header("vary"), Some("accept-language, Origin"));
}

#[test]
fn an_options_request_that_is_not_a_preflight_is_passed_on() {
    let server = serving(site());
    let answer = server.request(request("OPTIONS", "/thing", &[]));
    assert_eq!(
        (answer.status, answer.header("allow")),
        (204, Some("GET, HEAD, PUT, OPTIONS"))
    );
    let answer = server.request(request("OPTIONS", "/thing", &[ORIGIN]));
    assert_eq!(answer.header("allow"), Some("GET, HEAD, PUT, OPTIONS"));
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN.1));
}

#[test]
fn public_api_allows_all_origins_without_credentials() {
    let server = serving(Cors::permissive());
    let asked = ("access-control-request-headers", "authorization, x-any");
    let answer = server.request(request("OPTIONS", "/thing", &[("origin", "null"), METHOD, asked]));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("authorization, x-any")
    );
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    // A shared cache may reuse the response to a request without an origin for one with it.
    for fields in [&[ORIGIN][..], &[]] {
        let answer = server.request(request("GET", "/thing", fields));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("vary"), None);
    }
}

#[test]
fn header_fields_of_all_lines_of_a_preflight_are_allowed() {
    let server = serving(Cors::permissive());
    let asked = ["x-key, content-type", "authorization"].map(|line| ("access-control-request-headers", line));
    let answer = server.request(request("OPTIONS", "/thing", &[ORIGIN, METHOD, asked[0], asked[1]]));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("x-key, content-type, authorization")
    );
}

#[test]
fn origins_can_be_allowed_by_a_function() {
    let cors = Cors::new().allow_origins(|origin| {
        origin
            .strip_prefix("https://")
            .is_some_and(|host| host.ends_with(".example.com"))
    });
    let server = serving(cors);
    let answer = server.request(request("GET", "/thing", &[("origin", "https://a.example.com")]));
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://a.example.com")
    );
    let answer = server.request(request("GET", "/thing", &[("origin", "https://evil-example.com")]));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
#[should_panic(expected = "credentials for any origin would let every page act in its visitor's name")]
fn credentials_for_any_origin_are_refused() {
    let _ = Cors::permissive().allow_credentials();
}

#[test]
#[should_panic(expected = "credentials for any origin")]
fn any_origin_with_credentials_is_refused() {
    let _ = Cors::new().allow_credentials().allow_any_origin();
}

#[test]
#[should_panic(expected = "`https://app.example.com/` is not an origin")]
fn an_origin_with_a_path_is_refused() {
    let _ = Cors::new().allow_origin("https://app.example.com/");
}
