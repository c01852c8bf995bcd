//! The attacks.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conduit_conformance::stream::{Door, client_hello};

use crate::clients::PLAIN;
use crate::http2;

const CHUNKED: &[u8] = b"POST /plain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;";

/// One attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Set if the target is TLS; the real clients use it too.
    pub(crate) secure: bool,
    /// The attack, until it is stopped.
    pub(crate) run: fn(&Door, &AtomicBool),
}

const fn plain(name: &'static str, run: fn(&Door, &AtomicBool)) -> Attack {
    let secure = false;
    Attack { name, secure, run }
}

const fn secure(name: &'static str, run: fn(&Door, &AtomicBool)) -> Attack {
    let secure = true;
    Attack { name, secure, run }
}

pub(crate) const ATTACKS: &[Attack] = &[
    plain("no attack", |_, _| {}),
    plain("10,000 silent connections", |door, over| {
        crowd(door, over, 10_000, b"", b"");
    }),
    plain("1,000 heads, a byte at a time", |door, over| {
        crowd(door, over, 1000, b"GET /plain HTTP/1.1\r\nHost: a\r\nX: ", b"x");
    }),
    plain("1,000 bodies, a byte at a time", |door, over| {
        let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
        crowd(door, over, 1000, head, b"x");
    }),
    plain("500 readers of a file of 10 MB that do not read", |door, over| {
        crowd(door, over, 500, b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n", b"");
    }),
    plain("500 pipelines that do not read", |door, over| {
        crowd(door, over, 500, &PLAIN.repeat(64), &PLAIN.repeat(64));
    }),
    plain("header bombs", |door, over| {
        bombs(door, over, PLAIN.trim_ascii_end(), b"\r\nX-Bomb: boom boom boom boom");
    }),
    plain("endless chunk extensions", |door, over| {
        bombs(door, over, CHUNKED, &[b'e'; 64]);
    }),
    plain("connections that are reset at once", |door, over| {
        while !over.load(Ordering::Relaxed) {
            if let Ok(mut stream) = TcpStream::connect(door.address()) {
                let _ = stream.write_all(PLAIN);
                let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            }
        }
    }),
    secure("no attack, over TLS", |_, _| {}),
    secure("10,000 TLS connections without a ClientHello", |door, over| {
        crowd(door, over, 10_000, b"", b"");
    }),
    secure("1,000 ClientHellos that stop halfway", |door, over| {
        let hello = hello(door);
        crowd(door, over, 1000, &hello[..hello.len() / 2], b"");
    }),
    secure("1,000 ClientHellos, a byte at a time", |door, over| {
        // The rest takes longer than the attack.
        crowd(door, over, 1000, &hello(door)[..5], &[1]);
    }),
    secure("1,000 handshakes that stop after the ClientHello", |door, over| {
        crowd(door, over, 1000, &hello(door), b"");
    }),
    secure("ClientHellos in sequence, each on a new connection", |door, over| {
        let hello = hello(door);
        while !over.load(Ordering::Relaxed) {
            if let Ok(mut stream) = TcpStream::connect(door.address()) {
                let _ = stream.write_all(&hello);
                // The server has generated its keys and signed.
                let _ = stream.read(&mut [0; 4096]);
            }
        }
    }),
    secure("HTTP/2: rapid resets", http2::rapid_reset),
    secure("HTTP/2: resets that the client provokes", http2::made_you_reset),
    secure("HTTP/2: endless CONTINUATION", http2::continuation),
    secure("HTTP/2: a flood of PING", http2::ping),
    secure("HTTP/2: a flood of SETTINGS", http2::settings),
];

fn hello(door: &Door) -> Vec<u8> {
    match door {
        Door::Https(_, config) => client_hello(config),
        Door::Http(_) => Vec::new(),
    }
}

/// A number of connections that begin with the same bytes; then each sends a little more in each round. A connection that the
/// server has closed is opened again.
fn crowd(door: &Door, over: &AtomicBool, count: usize, beginning: &[u8], more: &[u8]) {
    let address = door.address();
    // Each connection, with the number of sent bytes of the last piece.
    let mut streams: Vec<(TcpStream, usize)> = Vec::with_capacity(count);
    while streams.len() < count && !over.load(Ordering::Relaxed) {
        streams.extend(open(address, beginning).map(|stream| (stream, 0)));
    }
    while !over.load(Ordering::Relaxed) {
        for (stream, taken) in &mut streams {
            if more.is_empty() || over.load(Ordering::Relaxed) {
                break;
            }
            match stream.write(&more[*taken..]) {
                Ok(count) => *taken = (*taken + count) % more.len(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    if let Some(new) = open(address, beginning) {
                        (*stream, *taken) = (new, 0);
                    }
                }
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn open(address: SocketAddr, beginning: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_nonblocking(true).ok()?;
    // A partial write is sufficient.
    let _ = stream.write(beginning);
    Some(stream)
}

/// One connection after the other that repeats a piece until the server closes it.
fn bombs(door: &Door, over: &AtomicBool, beginning: &[u8], piece: &[u8]) {
    let pieces = piece.repeat(64);
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(door.address()) else {
            continue;
        };
        let _ = stream.write_all(beginning);
        while !over.load(Ordering::Relaxed) && stream.write_all(&pieces).is_ok() {}
    }
}
