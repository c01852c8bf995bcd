//! The end of a WebSocket, by either side, by deadlines and by the server's stop.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use conduit::prelude::*;
use conduit::testing::{TestClient, TestFrame, TestWebSocket};
use conduit::websocket::{CloseCode, WebSocketClosed};
use conduit::{Limit, WebSocketUpgrade};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::{echo, echo_client, log, wait_for};

/// Reports the end of each WebSocket.
#[derive(Clone)]
struct Ends(Sender<Option<WebSocketClosed>>);

#[get("/watch")]
async fn watch(upgrade: WebSocketUpgrade, ends: State<Ends>) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while socket.recv().await.is_some() {}
        // The test may have ended.
        let _ = ends.0.0.send(socket.end().cloned());
    })
}

fn watching() -> (TestClient, Receiver<Option<WebSocketClosed>>) {
    let (sender, ends) = channel();
    (TestClient::new(App::new(Ends(sender)).routes(routes![watch])), ends)
}

fn next(ends: &Receiver<Option<WebSocketClosed>>) -> WebSocketClosed {
    let end = ends.recv_timeout(Duration::from_secs(30)).expect("the handler ends");
    end.expect("the WebSocket has ended")
}

#[test]
fn the_close_of_the_client_is_answered_and_passed_to_the_handler() {
    let (client, ends) = watching();
    let mut socket = client.websocket("/watch").open();
    socket.close(CloseCode(4001), "enough");
    assert_eq!(
        socket.recv_frame(),
        TestFrame::Close(Some(CloseCode(4001)), String::new())
    );
    assert_eq!(socket.recv_frame(), TestFrame::End);
    let end = next(&ends);
    assert_eq!(
        (end.code, &end.reason[..], end.is_clean),
        (Some(CloseCode(4001)), "enough", true)
    );
    assert_eq!(client.handle().statistics().open_websockets, 0);
}

#[test]
fn a_client_that_vanishes_ends_the_handler() {
    let (client, ends) = watching();
    for reset in [false, true] {
        let mut socket = client.websocket("/watch").open();
        socket.send("message");
        match reset {
            true => drop(socket),
            false => {
                socket.connection().end();
                assert_eq!(socket.recv_frame(), TestFrame::End);
            }
        }
        let end = next(&ends);
        assert_eq!((end.code, end.is_clean), (None, false));
        assert_eq!(end.to_string(), "the connection of the WebSocket is lost");
    }
}

#[test]
fn a_broken_rule_closes_with_its_code() {
    let (client, ends) = watching();
    for (first, payload, code) in [
        (0x83, &b""[..], CloseCode::PROTOCOL_ERROR),
        (0x81, b"\xff", CloseCode::INVALID_PAYLOAD),
        (0xc1, b"compressed", CloseCode::PROTOCOL_ERROR),
    ] {
        let mut socket = client.websocket("/watch").open();
        socket.send_frame(first, payload);
        assert_eq!(socket.closed(), Some(code));
        assert_eq!(socket.recv_frame(), TestFrame::End);
        let end = next(&ends);
        assert_eq!((end.code, end.is_clean), (Some(code), false));
    }
}

#[test]
fn messages_above_the_limits_close_the_websocket_and_are_counted() {
    let app = App::new(())
        .routes(routes![echo])
        .websocket_message_limit(1000)
        .websocket_fragment_limit(3);
    let client = TestClient::new(app);
    let mut socket = client.websocket("/echo").open();
    socket.send("a".repeat(1000));
    assert_eq!(socket.recv().as_bytes().len(), 1000);
    socket.send("a".repeat(1001));
    assert_eq!(socket.closed(), Some(CloseCode::TOO_BIG));
    // Small fragments, and empty ones, end too (CVE-2026-48779).
    for payload in ["a", ""] {
        let mut socket = client.websocket("/echo").open();
        socket.send_frame(0x01, payload.as_bytes());
        for _ in 0..3 {
            socket.send_frame(0x00, payload.as_bytes());
        }
        assert_eq!(socket.closed(), Some(CloseCode::POLICY));
    }
    let statistics = client.handle().statistics();
    assert_eq!(statistics.limit_hits(Limit::WebSocketMessage), 1);
    assert_eq!(statistics.limit_hits(Limit::WebSocketFragments), 2);
}

#[test]
fn a_silent_client_gets_a_ping_and_is_disconnected() {
    let client = echo_client();
    let mut alive = client.websocket("/echo").open();
    let mut dead = client.websocket("/echo").open();
    client.advance(Duration::from_secs(25));
    assert!(alive.connection().received().is_empty() && dead.connection().received().is_empty());
    client.advance(Duration::from_secs(10));
    assert_eq!(alive.recv_frame(), TestFrame::Ping(Default::default()));
    assert_eq!(dead.connection().received(), b"\x89\x00");
    client.advance(Duration::from_secs(35));
    assert_eq!(alive.recv_frame(), TestFrame::Ping(Default::default()));
    assert!(dead.connection().is_closed());
    assert_eq!(client.handle().statistics().limit_hits(Limit::WebSocketTime), 1);
    // The pong counts as a sign of life.
    for _ in 0..10 {
        client.advance(Duration::from_secs(35));
        assert_eq!(alive.recv_frame(), TestFrame::Ping(Default::default()));
    }
    alive.send("hello");
    assert_eq!(alive.recv().as_text(), Some("hello"));
}

#[test]
fn a_timeout_that_is_shorter_than_the_interval_of_pings_has_a_ping_and_time_for_the_pong() {
    let app = App::new(())
        .routes(routes![echo])
        .websocket_timeout(Duration::from_secs(20));
    let client = TestClient::new(app);
    let mut alive = client.websocket("/echo").open();
    let mut dead = client.websocket("/echo").open();
    client.advance(Duration::from_secs(13));
    assert_eq!(alive.recv_frame(), TestFrame::Ping(Default::default()));
    assert_eq!(dead.connection().received(), b"\x89\x00");
    client.advance(Duration::from_secs(9));
    assert!(dead.connection().is_closed());
    alive.send("hello");
    assert_eq!(alive.recv().as_text(), Some("hello"));
}

/// Each byte would extend the time without bytes.
#[test]
fn a_message_that_arrives_too_slowly_closes_the_websocket() {
    let app = App::new(()).routes(routes![echo]);
    let client = TestClient::new(app.minimum_rate(1024, Duration::from_secs(30)));
    let mut slow = client.websocket("/echo").open();
    let mut fast = client.websocket("/echo").open();
    // Earlier messages give no time, and take none.
    for socket in [&mut slow, &mut fast] {
        socket.send("hello");
        assert_eq!(socket.recv().as_text(), Some("hello"));
        socket.send_frame(0x02, b"begins");
    }
    for second in (0..60).step_by(5) {
        assert_eq!(slow.send_frame(0x00, b"drips"), second < 35, "after {second} s");
        slow.send_frame(0x89, b"ping");
        fast.send_frame(0x00, &[b'f'; 6 * 1024]);
        client.advance(Duration::from_secs(5));
    }
    assert_eq!(slow.closed(), Some(CloseCode::POLICY));
    fast.send_frame(0x80, b"");
    assert_eq!(fast.recv().as_bytes().len(), 6 + 12 * 6 * 1024);
    assert_eq!(client.handle().statistics().limit_hits(Limit::BodyRate), 1);
    assert_eq!(client.handle().statistics().limit_hits(Limit::WebSocketTime), 0);
}

/// Closes with 4000 after the first message, and reports the end.
#[get("/leave")]
async fn leaves(upgrade: WebSocketUpgrade, ends: State<Ends>) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        let _ = socket.recv().await;
        socket.close(CloseCode(4000), "bye");
        while socket.recv().await.is_some() {}
        let _ = ends.0.0.send(socket.end().cloned());
    })
}

#[test]
fn the_close_of_the_server_is_the_end_of_a_client_that_vanishes_after_it() {
    let (sender, ends) = channel();
    let client = TestClient::new(App::new(Ends(sender)).routes(routes![leaves]));
    let mut socket = client.websocket("/leave").open();
    socket.send("close");
    wait_for(|| socket.connection().received().ends_with(b"\x88\x05\x0f\xa0bye"));
    socket.connection().end();
    let end = next(&ends);
    assert_eq!(end.to_string(), "the WebSocket is closed with 4000: bye");
    assert!(!end.is_clean);
}

/// An error with the end of a WebSocket as its source.
#[derive(Debug)]
struct Context(WebSocketClosed);

impl std::fmt::Display for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cannot send the greeting")
    }
}

impl std::error::Error for Context {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[get("/fails-after-the-end")]
async fn fails_after_the_end(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while socket.recv().await.is_some() {}
        Err::<(), _>(conduit::BoxError::from("cannot store the result"))
    })
}

#[get("/passes-the-end-on")]
async fn passes_the_end_on(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move {
        socket.close(CloseCode(4000), "");
        Ok::<_, conduit::BoxError>(socket.send("hello").await.map_err(Context)?)
    })
}

#[test]
fn an_error_after_the_end_is_logged_unless_it_is_the_end() {
    log::listen();
    let client = TestClient::new(App::new(()).routes(routes![fails_after_the_end, passes_the_end_on]));
    let mut socket = client.websocket("/passes-the-end-on").open();
    assert_eq!(socket.closed(), Some(CloseCode(4000)));
    wait_for(|| client.resources().handlers == 0);
    drop(client.websocket("/fails-after-the-end").open());
    let line = log::line(|line| line["fields"]["error"] == "cannot store the result");
    assert_eq!(line["fields"]["message"], "the handler of a WebSocket failed");
    assert!(!log::text().contains("cannot send the greeting"));
}

#[get("/close")]
async fn closes(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move {
        // The queued message comes first.
        socket.send("last").await?;
        socket.close(CloseCode(4000), "bye");
        socket.send("late").await
    })
}

#[get("/returns")]
async fn returns(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move { socket.send("last").await })
}

#[get("/panics")]
async fn panics(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        let message = socket.recv().await;
        assert!(message.is_none(), "a mistake");
    })
}

#[get("/fails")]
async fn fails(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|_socket| async move { Err::<(), _>(conduit::BoxError::from("a failure")) })
}

#[get("/drops")]
async fn drops(upgrade: WebSocketUpgrade) -> Response {
    // The future does not capture the socket, so that the drop comes before its first poll.
    upgrade.on_upgrade(|_socket| async move { Ok::<(), conduit::BoxError>(()) })
}

#[test]
fn the_handlers_end_closes_the_websocket() {
    let client = TestClient::new(App::new(()).routes(routes![closes, returns, panics, fails, drops]));
    let mut socket = client.websocket("/close").open();
    assert_eq!(socket.recv().as_text(), Some("last"));
    assert_eq!(
        socket.recv_frame(),
        TestFrame::Close(Some(CloseCode(4000)), "bye".to_owned())
    );
    assert_eq!(socket.recv_frame(), TestFrame::End);
    let mut socket = client.websocket("/returns").open();
    assert_eq!(socket.recv().as_text(), Some("last"));
    assert_eq!(socket.closed(), Some(CloseCode::NORMAL));
    let mut socket = client.websocket("/panics").open();
    socket.send("now");
    assert_eq!(socket.closed(), Some(CloseCode::INTERNAL_ERROR));
    let mut socket = client.websocket("/drops").open();
    assert_eq!(socket.closed(), Some(CloseCode::NORMAL));
    let mut socket = client.websocket("/fails").open();
    assert_eq!(socket.closed(), Some(CloseCode::INTERNAL_ERROR));
    wait_for(|| client.resources().handlers == 0);
}

#[get("/once")]
async fn once(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        let _ = socket.recv().await;
    })
}

/// A client that does not respond to Close is disconnected.
#[test]
fn a_client_that_does_not_close_too_is_disconnected() {
    let client = TestClient::new(App::new(()).routes(routes![once]));
    let mut socket = client.websocket("/once").open();
    socket.send("now");
    wait_for(|| socket.connection().received().ends_with(b"\x88\x02\x03\xe8"));
    client.advance(Duration::from_secs(12));
    assert!(socket.connection().is_closed());
}

#[test]
fn pings_do_not_extend_the_time_for_the_close_of_the_client() {
    let client = TestClient::new(App::new(()).routes(routes![once]));
    let mut socket = client.websocket("/once").open();
    socket.send("now");
    wait_for(|| socket.connection().received().ends_with(b"\x88\x02\x03\xe8"));
    for _ in 0..2 {
        client.advance(Duration::from_secs(5));
        socket.send_frame(0x89, b"");
    }
    client.advance(Duration::from_secs(3));
    assert!(socket.connection().is_closed());
}

/// A handler that waits for something else.
#[get("/deaf")]
async fn deaf(upgrade: WebSocketUpgrade, ends: State<Ends>) -> Response {
    upgrade.on_upgrade(|_socket| async move {
        struct Reports(Sender<Option<WebSocketClosed>>);
        impl Drop for Reports {
            fn drop(&mut self) {
                let _ = self.0.send(None);
            }
        }
        let _reports = Reports(ends.0.0);
        std::future::pending::<()>().await;
    })
}

#[get("/deaf-abort", disconnect = "abort")]
async fn deaf_abort(upgrade: WebSocketUpgrade, ends: State<Ends>) -> Response {
    deaf(upgrade, ends).await
}

#[test]
fn a_handler_that_waits_for_something_else_is_dropped_after_its_connection() {
    let (sender, ends) = channel();
    let client = TestClient::new(App::new(Ends(sender)).routes(routes![deaf, deaf_abort]));
    drop(client.websocket("/deaf-abort").open());
    ends.recv_timeout(Duration::from_secs(30))
        .expect("it is dropped at once");
    drop(client.websocket("/deaf").open());
    wait_for(|| client.handle().statistics().open_websockets == 0);
    assert!(ends.try_recv().is_err());
    client.advance(Duration::from_secs(11));
    ends.recv_timeout(Duration::from_secs(30)).expect("it is dropped");
    wait_for(|| client.resources().handlers == 0);
}

#[test]
fn a_stop_closes_with_1001_after_the_queued_messages() {
    let (client, ends) = watching();
    let mut socket = client.websocket("/watch").open();
    client.handle().stop();
    assert_eq!(
        socket.recv_frame(),
        TestFrame::Close(Some(CloseCode::GOING_AWAY), "the server stops".to_owned())
    );
    assert_eq!(socket.recv_frame(), TestFrame::End);
    assert!(next(&ends).is_clean);
}

/// Reports times on the clock of the worker.
#[derive(Clone)]
struct Times(Sender<Instant>);

impl Times {
    fn report_now(&self) {
        // The test may have ended.
        let _ = self.0.send(Instant::now());
    }
}

/// Reports its end.
#[get("/timed")]
async fn timed(upgrade: WebSocketUpgrade, times: State<Times>) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while socket.recv().await.is_some() {}
        times.0.report_now();
    })
}

/// Reports its beginning, and keeps the server from its end.
#[get("/hold")]
async fn hold(times: State<Times>) {
    times.0.report_now();
    std::future::pending().await
}

/// Clients of a stopping server must not all reconnect within one second.
#[test]
fn a_stop_spreads_the_closes_of_many_websockets() {
    const SOCKETS: usize = 1000;
    /// The server closes 100 WebSockets a second.
    const INTERVAL: Duration = Duration::from_millis(10);
    let (sender, times) = channel();
    let client = TestClient::new(App::new(Times(sender)).routes(routes![timed, hold]));
    let mut open: Vec<TestWebSocket> = (0..SOCKETS).map(|_| client.websocket("/timed").open()).collect();
    let hold = client.get("/hold").start();
    let begin = times.recv_timeout(Duration::from_secs(30)).expect("the handler begins");
    wait_for(|| client.resources().handlers == SOCKETS + 1);
    client.handle().stop();
    for _ in 0..20 {
        client.advance(Duration::from_secs(1));
        open.retain_mut(|socket| {
            let waits = socket.connection().received().is_empty() && !socket.connection().is_closed();
            if !waits {
                assert_eq!(socket.closed(), Some(CloseCode::GOING_AWAY));
                assert_eq!(socket.recv_frame(), TestFrame::End);
            }
            waits
        });
    }
    assert!(open.is_empty(), "{} are open", open.len());
    wait_for(|| client.handle().statistics().open_websockets == 0 && client.resources().handlers == 1);
    // The clock also runs by itself, so that a close may be late by any time. None is early.
    let ends: Vec<Instant> = times.try_iter().collect();
    assert_eq!(ends.len(), SOCKETS);
    for (number, end) in (0..).zip(&ends) {
        assert!(*end >= begin + INTERVAL * number, "close {number} is early: {ends:?}");
    }
    hold.disconnect();
}

/// Accepts after the stop.
#[get("/later")]
async fn later(upgrade: WebSocketUpgrade, release: State<Arc<Notify>>) -> Response {
    release.notified().await;
    upgrade.on_upgrade(|mut socket| async move { while socket.recv().await.is_some() {} })
}

#[test]
fn a_websocket_that_opens_during_a_stop_is_closed_with_1001() {
    let release = Arc::new(Notify::new());
    let client = TestClient::new(App::new(Arc::clone(&release)).routes(routes![later]));
    let mut connection = client.connect();
    connection.send(
        b"GET /later HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
          sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    wait_for(|| client.resources().handlers == 1);
    client.handle().stop();
    client.advance(Duration::from_millis(100));
    release.notify_one();
    let mut received = Vec::new();
    let close = [&[0x88, 18][..], &1001_u16.to_be_bytes(), b"the server stops"].concat();
    while !received.ends_with(&close) {
        let more = connection.read(1024);
        assert!(
            !more.is_empty(),
            "closed after {:?}",
            String::from_utf8_lossy(&received)
        );
        received.extend(more);
    }
    assert!(received.starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn a_refused_page_drops_the_handler() {
    let client = echo_client();
    for _ in 0..3 {
        client
            .get("/echo")
            .header("origin", "https://example.org")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .send()
            .assert_status(403);
    }
    assert_eq!(client.handle().statistics().opened_websockets, 0);
}
