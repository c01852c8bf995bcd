//! Layers and services of tower, and an axum router, in an application.

use std::time::Duration;

use axum::routing;
use conduit::http;
use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::handlers::{echo, never, new};
use crate::request;
use crate::support::serve;

fn router() -> axum::Router {
    axum::Router::new()
        .route("/", routing::get(|| async { "the root" }))
        .route("/page", routing::get(|uri: Uri| async move { format!("page {uri}") }))
        .route(
            "/length",
            routing::post(|body: String| async move { body.len().to_string() }),
        )
}

#[test]
fn requests_without_a_route_reach_the_service() {
    let app = App::new(())
        .routes(routes![new])
        .fallback(conduit::tower::service(router()));
    let server = serve(app);
    assert_eq!(server.get("/new/7").text(), "new 7");
    let answer = server.get("/page?a=1");
    assert_eq!((answer.status, answer.text()), (200, "page /page?a=1"));
    assert_eq!(answer.header("content-length"), Some("14"));
    assert_eq!(server.get("/nowhere").status, 404);
    let body = "x".repeat(300_000);
    let sent = format!("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 300000\r\n\r\n{body}");
    assert_eq!(server.request(sent).text(), "300000");
}

#[test]
fn a_service_is_mounted_under_a_prefix() {
    let app = App::new(())
        .routes(routes![new])
        .layer(conduit::tower::mount("/old", router()));
    let server = serve(app);
    assert_eq!(server.get("/old/page").text(), "page /page");
    assert_eq!(server.get("/old").text(), "the root");
    assert_eq!(server.get("/older").status, 404);
    assert_eq!(server.get("/old/new/7").status, 404);
    assert_eq!(server.get("/new/7").text(), "new 7");
}

#[test]
fn a_layer_of_tower_wraps_a_handler() {
    let layer = conduit::tower::layer(::tower::limit::ConcurrencyLimitLayer::new(1));
    let timeout = conduit::tower::layer(::tower::timeout::TimeoutLayer::new(Duration::from_secs(3600)));
    let app = App::new(())
        .routes(routes![new, echo, never])
        .layer(layer)
        .layer(timeout);
    assert_eq!(app.layers(), ["TimeoutLayer", "ConcurrencyLimitLayer"]);
    let client = TestClient::new(app).skip_waiting();
    for _ in 0..3 {
        client.get("/new/7").send().assert_text("new 7");
        // The time limit has dropped the handler, so its slot is free again.
        client.get("/never").send().assert_status(500);
    }
    client.post("/echo").body("Hello").send().assert_text("Hello");
}

#[test]
fn handler_receives_the_request_as_changed_by_a_layer_of_tower() {
    let layer = ::tower::util::MapRequestLayer::new(|mut request: http::Request<Body>| {
        *request.uri_mut() = Uri::from_static("/new/8");
        request
    });
    let app = App::new(()).routes(routes![new]).layer(conduit::tower::layer(layer));
    let server = serve(app);
    assert_eq!(server.request(request("GET", "/anything", &[])).text(), "new 8");
}

/// A layer that changes only the query keeps the bytes of the path and the authority as they were sent.
#[test]
fn a_layer_of_tower_that_changes_the_query_keeps_path_and_authority() {
    #[get("/{*rest}")]
    async fn target(rest: Path<String>, request: Request) -> String {
        assert!(!rest.is_empty());
        format!("{} {:?} {}", request.path(), request.query(), request.uri())
    }
    let layer = ::tower::util::MapRequestLayer::new(|mut request: http::Request<Body>| {
        let mut parts = request.uri().clone().into_parts();
        let path = format!("{}?changed", request.uri().path());
        parts.path_and_query = Some(path.parse().expect("a target"));
        *request.uri_mut() = Uri::from_parts(parts).expect("a URI");
        request
    });
    let app = App::new(()).routes(routes![target]).layer(conduit::tower::layer(layer));
    let server = serve(app);
    let path = "/[a]|{b}^\"\\%7C";
    assert_eq!(
        server.get(&format!("{path}?sent")).text(),
        format!("{path} Some(\"changed\") {path}?changed")
    );
    assert_eq!(
        server.get(&format!("http://b:81{path}?sent")).text(),
        format!("{path} Some(\"changed\") http://b:81{path}?changed")
    );
}

async fn whereabouts(request: axum::extract::Request) -> String {
    let extensions = request.extensions();
    let peer = extensions.get::<PeerAddr>().expect("the peer's address");
    let original = extensions
        .get::<conduit::tower::OriginalUri>()
        .expect("the target as received");
    format!("{} {} {}", peer.0.ip(), original.0, request.uri())
}

#[test]
fn service_receives_the_peer_and_the_original_target() {
    let router = axum::Router::new().fallback(whereabouts);
    let app = App::new(())
        .routes(routes![new])
        .fallback(conduit::tower::service(router.clone()))
        .layer(conduit::tower::mount("/old", router));
    let server = serve(app);
    assert_eq!(server.get("/old/a?b=c").text(), "127.0.0.1 /old/a?b=c /a?b=c");
    assert_eq!(server.get("/old").text(), "127.0.0.1 /old /");
    assert_eq!(
        server.get("/old/[a]|{b}?^`c").text(),
        "127.0.0.1 /old/[a]|{b}?^`c /[a]|{b}?^`c"
    );
    assert_eq!(
        server.get("http://b:81/old/a").text(),
        "127.0.0.1 http://b:81/old/a http://b:81/a"
    );
    assert_eq!(server.get("/other?b=c").text(), "127.0.0.1 /other?b=c /other?b=c");
}

#[test]
fn layer_of_tower_converts_extensions_for_axum() {
    use axum::extract::{ConnectInfo, OriginalUri};
    async fn whoami(ConnectInfo(peer): ConnectInfo<std::net::SocketAddr>, OriginalUri(uri): OriginalUri) -> String {
        format!("{} {uri}", peer.ip())
    }
    let attached = ::tower::util::MapRequestLayer::new(|mut request: axum::extract::Request| {
        let extensions = request.extensions_mut();
        if let Some(PeerAddr(peer)) = extensions.get().copied() {
            extensions.insert(ConnectInfo(peer));
        }
        if let Some(conduit::tower::OriginalUri(uri)) = extensions.get().cloned() {
            extensions.insert(OriginalUri(uri));
        }
        request
    });
    let router = axum::Router::new()
        .route("/whoami", routing::get(whoami))
        .layer(attached);
    let app = App::new(())
        .routes(routes![new])
        .layer(conduit::tower::mount("/old", router));
    assert_eq!(serve(app).get("/old/whoami").text(), "127.0.0.1 /old/whoami");
}

#[test]
fn layer_of_tower_that_passes_the_body_on_changes_neither_its_limit_nor_its_absence() {
    #[post("/length")]
    async fn length(body: Option<Bytes>) -> String {
        format!("{:?}", body.map(|body| body.len()))
    }

    let routes = routes![
        #[layer(conduit::layer::BodyLimit::new(20))]
        length
    ];
    let identity = conduit::tower::layer(::tower::layer::util::Identity::new());
    let server = serve(App::new(()).routes(routes).body_limit(10).layer(identity));
    let exact = |length: usize| {
        let body = "x".repeat(length);
        server.request(format!(
            "POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    let chunked = |chunks: &str| {
        server.request(format!(
            "POST /length HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
        ))
    };
    let piece = "8\r\n01234567\r\n";
    assert_eq!(exact(20).text(), "Some(20)");
    assert_eq!(chunked(&piece.repeat(2)).text(), "Some(16)");
    assert_eq!(exact(21).status, 413);
    assert_eq!(chunked(&piece.repeat(3)).status, 413);
    assert_eq!(exact(0).text(), "None");
    assert_eq!(chunked("").text(), "None");
}

/// Holds the body for a while without reading it.
async fn refuses(request: axum::extract::Request) -> &'static str {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    drop(request);
    "no"
}

#[test]
fn a_mounted_service_that_does_not_read_the_body_does_not_request_it() {
    let router = axum::Router::new()
        .route("/no", routing::post(refuses))
        .route("/yes", routing::post(|body: String| async move { body }));
    let server = serve(
        App::new(())
            .routes(routes![new])
            .layer(conduit::tower::mount("/old", router)),
    );
    let head = |path: &str| {
        format!("POST /old/{path} HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
    };
    let mut client = server.connect();
    client.send(head("no"));
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (200, "no"));
    let mut client = server.connect();
    client.send(head("yes"));
    assert_eq!(client.response().status, 100);
    client.send("Hello");
    assert_eq!(client.response().text(), "Hello");
}
