//! An application as a tower service, called without a server.

mod bodies;
mod lifetime;
mod mounted;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::tower::{Service, ServiceExt};
use conduit::prelude::*;
use conduit::tower::AppService;
use conduit::{Basic, Client as TrueClient, http};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};

use crate::handlers::{echo, new, panics, stream};
use crate::support::wake_from_other_threads;

/// The time that a test waits for another thread before it fails.
const TIMEOUT: Duration = Duration::from_secs(20);

#[get("/late-panic")]
async fn late_panic() -> &'static str {
    tokio::task::yield_now().await;
    panic!("requested by the test")
}

/// A value that is not `Send` is held across an `await`.
#[get("/rc/{id}")]
async fn rc(id: Path<u32>) -> String {
    let counted = Rc::new(Cell::new(*id));
    wake_from_other_threads(*id as usize % 3).await;
    counted.set(counted.get() + 1);
    counted.get().to_string()
}

fn service() -> AppService {
    let routes = routes![new, echo, stream, panics, late_panic, rc];
    App::new(())
        .routes(routes)
        .workers(2)
        .into_service()
        .expect("threads can be started")
}

/// Runs on a runtime of this thread, as a test of axum would.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .expect("a runtime can be made")
        .block_on(async { tokio::time::timeout(TIMEOUT, future).await.expect("the call ends") })
}

fn get(target: &str) -> http::Request<Empty<Bytes>> {
    http::Request::get(target).body(Empty::new()).expect("a request")
}

fn post(target: &str, body: impl Into<Bytes>) -> http::Request<Full<Bytes>> {
    http::Request::post(target)
        .body(Full::new(body.into()))
        .expect("a request")
}

/// The response of the service, and its body as text.
async fn ask<S, B, R>(service: S, request: http::Request<B>) -> (http::response::Parts, String)
where
    S: Service<http::Request<B>, Response = http::Response<R>, Error = Infallible>,
    R: HttpBody<Error: std::fmt::Debug>,
{
    let response = service.oneshot(request).await.unwrap_or_else(|never| match never {});
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("the body is whole").to_bytes();
    (parts, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

/// A body whose pieces come from a function of the number of earlier pieces.
struct Counted<F> {
    asked: usize,
    next: F,
    length: Option<u64>,
}

impl<F> HttpBody for Counted<F>
where
    F: FnMut(usize, &mut Context<'_>) -> Poll<Option<Result<Bytes, std::io::Error>>> + Unpin,
{
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = &mut *self;
        let next = (this.next)(this.asked, context);
        this.asked += usize::from(next.is_ready());
        next.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[test]
fn a_request_gets_a_response() {
    block_on(async {
        let service = service();
        let (parts, text) = ask(service.clone(), get("/new/7")).await;
        assert_eq!((parts.status, text.as_str()), (StatusCode::OK, "new 7"));
        assert_eq!(parts.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(ask(service.clone(), post("/echo", "Hello")).await.1, "Hello");
        assert_eq!(
            ask(service.clone(), get("/nowhere")).await.0.status,
            StatusCode::NOT_FOUND
        );
        let (parts, _) = ask(service.clone(), get("/echo")).await;
        assert_eq!(
            (parts.status, &parts.headers["allow"]),
            (
                StatusCode::METHOD_NOT_ALLOWED,
                &HeaderValue::from_static("POST, OPTIONS")
            )
        );
        assert_eq!(service.handle().statistics().requests, 4);
        // The last clone is dropped by the call itself.
        assert_eq!(ask(service, get("/rc/8")).await.1, "9");
    });
}

#[test]
fn a_panic_is_a_500_and_the_thread_continues() {
    block_on(async {
        let service = service();
        for _ in 0..3 {
            for path in ["/panics", "/late-panic"] {
                assert_eq!(
                    ask(service.clone(), get(path)).await.0.status,
                    StatusCode::INTERNAL_SERVER_ERROR
                );
            }
            assert_eq!(ask(service.clone(), get("/new/7")).await.1, "new 7");
        }
    });
}

#[test]
fn many_threads_call_concurrently() {
    let service = service();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let service = service.clone();
            scope.spawn(move || {
                block_on(async {
                    let asked = (0..50).map(|number| {
                        let id = thread * 1000 + number;
                        let service = service.clone();
                        tokio::spawn(async move { (id, ask(service, get(&format!("/rc/{id}"))).await.1) })
                    });
                    for task in asked.collect::<Vec<_>>() {
                        let (id, text) = task.await.expect("no panic");
                        assert_eq!(text, (id + 1).to_string());
                    }
                });
            });
        }
    });
    assert_eq!(service.handle().statistics().requests, 400);
}

#[get("/what")]
async fn what(request: Request) -> String {
    let word = request.extensions().get::<&'static str>().copied().unwrap_or("nothing");
    format!(
        "{word} {} {} {:?}",
        request.peer_address(),
        request.uri(),
        request.version()
    )
}

#[get("/client")]
async fn client(client: TrueClient) -> String {
    format!("{:?} {} {:?}", client.address(), client.scheme(), client.host())
}

#[get("/secret")]
async fn secret(user: Basic) -> String {
    user.user.clone()
}

#[test]
fn connection_info_of_the_outer_server_reaches_the_handler() {
    let app = App::new(())
        .routes(routes![what, client, secret])
        .trusted_proxies(["192.0.2.1"]);
    let service = app.into_service().expect("threads can be started");
    let peer = PeerAddr(SocketAddr::from(([192, 0, 2, 1], 4711)));
    block_on(async {
        assert_eq!(
            ask(service.clone(), get("/what")).await.1,
            "nothing 0.0.0.0:0 /what HTTP/1.1"
        );
        let mut request = get("http://example.org:8080/what?a=b");
        request.extensions_mut().insert("something");
        request.extensions_mut().insert(peer);
        *request.version_mut() = http::Version::HTTP_2;
        let expected = "something 192.0.2.1:4711 http://example.org:8080/what?a=b HTTP/2.0";
        assert_eq!(ask(service.clone(), request).await.1, expected);

        // Forwarding headers are trusted only from listed proxies.
        let mut request = get("http://user@example.org/client");
        request
            .headers_mut()
            .insert("x-forwarded-for", HeaderValue::from_static("198.51.100.7"));
        request
            .headers_mut()
            .insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert_eq!(
            ask(service.clone(), request.clone()).await.1,
            "None http Some(\"example.org\")"
        );
        request.extensions_mut().insert(peer);
        *request.uri_mut() = Uri::from_static("/client");
        request
            .headers_mut()
            .insert("host", HeaderValue::from_static("example.org"));
        assert_eq!(
            ask(service.clone(), request).await.1,
            "Some(198.51.100.7) https Some(\"example.org\")"
        );

        let mut request = get("/secret");
        request
            .headers_mut()
            .insert("authorization", HeaderValue::from_static("Basic QWRhOnBhc3M="));
        assert_eq!(ask(service.clone(), request).await.1, "Ada");
        assert_eq!(
            ask(service.clone(), get("/secret")).await.0.status,
            StatusCode::UNAUTHORIZED
        );

        let mut request = get("/");
        *request.method_mut() = Method::OPTIONS;
        *request.uri_mut() = Uri::from_static("*");
        assert_eq!(ask(service, request).await.0.status, StatusCode::NO_CONTENT);
    });
}

#[test]
fn errors_have_the_form_of_the_application() {
    let app = App::new(()).routes(routes![new, panics]).development(true);
    let service = app.into_service().expect("threads can be started");
    block_on(async {
        let mut request = get("/nwe/7");
        request
            .headers_mut()
            .insert("accept", HeaderValue::from_static("text/html"));
        let (parts, text) = ask(service.clone(), request).await;
        assert_eq!(
            (parts.status, &parts.headers["content-type"]),
            (
                StatusCode::NOT_FOUND,
                &HeaderValue::from_static("text/html; charset=utf-8")
            )
        );
        assert!(text.contains("Nearest routes"), "{text}");
        let (parts, text) = ask(service, get("/panics")).await;
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert!(text.contains("requested by the test"), "{text}");
    });
}

#[get("/framed")]
async fn framed() -> Response {
    let mut response = "eleven long".into_response();
    let headers = response.headers_mut();
    headers.insert("content-length", HeaderValue::from_static("3"));
    headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
    headers.insert("connection", HeaderValue::from_static("close"));
    headers.insert("x-mine", HeaderValue::from_static("yes"));
    response
}

#[get("/nothing")]
async fn nothing() -> (StatusCode, &'static str) {
    (StatusCode::NO_CONTENT, "not visible")
}

#[get("/informational")]
async fn informational() -> StatusCode {
    StatusCode::PROCESSING
}

#[test]
fn framing_fields_of_a_handler_are_omitted() {
    let app = App::new(()).routes(routes![framed, nothing, informational]);
    let service = app.into_service().expect("threads can be started");
    block_on(async {
        let (parts, text) = ask(service.clone(), get("/framed")).await;
        assert_eq!(text, "eleven long");
        assert_eq!(parts.headers["x-mine"], "yes");
        for name in ["content-length", "transfer-encoding", "connection"] {
            assert!(!parts.headers.contains_key(name), "{name}");
        }
        let mut request = get("/framed");
        *request.method_mut() = Method::HEAD;
        let (parts, text) = ask(service.clone(), request).await;
        assert_eq!(
            (&parts.headers["content-length"], text.as_str()),
            (&HeaderValue::from_static("3"), "")
        );
        let (parts, text) = ask(service.clone(), get("/nothing")).await;
        assert_eq!((parts.status, text.as_str()), (StatusCode::NO_CONTENT, ""));
        let (parts, _) = ask(service, get("/informational")).await;
        assert_eq!(parts.status, StatusCode::INTERNAL_SERVER_ERROR);
    });
}

#[test]
fn no_response_opens_a_tunnel() {
    async fn yes_to_all(_: Request, _: Next) -> StatusCode {
        StatusCode::OK
    }
    let connect = || {
        let mut request = get("example.org:443");
        *request.method_mut() = Method::CONNECT;
        request
    };
    block_on(async {
        assert_eq!(ask(service(), connect()).await.0.status, StatusCode::NOT_IMPLEMENTED);
        let service = App::new(()).routes(routes![new]).layer(yes_to_all).into_service();
        let service = service.expect("threads can be started");
        assert_eq!(ask(service.clone(), get("/new/7")).await.0.status, StatusCode::OK);
        assert_eq!(
            ask(service, connect()).await.0.status,
            StatusCode::INTERNAL_SERVER_ERROR
        );
    });
}
