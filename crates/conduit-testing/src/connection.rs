//! A raw connection, for bytes that are not a well-formed request.

use std::fmt;
use std::io;

use super::wire::Wire;

/// A connection that sends exactly the bytes of the test, to test clients that are slow, silent or invalid;
/// [`TestClient::connect`](super::TestClient::connect) opens it. Dropping it closes the connection.
///
/// In process, with [`TestClient::advance`](super::TestClient::advance), a test does not wait: the server has processed all
/// bytes that were sent before when `advance` returns.
///
/// # Example
///
/// A client that never completes the head of its request receives an error and is disconnected:
///
/// ```
/// use std::time::Duration;
///
/// use conduit::prelude::*;
/// use conduit::testing::TestClient;
///
/// let client = TestClient::new(App::new(()).routes(routes![]).head_timeout(Duration::from_secs(600)));
/// let mut connection = client.connect();
/// assert!(connection.send("GET / HTTP/1.1\r\nhost: te"));
/// client.advance(Duration::from_secs(300));
/// assert!(!connection.is_closed());
/// client.advance(Duration::from_secs(400));
/// assert!(connection.received().starts_with(b"HTTP/1.1 408 "));
/// ```
pub struct TestConnection {
    wire: Wire,
    received: Vec<u8>,
    ended: bool,
    is_reset: bool,
}

impl TestConnection {
    pub(super) fn new(wire: Wire) -> Self {
        TestConnection {
            wire,
            received: Vec::new(),
            ended: false,
            is_reset: false,
        }
    }

    /// Sends these bytes, and waits for a slow server. Returns false if the server has closed the connection, or if it has read
    /// nothing for 30 s: [`send_now`](Self::send_now) does not wait.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends as many of these bytes as the server has room for, without waiting, and returns their number; `None` if the
    /// server has closed the connection.
    pub fn send_now(&mut self, bytes: impl AsRef<[u8]>) -> Option<usize> {
        self.wire.write_now(bytes.as_ref()).ok()
    }

    /// Takes at most `most` received bytes, without waiting for more.
    pub fn read_now(&mut self, most: usize) -> Vec<u8> {
        if self.received.is_empty() && !self.ended {
            // An error means that no bytes have arrived.
            let _ = self.take(most, Wire::read_now);
        }
        let rest = self.received.split_off(self.received.len().min(most));
        std::mem::replace(&mut self.received, rest)
    }

    /// Shortens each read and write of the server on this connection to a length that depends on this seed. Some of them
    /// transfer nothing, as after a spurious event. The default is transfers as long as the buffers permit.
    ///
    /// # Panics
    ///
    /// Panics if the client is [`over_socket`](super::TestClient::over_socket), where the system chooses the lengths.
    #[track_caller]
    pub fn shorten_transfers(&mut self, seed: u64) {
        assert!(
            self.wire.shorten_transfers(seed),
            "short transfers need a connection in process: create the client with TestClient::new"
        );
    }

    /// The number of calls by which the server has sent bytes on this connection. Each would be a system call on a socket.
    ///
    /// # Panics
    /// If the connection is a socket.
    #[must_use]
    pub fn server_sends(&self) -> usize {
        let sends = self.wire.server_sends();
        sends.expect("the sends of a server can be counted only in process: create the client with TestClient::new")
    }

    /// Ends the client's half of the connection: the server reads the end of the stream after the bytes that were sent
    /// before, and can still send.
    pub fn end(&mut self) {
        self.wire.end();
    }

    /// Resets the connection, as a client that crashes does: bytes that the server has not read are lost, and its next read
    /// or write fails with `ECONNRESET`. A plain drop closes the connection instead.
    ///
    /// # Panics
    ///
    /// Panics if the client is [`over_socket`](super::TestClient::over_socket) and the system refuses to reset the socket.
    #[track_caller]
    pub fn reset(mut self) {
        if let Err(error) = self.wire.reset() {
            panic!("the socket cannot be reset: {error}");
        }
        self.is_reset = true;
    }

    /// Simulates the loss of the client's network: the server receives neither an end nor acknowledgements of the bytes that it
    /// sends.
    ///
    /// # Panics
    ///
    /// Panics if the client is [`over_socket`](super::TestClient::over_socket), where the system acknowledges the bytes.
    #[track_caller]
    pub fn vanish(&mut self) {
        assert!(
            self.wire.vanish(),
            "a client can vanish only in process: create it with TestClient::new"
        );
    }

    /// Waits for bytes and returns at most `most` of those that have arrived; an empty vector at the end of the stream.
    ///
    /// # Panics
    ///
    /// Panics if neither bytes nor the end of the stream arrive within the timeout of the client (30 s by default).
    #[track_caller]
    pub fn read(&mut self, most: usize) -> Vec<u8> {
        while self.received.is_empty() && !self.ended {
            if let Err(error) = self.take(most, Wire::read) {
                panic!("the server sent nothing: {error}");
            }
        }
        let rest = self.received.split_off(self.received.len().min(most));
        std::mem::replace(&mut self.received, rest)
    }

    /// Waits for the end of the stream and returns all bytes before it. A reset counts as the end.
    ///
    /// # Panics
    ///
    /// Panics if the server neither sends bytes nor closes the connection within the timeout of the client (30 s by default).
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while !self.ended {
            if let Err(error) = self.take(READ_BYTES, Wire::read) {
                panic!("the server did not close the connection: {error}");
            }
        }
        std::mem::take(&mut self.received)
    }

    /// The received bytes that no call has taken yet, without waiting for more.
    pub fn received(&mut self) -> &[u8] {
        while !self.ended && self.take(READ_BYTES, Wire::read_now).is_ok() {}
        &self.received
    }

    /// Returns whether the server has closed the connection. It takes all bytes before the end from the
    /// connection, as [`received`](Self::received) does.
    pub fn is_closed(&mut self) -> bool {
        let _ = self.received();
        self.ended
    }

    /// Reads once; returns an error if no bytes are available.
    fn take(&mut self, most: usize, read: impl Fn(&Wire, &mut [u8]) -> io::Result<usize>) -> io::Result<()> {
        let mut buffer = vec![0; most.min(READ_BYTES)];
        match read(&self.wire, &mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(error);
            }
            // A reset, or another error that ends the connection.
            Err(_) => self.ended = true,
        }
        Ok(())
    }
}

/// The size of one read.
const READ_BYTES: usize = 16 * 1024;

impl fmt::Debug for TestConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestConnection")
            .field("received", &self.received.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Drop for TestConnection {
    fn drop(&mut self) {
        if !self.is_reset {
            self.wire.close();
        }
    }
}
