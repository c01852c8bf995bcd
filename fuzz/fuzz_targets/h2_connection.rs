//! A connection has the same events for any split of its input, bounded memory, and output that consists of frames.
//!
//! The first byte determines the split of the rest; the rest follows the preface.
#![no_main]

use std::time::Duration;

use conduit_proto::h1::{BodyLength, Head};
use conduit_proto::h2::{Http2Connection, Http2Event, Http2Limits, StreamId};
use conduit_proto::http_date;
use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The maximum memory of a connection and of a head.
const MEMORY: usize = 512 * 1024;

/// Responds to each request by its path: early, in pieces, never, or at its end.
fn respond(connection: &mut Http2Connection, out: &mut Vec<u8>, id: StreamId, path: &[u8]) {
    let (headers, date) = (HeaderMap::new(), http_date(0));
    match path.last() {
        Some(b'h') => {}
        Some(b'p') => {
            connection.write_head(out, id, StatusCode::OK, &headers, BodyLength::Chunked, &date);
            connection.set_pending(id, true);
        }
        _ => {
            connection.write_response(out, id, StatusCode::OK, &headers, path, &date);
        }
    }
}

/// The events, those of pieces of bodies joined with their content. If `sends`, pending responses are sent between the pieces.
fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>, sends: bool) -> Vec<String> {
    let (mut head, mut out) = (Head::new(), Vec::new());
    let limits = Http2Limits {
        extended_connect: true,
        ..Http2Limits::default()
    };
    let mut connection = Http2Connection::new(&limits, &mut out);
    let (mut pending, mut events, mut body) = (Vec::new(), Vec::new(), None::<(StreamId, Vec<u8>)>);
    let mut now = Duration::ZERO;
    for piece in pieces {
        pending.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let (used, event) = match connection.handle_input(&pending[at..], &mut head, &mut out, now) {
                Ok(step) => step,
                Err(error) => {
                    events.push(error.to_string());
                    assert!(connection.is_finished());
                    continue;
                }
            };
            at += used;
            assert!(at <= pending.len());
            if let Http2Event::Body(id, piece) = event {
                assert!(!piece.is_empty());
                let mut content = match body.take() {
                    Some((other, content)) if other == id => content,
                    other => {
                        events.extend(other.map(|body| format!("{body:?}")));
                        Vec::new()
                    }
                };
                content.extend_from_slice(piece);
                body = Some((id, content));
                if id.number() % 4 == 1 {
                    connection.consumed(&mut out, id, piece.len());
                }
                continue;
            }
            let is_end = matches!(event, Http2Event::NeedMore | Http2Event::Closed);
            if !is_end {
                events.extend(body.take().map(|body| format!("{body:?}")));
                events.push(format!("{event:?}"));
            }
            match event {
                Http2Event::NeedMore | Http2Event::Closed => break,
                Http2Event::Delayed(until) => now = until,
                Http2Event::Request(id) => {
                    // Every field is readable, and the map contains all of them.
                    assert_eq!(head.header_map().len(), head.headers().count());
                    let path = head.path_bytes().to_vec();
                    if head.body() == BodyLength::None || path.ends_with(b"e") {
                        respond(&mut connection, &mut out, id, &path);
                    }
                }
                Http2Event::Refused(id, _) => respond(&mut connection, &mut out, id, b"refused"),
                Http2Event::End(id, _) => respond(&mut connection, &mut out, id, b"end"),
                _ => {}
            }
        }
        pending.drain(..at);
        assert!(pending.len() <= 16_393);
        if sends {
            send_pending(&mut connection, &mut out);
        }
        assert!(connection.heap_bytes() + head.heap_bytes() <= MEMORY);
        check_frames(&out);
        out.clear();
    }
    events.extend(body.map(|body| format!("{body:?}")));
    events
}

/// Sends some parts of pending responses. A response that has filled its window ends.
fn send_pending(connection: &mut Http2Connection, out: &mut Vec<u8>) {
    for _ in 0..8 {
        let Some(id) = connection.next_pending() else {
            return;
        };
        connection
            .write_body(out, id, &[0; 1000], false)
            .expect("no length is declared");
        if connection.is_window_closed(id) {
            assert!(connection.may_end(id), "the end needs no window");
            connection.write_end(out, id, None).expect("no length is declared");
            assert!(!connection.is_open(id));
        }
    }
}

fn check_frames(mut out: &[u8]) {
    while let Some((&[a, b, c, _, _, _, _, _, _], rest)) = out.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        assert!(length <= 16_384);
        out = &rest[length..];
    }
    assert!(out.is_empty());
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, rest)) = input.split_first() else {
        return;
    };
    let stream = [PREFACE, rest].concat();
    let pieces = || stream.chunks(usize::from(cut) + 1);
    let whole = run([&stream[..]].into_iter(), false);
    assert_eq!(run(pieces(), false), whole);
    // A window that is too large depends on the bytes that were sent before, and so on the pieces.
    run(pieces(), true);
});
