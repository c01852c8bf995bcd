//! The target of a request: every view of it is the same, or the request is rejected.

use conduit::Client;
use conduit::prelude::*;

use super::request;
use crate::support::{Response as Received, Running, serve};

/// The views of a handler, one a line.
#[get("/{*rest}")]
async fn views(rest: Path<String>, request: Request, uri: Uri) -> String {
    assert!(!rest.is_empty());
    let (path, query) = (request.path(), request.query().unwrap_or("-"));
    let of_uri = (uri.path(), uri.query().unwrap_or("-"));
    assert_eq!(&uri, request.uri());
    format!("{path}\n{query}\n{}\n{}", of_uri.0, of_uri.1)
}

async fn guard(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/admin/") {
        return Problem::new(StatusCode::FORBIDDEN).into_response();
    }
    next.run(request).await
}

/// The response to a `GET` of this target, which may have any bytes.
fn get(server: &Running, target: &[u8]) -> Received {
    server.request([b"GET ", target, b" HTTP/1.1\r\nhost: test\r\n\r\n"].concat())
}

#[test]
fn each_byte_of_a_path_and_a_query_is_the_same_in_every_view_or_rejected() {
    let server = serve(App::new(()).routes(routes![views]));
    let mut refused = (Vec::new(), Vec::new());
    for byte in 0..=u8::MAX {
        let letter = char::from(byte);
        let answer = get(&server, &[b'/', b'a', byte, b'b']);
        match (answer.status, letter) {
            (400, _) => refused.0.push(byte),
            (_, '?') => assert_eq!(answer.text(), "/a\nb\n/a\nb"),
            _ => assert_eq!(answer.text(), format!("/a{letter}b\n-\n/a{letter}b\n-")),
        }
        let answer = get(&server, &[b'/', b'c', b'?', b'a', byte, b'b']);
        match answer.status {
            400 => refused.1.push(byte),
            _ => assert_eq!(answer.text(), format!("/c\na{letter}b\n/c\na{letter}b")),
        }
    }
    let refused_with = |visible: &[u8]| {
        let is_refused = |byte: &u8| !byte.is_ascii_graphic() || visible.contains(byte);
        (0..=u8::MAX).filter(is_refused).collect::<Vec<_>>()
    };
    assert_eq!(refused, (refused_with(b"#<>`"), refused_with(b"\"#<>")));
}

#[test]
fn a_guard_that_checks_the_uri_sees_the_path_that_is_routed() {
    let server = serve(App::new(()).routes(routes![views]).layer(guard));
    for target in ["/admin/x", "/admin/|x", "/admin/%60x", "http://b/admin/{x}?[y]"] {
        assert_eq!(server.request(request("GET", target)).status, 403, "{target}");
    }
    for target in ["/admin/`x", "/admin/<x", "/admin/x>", "/admin/x?<y"] {
        assert_eq!(server.request(request("GET", target)).status, 400, "{target}");
    }
}

/// RFC 9112, section 3.2.2.
#[test]
fn the_host_of_an_absolute_target_replaces_the_field() {
    #[get("/")]
    async fn host(request: Request, client: Client) -> String {
        let field = request.header("host").map(String::from_utf8_lossy);
        let entries: Vec<_> = request.headers().get_all("host").iter().collect();
        format!("{field:?} {entries:?} {:?} {:?}", client.host(), request.uri().host())
    }

    let server = serve(App::new(()).routes(routes![host]));
    assert_eq!(
        server
            .request("GET http://acme.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n")
            .text(),
        r#"Some("acme.example") ["acme.example"] Some("acme.example") Some("acme.example")"#
    );
}

#[test]
fn a_changed_path_keeps_the_host_of_an_absolute_target() {
    #[get("/new")]
    async fn host(client: Client, uri: Uri) -> String {
        format!("{:?} {uri}", client.host())
    }

    async fn change(mut request: Request, next: Next) -> Response {
        request.set_path("/new");
        next.run(request).await
    }

    let server = serve(App::new(()).routes(routes![host]).layer(change));
    assert_eq!(
        server.request(request("GET", "http://b:81/old?a=[1]")).text(),
        "Some(\"b:81\") http://b:81/new?a=[1]"
    );
    assert_eq!(server.request(request("GET", "/old")).text(), "Some(\"test\") /new");
}
