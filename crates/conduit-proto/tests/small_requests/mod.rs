//! Small requests of an HTTP/2 client and their responses, for the test of allocations and the benchmark.

use std::hint::black_box;
use std::time::Duration;

use conduit_proto::h1::{BodyLength, Head};
use conduit_proto::h2::{Http2Connection, Http2Event};
use conduit_proto::http_date;
use http::{HeaderMap, StatusCode};

/// The preface and empty SETTINGS.
pub(crate) const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Appends a frame.
pub(crate) fn push(input: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    input.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    input.extend([kind, flags]);
    input.extend(stream.to_be_bytes());
    input.extend(payload);
}

/// Reads all requests of the input and writes their responses: of a known length to a request without a body, of an unknown
/// one to a request with a body.
pub(crate) fn serve(
    connection: &mut Http2Connection,
    input: &[u8],
    head: &mut Head,
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    body: &[u8],
) {
    let date = &http_date(784_111_777);
    let mut at = 0;
    loop {
        let step = connection.handle_input(&input[at..], head, out, Duration::ZERO);
        let (used, event) = step.expect("a valid stream");
        at += used;
        match event {
            Http2Event::NeedMore => break,
            Http2Event::Request(stream) if head.body() == BodyLength::None => {
                black_box(head.path_bytes());
                connection.write_response(out, stream, StatusCode::OK, headers, body, date);
            }
            Http2Event::Request(_) => {}
            Http2Event::Body(stream, piece) => connection.consumed(out, stream, piece.len()),
            Http2Event::End(stream, _) => {
                connection.write_head(out, stream, StatusCode::OK, headers, BodyLength::Chunked, date);
                connection.write_body(out, stream, body, false).expect("no length");
                connection.write_end(out, stream, None).expect("no length");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(at, input.len());
}
