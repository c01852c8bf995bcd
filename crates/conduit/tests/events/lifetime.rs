//! Quiet streams, clients that have disconnected, and the shutdown of the server; with a clock that the test controls.

use std::collections::BTreeMap;
use std::time::Duration;

use conduit::Limit;
use conduit::events::{Event, Events};
use conduit::prelude::*;
use conduit::testing::{TestClient, TestConnection};

use crate::{Ends, Reports, TIMEOUT, open, received, wait_for};

/// A stream without events.
#[get("/quiet")]
async fn quiet(ends: State<Ends>) -> Events<u32> {
    let reports = Reports(ends.0);
    Events::generate(async move |_events| {
        let _reports = reports;
        std::future::pending::<()>().await;
    })
}

/// An event every seven seconds.
#[get("/busy")]
async fn busy() -> Events<u32> {
    Events::generate(async |events| {
        loop {
            tokio::time::sleep(Duration::from_secs(7)).await;
            if events.send(Event::without_data().id(1_u64)).await.is_err() {
                break;
            }
        }
    })
}

#[get("/slow-comments")]
async fn slow_comments(ends: State<Ends>) -> Events<u32> {
    quiet(ends).await.keep_alive(Duration::from_secs(100))
}

#[get("/hold")]
async fn hold() {
    std::future::pending().await
}

fn client() -> (TestClient, std::sync::mpsc::Receiver<()>) {
    let (ends, receiver) = Ends::new();
    let app = App::new(ends).routes(routes![quiet, busy, slow_comments, hold]);
    (TestClient::new(app), receiver)
}

fn stream(client: &TestClient, path: &str) -> TestConnection {
    let mut connection = client.connect();
    open(&mut connection, path);
    connection
}

#[test]
fn comments_are_sent_only_while_the_stream_is_quiet() {
    let (client, _ends) = client();
    let mut quiet = stream(&client, "/quiet");
    let mut busy = stream(&client, "/busy");
    let mut slow = stream(&client, "/slow-comments");
    client.advance(Duration::from_secs(9));
    assert_eq!(received(&mut quiet), "");
    client.advance(Duration::from_secs(600));
    let comments = received(&mut quiet);
    assert!((50..=61).contains(&comments.matches(":\n\n").count()), "{comments:?}");
    assert_eq!(comments.replace(":\n\n", ""), "");
    let events = received(&mut busy);
    assert!(!events.starts_with(':') && !events.contains("\n:"), "{events:?}");
    assert!(events.matches("id: 1\n\n").count() > 70, "{events:?}");
    let comments = received(&mut slow);
    assert!((5..=6).contains(&comments.matches(":\n\n").count()), "{comments:?}");
}

#[test]
fn client_that_acknowledges_stays_for_hours() {
    let (client, ends) = client();
    let mut connection = stream(&client, "/quiet");
    for _ in 0..100 {
        client.advance(Duration::from_secs(120));
        assert!(!received(&mut connection).is_empty());
    }
    assert!(ends.try_recv().is_err());
}

#[test]
fn client_that_vanishes_is_noticed_within_45_seconds() {
    let (client, ends) = client();
    // At each phase of the comments and of the checks of acknowledgements.
    for phase in [0, 1, 4, 9, 13, 14, 15, 16, 22, 29] {
        let mut connection = stream(&client, "/quiet");
        client.advance(Duration::from_secs(phase));
        connection.vanish();
        client.advance(Duration::from_secs(15));
        assert!(ends.try_recv().is_err(), "a short loss of the network ends no stream");
        client.advance(Duration::from_secs(30));
        ends.recv_timeout(TIMEOUT).expect("the stream has ended");
    }
    assert_eq!(client.handle().statistics().limit_hits(Limit::WriteRate), 10);
    assert_eq!(client.resources().handlers, 0);
}

#[test]
fn client_that_disconnects_ends_the_stream_at_once() {
    let (client, ends) = client();
    stream(&client, "/quiet").reset();
    ends.recv_timeout(TIMEOUT).expect("the stream has ended");
    drop(stream(&client, "/quiet"));
    ends.recv_timeout(TIMEOUT).expect("the stream has ended");
    // A half-close is treated as a disconnect: only a write would show the difference.
    let mut connection = stream(&client, "/quiet");
    connection.end();
    ends.recv_timeout(TIMEOUT).expect("the stream has ended");
}

#[get("/plain", disconnect = "finish")]
async fn plain() -> Body {
    struct Waits;

    impl futures_core::Stream for Waits {
        type Item = Result<Bytes, conduit::BoxError>;

        fn poll_next(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Pending
        }
    }

    Body::from_stream(Waits)
}

/// Any stream of a response ends with a client that does not acknowledge its bytes.
#[test]
fn plain_stream_of_a_vanished_client_ends() {
    let client = TestClient::new(App::new(()).routes(routes![plain]));
    let mut connection = client.connect();
    connection.vanish();
    assert!(connection.send("GET /plain HTTP/1.1\r\nhost: a\r\n\r\n"));
    client.advance(Duration::from_secs(14));
    assert!(!connection.is_closed());
    client.advance(Duration::from_secs(20));
    // The bytes were read by the test: the client acknowledges them.
    let mut silent = client.connect();
    assert!(silent.send("GET /plain HTTP/1.1\r\nhost: a\r\n\r\n"));
    silent.vanish();
    client.advance(Duration::from_secs(33));
    wait_for(|| client.handle().statistics().limit_hits(Limit::WriteRate) == 1);
}

#[test]
fn stop_ends_the_stream_with_a_delay_before_the_reconnect() {
    let (client, ends) = client();
    let mut connection = stream(&client, "/quiet");
    client.handle().stop();
    let rest = String::from_utf8(connection.rest()).expect("text");
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "the response is complete: {rest:?}");
    let millis = rest
        .split("retry: ")
        .nth(1)
        .and_then(|rest| rest.split('\n').next()?.parse::<u64>().ok());
    assert!(millis.is_some_and(|millis| (1000..5000).contains(&millis)), "{rest:?}");
    ends.recv_timeout(TIMEOUT).expect("the stream has ended");
}

/// Clients of a server that stops must not all connect again within one second.
#[test]
fn stop_spreads_the_ends_of_many_streams() {
    const STREAMS: usize = 1000;
    let (client, _ends) = client();
    let mut open: Vec<TestConnection> = (0..STREAMS).map(|_| stream(&client, "/quiet")).collect();
    // The server outlives the test.
    let hold = client.get("/hold").start();
    wait_for(|| client.resources().handlers == 1);
    client.handle().stop();
    assert!(!client.handle().is_ready());
    let mut seconds = BTreeMap::new();
    for second in 0..20 {
        client.advance(Duration::from_secs(1));
        let before = open.len();
        open.retain_mut(|connection| !connection.is_closed());
        seconds.insert(second, before - open.len());
    }
    assert!(open.is_empty(), "{seconds:?}");
    let mean = STREAMS / 10;
    // Real time passes too: the ends of two seconds may fall into one.
    assert!(
        seconds.values().all(|&count| count <= 2 * mean + mean / 2),
        "{seconds:?}"
    );
    assert!(seconds.values().filter(|&&count| count > 0).count() >= 5, "{seconds:?}");
    hold.disconnect();
}
