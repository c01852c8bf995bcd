//! Clients that disconnect early, stall, flood, or send invalid bytes. Any response is correct, as long as the connection ends.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::Field;
use super::random::Random;
use crate::stream::{Door, Stream, client_hello};

const TIMEOUT: Duration = Duration::from_millis(200);

const BEGINNINGS: [&[u8]; 12] = [
    b"",
    b"\r\n\r",
    b"GET /plain HT",
    b"GET /plain HTTP/1.1\r\nHost: a\r\nX: ",
    b"GET /later/50 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /stream/100000 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\nHost: a\n\n",
];

/// Runs one connection, or a few. Errors are expected, and ignored.
pub(super) fn session(field: &Field, random: &mut Random) {
    let Some(mut stream) = begin(field, random) else {
        return;
    };
    match random.below(60) {
        // Resets, before or after the server has read the input.
        0..=39 => {
            if random.below(2) == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
            let _ = rustix::net::sockopt::set_socket_linger(stream.socket(), Some(Duration::ZERO));
        }
        40..=44 => {
            let _ = stream.end();
            let _ = stream.read(&mut [0; 4096]);
        }
        // Bytes that are not a TLS record; over plain TCP these are invalid bytes as well.
        45..=49 => {
            let _ = stream.socket().write_all(&[random.below(256) as u8; 300]);
            let _ = stream.read(&mut [0; 4096]);
        }
        // Sends the rest byte by byte until the server closes.
        50 | 51 => stall(field, |_| {
            let sent = stream.write_all(b"a");
            std::thread::sleep(Duration::from_millis(50));
            sent.is_ok()
        }),
        // Reads a byte at a time.
        52 | 53 => stall(field, |_| {
            std::thread::sleep(Duration::from_millis(50));
            matches!(stream.read(&mut [0]), Ok(1))
        }),
        // Sends nothing more.
        54 | 55 => stall(field, |_| {
            std::thread::sleep(Duration::from_millis(100));
            true
        }),
        // Fields without end.
        56 | 57 => stall(field, |_| {
            stream.write_all(&[b"X-Bomb: boom\r\n".as_slice(); 64].concat()).is_ok()
        }),
        // Endless requests without a reader for the responses.
        _ => stall(field, |_| {
            let request = b"GET /stream/10 HTTP/1.1\r\nHost: a\r\n\r\n";
            stream.write_all(&request.repeat(64)).is_ok()
        }),
    }
}

/// A connection over plain TCP or TLS that begins with these bytes, or one with an incomplete handshake.
fn begin(field: &Field, random: &mut Random) -> Option<Stream> {
    let door = &field.doors[random.below(field.doors.len())];
    match door {
        Door::Https(address, config) if random.below(2) == 0 => {
            let mut stream = Door::Http(*address).connect(TIMEOUT).ok()?;
            let hello = client_hello(config);
            // The hello is complete in half of the cases: then the server has generated its keys, and waits.
            let length = (1 + random.below(2 * hello.len())).min(hello.len());
            let _ = stream.write_all(&hello[..length]);
            Some(stream)
        }
        door => {
            let mut stream = door.connect(TIMEOUT).ok()?;
            let _ = stream.write_all(BEGINNINGS[random.below(BEGINNINGS.len())]);
            Some(stream)
        }
    }
}

/// Continues for five seconds at most, which is longer than the server's deadlines.
fn stall(field: &Field, mut step: impl FnMut(Duration) -> bool) {
    let start = Instant::now();
    while !field.is_over() && start.elapsed() < Duration::from_secs(5) && step(start.elapsed()) {}
}
