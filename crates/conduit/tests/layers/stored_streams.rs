//! Idempotency keys of requests whose response is streamed, and of requests that lost their marker.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::events::Events;
use conduit::layer::{Idempotency, MemoryStore, Store, StoreFull, Value};
use conduit::prelude::*;
use conduit::testing::{TestClient, TestRequest};

use super::stored::{Till, pay, till};

/// The time after which the marker of a request expires unless it is renewed.
const RUNNING: Duration = Duration::from_secs(60);

/// A text, after a wait; then the end, or nothing more.
struct Printed {
    wait: Option<Pin<Box<dyn Future<Output = ()>>>>,
    is_endless: bool,
    is_printed: bool,
}

impl futures_core::Stream for Printed {
    type Item = Result<&'static str, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(wait) = &mut self.wait {
            std::task::ready!(wait.as_mut().poll(context));
            self.wait = None;
        }
        if !self.is_printed {
            self.is_printed = true;
            return Poll::Ready(Some(Ok("data: 1\n\n")));
        }
        match self.is_endless {
            true => Poll::Pending,
            false => Poll::Ready(None),
        }
    }
}

fn keyed(client: &TestClient, target: &str) -> TestRequest {
    client.post(target).header("idempotency-key", "7f9c")
}

fn wait_for_handler(comes_in: &Receiver<()>) {
    comes_in
        .recv_timeout(Duration::from_secs(20))
        .expect("the handler runs");
}

#[test]
fn marker_is_kept_while_the_body_of_the_response_is_created() {
    #[post("/print")]
    async fn print(till: State<Till>) -> Body {
        till.paid.fetch_add(1, Ordering::SeqCst);
        let till = till.0;
        let wait = async move {
            till.inside.send(()).expect("the test listens");
            till.release.notified().await;
        };
        Body::from_stream(Printed {
            wait: Some(Box::pin(wait)),
            is_endless: false,
            is_printed: false,
        })
    }

    let (till, comes_in) = till();
    let layer = Idempotency::new().running_for(RUNNING);
    let client = TestClient::new(App::new(till.clone()).routes(routes![print]).layer(layer));
    let first = keyed(&client, "/print").start();
    wait_for_handler(&comes_in);
    client.advance(2 * RUNNING);
    let second = keyed(&client, "/print").start();
    till.release.notify_one();
    second.finish().assert_status(409);
    first.finish().assert_text("data: 1\n\n");
    let replay = keyed(&client, "/print").send();
    replay
        .assert_text("data: 1\n\n")
        .assert_header("idempotency-replayed", "true");
    assert_eq!(till.paid.load(Ordering::SeqCst), 1);
}

#[test]
fn event_stream_is_sent_at_once_and_not_stored() {
    fn printed() -> Printed {
        Printed {
            wait: None,
            is_endless: true,
            is_printed: false,
        }
    }

    #[post("/events")]
    async fn events() -> Events<&'static str> {
        Events::new(printed())
    }

    #[post("/raw")]
    async fn raw() -> ([(&'static str, &'static str); 1], Body) {
        (
            [("content-type", "Text/Event-Stream ; charset=utf-8")],
            Body::from_stream(printed()),
        )
    }

    for target in ["/events", "/raw"] {
        let client = TestClient::new(App::new(()).routes(routes![events, raw]).layer(Idempotency::new()));
        let mut stream = keyed(&client, target).stream();
        stream.head().assert_status(200);
        assert!(stream.event().is_some());
        let again = keyed(&client, target).send();
        again.assert_status(409);
        let detail = again.problem()["detail"].to_string();
        assert!(detail.contains("its response was not stored"), "{detail}");
        stream.disconnect();
    }
}

/// An event stream of known length, which is complete, is stored like other responses.
#[test]
fn complete_event_stream_is_stored() {
    #[post("/complete")]
    async fn complete() -> ([(&'static str, &'static str); 1], &'static str) {
        ([("content-type", "text/event-stream")], "data: 1\n\n")
    }

    let client = TestClient::new(App::new(()).routes(routes![complete]).layer(Idempotency::new()));
    keyed(&client, "/complete").send().assert_status(200);
    let replay = keyed(&client, "/complete").send();
    replay
        .assert_text("data: 1\n\n")
        .assert_header("idempotency-replayed", "true");
}

/// A store that does not respond to renewals, so that the markers of requests in progress expire.
#[derive(Clone)]
struct UnrenewedStore(MemoryStore);

impl Store for UnrenewedStore {
    type Error = StoreFull;

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreFull> {
        self.0.get(key).await
    }

    async fn replace(&self, key: &[u8], expected: Option<&[u8]>, value: Option<Value<'_>>) -> Result<bool, StoreFull> {
        if expected.is_some() && value.is_some_and(|value| value.is_pinned) {
            std::future::pending::<()>().await;
        }
        self.0.replace(key, expected, value).await
    }
}

#[test]
fn request_that_lost_its_marker_does_not_complete_the_key_of_another() {
    let (till, comes_in) = till();
    let store = UnrenewedStore(MemoryStore::default());
    let layer = Idempotency::new().running_for(RUNNING).store(store);
    let client = TestClient::new(App::new(till.clone()).routes(routes![pay]).layer(layer));
    let pay = || keyed(&client, "/pay").body("slow").start();
    let first = pay();
    wait_for_handler(&comes_in);
    client.advance(RUNNING + Duration::from_secs(1));
    let second = pay();
    wait_for_handler(&comes_in);
    // The handler that has waited longest continues.
    till.release.notify_one();
    first.finish().assert_text("slow 1");
    pay().finish().assert_status(409);
    till.release.notify_one();
    second.finish().assert_text("slow 2");
    pay().finish().assert_text("slow 2");
}
