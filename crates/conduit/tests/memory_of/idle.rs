//! The memory of idle connections of each kind, as the allocator counts it on their worker.

use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};

use conduit::Events;
use conduit::prelude::*;

use crate::stream_sender::StreamSender;
use crate::support::{self, Running};
use crate::{Count, PLAINTEXT, counted};

pub(crate) const ROUTES: Routes<&'static Count> = routes![
    events,
    "/topics" => TOPICS,
    "/sockets" => SOCKETS,
];

#[cfg(feature = "hub")]
const TOPICS: Routes<&'static Count> = routes![news::all];
#[cfg(not(feature = "hub"))]
const TOPICS: Routes<&'static Count> = routes![];

#[cfg(feature = "websocket")]
const SOCKETS: Routes<&'static Count> = routes![sockets::echo];
#[cfg(not(feature = "websocket"))]
const SOCKETS: Routes<&'static Count> = routes![];

/// The number of concurrent waiting connections.
const IDLE: usize = 2_000;

/// Opens `IDLE` connections, each of which has been served once.
pub(crate) fn idle_connections(server: &Running, request: &str) -> Vec<support::Client> {
    let mut connections: Vec<_> = (0..IDLE).map(|_| server.connect()).collect();
    for client in &mut connections {
        client.send(request);
        assert!(client.head().starts_with("HTTP/1.1 200 "));
    }
    connections
}

/// The bytes of heap for each of `IDLE` connections that a call opens on a server.
fn bytes_of_each<T>(kind: &str, open: impl FnOnce(&Running) -> T) -> i64 {
    let (server, count) = counted();
    let before = count.live_bytes.load(SeqCst);
    let _open = open(&server);
    let each = (count.live_bytes.load(SeqCst) - before) / IDLE as i64;
    eprintln!("{each} bytes of heap for each of {IDLE} {kind}");
    each
}

#[test]
fn an_idle_connection_holds_at_most_400_bytes() {
    let each = bytes_of_each("idle connections", |server| idle_connections(server, PLAINTEXT));
    assert!(each <= 400, "{each} bytes for an idle connection");
}

#[test]
fn an_idle_connection_of_http_2_holds_at_most_2_kib() {
    let each = bytes_of_each("idle connections of HTTP/2", |server| {
        let connection = |_| {
            let mut sender = StreamSender::new(server, "/plaintext", b"");
            sender.exchange(1);
            sender
        };
        (0..IDLE).map(connection).collect::<Vec<_>>()
    });
    assert!(each <= 2048, "{each} bytes for an idle connection");
}

struct Quiet;
impl futures_core::Stream for Quiet {
    type Item = u32;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u32>> {
        Poll::Pending
    }
}

#[get("/events")]
async fn events() -> Events<u32> {
    Events::new(Quiet)
}

#[cfg(feature = "hub")]
mod news {
    use std::sync::LazyLock;

    use conduit::hub::{Access, Hub, StartFrom, TopicFamily};

    use super::*;

    struct News;

    impl TopicFamily for News {
        const NAME: &'static str = "news";
        type Message = u32;
        type Client = ();

        async fn authorize(_: &(), _: &str) -> Result<Access, Problem> {
            Ok(Access::PublishAndSubscribe)
        }
    }

    #[get("/all")]
    pub(super) async fn all() -> Result<Events<u32>, Problem> {
        static HUB: LazyLock<Hub> = LazyLock::new(Hub::new);
        let news = HUB.authorize::<News>(&(), "all").await?;
        Ok(news.events(StartFrom::Now).await?)
    }

    #[test]
    fn idle_event_stream_of_a_topic_holds_at_most_700_bytes() {
        let each = bytes_of_each("idle event streams of a topic", |server| {
            idle_connections(server, "GET /idle/topics/all HTTP/1.1\r\nhost: test\r\n\r\n")
        });
        assert!(each <= 700, "{each} bytes for an idle event stream of a topic");
    }
}

#[test]
fn idle_event_stream_holds_at_most_640_bytes() {
    let each = bytes_of_each("idle event streams", |server| {
        idle_connections(server, "GET /idle/events HTTP/1.1\r\nhost: test\r\n\r\n")
    });
    assert!(each <= 640, "{each} bytes for an idle event stream");
}

#[cfg(feature = "websocket")]
mod sockets {
    use std::io::Read as _;

    use super::*;

    #[get("/echo")]
    pub(super) async fn echo(upgrade: conduit::WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(message) = socket.recv().await {
                socket.send(message).await?;
            }
            Ok::<_, conduit::websocket::WebSocketClosed>(())
        })
    }

    #[test]
    fn idle_websocket_holds_at_most_680_bytes() {
        let handshake = "GET /idle/sockets/echo HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
            sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let each = bytes_of_each("idle WebSockets", |server| {
            let connection = |_| {
                let mut client = server.connect();
                client.send(handshake);
                assert!(client.head().starts_with("HTTP/1.1 101 "));
                // "Hello" with a mask (RFC 6455, section 5.7).
                client.send(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
                let mut echo = [0; 7];
                client.duplicate().read_exact(&mut echo).expect("the echo");
                assert_eq!(&echo, b"\x81\x05Hello");
                client
            };
            (0..IDLE).map(connection).collect::<Vec<_>>()
        });
        assert!(each <= 680, "{each} bytes for an idle WebSocket");
    }
}
