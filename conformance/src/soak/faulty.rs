//! Clients that break off, stall, flood, or speak nonsense. Whatever becomes of them is right, as long as it ends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::Field;
use super::random::Random;

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

/// One connection, or a few. Errors are what this is about, so none is looked at.
pub(super) fn session(field: &Field, random: &mut Random) {
    let Ok(mut stream) = TcpStream::connect(field.target.address()) else {
        return;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
    let _ = stream.write_all(BEGINNINGS[random.below(BEGINNINGS.len())]);
    match random.below(60) {
        // Resets, before the server has read what was sent or after.
        0..=39 => {
            if random.below(2) == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
        40..=49 => {
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut [0; 4096]);
        }
        // Sends the rest of something a byte at a time until the server has enough of it.
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
        // Says nothing more.
        54 | 55 => stall(field, |_| {
            std::thread::sleep(Duration::from_millis(100));
            true
        }),
        // Fields without end.
        56 | 57 => stall(field, |_| {
            stream.write_all(&[b"X-Bomb: boom\r\n".as_slice(); 64].concat()).is_ok()
        }),
        // Requests without end, whose answers nobody reads.
        _ => stall(field, |_| {
            let request = b"GET /stream/10 HTTP/1.1\r\nHost: a\r\n\r\n";
            stream.write_all(&request.repeat(64)).is_ok()
        }),
    }
}

/// Goes on for five seconds at most, which is longer than the server's deadlines.
fn stall(field: &Field, mut step: impl FnMut(Duration) -> bool) {
    let start = Instant::now();
    while !field.is_over() && start.elapsed() < Duration::from_secs(5) && step(start.elapsed()) {}
}
