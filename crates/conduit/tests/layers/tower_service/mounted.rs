//! A service in an axum router, in another application, under hyper, and on one thread.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ::tower::{Service, ServiceExt};
use conduit::extract::{Paged, Paging};
use conduit::layer::TrailingSlash;
use conduit::prelude::*;
use conduit::tower::{LocalAppService, SendBody};
use conduit::{Client as TrueClient, http};
use http_body_util::BodyExt;

use super::bodies::breaks;
use super::lifetime::{Alive, LONG, alive, work};
use super::{Counted, TIMEOUT, ask, block_on, framed, get, late_panic, post, rc, what};
use crate::handlers::{echo, new, panics, stream};
use crate::support::Client;

#[test]
fn an_axum_router_mounts_it_under_a_path_and_as_its_fallback() {
    async fn old() -> &'static str {
        "old"
    }
    let attached = ::tower::util::MapRequestLayer::new(|mut request: axum::extract::Request| {
        request.extensions_mut().insert("from outside");
        request
    });
    let app = || {
        App::new(())
            .routes(routes![what, echo, stream])
            .into_service()
            .expect("threads can be started")
    };
    let router = axum::Router::new()
        .route("/old", axum::routing::get(old))
        .nest_service("/api", app())
        .fallback_service(app())
        .layer(attached);
    block_on(async {
        let of_axum = |target: &str| get(target).map(axum::body::Body::new);
        assert_eq!(ask(router.clone(), of_axum("/old")).await.1, "old");
        let expected = "from outside 0.0.0.0:0 /what?a=b HTTP/1.1";
        assert_eq!(ask(router.clone(), of_axum("/api/what?a=b")).await.1, expected);
        assert_eq!(ask(router.clone(), of_axum("/what?a=b")).await.1, expected);
        assert_eq!(
            ask(router.clone(), of_axum("/nowhere")).await.0.status,
            StatusCode::NOT_FOUND
        );
        for path in ["/api/echo", "/api/stream", "/stream"] {
            let text = "x".repeat(300_000);
            assert_eq!(
                ask(router.clone(), post(path, text.clone()).map(axum::body::Body::new))
                    .await
                    .1,
                text
            );
        }
    });
}

/// The service does not receive the prefix: a reference that is relative to the request keeps it.
#[test]
fn redirects_and_links_of_a_nested_service_stay_under_its_prefix() {
    #[get("/about")]
    fn about() -> &'static str {
        "about"
    }
    #[get("/lists/")]
    fn lists() -> &'static str {
        "lists"
    }
    #[get("/numbers")]
    fn numbers(paging: Paging<u32, 1>) -> Paged<u32> {
        paging.page(vec![1, 2], |last| *last)
    }
    let service = App::new(())
        .routes(routes![about, lists, numbers])
        .layer(TrailingSlash::redirect())
        .into_service()
        .expect("threads can be started");
    let router = axum::Router::new().nest_service("/api", service);
    block_on(async {
        for (target, field, reference) in [
            ("/api/about/?a=1", "location", "../about?a=1"),
            ("/api/lists", "location", "./lists/"),
            ("/api/numbers?limit=1", "link", "<?limit=1&cursor=MQ>; rel=\"next\""),
        ] {
            let (head, _) = ask(router.clone(), get(target).map(axum::body::Body::new)).await;
            assert_eq!(head.headers[field], reference, "{target}");
        }
    });
}

/// Another server may accept targets that this engine rejects: every view of such a target is the same nevertheless.
#[test]
fn every_view_of_a_target_from_another_server_is_the_same() {
    #[get("/{*rest}")]
    async fn views(rest: Path<String>, request: Request) -> String {
        assert!(!rest.is_empty());
        let uri = request.uri();
        assert_eq!((uri.path(), uri.query()), (request.path(), request.query()));
        format!("{uri} {:?}", TrueClient::of(&request).host())
    }
    let service = App::new(())
        .routes(routes![views])
        .into_service()
        .expect("threads can be started");
    block_on(async {
        for (target, seen) in [
            ("/|a?[b]", "/|a?[b] None"),
            ("/\u{e4}?\u{f6}", "/%C3%A4?%C3%B6 None"),
            ("http://b/c?d", "http://b/c?d Some(\"b\")"),
            ("https://u:p@b:81/\u{e4}", "https://u:p@b:81/%C3%A4 Some(\"b:81\")"),
        ] {
            assert_eq!(ask(service.clone(), get(target)).await.1, seen);
        }
    });
}

#[test]
fn a_mounted_application_has_the_target_as_received() {
    async fn whereabouts(request: axum::extract::Request) -> String {
        let original = request.extensions().get::<conduit::tower::OriginalUri>();
        format!("{} {}", original.expect("the target as received").0, request.uri())
    }
    let router = axum::Router::new().fallback(whereabouts);
    let inner = App::new(())
        .routes(routes![new, stream])
        .layer(conduit::tower::mount("/inner", router));
    let inner = inner.into_service().expect("threads can be started");
    let outer = crate::support::serve(
        App::new(())
            .routes(routes![echo])
            .layer(conduit::tower::mount("/outer", inner)),
    );
    assert_eq!(outer.get("/outer/new/7").text(), "new 7");
    assert_eq!(outer.get("/outer/inner/a?b=c").text(), "/outer/inner/a?b=c /a?b=c");
    let text = "x".repeat(300_000);
    let sent = format!("POST /outer/stream HTTP/1.1\r\nhost: test\r\ncontent-length: 300000\r\n\r\n{text}");
    assert_eq!(outer.request(sent).text(), text);
}

/// Serves with hyper on a free port until the test ends.
fn under_hyper<S>(service: S) -> SocketAddr
where
    S: Service<
            http::Request<hyper::body::Incoming>,
            Response = http::Response<SendBody>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    listener.set_nonblocking(true).expect("it can be polled");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it can be polled");
            while let Ok((stream, peer)) = listener.accept().await {
                let attached = ::tower::util::MapRequest::new(service.clone(), move |mut request: http::Request<_>| {
                    request.extensions_mut().insert(PeerAddr(peer));
                    request
                });
                let service = hyper_util::service::TowerToHyperService::new(attached);
                let stream = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
            }
        });
    });
    address
}

#[test]
fn hyper_serves_an_application_over_a_socket() {
    let routes = routes![new, echo, stream, what, framed];
    let service = App::new(()).routes(routes).body_limit(1_000_000).into_service();
    let address = under_hyper(service.expect("threads can be started"));
    let mut client = Client::connect(address);
    client.send("GET /new/7 HTTP/1.1\r\nhost: test\r\n\r\n");
    let answer = client.response();
    assert_eq!(
        (answer.status, answer.text(), answer.header("content-length")),
        (200, "new 7", Some("5"))
    );
    client.send("GET /what?a=b HTTP/1.1\r\nhost: test\r\n\r\n");
    let text = client.response().text().to_string();
    assert!(
        text.starts_with("nothing 127.0.0.1:") && text.ends_with(" /what?a=b HTTP/1.1"),
        "{text}"
    );
    client.send("HEAD /framed HTTP/1.1\r\nhost: test\r\n\r\nGET /framed HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.response_to("HEAD").header("content-length"), Some("3"));
    assert_eq!(client.response().text(), "eleven long");

    let body = "0123456789".repeat(30_000);
    client.send(format!(
        "POST /stream HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    let mut writer = client.duplicate();
    let sent = body.clone();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, sent.as_bytes()));
    let answer = client.response();
    assert_eq!(answer.text(), body);
    writing.join().expect("no panic").expect("all is taken");

    // A client that delays its body receives `100 Continue` when the body is read, and only then.
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("Hello");
    assert_eq!(client.response().text(), "Hello");
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 1000001\r\n\r\n");
    assert_eq!(client.response().status, 413);
}

#[test]
fn a_disconnect_from_hyper_drops_the_handler() {
    let (service, _, events) = alive(LONG);
    let address = under_hyper(service);
    let mut client = Client::connect(address);
    client.send("GET /aborted HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("begun"));
    drop(client);
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("dropped"));
}

fn local() -> LocalAppService {
    let routes = routes![new, echo, stream, panics, late_panic, rc, what];
    App::new(())
        .routes(routes)
        .into_local_service()
        .expect("an application")
}

#[test]
fn on_one_thread_handlers_need_not_be_send() {
    block_on(async {
        let service = local();
        assert_eq!(ask(service.clone(), get("/rc/8")).await.1, "9");
        assert_eq!(
            ask(service.clone(), get("/late-panic")).await.0.status,
            StatusCode::INTERNAL_SERVER_ERROR
        );
        let mut request = get("/what");
        request
            .extensions_mut()
            .insert(PeerAddr(SocketAddr::from(([192, 0, 2, 1], 4711))));
        assert_eq!(
            ask(service.clone(), request).await.1,
            "nothing 192.0.2.1:4711 /what HTTP/1.1"
        );
        let pieces = Rc::new(Cell::new(0));
        let counted = Rc::clone(&pieces);
        let next = move |asked, _: &mut Context<'_>| {
            counted.set(asked);
            Poll::Ready((asked < 5).then(|| Ok(Bytes::from_static(b"piece "))))
        };
        let body = Counted {
            asked: 0,
            next,
            length: None,
        };
        let request = http::Request::post("/stream").body(body).expect("a request");
        let response = service.oneshot(request).await.unwrap_or_else(|never| match never {});
        assert_eq!(pieces.get(), 0, "no reader yet");
        assert_eq!(response.into_body().collect().await.expect("whole"), "piece ".repeat(5));
    });
}

#[test]
fn on_one_thread_a_panic_in_a_stream_ends_that_body_only() {
    let app = App::new(()).routes(routes![breaks, new]);
    let service = app.into_local_service().expect("an application");
    block_on(async {
        let call = || async {
            service
                .clone()
                .oneshot(get("/breaks"))
                .await
                .expect("a response")
                .into_body()
        };
        let (mut first, mut second) = (call().await, call().await);
        for _ in 0..2 {
            let frame = first.frame().await.expect("a frame").expect("a piece");
            assert_eq!(frame.into_data().expect("data"), "piece");
        }
        let error = first.frame().await.expect("a frame").expect_err("the stream panics");
        assert!(error.to_string().contains("it was asked to"), "{error}");
        assert!(second.frame().await.expect("a frame").is_ok());
        assert_eq!(ask(service.clone(), get("/new/7")).await.1, "new 7");
    });
}

thread_local! {
    static SERVICE: RefCell<Option<LocalAppService>> = const { RefCell::new(None) };
}

/// Calls the application that it is a handler of.
#[get("/outer/{depth}")]
async fn outer(depth: Path<u32>) -> String {
    let service = SERVICE.with_borrow(|service| service.clone()).expect("a service");
    let path = match *depth {
        0 => "/rc/8".to_owned(),
        depth => format!("/outer/{}", depth - 1),
    };
    format!("({})", ask(service, get(&path)).await.1)
}

#[test]
fn on_one_thread_a_handler_calls_its_own_service() {
    let app = App::new(()).routes(routes![outer, rc]);
    let service = app.into_local_service().expect("an application");
    SERVICE.set(Some(service.clone()));
    assert_eq!(block_on(ask(service, get("/outer/2"))).1, "(((9)))");
    SERVICE.set(None);
}

#[test]
fn on_one_thread_the_handler_is_dropped_with_its_call() {
    let (alive, events) = Alive::new();
    let app = App::new(alive).routes(routes![work]);
    let service = app.into_local_service().expect("an application");
    block_on(async {
        let mut answer = Box::pin(service.oneshot(get("/work")));
        assert!(
            answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        assert_eq!(events.try_recv(), Ok("begun"));
        drop(answer);
    });
    assert_eq!(events.try_recv(), Ok("ended"));
}
