//! WebSockets on streams of HTTP/2 (RFC 8441): the same handlers, limits and deadlines as in HTTP/1.1.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::websocket::{CloseCode, DeflateConfig, WebSocketClosed};
use conduit::{Limit, WebSocket, WebSocketUpgrade};
use conduit_proto::h2::ErrorCode;
use tokio::sync::Notify;

use crate::client::Client;
use crate::frames::{
    self, END_HEADERS, END_STREAM, HEADERS, Received, block, data, frame, get, last_data, window_update,
};
use crate::ws_frames::{self, ServerFrame};

const LARGE: usize = 300_000;

/// Reports the end of each WebSocket; the handler of `/later` waits for the notification.
#[derive(Clone)]
struct Shared {
    ends: Sender<Option<WebSocketClosed>>,
    release: std::sync::Arc<Notify>,
}

async fn echo_messages(mut socket: WebSocket) -> Result<(), WebSocketClosed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

#[get("/echo")]
async fn echo(upgrade: WebSocketUpgrade, shared: State<Shared>) -> Response {
    let ends = shared.ends.clone();
    upgrade
        .subprotocols(["chat"])
        .compression(DeflateConfig {
            least_bytes: 1,
            ..DeflateConfig::default()
        })
        .on_upgrade(|mut socket| async move {
            while let Some(message) = socket.recv().await {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
            while socket.recv().await.is_some() {}
            // The test may have ended.
            let _ = ends.send(socket.end().cloned());
        })
}

/// Accepts after other requests.
#[get("/later")]
async fn later(upgrade: WebSocketUpgrade, shared: State<Shared>) -> Response {
    shared.release.notified().await;
    upgrade.on_upgrade(echo_messages)
}

/// Sends a large message and then a small one.
#[get("/large")]
async fn large(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        socket.send(vec![b'l'; LARGE]).await?;
        socket.send("done").await?;
        while socket.recv().await.is_some() {}
        Ok::<_, WebSocketClosed>(())
    })
}

/// Receives one message for each notification.
#[get("/slow")]
async fn slow(upgrade: WebSocketUpgrade, shared: State<Shared>) -> Response {
    let release = shared.release.clone();
    upgrade.on_upgrade(|mut socket| async move {
        let mut count = 0;
        loop {
            release.notified().await;
            for _ in 0..50 {
                if socket.recv().await.is_none() {
                    return Ok::<_, WebSocketClosed>(());
                }
                count += 1;
            }
            socket.send(format!("{count}")).await?;
        }
    })
}

/// Counts the messages before an empty one, and has room for one.
#[get("/counting")]
async fn counting(upgrade: WebSocketUpgrade) -> Response {
    upgrade.queue_limit(1).on_upgrade(|mut socket| async move {
        let mut count = 0;
        while let Some(message) = socket.recv().await {
            if message.as_bytes().is_empty() {
                break;
            }
            count += 1;
        }
        socket.send(count.to_string()).await
    })
}

#[get("/close")]
async fn closes(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|_| async {})
}

/// A waker of the application that panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("the waker panics");
    }
}

/// Waits for a message with a waker that panics, and then with its own.
#[get("/panicking-waker")]
async fn panicking_waker(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        socket.send("begin").await?;
        let waker = Waker::from(Arc::new(Panics));
        let mut gets_one = pin!(socket.recv());
        let polled = gets_one.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        poll_fn(|_| Poll::<()>::Pending).await;
        Ok::<_, WebSocketClosed>(())
    })
}

#[get("/text")]
fn text() -> &'static str {
    "text"
}

#[get("/optional")]
async fn optional(upgrade: Option<WebSocketUpgrade>) -> String {
    format!("{}", upgrade.is_some())
}

struct Fixture {
    server: TestClient,
    ends: Receiver<Option<WebSocketClosed>>,
    release: std::sync::Arc<Notify>,
}

fn fixture() -> Fixture {
    let (sender, ends) = channel();
    let release = std::sync::Arc::new(Notify::new());
    let shared = Shared {
        ends: sender,
        release: release.clone(),
    };
    let app = App::new(shared)
        .routes(routes![
            echo,
            later,
            large,
            slow,
            counting,
            closes,
            panicking_waker,
            text,
            optional
        ])
        .minimum_rate(1024, Duration::from_secs(30));
    Fixture {
        server: TestClient::new(app),
        ends,
        release,
    }
}

impl Fixture {
    #[track_caller]
    fn end(&self) -> WebSocketClosed {
        let end = self
            .ends
            .recv_timeout(Duration::from_secs(30))
            .expect("the handler ends");
        end.expect("the WebSocket has ended")
    }
}

/// An extended CONNECT.
fn connect(stream: u32, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", path),
        (":authority", "example.org"),
        ("sec-websocket-version", "13"),
    ];
    frame(HEADERS, END_HEADERS, stream, &block(&[&pseudo, fields].concat()))
}

fn head(client: &mut Client, stream: u32) -> (Vec<(String, String)>, bool) {
    let head = client.read_until(|frame| matches!(frame, Received::Head { stream: other, .. } if *other == stream));
    let Received::Head { fields, end_stream, .. } = head else {
        unreachable!()
    };
    (fields, end_stream)
}

#[track_caller]
fn open(client: &mut Client, stream: u32, path: &str) {
    client.send(&connect(stream, path, &[]));
    let (fields, end_stream) = head(client, stream);
    assert_eq!((fields[0].1.as_str(), end_stream), ("200", false), "{fields:?}");
}

/// The bytes of the stream's DATA, until they are complete frames that satisfy the condition, or the stream ends.
#[track_caller]
fn receive(client: &mut Client, stream: u32, is_enough: impl Fn(&[ServerFrame]) -> bool) -> (Vec<ServerFrame>, bool) {
    let mut bytes = Vec::new();
    loop {
        let received =
            client.read_until(|frame| matches!(frame, Received::Data { stream: other, .. } if *other == stream));
        let Received::Data {
            bytes: more,
            end_stream,
            ..
        } = received
        else {
            unreachable!()
        };
        bytes.extend(more);
        let frames = whole(&bytes);
        if end_stream || frames.as_deref().is_some_and(&is_enough) {
            return (frames.expect("whole frames"), end_stream);
        }
    }
}

/// The frames in these bytes, if the last one is whole.
fn whole(bytes: &[u8]) -> Option<Vec<ServerFrame>> {
    let mut rest = bytes;
    while let [_, second, after @ ..] = rest {
        let (length, after) = match second {
            126 => (u16::from_be_bytes(*after.first_chunk()?).into(), &after[2..]),
            127 => (u64::from_be_bytes(*after.first_chunk()?), &after[8..]),
            _ => (u64::from(*second), after),
        };
        rest = after.get(length as usize..)?;
    }
    rest.is_empty().then(|| ws_frames::parse(bytes))
}

#[track_caller]
fn next(client: &mut Client, stream: u32) -> ServerFrame {
    receive(client, stream, |frames| !frames.is_empty()).0.remove(0)
}

#[track_caller]
fn assert_echo(client: &mut Client, stream: u32, message: &str) {
    client.send(&data(stream, &ws_frames::text(message)));
    assert_eq!(next(client, stream), (0x81, message.as_bytes().to_vec()));
}

#[test]
fn messages_pass_in_both_directions_next_to_requests() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    let settings = client.read_until(|frame| matches!(frame, Received::Settings(_)));
    assert!(matches!(settings, Received::Settings(settings) if settings.contains(&(8, 1))));
    client.send(&connect(1, "/echo", &[("origin", "https://elsewhere.example")]));
    assert_eq!(client.response(1).status, 403, "a page of another origin");
    client.send(&connect(
        3,
        "/echo",
        &[
            ("origin", "https://example.org"),
            ("sec-websocket-protocol", "mail, chat"),
        ],
    ));
    let (fields, end_stream) = head(&mut client, 3);
    assert!(!end_stream);
    let names: Vec<_> = fields.iter().map(|(name, _)| &name[..]).collect();
    assert_eq!(names, [":status", "sec-websocket-protocol", "date"]);
    assert_eq!((&fields[0].1[..], &fields[1].1[..]), ("200", "chat"));
    assert_echo(&mut client, 3, "hello");
    open(&mut client, 5, "/echo");
    assert_eq!(client.get(7, "/text").text(), "text");
    client.send(&data(3, &[ws_frames::ping(b"ping"), ws_frames::text("after")].concat()));
    let (frames, _) = receive(&mut client, 3, |frames| frames.len() == 2);
    assert_eq!(frames, [(0x8a, b"ping".to_vec()), (0x81, b"after".to_vec())]);
    assert_echo(&mut client, 5, "another stream");
    assert_eq!(fixture.server.handle().statistics().open_websockets, 2);
    while fixture.server.resources().buffer_bytes > 0 {
        // A quiet WebSocket has no buffer once the turn has ended.
        fixture.server.advance(Duration::ZERO);
    }
    // The client closes: Close, and then the end of the stream.
    client.send(&data(3, &ws_frames::close(4001, b"enough")));
    let (frames, end_stream) = receive(&mut client, 3, |_| false);
    assert_eq!(
        (frames, end_stream),
        (vec![(0x88, 4001_u16.to_be_bytes().to_vec())], true)
    );
    client.read_until(|frame| *frame == Received::Reset(3, ErrorCode::NO_ERROR));
    let end = fixture.end();
    assert_eq!(
        (end.code, &end.reason[..], end.is_clean),
        (Some(CloseCode(4001)), "enough", true)
    );
    assert_echo(&mut client, 5, "the other stream continues");
}

#[test]
fn a_request_without_a_websocket_gets_no_2xx() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    for (stream, path, status) in [(1, "/text", 501), (3, "/missing", 404), (5, "/optional", 501)] {
        client.send(&connect(stream, path, &[]));
        assert_eq!(client.response(stream).status, status, "{path}");
    }
    let fields = |protocol, version| {
        [
            (":method", "CONNECT"),
            (":protocol", protocol),
            (":scheme", "https"),
            (":path", "/echo"),
            (":authority", "example.org"),
            ("sec-websocket-version", version),
        ]
    };
    for (stream, protocol, version, status) in [(7, "connect-udp", "13", 501), (9, "websocket", "8", 426)] {
        client.send(&frame(HEADERS, END_HEADERS, stream, &block(&fields(protocol, version))));
        assert_eq!(client.response(stream).status, status, "{protocol}");
    }
    // A GET over HTTP/2 is not an upgrade.
    client.send(&frames::request(
        11,
        &[&frames::pseudo("GET", "/echo")[..], &[("sec-websocket-version", "13")]].concat(),
    ));
    assert_eq!(client.response(11).status, 426);
    assert_eq!(fixture.server.handle().statistics().open_websockets, 0);
}

#[test]
fn messages_are_compressed_where_the_client_offers_it() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    client.send(&connect(
        1,
        "/echo",
        &[("sec-websocket-extensions", "permessage-deflate")],
    ));
    let (fields, _) = head(&mut client, 1);
    assert!(
        fields
            .iter()
            .any(|(name, value)| name == "sec-websocket-extensions" && value.contains("permessage-deflate"))
    );
    // RFC 7692, section 7.2.3.1.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    client.send(&data(1, &ws_frames::frame(0xc1, &hello)));
    assert_eq!(next(&mut client, 1), (0xc1, hello.to_vec()));
}

#[test]
fn a_message_waits_for_the_windows() {
    let fixture = fixture();
    let mut client = Client::with_settings(&fixture.server, &[(4, 1000)]);
    open(&mut client, 1, "/large");
    let mut bytes = Vec::new();
    while whole(&bytes).is_none_or(|frames| frames.len() < 2) {
        let Received::Data { bytes: more, .. } = client.read_until(|frame| matches!(frame, Received::Data { .. }))
        else {
            unreachable!()
        };
        assert!(more.len() <= 1000);
        client.send(&[window_update(0, more.len() as u32), window_update(1, more.len() as u32)].concat());
        bytes.extend(more);
    }
    let frames = ws_frames::parse(&bytes);
    assert_eq!(frames[0].1, vec![b'l'; LARGE]);
    assert_eq!(frames[1], (0x81, b"done".to_vec()));
}

#[test]
fn a_handler_that_lags_pauses_only_its_client() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    open(&mut client, 1, "/slow");
    open(&mut client, 3, "/echo");
    // As much as the window of the stream permits at first.
    let message = ws_frames::text(&"m".repeat(1000));
    let mut window = 65_535 - message.len();
    let mut sent = 0;
    for _ in 0..400 {
        client.take_in();
        client.frames.retain(|frame| {
            let opened = match frame {
                Received::WindowUpdate(1, bytes) => *bytes as usize,
                _ => return true,
            };
            window += opened;
            false
        });
        if window < message.len() {
            break;
        }
        client.send(&data(1, &message));
        window -= message.len();
        sent += 1;
    }
    assert!((60..400).contains(&sent), "{sent} messages");
    assert!(fixture.server.resources().buffer_bytes < 400_000);
    assert_echo(&mut client, 3, "not affected");
    let mut count = 0;
    while count + 50 <= sent {
        count += 50;
        fixture.release.notify_one();
        assert_eq!(next(&mut client, 1), (0x81, count.to_string().into_bytes()));
    }
    client.read_until(|frame| matches!(frame, Received::WindowUpdate(1, _)));
}

/// No further event continues a handler that is polled for each of the messages.
#[test]
fn a_handler_gets_all_messages_of_a_read_one_at_a_time() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    open(&mut client, 1, "/counting");
    let messages = ws_frames::text("m").repeat(100);
    client.send(&data(1, &[messages, ws_frames::text("")].concat()));
    assert_eq!(next(&mut client, 1), (0x81, b"100".to_vec()));
}

#[test]
fn messages_before_the_response_wait_for_it() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    client.send(&[connect(1, "/later", &[]), data(1, &ws_frames::text("early"))].concat());
    assert_eq!(client.get(3, "/text").text(), "text");
    fixture.release.notify_one();
    assert_eq!(head(&mut client, 1).0[0].1, "200");
    assert_eq!(next(&mut client, 1), (0x81, b"early".to_vec()));
}

#[test]
fn a_client_that_vanishes_ends_the_handler() {
    let fixture = fixture();
    for way in 0..4 {
        let mut client = Client::open(&fixture.server);
        open(&mut client, 1, "/echo");
        assert_echo(&mut client, 1, "hello");
        match way {
            0 => client.send(&frames::reset(1, ErrorCode::CANCEL)),
            1 => client.connection.end(),
            2 => drop(client),
            _ => {
                client.send(&last_data(1, b""));
                assert_eq!(receive(&mut client, 1, |_| false), (vec![], true));
            }
        }
        let end = fixture.end();
        assert_eq!((end.code, end.is_clean), (None, false));
    }
    assert_eq!(fixture.server.handle().statistics().open_websockets, 0);
}

#[test]
fn a_panic_of_a_waker_interrupts_no_connection() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    open(&mut client, 1, "/panicking-waker");
    assert_eq!(next(&mut client, 1), (0x81, b"begin".to_vec()));
    client.send(&data(1, &ws_frames::text("hello")));
    open(&mut client, 3, "/echo");
    assert_echo(&mut client, 3, "after the panic");
    assert_eq!(fixture.server.handle().statistics().open_websockets, 2);
}

#[test]
fn a_broken_rule_closes_the_websocket_and_not_the_connection() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    for (stream, bytes, code) in [
        (1, ws_frames::frame(0x83, b""), CloseCode::PROTOCOL_ERROR),
        (3, ws_frames::frame(0x81, b"\xff"), CloseCode::INVALID_PAYLOAD),
        (
            5,
            ws_frames::frame(0x82, &vec![0; 1_100_000])[..5000].to_vec(),
            CloseCode::TOO_BIG,
        ),
    ] {
        open(&mut client, stream, "/echo");
        client.send(&data(stream, &bytes));
        let (frames, end_stream) = receive(&mut client, stream, |_| false);
        assert_eq!(
            (frames[0].0, &frames[0].1[..2], end_stream),
            (0x88, &code.0.to_be_bytes()[..], true)
        );
        assert_eq!(fixture.end().code, Some(code));
    }
    assert_eq!(
        fixture.server.handle().statistics().limit_hits(Limit::WebSocketMessage),
        1
    );
    assert_eq!(client.get(7, "/text").text(), "text");
}

#[test]
fn a_silent_client_gets_a_ping_and_its_stream_a_reset() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    open(&mut client, 1, "/echo");
    open(&mut client, 3, "/echo");
    fixture.server.advance(Duration::from_secs(25));
    client.take_in();
    let is_data = |frame: &Received| matches!(frame, Received::Data { .. });
    assert!(!client.frames.iter().any(is_data));
    for turn in 0..6 {
        // Other frames keep only the connection.
        fixture.server.advance(Duration::from_secs(35));
        client.send(&get(5 + 2 * turn, "/text"));
        assert_eq!(client.response(5 + 2 * turn).status, 200);
        assert_eq!(next(&mut client, 1), (0x89, vec![]));
        client.send(&data(1, &ws_frames::frame(0x8a, b"")));
    }
    client.read_until(|frame| *frame == Received::Reset(3, ErrorCode::CANCEL));
    assert_eq!(fixture.server.handle().statistics().limit_hits(Limit::WebSocketTime), 1);
    assert_echo(&mut client, 1, "alive");
}

/// Buffered bytes are no sign of life: the server sends one ping, and then waits for the Pong until its deadline.
#[test]
fn a_silent_client_that_has_sent_a_part_of_a_frame_gets_one_ping() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    open(&mut client, 1, "/echo");
    client.send(&data(1, &[0x81]));
    let ping = || Received::Data {
        stream: 1,
        bytes: vec![0x89, 0],
        end_stream: false,
    };
    fixture.server.advance(Duration::from_secs(35));
    client.read_until(|frame| *frame == ping());
    // Each request of the connection continues its WebSockets.
    for stream in [3, 5] {
        assert_eq!(client.get(stream, "/text").status, 200);
    }
    fixture.server.advance(Duration::from_secs(65));
    client.read_until(|frame| *frame == Received::Reset(1, ErrorCode::CANCEL));
    assert!(!client.frames.contains(&ping()), "{:?}", client.frames);
    assert_eq!(fixture.server.handle().statistics().limit_hits(Limit::WebSocketTime), 1);
}

/// A message that drips in closes its WebSocket, and not the connection.
#[test]
fn a_message_that_arrives_too_slowly_closes_its_websocket() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    open(&mut client, 1, "/echo");
    open(&mut client, 3, "/echo");
    client.send(&data(1, &ws_frames::frame(0x01, b"begins")));
    for _ in 0..5 {
        client.send(&data(1, &ws_frames::frame(0x00, b"drips")));
        fixture.server.advance(Duration::from_secs(5));
        assert_echo(&mut client, 3, "alive");
    }
    client.take_in();
    assert_eq!(fixture.server.handle().statistics().limit_hits(Limit::BodyRate), 0);
    client.send(&data(1, &ws_frames::frame(0x00, b"drips")));
    fixture.server.advance(Duration::from_secs(10));
    let (opcode, payload) = next(&mut client, 1);
    assert_eq!((opcode, &payload[..2]), (0x88, &1008_u16.to_be_bytes()[..]));
    assert_eq!(fixture.server.handle().statistics().limit_hits(Limit::BodyRate), 1);
    assert_echo(&mut client, 3, "alive");
}

#[test]
fn a_websocket_whose_client_has_ended_its_half_ends() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    let mut ended = connect(1, "/echo", &[]);
    ended[4] |= END_STREAM;
    client.send(&ended);
    let (fields, end_stream) = head(&mut client, 1);
    assert_eq!((fields[0].1.as_str(), end_stream), ("200", false));
    let end = fixture.end();
    assert_eq!((end.code, end.is_clean), (None, false));
    assert_eq!(fixture.server.handle().statistics().open_websockets, 0);
}

#[test]
fn a_client_that_does_not_close_or_read_is_reset() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    open(&mut client, 1, "/close");
    assert_eq!(next(&mut client, 1), (0x88, 1000_u16.to_be_bytes().to_vec()));
    fixture.server.advance(Duration::from_secs(20));
    client.read_until(|frame| *frame == Received::Reset(1, ErrorCode::CANCEL));
    // A window that stays closed.
    let mut client = Client::with_settings(&fixture.server, &[(4, 1000)]);
    open(&mut client, 1, "/large");
    fixture.server.advance(Duration::from_secs(20));
    fixture.server.advance(Duration::from_secs(20));
    client.read_until(|frame| *frame == Received::Reset(1, ErrorCode::CANCEL));
    assert_eq!(fixture.server.handle().statistics().limit_hits(Limit::WriteRate), 1);
    assert_eq!(fixture.server.handle().statistics().open_websockets, 0);
}

#[test]
fn pings_do_not_extend_the_time_for_the_close_of_the_client() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    open(&mut client, 1, "/close");
    assert_eq!(next(&mut client, 1), (0x88, 1000_u16.to_be_bytes().to_vec()));
    for _ in 0..2 {
        fixture.server.advance(Duration::from_secs(5));
        client.send(&data(1, &ws_frames::ping(b"")));
    }
    fixture.server.advance(Duration::from_secs(3));
    client.take_in();
    let reset = Received::Reset(1, ErrorCode::CANCEL);
    assert!(client.frames.contains(&reset), "{:?}", client.frames);
}

#[test]
fn a_stop_closes_websockets_with_1001_and_drains_the_connection() {
    let fixture = fixture();
    let mut client = Client::open(&fixture.server);
    open(&mut client, 1, "/echo");
    open(&mut client, 3, "/echo");
    fixture.server.handle().stop();
    for stream in [1, 3] {
        let (code, payload) = next(&mut client, stream);
        assert_eq!((code, &payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
        client.send(&data(stream, &ws_frames::close(1001, b"")));
    }
    let ping = client.read_until(|frame| matches!(frame, Received::Ping(_)));
    let Received::Ping(payload) = ping else { unreachable!() };
    client.send(&frame(frames::PING, frames::ACK, 0, &payload));
    let frames = client.rest();
    assert!(frames.contains(&Received::GoAway(3, ErrorCode::NO_ERROR)), "{frames:?}");
    for _ in 0..2 {
        let end = fixture.end();
        assert_eq!((end.code, end.is_clean), (Some(CloseCode::GOING_AWAY), true));
    }
}

#[test]
fn frames_may_be_split_at_every_byte() {
    let messages = [
        ws_frames::text("first"),
        ws_frames::frame(0x01, b"in two "),
        ws_frames::ping(b"p"),
        ws_frames::frame(0x80, b"pieces"),
        ws_frames::close(1000, b""),
    ]
    .concat();
    let expected = [
        (0x81, b"first".to_vec()),
        (0x8a, b"p".to_vec()),
        (0x81, b"in two pieces".to_vec()),
    ];
    for cut in 0..messages.len() {
        let fixture = fixture();
        let mut client = Client::open(&fixture.server);
        open(&mut client, 1, "/echo");
        let (first, second) = messages.split_at(cut);
        client.send(&data(1, first));
        // All messages are echoed before the Close only if the handler runs in between, so the test waits for the echoes.
        client.send(&data(1, second));
        let (frames, end_stream) = receive(&mut client, 1, |_| false);
        assert!(end_stream);
        for frame in &frames[..frames.len() - 1] {
            assert!(expected.contains(frame), "{frame:?} at {cut}");
        }
        assert_eq!(frames.last(), Some(&(0x88, 1000_u16.to_be_bytes().to_vec())));
        assert!(fixture.end().is_clean);
    }
}
