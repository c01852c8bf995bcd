//! Streams and stalls on encrypted connections.

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::Tls;
use conduit::prelude::*;
use futures_core::Stream;

use super::support::{start, wait_for};
use super::{Authority, connect, read_head};

/// A stream that is pending after its first piece, and counts its drop.
struct Quiet {
    dropped: Arc<AtomicU32>,
    has_begun: bool,
}

impl Stream for Quiet {
    type Item = Result<&'static str, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match std::mem::replace(&mut self.has_begun, true) {
            false => Poll::Ready(Some(Ok("first"))),
            true => Poll::Pending,
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, SeqCst);
    }
}

#[get("/quiet")]
async fn quiet(dropped: State<Arc<AtomicU32>>) -> Body {
    Body::from_stream(Quiet {
        dropped: Arc::clone(&dropped),
        has_begun: false,
    })
}

#[test]
fn a_pending_stream_is_dropped_when_its_encrypted_connection_is_reset() {
    const RESETS: u32 = 10;
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let dropped = Arc::new(AtomicU32::new(0));
    let app = App::new(Arc::clone(&dropped)).routes(routes![quiet]).workers(1);
    let server = app.tls(Tls::pem(chain, key)).listen("127.0.0.1:0");
    let running = start(server.expect("it listens"));
    let config = Arc::new(authority.client());
    for _ in 0..RESETS {
        let mut stream = connect(running.address, &config, "localhost");
        stream
            .write_all(b"GET /quiet HTTP/1.1\r\nhost: test\r\n\r\n")
            .expect("taken");
        read_head(&mut stream).expect("the response has begun");
        rustix::net::sockopt::set_socket_linger(&stream.sock, Some(Duration::ZERO)).expect("an option");
    }
    wait_for(|| dropped.load(SeqCst) == RESETS);
    wait_for(|| running.handle().statistics().open_connections == 0);
}

#[cfg(feature = "testing")]
mod stall {
    use std::sync::Barrier;

    use super::*;
    use crate::support::stall;

    const DEADLINE: Duration = Duration::from_secs(15 * 60);

    /// The deadline of a handshake is over when the worker continues, and its bytes have been in the kernel all the time.
    #[test]
    fn a_client_hello_that_arrives_while_the_worker_is_stalled_is_served() {
        let authority = Authority::new();
        let (chain, key) = authority.issue("localhost");
        let barrier = Arc::new(Barrier::new(2));
        let app = App::new(Arc::clone(&barrier)).routes(routes![stall]).workers(1);
        let app = app.tls(Tls::pem(chain, key)).handshake_timeout(DEADLINE);
        let running = start(app.listen("127.0.0.1:0").expect("it listens"));
        let config = Arc::new(authority.client());
        let mut stalls = connect(running.address, &config, "localhost");
        stalls.flush().expect("the handshake succeeds");
        let (mut whole, mut begun) = (
            connect(running.address, &config, "localhost"),
            connect(running.address, &config, "localhost"),
        );
        // The other part of this hello arrives later.
        let mut hello = Vec::new();
        begun.conn.write_tls(&mut hello).expect("a vector takes it");
        let (first, rest) = hello.split_at(100);
        begun.sock.write_all(first).expect("taken");
        wait_for(|| running.handle().statistics().open_connections == 3);
        stalls
            .write_all(b"GET /stall HTTP/1.1\r\nhost: test\r\n\r\n")
            .expect("taken");
        barrier.wait();
        send_hello(&mut whole);
        begun.sock.write_all(rest).expect("taken");
        barrier.wait();
        for stream in [&mut whole, &mut begun, &mut stalls] {
            stream.flush().expect("the handshake succeeds");
        }
        let head = read_head(&mut stalls).expect("a response");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }

    /// Sends the first message of a client without waiting for the response.
    fn send_hello(stream: &mut super::super::Stream) {
        let sent = stream.conn.write_tls(&mut stream.sock).expect("taken");
        assert!(sent > 0 && !stream.conn.wants_write());
    }
}
