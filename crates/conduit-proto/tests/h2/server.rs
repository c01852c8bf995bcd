//! The sending side: responses, flow control, the order of output, and the end of a connection.

use conduit_proto::h1::{BodyError, BodyLength};
use conduit_proto::h2::{ErrorCode, Http2Limits, Http2Phase, Http2Reason, StreamId};
use conduit_proto::http_date;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::drive::{Seen, Server};
use crate::frames::*;

fn open() -> Server {
    Server::open(&Http2Limits::default())
}

/// A server with an unanswered request of this method.
fn request(method: &str) -> (Server, StreamId) {
    let mut server = open();
    server.receive(&crate::frames::request(1, &pseudo(method, "/hold")));
    let stream = server.stream(1);
    (server, stream)
}

fn write_head(server: &mut Server, stream: StreamId, status: u16, headers: &HeaderMap, body: BodyLength) {
    let (status, date) = (StatusCode::from_u16(status).unwrap(), http_date(784_111_777));
    let output = &mut server.output;
    server
        .connection
        .write_head(output, stream, status, headers, body, &date);
}

fn write_body(server: &mut Server, stream: StreamId, piece: &[u8], is_last: bool) -> Result<usize, BodyError> {
    server.connection.write_body(&mut server.output, stream, piece, is_last)
}

fn write_end(server: &mut Server, stream: StreamId, trailers: Option<&HeaderMap>) -> Result<(), BodyError> {
    server.connection.write_end(&mut server.output, stream, trailers)
}

fn data_frame(stream: u32, bytes: &[u8], end_stream: bool) -> Received {
    let bytes = bytes.to_vec();
    Received::Data {
        stream,
        bytes,
        end_stream,
    }
}

/// The fields of the only head, and whether it has END_STREAM.
fn head(server: &mut Server) -> (Vec<(String, String)>, bool) {
    match &server.read()[..] {
        [Received::Head { fields, end_stream, .. }] => (fields.clone(), *end_stream),
        other => panic!("{other:?}"),
    }
}

fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    fields.iter().map(owned).collect()
}

const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

#[test]
fn first_output_is_settings_and_the_connection_window() {
    let mut server = Server::new(&Http2Limits::default());
    let expected = [
        Received::Settings(vec![(3, 128), (4, 65_536), (6, 65_536), (9, 1)]),
        Received::WindowUpdate(0, (1 << 20) - 65_535),
    ];
    assert_eq!(server.read(), expected);
}

#[test]
fn framing_fields_of_the_caller_are_not_sent() {
    let (mut server, stream) = request("GET");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "close"),
        ("keep-alive", "5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("content-length", "7"),
        ("x-a", "b"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    write_head(&mut server, stream, 200, &headers, BodyLength::Exact(2));
    let expected = [(":status", "200"), ("x-a", "b"), ("content-length", "2"), DATE];
    assert_eq!(head(&mut server), (fields(&expected), false));
    assert_eq!(write_body(&mut server, stream, b"ok", true), Ok(2));
    assert_eq!(server.read(), [data_frame(1, b"ok", true)]);
    assert!(!server.connection.is_open(stream));
}

#[test]
fn date_of_the_caller_replaces_the_date() {
    let (mut server, stream) = request("GET");
    let headers = HeaderMap::from_iter([(header::DATE, HeaderValue::from_static("today"))]);
    write_head(&mut server, stream, 200, &headers, BodyLength::Chunked);
    assert_eq!(head(&mut server).0, fields(&[(":status", "200"), ("date", "today")]));
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    let declared = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static("9"))]);
    for (method, status, headers, body, length) in [
        ("GET", 200, HeaderMap::new(), BodyLength::None, Some("0")),
        ("GET", 200, HeaderMap::new(), BodyLength::Exact(0), Some("0")),
        ("GET", 204, declared.clone(), BodyLength::Exact(5), None),
        ("GET", 205, HeaderMap::new(), BodyLength::Exact(5), Some("0")),
        ("GET", 304, HeaderMap::new(), BodyLength::Exact(5), None),
        ("GET", 304, declared.clone(), BodyLength::None, Some("9")),
        ("HEAD", 200, HeaderMap::new(), BodyLength::Exact(5), Some("5")),
        ("HEAD", 200, declared, BodyLength::None, Some("9")),
        ("HEAD", 200, HeaderMap::new(), BodyLength::Chunked, None),
    ] {
        let (mut server, stream) = request(method);
        write_head(&mut server, stream, status, &headers, body);
        let (fields, end_stream) = head(&mut server);
        let found = fields.iter().find(|(name, _)| name == "content-length");
        assert_eq!(found.map(|(_, value)| &value[..]), length, "{method} {status} {body:?}");
        assert!(end_stream && !server.connection.is_open(stream));
        assert!(!server.connection.wants_body(stream));
        assert_eq!(write_body(&mut server, stream, b"12345", true), Ok(5));
        assert_eq!(write_end(&mut server, stream, None), Ok(()));
        assert_eq!(server.read(), []);
    }
}

#[test]
fn body_must_have_the_declared_length() {
    let (mut server, stream) = request("GET");
    write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::Exact(5));
    server.read();
    assert_eq!(
        write_body(&mut server, stream, b"1234567", false),
        Err(BodyError::TooLong { excess: 2 })
    );
    assert_eq!(write_end(&mut server, stream, None), Ok(()));
    assert_eq!(
        server.read(),
        [data_frame(1, b"12345", false), data_frame(1, b"", true)]
    );

    for by_piece in [true, false] {
        let (mut server, stream) = request("GET");
        write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::Exact(5));
        server.read();
        let too_short = BodyError::TooShort { missing: 3 };
        if by_piece {
            assert_eq!(write_body(&mut server, stream, b"12", true), Err(too_short));
        } else {
            assert_eq!(write_body(&mut server, stream, b"12", false), Ok(2));
            assert_eq!(write_end(&mut server, stream, None), Err(too_short));
        }
        let expected = [
            data_frame(1, b"12", false),
            Received::Reset(1, ErrorCode::INTERNAL_ERROR),
        ];
        assert_eq!(server.read(), expected);
        assert!(!server.connection.is_open(stream));
    }
}

#[test]
fn trailers_end_the_stream() {
    let (mut server, stream) = request("GET");
    write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::Chunked);
    assert_eq!(write_body(&mut server, stream, b"body", false), Ok(4));
    server.read();
    let trailers = HeaderMap::from_iter([
        (
            header::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        ),
        (header::CONTENT_LENGTH, HeaderValue::from_static("4")),
    ]);
    assert_eq!(write_end(&mut server, stream, Some(&trailers)), Ok(()));
    assert_eq!(head(&mut server), (fields(&[("grpc-status", "0")]), true));
    assert!(!server.connection.is_open(stream));
}

/// gRPC: the request of a bidirectional stream may be open when the response ends, which must not be CANCEL.
#[test]
fn no_error_follows_trailers_of_an_early_response() {
    let mut server = open();
    server.receive(&post(1, "/hold", &[]));
    let stream = server.stream(1);
    write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::Chunked);
    let trailers = HeaderMap::from_iter([(header::ETAG, HeaderValue::from_static("a"))]);
    write_end(&mut server, stream, Some(&trailers)).unwrap();
    let received = server.read();
    assert!(matches!(received[1], Received::Head { end_stream: true, .. }));
    assert_eq!(received[2..], [Received::Reset(1, ErrorCode::NO_ERROR)]);
    // The client has not received the end yet.
    server.receive(&[data(1, b"body!"), trailers_frame()].concat());
    assert_eq!((server.error(), server.read()), (None, Vec::new()));
}

fn trailers_frame() -> Vec<u8> {
    trailers(1, &[("a", "b")])
}

#[test]
fn informational_responses_precede_the_response() {
    let (mut server, stream) = request("GET");
    let link = HeaderMap::from_iter([(header::LINK, HeaderValue::from_static("</a>; rel=preload"))]);
    let output = &mut server.output;
    server.connection.inform(output, stream, StatusCode::EARLY_HINTS, &link);
    let expected = [(":status", "103"), ("link", "</a>; rel=preload")];
    assert_eq!(head(&mut server), (fields(&expected), false));
    write_head(&mut server, stream, 102, &HeaderMap::new(), BodyLength::None);
    assert_eq!(head(&mut server), (fields(&[(":status", "102")]), false));
    write_head(&mut server, stream, 101, &HeaderMap::new(), BodyLength::None);
    assert_eq!(server.read(), [], "101 does not exist");
    write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::None);
    assert!(head(&mut server).1);
    let output = &mut server.output;
    server.connection.inform(output, stream, StatusCode::EARLY_HINTS, &link);
    assert_eq!(server.read(), []);
}

#[test]
fn continue_is_sent_once_if_expected() {
    let mut server = open();
    server.receive(&post(1, "/hold", &[("expect", "100-continue")]));
    let stream = server.stream(1);
    assert_eq!(head(&mut server).0, fields(&[(":status", "100")]));
    server.connection.write_continue(&mut server.output, stream);
    assert_eq!(server.read(), []);
    server.receive(&with_fields(3, &[("expect", "100-continue")]));
    assert_eq!(server.read()[0].status(), Some((3, "200")), "no body");
}

#[test]
fn large_head_is_continued_in_continuation() {
    let (mut server, stream) = request("GET");
    let value = HeaderValue::from_bytes(&[b'{'; 9000]).unwrap();
    let headers: HeaderMap = (0..5)
        .map(|number| (format!("x-{number}").parse().unwrap(), value.clone()))
        .collect();
    write_head(&mut server, stream, 200, &headers, BodyLength::None);
    // `parse` joins and checks the frames.
    let (fields, end_stream) = head(&mut server);
    assert_eq!(fields.len(), 8);
    assert!(fields.iter().filter(|(_, value)| value.len() == 9000).count() == 5 && end_stream);
}

#[test]
fn body_is_limited_by_the_windows() {
    let mut server = open();
    server.receive(&[settings(&[(4, 10)]), get(1, "/hold"), get(3, "/hold")].concat());
    server.read();
    let (first, second) = (server.stream(1), server.stream(3));
    for stream in [first, second] {
        write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::Exact(25));
    }
    server.read();
    assert_eq!(server.connection.sendable(first), 10);
    assert_eq!(write_body(&mut server, first, &[b'x'; 25], true), Ok(10));
    assert_eq!(server.read(), [data_frame(1, &[b'x'; 10], false)]);
    assert_eq!(write_body(&mut server, first, &[b'x'; 15], true), Ok(0));
    assert_eq!(server.read(), []);

    server.connection.set_pending(first, true);
    assert_eq!(server.connection.next_pending(), None);
    server.receive(&window_update(1, 7));
    assert_eq!(server.connection.next_pending(), Some(first));
    assert_eq!(write_body(&mut server, first, &[b'x'; 15], true), Ok(7));
    // The setting changes the windows of open streams, possibly below 0.
    server.receive(&settings(&[(4, 5)]));
    server.receive(&window_update(1, 12));
    assert_eq!(server.connection.sendable(first), 7);
    server.read();
    assert_eq!(write_body(&mut server, first, &[b'x'; 8], true), Ok(7));
    server.receive(&window_update(1, 100));
    assert_eq!(write_body(&mut server, first, b"x", true), Ok(1));
    let received = server.read();
    assert_eq!(received.last(), Some(&data_frame(1, b"x", true)));
    assert!(!server.connection.is_open(first));
}

#[test]
fn end_of_a_body_needs_no_window() {
    let mut server = open();
    server.receive(&settings(&[(4, 5)]));
    for (number, length, ends_early) in [(1, BodyLength::Exact(5), false), (3, BodyLength::Chunked, true)] {
        server.receive(&get(number, "/hold"));
        let stream = server.stream(number);
        write_head(&mut server, stream, 200, &HeaderMap::new(), length);
        assert!(!server.connection.is_body_written(stream));
        assert_eq!(server.connection.may_end(stream), ends_early);
        assert_eq!(write_body(&mut server, stream, b"abcde", false), Ok(5));
        assert_eq!(server.connection.sendable(stream), 0);
        assert_eq!(server.connection.is_body_written(stream), !ends_early);
        assert!(server.connection.may_end(stream));
        write_end(&mut server, stream, None).expect("the body is whole");
        let ends = [data_frame(number, b"abcde", false), data_frame(number, b"", true)];
        assert!(server.read().ends_with(&ends));
        assert!(!server.connection.is_open(stream) && !server.connection.may_end(stream));
    }
}

#[test]
fn all_streams_share_the_window_of_the_connection() {
    let mut server = open();
    server.receive(&[settings(&[(4, 1 << 20)]), get(1, "/hold"), get(3, "/hold")].concat());
    let (first, second) = (server.stream(1), server.stream(3));
    for stream in [first, second] {
        write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::Chunked);
    }
    assert_eq!(write_body(&mut server, first, &[0; 60_000], false), Ok(60_000));
    assert_eq!(write_body(&mut server, second, &[0; 60_000], false), Ok(5535));
    assert_eq!(write_end(&mut server, second, None), Ok(()), "the end needs no window");
    server.connection.set_pending(first, true);
    assert_eq!(server.connection.next_pending(), None);
    server.receive(&window_update(0, 9));
    assert_eq!(server.connection.next_pending(), Some(first));
    assert_eq!(write_body(&mut server, first, &[0; 60_000], false), Ok(9));
}

#[test]
fn frames_have_at_most_the_permitted_length() {
    let mut server = open();
    server.receive(
        &[
            settings(&[(4, 1 << 20), (5, 1 << 20)]),
            window_update(0, 1 << 20),
            get(1, "/hold"),
        ]
        .concat(),
    );
    server.read();
    let stream = server.stream(1);
    write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::Chunked);
    server.read();
    assert_eq!(write_body(&mut server, stream, &[0; 40_000], true), Ok(40_000));
    let lengths: Vec<_> = server
        .read()
        .iter()
        .map(|frame| match frame {
            Received::Data { bytes, end_stream, .. } => (bytes.len(), *end_stream),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [(16_384, false), (16_384, false), (7232, true)]);
}

/// Streams with a pending response and these priorities.
fn pending(priorities: &[&str]) -> Server {
    let mut server = open();
    server.receive(&settings(&[(4, 1 << 24)]));
    server.receive(&window_update(0, 1 << 24));
    for (index, priority) in priorities.iter().enumerate() {
        let number = 1 + 2 * index as u32;
        let fields = [&pseudo("GET", "/hold")[..], &[("priority", priority)]].concat();
        server.receive(&crate::frames::request(number, &fields));
        let stream = server.stream(number);
        write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::Chunked);
        server.connection.set_pending(stream, true);
    }
    server
}

/// The numbers of the streams in the order of sending, 16 KiB each.
fn order(server: &mut Server, count: usize) -> Vec<u32> {
    (0..count)
        .map_while(|_| {
            let stream = server.connection.next_pending()?;
            write_body(server, stream, &[0; 16_384], false).unwrap();
            Some(stream.number())
        })
        .collect()
}

#[test]
fn urgent_responses_precede_others() {
    let mut server = pending(&["u=5", "u=1", "u=3", "u=0"]);
    for expected in [7, 3, 5, 1] {
        let stream = server.connection.next_pending().unwrap();
        assert_eq!(stream.number(), expected);
        server.connection.set_pending(stream, false);
    }
    assert_eq!(server.connection.next_pending(), None);
}

#[test]
fn incremental_responses_of_one_urgency_take_turns() {
    let mut server = pending(&["i", "i", "i"]);
    assert_eq!(order(&mut server, 6), [1, 3, 5, 1, 3, 5]);
}

#[test]
fn small_responses_precede_large_ones_of_their_urgency() {
    let mut server = pending(&["", ""]);
    // The first one is sent alone until it is large; then the second one is small.
    assert_eq!(order(&mut server, 4), [1, 1, 1, 1]);
    let order = order(&mut server, 8);
    let small = order.iter().filter(|number| **number == 3).count();
    assert!(small >= 4 && order.contains(&1), "{order:?}");
}

#[test]
fn priority_update_changes_the_order() {
    let mut server = pending(&["u=3", "u=3"]);
    server.receive(&frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x03u=0"));
    assert_eq!(order(&mut server, 2), [3, 3]);
    // An update that arrives before its stream.
    server.receive(&frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x05u=0"));
    server.receive(&get(5, "/hold"));
    let stream = server.stream(5);
    write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::Chunked);
    server.connection.set_pending(stream, true);
    server.connection.set_pending(server.stream(3), false);
    assert_eq!(order(&mut server, 1), [5]);
}

#[test]
fn windows_are_updated_after_consumption() {
    let mut server = open();
    server.receive(&post(1, "/unread", &[]));
    let stream = server.stream(1);
    for _ in 0..4 {
        server.receive(&data(1, &[0; 16_384]));
    }
    assert_eq!(server.read(), [], "no update before the body is read");
    server.connection.consumed(&mut server.output, stream, 30_000);
    assert_eq!(server.read(), []);
    server.connection.consumed(&mut server.output, stream, 2768);
    assert_eq!(server.read(), [Received::WindowUpdate(1, 32_768)]);
    // A reader that has consumed everything gets a larger window.
    server.connection.consumed(&mut server.output, stream, 32_768);
    assert_eq!(server.read(), [Received::WindowUpdate(1, 32_768 + 65_536)]);
}

/// A client that obeys the windows, and sends a body to a stream that it opens before it acknowledges the settings.
/// Returns the total that it can send, at most 200,000 bytes.
fn upload(window: u32, before: usize, path: &str) -> usize {
    const TOTAL: usize = 200_000;
    let limits = Http2Limits {
        stream_window: window,
        max_stream_window: window,
        ..Http2Limits::default()
    };
    let mut server = Server::open(&limits);
    server.receive(&post(1, path, &[]));
    let (mut sent, mut available) = (0, 65_535);
    let mut is_acknowledged = false;
    loop {
        let limit = if is_acknowledged { TOTAL } else { before };
        let length = available.clamp(0, 10_000).min((limit - sent) as i64);
        let received = match length {
            0 if sent == TOTAL => return sent,
            0 if !is_acknowledged => {
                is_acknowledged = true;
                available += i64::from(window) - 65_535;
                frame(SETTINGS, ACK, 0, &[])
            }
            0 => return sent,
            _ => {
                sent += length as usize;
                available -= length;
                data(1, &vec![b'x'; length as usize])
            }
        };
        server.receive(&received);
        assert_eq!(server.error(), None);
        for frame in server.read() {
            if let Received::WindowUpdate(1, increment) = frame {
                available += i64::from(increment);
                let limit = if is_acknowledged { window } else { 65_535 };
                assert!(available <= limit.into(), "{available}");
            }
        }
    }
}

#[test]
fn body_is_received_whole_if_its_stream_was_open_before_the_settings() {
    for window in [100, 16_384, 32_767, 32_768, 65_535, 65_536, 100_000] {
        for before in [0, 50, 100, 16_384, 32_767, 40_000, 65_535] {
            assert_eq!(upload(window, before, "/"), 200_000, "{window}, {before} before");
            // Nothing is announced before the reader has consumed it.
            let expected = (window as usize).max(before);
            assert_eq!(upload(window, before, "/unread"), expected, "{window}, {before} before");
        }
    }
}

#[test]
fn data_beyond_the_acknowledged_window_is_an_error() {
    let limits = Http2Limits {
        stream_window: 100,
        max_stream_window: 100,
        ..Http2Limits::default()
    };
    for (length, is_error) in [(100, false), (101, true)] {
        let mut server = Server::open(&limits);
        server.receive(&[post(1, "/unread", &[]), frame(SETTINGS, ACK, 0, &[])].concat());
        server.receive(&data(1, &vec![b'x'; length]));
        let is_reset = server.seen.iter().any(|seen| matches!(seen, Seen::Reset(1, _)));
        assert_eq!(is_reset, is_error, "{length}");
    }
}

#[test]
fn window_grows_for_a_fast_reader() {
    let mut server = open();
    server.receive(&post(1, "/", &[]));
    let mut window: u32 = 65_536;
    for _ in 0..500 {
        server.receive(&data(1, &[0; 16_384]));
        window -= 16_384;
        for frame in server.read() {
            if let Received::WindowUpdate(1, increment) = frame {
                window += increment;
            }
        }
    }
    assert!((1 << 19..=1 << 20).contains(&window), "{window}");
}

#[test]
fn graceful_shutdown_has_two_steps() {
    let mut server = open();
    server.receive(&get(1, "/hold"));
    server.connection.shutdown(&mut server.output);
    server.connection.shutdown(&mut server.output);
    let expected = [
        Received::GoAway((1 << 31) - 1, ErrorCode::NO_ERROR),
        Received::Ping(b"shutdown".to_vec()),
    ];
    assert_eq!(server.read(), expected);
    // A request that was already sent is served.
    server.receive(&get(3, "/"));
    assert_eq!(server.read()[0].status(), Some((3, "200")));
    server.receive(&frame(PING, ACK, 0, b"shutdown"));
    assert_eq!(server.read(), [Received::GoAway(3, ErrorCode::NO_ERROR)]);
    // A later request is ignored, but its fields are decoded and its body counts.
    server.seen.clear();
    let mut fields = block(&pseudo("POST", "/"));
    literal(&mut fields, 0x40, b"x", b"y");
    server.receive(&frame(HEADERS, END_HEADERS, 5, &fields));
    server.receive(&[data(5, b"hello"), reset(5, ErrorCode::CANCEL)].concat());
    assert_eq!(server.read(), []);
    assert_eq!(server.seen, []);

    assert!(!server.connection.is_finished());
    let stream = server.stream(1);
    write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::None);
    assert!(server.connection.is_finished());
}

#[test]
fn idle_connection_is_finished_after_the_last_go_away() {
    let mut server = open();
    server.connection.shutdown(&mut server.output);
    assert!(!server.connection.is_finished());
    server.connection.stop_accepting(&mut server.output);
    assert!(server.connection.is_finished());
    assert_eq!(server.read().last(), Some(&Received::GoAway(0, ErrorCode::NO_ERROR)));
    // The response to PING arrives late.
    server.receive(&frame(PING, ACK, 0, b"shutdown"));
    assert_eq!(server.read(), []);
}

#[test]
fn client_go_away_ends_the_connection_after_its_streams() {
    let mut server = open();
    server.receive(&[get(1, "/hold"), frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 9])].concat());
    assert_eq!(server.connection.peer_go_away(), Some(ErrorCode::COMPRESSION_ERROR));
    assert!(!server.connection.is_finished());
    let stream = server.stream(1);
    server.connection.reset(&mut server.output, stream, ErrorCode::CANCEL);
    assert!(server.connection.is_finished());
    // The client learns which requests it may send again.
    assert!(!server.connection.is_last_announced());
    server.read();
    server.connection.stop_accepting(&mut server.output);
    assert!(server.connection.is_finished() && server.connection.is_last_announced());
    assert_eq!(server.read(), [Received::GoAway(1, ErrorCode::NO_ERROR)]);
    server.receive(&get(3, "/"));
    assert_eq!(server.read(), []);
}

#[test]
fn header_map_of_the_maximum_number_of_fields_does_not_panic() {
    let limits = Http2Limits {
        header_list_bytes: 2 << 20,
        headers: usize::MAX,
        ..Http2Limits::default()
    };
    let mut server = Server::open(&limits);
    for (stream, count) in [(1, 24_000), (3, 24_001)] {
        let mut fields = block(&pseudo("GET", "/hold"));
        literal(&mut fields, 0x40, b"a", b"b");
        fields.resize(fields.len() + count - 1, 0xbe);
        let (first, rest) = fields.split_at(16_384);
        server.receive(&frame(HEADERS, END_STREAM, stream, first));
        server.receive(&frame(CONTINUATION, END_HEADERS, stream, rest));
    }
    assert!(matches!(&server.seen[0], Seen::Request(1, request) if request.headers.len() == 24_000));
    assert_eq!(server.seen[1], Seen::Refused(3, Http2Reason::TooManyFields));
}

#[test]
fn calls_for_closed_streams_have_no_effect() {
    let (mut server, stream) = request("GET");
    server.receive(&reset(1, ErrorCode::CANCEL));
    // Another stream reuses the slot.
    server.receive(&get(3, "/hold"));
    assert_eq!(server.stream(3).slot(), stream.slot());
    write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::Chunked);
    assert_eq!(write_body(&mut server, stream, b"late", true), Ok(4));
    assert_eq!(write_end(&mut server, stream, None), Ok(()));
    server.connection.consumed(&mut server.output, stream, 9);
    server.connection.set_pending(stream, true);
    server.connection.reset(&mut server.output, stream, ErrorCode::CANCEL);
    assert_eq!(server.read(), []);
    assert_eq!(
        (server.connection.next_pending(), server.connection.open_streams()),
        (None, 1)
    );
}

#[test]
fn connected_stream_transfers_only_data() {
    let mut server = open();
    let fields = [(":method", "CONNECT"), (":authority", "a:1")];
    server.receive(&frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    let stream = server.stream(1);
    write_head(&mut server, stream, 200, &HeaderMap::new(), BodyLength::None);
    let (fields, end_stream) = head(&mut server);
    assert!(!end_stream && fields.iter().all(|(name, _)| name != "content-length"));
    server.receive(&data(1, b"ping!"));
    assert_eq!(write_body(&mut server, stream, b"pong!", false), Ok(5));
    assert_eq!(server.read(), [data_frame(1, b"pong!", false)]);
    server.receive(&trailers(1, &[]));
    assert_eq!(server.read(), [Received::Reset(1, ErrorCode::PROTOCOL_ERROR)]);
}

#[test]
fn phase_follows_the_streams() {
    let mut server = Server::new(&Http2Limits::default());
    let phases = |server: &mut Server, input: &[u8]| {
        server.receive(input);
        server.connection.phase()
    };
    assert_eq!(phases(&mut server, PREFACE), Http2Phase::Preface);
    assert_eq!(phases(&mut server, &settings(&[])), Http2Phase::Idle);
    assert_eq!(
        phases(&mut server, &frame(HEADERS, END_STREAM, 1, b"")),
        Http2Phase::Block
    );
    let fields = block(&pseudo("GET", "/hold"));
    assert_eq!(
        phases(&mut server, &frame(CONTINUATION, END_HEADERS, 1, &fields)),
        Http2Phase::Streams
    );
    assert_eq!(phases(&mut server, &reset(1, ErrorCode::CANCEL)), Http2Phase::Idle);
    server.connection.abort(&mut server.output, ErrorCode::NO_ERROR);
    assert_eq!(phases(&mut server, &get(3, "/")), Http2Phase::Closed);
    assert!(matches!(server.seen.last(), Some(Seen::Reset(1, _))));
}

#[test]
fn idle_connection_keeps_only_its_tables() {
    let mut server = open();
    assert_eq!(server.connection.heap_bytes(), 0);
    for number in 0..100 {
        server.receive(&get(1 + 2 * number, "/"));
    }
    server.connection.shrink();
    assert!(
        server.connection.heap_bytes() < 1024,
        "{}",
        server.connection.heap_bytes()
    );
    assert!(
        size_of_val(&server.connection) <= 640,
        "{}",
        size_of_val(&server.connection)
    );
}
