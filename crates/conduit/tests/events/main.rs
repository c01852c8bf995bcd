//! Event streams of an application, by the test client.

mod encoding;
mod lifetime;
mod naive;
mod sources;
#[path = "../support/mod.rs"]
mod support;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use conduit::testing::TestConnection;
use support::wait_for;

/// The time that a test waits for another thread.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reports when the stream of a response is dropped.
#[derive(Clone)]
struct Ends(Sender<()>);

impl Ends {
    fn new() -> (Self, Receiver<()>) {
        let (sender, ends) = channel();
        (Ends(sender), ends)
    }
}

/// A part of a stream.
struct Reports(Ends);

impl Drop for Reports {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.0.send(());
    }
}

/// Sends a request for an event stream, and reads the head of the response.
fn open(connection: &mut TestConnection, path: &str) -> String {
    assert!(connection.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head += &String::from_utf8(connection.read(1)).expect("a head is ASCII");
    }
    head
}

/// The data of the chunks that have arrived.
fn received(connection: &mut TestConnection) -> String {
    let mut rest = &connection.read_now(1 << 20)[..];
    let mut data = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = str::from_utf8(&rest[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        data.extend_from_slice(&rest[end + 2..][..size]);
        rest = &rest[end + 2 + size + 2..];
    }
    String::from_utf8(data).expect("events are UTF-8")
}
