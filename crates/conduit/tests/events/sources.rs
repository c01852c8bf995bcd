//! Sources of events, and the response around them.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use conduit::events::{Event, EventSender, Events, LastEventId};
use conduit::layer::Compression;
use conduit::openapi::Info;
use conduit::prelude::*;
use conduit::testing::TestClient;
use futures_core::Stream;
use serde_json::json;
use tokio::sync::mpsc;

use crate::{Ends, Reports, wait_for};

/// The items of an iterator, all of which are ready.
struct Iter<I>(I);

impl<I: Iterator + Unpin> Stream for Iter<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

#[derive(serde::Serialize, JsonSchema)]
struct Tick {
    number: u64,
}

/// Ticks after the last one that the client has received.
#[get("/ticks")]
async fn ticks(last: LastEventId) -> Events<Tick> {
    let first = last.parse::<u64>().map_or(0, |last| last + 1);
    Events::new(Iter(
        (first..5).map(|number| Event::new(Tick { number }).id(number).name("tick")),
    ))
    .retry(Duration::from_millis(2500))
}

#[get("/data")]
async fn data() -> Events<&'static str> {
    Events::new(Iter(["a", "b"].into_iter()))
}

#[get("/fails")]
async fn fails() -> Events<u8> {
    Events::new(Iter([Ok(1), Err("a failure")].into_iter()))
}

#[get("/html")]
async fn html() -> Events<String> {
    Events::new(Iter(std::iter::once(Event::text("<b>\n</b>"))))
}

#[get("/generated")]
async fn generated() -> Events<u32> {
    Events::generate(async |events| {
        for number in 0..100 {
            events.send(number).await?;
        }
        Ok::<_, conduit::BoxError>(())
    })
}

#[get("/generated-failure")]
async fn generated_failure() -> Events<u32> {
    Events::generate(async |events| {
        events.send(1).await?;
        Err::<(), _>(conduit::BoxError::from("a failure"))
    })
}

#[get("/received")]
async fn from_receiver() -> Events<u32> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || (0..10).for_each(|number| sender.blocking_send(number).expect("it is read")));
    receiver.into()
}

fn client() -> TestClient {
    TestClient::new(App::new(()).routes(routes![
        ticks,
        data,
        fails,
        html,
        generated,
        generated_failure,
        from_receiver
    ]))
}

#[test]
fn response_is_an_event_stream_that_no_cache_or_proxy_stores() {
    let response = client().get("/data").send();
    response
        .assert_status(200)
        .assert_header("content-type", "text/event-stream")
        .assert_header("cache-control", "no-cache")
        .assert_header("x-accel-buffering", "no");
    assert_eq!(response.text(), "data: \"a\"\n\ndata: \"b\"\n\n");
}

#[test]
fn stream_continues_after_the_last_event_of_the_client() {
    let client = client();
    let all = client.get("/ticks").send().text().to_owned();
    assert!(
        all.starts_with("retry: 2500\n\nevent: tick\nid: 0\ndata: {\"number\":0}\n\n"),
        "{all}"
    );
    let mut stream = client.get("/ticks").header("last-event-id", "3").stream();
    let event = stream.event().expect("an event");
    assert_eq!((event.id.as_deref(), &event.data[..]), (Some("4"), "{\"number\":4}"));
    assert_eq!(stream.event(), None);
    for invalid in ["", "x", "-1", "99999999999999999999999", "\u{fc}"] {
        let mut stream = client.get("/ticks").header("last-event-id", invalid).stream();
        assert_eq!(stream.event().expect("an event").id.as_deref(), Some("0"), "{invalid}");
    }
}

#[test]
fn error_aborts_the_response_after_the_events_before_it() {
    let client = client();
    for path in ["/fails", "/generated-failure"] {
        let mut stream = client.get(path).stream();
        assert_eq!(stream.event().expect("an event").data, "1");
        assert!(stream.is_incomplete());
    }
}

#[test]
fn text_keeps_its_lines() {
    let mut stream = client().get("/html").stream();
    assert_eq!(stream.event().expect("an event").data, "<b>\n</b>");
}

#[test]
fn function_and_channel_send_all_events_in_order() {
    let client = client();
    for (path, count) in [("/generated", 100), ("/received", 10)] {
        let mut stream = client.get(path).stream();
        for number in 0..count {
            assert_eq!(stream.event().expect("an event").data, number.to_string());
        }
        assert_eq!(stream.event(), None);
    }
}

/// Senders of streams, for the test.
#[derive(Clone, Default)]
struct Senders(Arc<Mutex<Vec<EventSender<String>>>>);

impl Senders {
    fn next(&self) -> EventSender<String> {
        let mut sender = None;
        wait_for(|| {
            sender = self.0.lock().expect("no panic").pop();
            sender.is_some()
        });
        sender.expect("it was there")
    }
}

#[get("/channel")]
async fn channel(senders: State<Senders>) -> Events<String> {
    let (sender, events) = Events::channel();
    senders.0.0.lock().expect("no panic").push(sender);
    events
}

/// Runs a future on another thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

#[test]
fn another_thread_sends_until_the_client_disconnects() {
    let senders = Senders::default();
    let client = TestClient::new(App::new(senders.clone()).routes(routes![channel]));
    let mut stream = client.get("/channel").stream();
    let sender = senders.next();
    block_on(sender.send("first".to_owned())).expect("the stream is open");
    assert_eq!(stream.event().expect("an event").data, "\"first\"");
    assert!(!sender.is_closed());
    stream.disconnect();
    block_on(sender.closed());
    let error = block_on(sender.send("second".to_owned())).expect_err("the stream has ended");
    assert_eq!(error.to_string(), "the event stream has ended");
}

#[test]
fn sender_waits_for_a_client_that_does_not_read() {
    let senders = Senders::default();
    let client = TestClient::new(App::new(senders.clone()).routes(routes![channel]));
    let mut stream = client.get("/channel").stream();
    let sender = senders.next();
    let large = "a".repeat(10_000);
    // Until the channel, the output and the pipe are full.
    let mut count = 0;
    while is_sent(&client, sender.send(large.clone())) {
        count += 1;
        assert!(count < 200, "the sender does not wait");
    }
    assert!(count * large.len() > PIPE_BYTES, "{count} events");
    let buffer_bytes = client.resources().buffer_bytes;
    assert!((1..300_000).contains(&buffer_bytes), "{buffer_bytes}");
    for _ in 0..count {
        assert_eq!(stream.event().expect("an event").data.len(), large.len() + 2);
    }
    assert!(is_sent(&client, sender.send(large.clone())), "there is room again");
}

/// The capacity of the pipe to a client in memory.
const PIPE_BYTES: usize = 64 * 1024;

/// Returns whether a send completes, at once or after turns of the worker.
fn is_sent<E: std::fmt::Debug>(client: &TestClient, send: impl Future<Output = Result<(), E>>) -> bool {
    let mut send = std::pin::pin!(send);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        if let Poll::Ready(sent) = send.as_mut().poll(&mut context) {
            sent.expect("the stream is open");
            return true;
        }
        client.advance(Duration::ZERO);
    }
    send.poll(&mut context).is_ready()
}

/// Compression must not keep an event until the next one (tower-http#420, actix-web#3032).
#[test]
fn event_passes_compression_at_once() {
    use std::io::Read as _;
    for coding in ["gzip", "br", "zstd"] {
        let senders = Senders::default();
        let app = App::new(senders.clone())
            .routes(routes![channel])
            .layer(Compression::new());
        let client = TestClient::new(app);
        let mut stream = client.get("/channel").header("accept-encoding", coding).stream();
        assert_eq!(stream.head().header("content-encoding"), Some(coding));
        let sender = senders.next();
        let (mut compressed, mut plain) = (Vec::new(), String::new());
        for number in 0..20 {
            block_on(sender.send(format!("event {number}"))).expect("the stream is open");
            let event = format!("data: \"event {number}\"\n\n");
            while !plain.ends_with(&event) {
                compressed.extend(stream.piece().expect("the stream is open"));
                let mut decoded = Vec::new();
                // The stream has not ended: the decoder fails after the flushed data.
                let _ = match coding {
                    "gzip" => flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut decoded),
                    "br" => brotli::Decompressor::new(&compressed[..], 4096).read_to_end(&mut decoded),
                    _ => zstd::stream::read::Decoder::new(&compressed[..])
                        .expect("a decoder")
                        .read_to_end(&mut decoded),
                };
                plain = String::from_utf8(decoded).expect("UTF-8");
            }
        }
    }
}

#[get("/guarded")]
async fn guarded(ends: State<Ends>) -> Result<Events<Tick>, Problem> {
    let reports = Reports(ends.0);
    Ok(Events::generate(async move |_events| {
        let _reports = reports;
        std::future::pending::<()>().await;
    }))
}

#[test]
fn document_has_the_schema_of_the_data_and_the_field_of_the_client() {
    let routes: Routes<Ends> = routes![guarded];
    let document = routes.openapi(Info::new("events", "1"));
    assert_eq!(document.gaps(), []);
    let value = serde_json::to_value(&document).expect("a document is JSON");
    let response = &value["paths"]["/guarded"]["get"]["responses"]["200"];
    assert_eq!(
        response["content"],
        json!({ "text/event-stream": { "schema": { "$ref": "#/components/schemas/sources.Tick" } } })
    );
    assert!(
        response["description"]
            .as_str()
            .is_some_and(|text| text.contains("event stream"))
    );
    let routes: Routes = routes![ticks];
    let value = serde_json::to_value(routes.openapi(Info::new("events", "1"))).expect("a document is JSON");
    let parameter = &value["paths"]["/ticks"]["get"]["parameters"][0];
    assert_eq!(
        (&parameter["name"], &parameter["in"]),
        (&json!("last-event-id"), &json!("header"))
    );
    assert_ne!(parameter["required"], json!(true));
}
