//! Bodies of requests and responses of a service: limits, faults, and the order in which pieces are requested.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};

use ::tower::ServiceExt;
use conduit::prelude::*;
use conduit::{Limit, http};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::{Counted, TIMEOUT, ask, block_on, get, post, service};
use crate::handlers::{echo, new, stream};

#[test]
fn the_limit_on_bodies_holds() {
    let app = App::new(()).routes(routes![echo, stream]).body_limit(10);
    let service = app.into_service().expect("threads can be started");
    let chunked = |count: usize| {
        let next = move |asked, _: &mut Context<'_>| Poll::Ready((asked < count).then(|| Ok(Bytes::from_static(b"x"))));
        let body = Counted {
            asked: 0,
            next,
            length: None,
        };
        http::Request::post("/echo").body(body).expect("a request")
    };
    block_on(async {
        for path in ["/echo", "/stream"] {
            assert_eq!(ask(service.clone(), post(path, "0123456789")).await.1, "0123456789");
            let (parts, text) = ask(service.clone(), post(path, "0123456789a")).await;
            assert_eq!(parts.status, StatusCode::PAYLOAD_TOO_LARGE);
            assert!(text.contains("limit of 10 bytes"), "{text}");
        }
        assert_eq!(ask(service.clone(), chunked(10)).await.1, "x".repeat(10));
        assert_eq!(
            ask(service.clone(), chunked(11)).await.0.status,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        assert_eq!(service.handle().statistics().limit_hits(Limit::BodyBytes), 3);
    });
}

#[test]
fn body_limit_applies_to_a_body_that_an_outer_layer_has_set() {
    let routes = routes![
        #[layer(conduit::layer::BodyLimit::new(4))]
        echo,
        stream
    ];
    let app = App::new(()).routes(routes).layer(conduit::layer::Idempotency::new());
    let service = app.into_service().expect("threads can be started");
    let keyed = |path: &str, body: &'static str| {
        let mut request = post(path, body);
        let key = HeaderValue::from_static(body);
        request.headers_mut().insert("idempotency-key", key);
        request
    };
    block_on(async {
        for (path, body, status) in [
            ("/echo", "1234", 200),
            ("/echo", "12345", 413),
            ("/stream", "123456", 200),
        ] {
            for request in [post(path, body), keyed(path, body)] {
                assert_eq!(ask(service.clone(), request).await.0.status, status, "{path} {body}");
            }
        }
    });
}

#[test]
fn an_incomplete_body_is_a_client_error() {
    let next = |asked, _: &mut Context<'_>| match asked {
        0 => Poll::Ready(Some(Ok(Bytes::from_static(b"half")))),
        _ => Poll::Ready(Some(Err(std::io::Error::other("secret of the outer server")))),
    };
    let body = Counted {
        asked: 0,
        next,
        length: Some(8),
    };
    let request = http::Request::post("/echo").body(body).expect("a request");
    block_on(async {
        let (parts, text) = ask(service(), request).await;
        assert_eq!(parts.status, StatusCode::BAD_REQUEST);
        assert!(!text.contains("secret"), "{text}");
    });
}

#[post("/first-piece")]
async fn first_piece(mut body: Body, go: State<Arc<Semaphore>>) -> String {
    let first = poll_fn(|context| futures_core::Stream::poll_next(Pin::new(&mut body), context)).await;
    drop(go.0.acquire().await);
    let rest = body.collect().await.expect("the rest").len();
    format!("{} {rest}", first.expect("a piece").expect("no error").len())
}

#[test]
fn a_request_body_is_polled_only_when_it_is_read() {
    let go = Arc::new(Semaphore::new(0));
    let app = App::new(Arc::clone(&go)).routes(routes![first_piece]);
    let service = app.into_service().expect("threads can be started");
    let (sender, asked_for) = mpsc::channel();
    let next = move |asked, _: &mut Context<'_>| {
        sender.send(asked).expect("the test listens");
        Poll::Ready((asked < 5).then(|| Ok(Bytes::from_static(b"0123456789"))))
    };
    let body = Counted {
        asked: 0,
        next,
        length: None,
    };
    let request = http::Request::post("/first-piece").body(body).expect("a request");
    block_on(async {
        let answer = tokio::spawn(ask(service.clone(), request));
        tokio::task::yield_now().await;
        assert_eq!(asked_for.recv_timeout(TIMEOUT), Ok(0));
        // Another request, on the same thread or on another, is served meanwhile.
        assert_eq!(ask(service, get("/nowhere")).await.0.status, StatusCode::NOT_FOUND);
        assert!(asked_for.try_recv().is_err(), "a piece was requested without a reader");
        go.add_permits(1);
        assert_eq!(answer.await.expect("no panic").1, "10 40");
    });
}

/// An endless stream that reports its polls and its drop.
struct Endless {
    asked: Arc<AtomicUsize>,
    dropped: mpsc::Sender<()>,
}

impl futures_core::Stream for Endless {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.asked.fetch_add(1, SeqCst);
        Poll::Ready(Some(Ok(Bytes::from_static(b"more"))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.dropped.send(());
    }
}

#[derive(Clone)]
struct Notices {
    asked: Arc<AtomicUsize>,
    dropped: mpsc::Sender<()>,
}

#[get("/endless")]
async fn endless(notices: State<Notices>) -> Body {
    Body::from_stream(Endless {
        asked: Arc::clone(&notices.asked),
        dropped: notices.dropped.clone(),
    })
}

#[get("/breaks")]
pub(super) async fn breaks() -> Body {
    struct Breaks(usize);
    impl futures_core::Stream for Breaks {
        type Item = Result<&'static str, Infallible>;
        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0 += 1;
            assert!(self.0 < 3, "it was asked to");
            Poll::Ready(Some(Ok("piece")))
        }
    }
    Body::from_stream(Breaks(0))
}

#[test]
fn a_response_body_is_polled_only_when_it_is_read_and_ends_when_it_is_dropped() {
    let (dropped, is_dropped) = mpsc::channel();
    let asked = Arc::new(AtomicUsize::new(0));
    let notices = Notices {
        asked: Arc::clone(&asked),
        dropped,
    };
    let app = App::new(notices).routes(routes![endless, breaks]).workers(1);
    let service = app.into_service().expect("threads can be started");
    block_on(async {
        let mut response = service
            .clone()
            .oneshot(get("/endless"))
            .await
            .unwrap_or_else(|never| match never {});
        assert_eq!(
            ask(service.clone(), get("/nowhere")).await.0.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(asked.load(SeqCst), 0, "no reader yet");
        for _ in 0..3 {
            let frame = response.body_mut().frame().await.expect("a frame").expect("no error");
            assert_eq!(frame.into_data().expect("data"), "more");
        }
        assert!(asked.load(SeqCst) <= 5, "{} pieces for 3", asked.load(SeqCst));
        drop(response);
    });
    assert_eq!(is_dropped.recv_timeout(TIMEOUT), Ok(()));
    // A body that is never polled is dropped, too.
    drop(block_on(service.clone().oneshot(get("/endless"))));
    assert_eq!(is_dropped.recv_timeout(TIMEOUT), Ok(()));
    // A body that panics does not count as complete.
    let broken = block_on(async {
        service
            .oneshot(get("/breaks"))
            .await
            .expect("never fails")
            .into_body()
            .collect()
            .await
    });
    assert!(broken.is_err());
}

#[test]
fn a_body_that_panics_in_its_size_hint_is_a_500() {
    struct Rude;
    impl HttpBody for Rude {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(None)
        }
        fn size_hint(&self) -> SizeHint {
            panic!("none of your business")
        }
    }
    let app = App::new(()).routes(routes![new, echo]).workers(1);
    let service = app.into_service().expect("threads can be started");
    let request = http::Request::post("/echo").body(Rude).expect("a request");
    block_on(async {
        assert_eq!(
            ask(service.clone(), request).await.0.status,
            StatusCode::INTERNAL_SERVER_ERROR
        );
        assert_eq!(ask(service, get("/new/7")).await.1, "new 7");
    });
}
