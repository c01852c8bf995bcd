//! The target of a request: every view of it is the same, or the request is refused.

use conduit::Client;
use conduit::prelude::*;

use crate::request;
use crate::support::serve;

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

#[test]
fn each_byte_of_a_path_and_a_query_is_seen_the_same_or_refused() {
    let server = serve(App::new(()).routes(routes![views]));
    let mut refused = (String::new(), String::new());
    for byte in '!'..='~' {
        let (in_path, in_query) = (format!("/a{byte}b"), format!("a{byte}b"));
        let answer = server.request(request("GET", &in_path));
        let expected = match byte {
            '?' => "/a\nb\n/a\nb".to_owned(),
            _ => format!("{in_path}\n-\n{in_path}\n-"),
        };
        match answer.status {
            400 => refused.0.push(byte),
            _ => assert_eq!(answer.text(), expected),
        }
        let answer = server.request(request("GET", &format!("/c?{in_query}")));
        match answer.status {
            400 => refused.1.push(byte),
            _ => assert_eq!(answer.text(), format!("/c\n{in_query}\n/c\n{in_query}")),
        }
    }
    assert_eq!(refused, ("#<>`".to_owned(), "\"#<>".to_owned()));
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
