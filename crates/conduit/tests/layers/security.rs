//! Header fields for browsers, and ids of requests.

use conduit::layer::{Conditional, CspNonce, RequestId, RequestIds, SecurityHeaders};
use conduit::prelude::*;

use crate::request;
use crate::support::serve;

#[get("/")]
async fn home() -> Html<&'static str> {
    Html("home")
}

#[get("/framed")]
async fn framed() -> ([(&'static str, &'static str); 1], &'static str) {
    ([("x-frame-options", "SAMEORIGIN")], "framed")
}

#[get("/id")]
async fn id(id: RequestId) -> String {
    id.to_string()
}

#[test]
fn every_response_has_the_security_fields() {
    let server = serve(App::new(()).routes(routes![home, framed]).layer(SecurityHeaders::new()));
    for target in ["/", "/nowhere"] {
        let answer = server.get(target);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(
            answer.header("referrer-policy"),
            Some("strict-origin-when-cross-origin")
        );
        assert_eq!(
            answer.header("content-security-policy"),
            Some("default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
        );
        assert_eq!(answer.header("strict-transport-security"), None, "there is no TLS");
    }
    assert_eq!(server.get("/framed").header("x-frame-options"), Some("SAMEORIGIN"));
}

#[get("/script")]
async fn script(nonce: CspNonce) -> Html<String> {
    Html(format!("<script nonce=\"{nonce}\">1</script>"))
}

#[get("/policy")]
async fn own_policy() -> ([(&'static str, &'static str); 1], &'static str) {
    ([("content-security-policy", "default-src 'none'")], "own")
}

#[test]
fn each_response_has_a_new_nonce_that_its_page_contains() {
    let layer =
        SecurityHeaders::new().content_security_policy("script-src {nonce} 'strict-dynamic'; style-src {nonce}");
    let server = serve(App::new(()).routes(routes![home, script, own_policy]).layer(layer));
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let answer = server.get("/script");
        let body = answer.text().to_owned();
        let nonce = body.split('"').nth(1).expect("a nonce").to_owned();
        assert_eq!(nonce.len(), 24);
        let policy = format!("script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'nonce-{nonce}'");
        assert_eq!(answer.header("content-security-policy"), Some(&*policy));
        nonces.push(nonce);
    }
    assert_ne!(nonces[0], nonces[1]);
    assert!(server.get("/nowhere").header("content-security-policy").is_some());
    assert_eq!(
        server.get("/policy").header("content-security-policy"),
        Some("default-src 'none'")
    );
}

#[test]
fn not_modified_has_no_nonce_for_the_page_in_the_cache() {
    let layer = SecurityHeaders::new().content_security_policy("script-src {nonce}");
    let server = serve(
        App::new(())
            .routes(routes![home])
            .layer(Conditional::new())
            .layer(layer),
    );
    let tag = server.get("/").header("etag").expect("a tag").to_owned();
    let answer = server.request(request("GET", "/", &[("if-none-match", &tag)]));
    assert_eq!(answer.status, 304);
    assert_eq!(answer.header("content-security-policy"), None);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn nonce_without_the_layer_is_an_error_with_the_remedy() {
    let server = serve(
        App::new(())
            .routes(routes![script])
            .layer(SecurityHeaders::new())
            .development(true),
    );
    let answer = server.get("/script");
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("that has the word `{nonce}`"));
}

#[test]
#[should_panic(expected = "is not a valid value of content-security-policy")]
fn policy_with_a_line_break_is_an_error() {
    let _ = SecurityHeaders::new().content_security_policy("script-src {nonce}\r\n");
}

#[test]
#[should_panic(expected = "\"script-src {nonce} é\" is not a valid value of content-security-policy")]
fn policy_with_a_character_outside_of_ascii_is_an_error() {
    let _ = SecurityHeaders::new().content_security_policy("script-src {nonce} é");
}

#[test]
#[should_panic(
    expected = "\"camera=(\\tself)\" is not a valid value of permissions-policy: use visible ASCII and spaces"
)]
fn value_with_a_tab_is_an_error() {
    let _ = SecurityHeaders::new().set(HeaderName::from_static("permissions-policy"), "camera=(\tself)");
}

#[test]
fn header_fields_for_browsers_can_be_changed() {
    let layer = SecurityHeaders::new()
        .content_security_policy("default-src 'none'")
        .set(HeaderName::from_static("x-frame-options"), "")
        .set(HeaderName::from_static("permissions-policy"), "camera=()")
        .behind_tls();
    let server = serve(App::new(()).routes(routes![home]).layer(layer));
    let answer = server.get("/");
    assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'"));
    assert_eq!(answer.header("x-frame-options"), None);
    assert_eq!(answer.header("permissions-policy"), Some("camera=()"));
    assert_eq!(
        answer.header("strict-transport-security"),
        Some("max-age=31536000; includeSubDomains")
    );
}

#[test]
fn a_request_keeps_its_id_or_gets_one() {
    let server = serve(App::new(()).routes(routes![id]).layer(RequestIds::new()));
    let sent = server.request(request("GET", "/id", &[("X-Request-Id", "abc-123_x.Y")]));
    assert_eq!(
        (sent.text(), sent.header("x-request-id")),
        ("abc-123_x.Y", Some("abc-123_x.Y"))
    );
    let mut known = Vec::new();
    for _ in 0..3 {
        let answer = server.get("/id");
        let id = answer.text().to_owned();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
        assert_eq!(answer.header("x-request-id"), Some(&*id));
        assert!(!known.contains(&id));
        known.push(id);
    }
    assert_eq!(server.get("/nowhere").header("x-request-id").map(str::len), Some(32));
}

#[test]
fn an_id_that_could_forge_a_log_is_replaced() {
    let server = serve(App::new(()).routes(routes![id]).layer(RequestIds::new()));
    for forged in ["a b", "a\tb", "a=1", "\u{e9}", &"x".repeat(129)] {
        let answer = server.request(request("GET", "/id", &[("x-request-id", forged)]));
        assert_ne!(answer.text(), forged);
        assert_eq!(answer.text().len(), 32);
    }
    let server = serve(App::new(()).routes(routes![id]).layer(RequestIds::new().always_new()));
    let answer = server.request(request("GET", "/id", &[("x-request-id", "mine")]));
    assert_eq!(answer.text().len(), 32);
}
