//! The number of sends of a connection, counted on connections in memory while the clock of the server is stopped.

use std::sync::Mutex;

use conduit::testing::{TestClient, TestConnection};

use super::*;

/// The lock that a test holds while the clock is stopped.
#[derive(Clone, Default)]
struct StoppedClock(Arc<Mutex<()>>);

/// Stops the clock of the worker until the test releases the lock. An idle tokio moves a paused clock to the next timer, unless
/// a blocking task runs.
#[post("/stop-clock")]
async fn stop_clock(stopped: State<StoppedClock>) {
    tokio::time::pause();
    let stopped = stopped.0.clone();
    tokio::task::spawn_blocking(move || drop(stopped.0.lock()));
}

fn server(authority: &Authority, clock: &StoppedClock) -> TestClient {
    let (chain, key) = authority.issue("localhost");
    let app = App::new(clock.clone()).routes(routes![hello, stop_clock]);
    TestClient::new(app.tls(Tls::pem(chain, key)))
}

/// A connection as a stream for rustls.
struct Memory(TestConnection);

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.0.read(buffer.len());
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.send(bytes) {
            true => Ok(bytes.len()),
            false => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Makes one request after the handshake and `between`. Returns the kind of the handshake and the number of the server's sends.
fn sends_of_one_request(
    server: &TestClient,
    config: &Arc<ClientConfig>,
    between: impl FnOnce(),
) -> (Option<HandshakeKind>, usize) {
    let name = ServerName::try_from("localhost").expect("a name");
    let conn = ClientConnection::new(Arc::clone(config), name).expect("a client");
    let mut stream = StreamOwned::new(conn, Memory(server.connect_tls()));
    // The end of the handshake is sent before the request.
    stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    between();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .expect("taken");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer and the end of TLS");
    assert!(answer.ends_with("encrypted: true"), "{answer}");
    (stream.conn.handshake_kind(), stream.sock.0.server_sends())
}

#[test]
fn a_connection_with_one_request_takes_two_sends() {
    let authority = Authority::new();
    let clock = StoppedClock::default();
    let server = server(&authority, &clock);
    let _stopped = clock.0.lock();
    assert_eq!(server.post("/stop-clock").send().status(), 200);
    let sends = |config: &Arc<ClientConfig>| sends_of_one_request(&server, config, || {});
    let tls13 = || Arc::new(authority.configure(&[&rustls::version::TLS13], None));
    for _ in 0..4 {
        assert_eq!(sends(&tls13()), (Some(HandshakeKind::Full), 2));
    }
    let shared = tls13();
    sends(&shared);
    for _ in 0..4 {
        assert_eq!(sends(&shared), (Some(HandshakeKind::Resumed), 2));
    }
    // The client of TLS 1.2 waits for the end of the handshake before its request.
    let tls12 = Arc::new(authority.configure(&[&rustls::version::TLS12], None));
    assert_eq!(sends(&tls12), (Some(HandshakeKind::Full), 3));
}

#[test]
fn tickets_do_not_wait_for_a_request_that_comes_late() {
    let authority = Authority::new();
    let server = server(&authority, &StoppedClock::default());
    let config = Arc::new(authority.configure(&[&rustls::version::TLS13], None));
    let between = || server.advance(Duration::from_secs(2));
    assert_eq!(
        sends_of_one_request(&server, &config, between),
        (Some(HandshakeKind::Full), 3)
    );
}
