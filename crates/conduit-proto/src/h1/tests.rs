//! Tests of internals: the number of bytes that the parser reads.

use super::scan::work;
use super::{Connection, Event, Head, Limits};

/// Feeds a stream in pieces of a length until the first request or its end; gives the number of
/// bytes that were looked at.
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

/// Each byte is looked at as a part of an incomplete line, of a complete line, and of the whole
/// head, and is searched once for the end of its line: four times at most.
#[track_caller]
fn assert_linear(name: &str, stream: &[u8]) {
    for piece in PIECES {
        let work = bytes_looked_at(stream, piece);
        assert!(
            work <= 4 * stream.len() + 64,
            "{name}: {work} bytes were looked at for {} in pieces of {piece}",
            stream.len()
        );
    }
}

#[test]
fn dripping_a_head_of_one_long_line_is_linear_work() {
    let value = "v".repeat(16_000);
    let stream = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n");
    assert_linear("a long value", stream.as_bytes());
    let stream = format!("GET /{value} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_linear("a long target", stream.as_bytes());
    let stream = format!("GET / HTTP/1.1\r\nHost: a\r\n{value}: v\r\n\r\n");
    assert_linear("a long name", stream.as_bytes());
}

#[test]
fn dripping_a_head_of_many_lines_is_linear_work() {
    let fields = format!("X: {}\r\n", "v".repeat(155)).repeat(99);
    let stream = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert!(stream.len() > 15_000);
    assert_linear("many fields", stream.as_bytes());
}

#[test]
fn dripping_trailers_is_linear_work() {
    let fields = format!("X: {}\r\n", "v".repeat(155)).repeat(90);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let stream = format!("{head}0\r\n{fields}\r\n");
    assert_linear("many trailers", stream.as_bytes());
}

/// A byte that is wrong far back in an incomplete line must not be found again with each piece.
#[test]
fn dripping_a_head_with_a_fault_is_linear_work() {
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
