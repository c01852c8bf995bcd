//! Tests of internals: the number of bytes that the parser processes.

use super::scan::work;
use super::{Connection, Event, Head, Limits};

/// Feeds a stream in pieces of the given length until the first request or its end. Returns the number of processed
/// bytes.
fn bytes_looked_at(stream: &[u8], piece: usize) -> usize {
    let (mut connection, mut head) = (Connection::new(), Head::new());
    work::BYTES.with(|count| count.set(0));
    let mut start = 0;
    let mut end = 0;
    while end < stream.len() {
        end = (end + piece).min(stream.len());
        loop {
            let input = &stream[start..end];
            match connection.handle_input(input, &mut head, &Limits::default()) {
                Ok((used, Event::NeedMore)) => {
                    start += used;
                    break;
                }
                Ok((used, Event::Request)) => start += used,
                Ok((_, event)) => {
                    assert!(matches!(event, Event::End(_) | Event::Blocked));
                    return work::BYTES.with(std::cell::Cell::get);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    panic!("the stream is not complete");
}

const PIECES: [usize; 7] = [1, 2, 3, 10, 100, 4096, usize::MAX >> 1];

/// Each byte is processed at most four times: in an incomplete line, in a complete line, in the whole head, and in the
/// search for the end of its line.
#[track_caller]
fn assert_linear(name: &str, stream: &[u8]) {
    for piece in PIECES {
        let work = bytes_looked_at(stream, piece);
        assert!(
            work <= 4 * stream.len() + 64,
            "{name}: {work} bytes were processed for {} in pieces of {piece}",
            stream.len()
        );
    }
}

#[test]
fn parsing_one_long_line_in_small_pieces_is_linear() {
    let value = "v".repeat(16_000);
    let stream = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n");
    assert_linear("a long value", stream.as_bytes());
    let stream = format!("GET /{value} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_linear("a long target", stream.as_bytes());
    let stream = format!("GET / HTTP/1.1\r\nHost: a\r\n{value}: v\r\n\r\n");
    assert_linear("a long name", stream.as_bytes());
}

#[test]
fn parsing_many_lines_in_small_pieces_is_linear() {
    let fields = format!("X: {}\r\n", "v".repeat(155)).repeat(99);
    let stream = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert!(stream.len() > 15_000);
    assert_linear("many fields", stream.as_bytes());
}

#[test]
fn parsing_trailers_in_small_pieces_is_linear() {
    let fields = format!("X: {}\r\n", "v".repeat(155)).repeat(90);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let stream = format!("{head}0\r\n{fields}\r\n");
    assert_linear("many trailers", stream.as_bytes());
}

/// An invalid byte early in an incomplete line must not be found again with each piece.
#[test]
fn parsing_an_invalid_line_in_small_pieces_is_linear() {
    let (mut connection, mut head) = (Connection::new(), Head::new());
    let stream = format!("GET / HTTP/1.1\r\nHost: a\r\nX: \0{}", "v".repeat(16_000));
    work::BYTES.with(|count| count.set(0));
    for end in 1..=stream.len() {
        let input = &stream.as_bytes()[..end];
        let found = connection.handle_input(input, &mut head, &Limits::default());
        assert!(matches!(found, Ok((0, Event::NeedMore))));
    }
    let work = work::BYTES.with(std::cell::Cell::get);
    assert!(work <= 4 * stream.len() + 64, "{work}");
}
