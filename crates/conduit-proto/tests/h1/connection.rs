//! The states of a connection: pipelines, keep-alive, ignored bodies, errors, upgrades.

use conduit_proto::h1::{BodyLength, Connection, DRAIN_BYTES, Event, Head, Limits, Phase, RequestError};
use conduit_proto::http_date;
use http::{HeaderMap, StatusCode};

use crate::drive::{Seen, run_byte_by_byte, run_whole};
use crate::head::run_every_way;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection with its buffers, for step-by-step tests.
struct Peer {
    connection: Connection,
    head: Head,
    output: Vec<u8>,
}

impl Peer {
    fn new() -> Self {
        Self {
            connection: Connection::new(),
            head: Head::new(),
            output: Vec::new(),
        }
    }

    fn input<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Event<'a>), RequestError> {
        self.connection.handle_input(input, &mut self.head, &Limits::default())
    }

    fn request(stream: &str) -> Self {
        let mut peer = Self::new();
        let (used, event) = peer.input(stream.as_bytes()).expect("a valid request");
        assert_eq!((used, event), (stream.len(), Event::Request));
        peer
    }

    fn answer(&mut self, status: StatusCode) -> String {
        let (headers, date) = (HeaderMap::new(), http_date(0));
        self.connection
            .write_response(&mut self.output, status, &headers, b"ok", &date);
        String::from_utf8(std::mem::take(&mut self.output)).expect("text")
    }
}

#[test]
fn connection_and_event_are_small() {
    assert!(size_of::<Connection>() <= 64, "{}", size_of::<Connection>());
    assert!(size_of::<Head>() <= 160, "{}", size_of::<Head>());
    assert!(size_of::<Event<'_>>() <= 24, "{}", size_of::<Event<'_>>());
    assert!(size_of::<RequestError>() <= 12, "{}", size_of::<RequestError>());
}

#[test]
fn pipelined_requests_are_processed_in_order() {
    let mut peer = Peer::new();
    let stream = GET.repeat(2);
    assert_eq!(peer.input(stream.as_bytes()), Ok((GET.len(), Event::Request)));
    let rest = &stream.as_bytes()[GET.len()..];
    assert_eq!(peer.input(rest), Ok((0, Event::Blocked)));
    assert_eq!(peer.connection.phase(), Phase::Answer);
    peer.answer(StatusCode::OK);
    assert_eq!(peer.input(rest), Ok((GET.len(), Event::Request)));
}

#[test]
fn phases_follow_the_request() {
    let mut peer = Peer::new();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(peer.connection.phase(), Phase::Idle);
    assert_eq!(peer.input(b"\r\n"), Ok((2, Event::NeedMore)));
    assert_eq!(peer.connection.phase(), Phase::Idle);
    assert_eq!(peer.input(&head[..1]), Ok((0, Event::NeedMore)));
    assert_eq!(peer.connection.phase(), Phase::Head);
    assert_eq!(peer.input(head), Ok((head.len(), Event::Request)));
    assert_eq!(peer.connection.phase(), Phase::Body);
    assert_eq!(peer.input(b"ab"), Ok((2, Event::Body(b"ab"))));
    assert_eq!(peer.input(b""), Ok((0, Event::End(None))));
    assert_eq!(peer.connection.phase(), Phase::Answer);
    peer.answer(StatusCode::OK);
    assert_eq!(peer.connection.phase(), Phase::Idle);
}

#[test]
fn keep_alive_requires_both_sides() {
    for (version, connection, stays_open) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: x, CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: xclose\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let name = format!("HTTP/{version} {connection:?}");
        let mut peer = Peer::request(&format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n"));
        assert_eq!(peer.head.keep_alive(), stays_open, "{name}");
        let output = peer.answer(StatusCode::OK);
        assert_eq!(peer.connection.keep_alive(), stays_open, "{name}");
        assert_eq!(output.contains("connection: close\r\n"), !stays_open, "{name}");
        let old = version == "1.0" && stays_open;
        assert_eq!(output.contains("connection: keep-alive\r\n"), old, "{name}");
        let next = peer.input(GET.as_bytes());
        let event = if stays_open { Event::Request } else { Event::Closed };
        assert_eq!(next, Ok((GET.len(), event)), "{name}");
    }
}

#[test]
fn short_unread_body_is_discarded() {
    for body in [
        "Content-Length: 5\r\n\r\nabcde",
        "Transfer-Encoding: chunked\r\n\r\n5;x\r\nabcde\r\n0\r\nX: y\r\n\r\n",
    ] {
        let stream = format!("POST /early HTTP/1.1\r\nHost: a\r\n{body}{GET}");
        let seen = run_every_way(body, stream.as_bytes());
        assert_eq!(seen.requests().len(), 2);
        assert!(seen.keep_alive);
        assert!(
            !seen
                .seen
                .iter()
                .any(|seen| matches!(seen, Seen::Body(_) | Seen::End(_)))
        );
    }
}

#[test]
fn long_unread_body_closes_the_connection_with_an_announcement() {
    let mut peer = Peer::request(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        DRAIN_BYTES + 1
    ));
    let output = peer.answer(StatusCode::PAYLOAD_TOO_LARGE);
    assert!(output.contains("connection: close\r\n"));
    assert!(!peer.connection.keep_alive());
    assert_eq!(peer.connection.phase(), Phase::Closed);
}

#[test]
fn long_body_can_be_read_during_a_streamed_response() {
    let (headers, date) = (HeaderMap::new(), http_date(0));
    let length = usize::try_from(DRAIN_BYTES).expect("64 KiB") + 1;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    for read in [true, false] {
        let mut peer = Peer::request(&head);
        let (connection, out) = (&mut peer.connection, &mut peer.output);
        connection.write_head(out, StatusCode::OK, &headers, BodyLength::Chunked, &date);
        assert!(connection.keep_alive() && !connection.can_answer());
        if read {
            let body = vec![b'x'; length];
            assert_eq!(peer.input(&body), Ok((length, Event::Body(&body))));
            assert_eq!(peer.input(b""), Ok((0, Event::End(None))));
            assert_eq!(peer.connection.phase(), Phase::Answer);
        }
        peer.connection.write_end(&mut peer.output, None).expect("no length");
        assert_eq!(peer.connection.keep_alive(), read);
    }
}

#[test]
fn long_unread_chunked_body_closes_the_connection() {
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let stream = |chunks: usize| {
        let chunks = chunk.repeat(chunks);
        format!("POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n{GET}")
    };
    let limits = Limits::default();
    assert_eq!(run_whole(stream(15).as_bytes(), &limits).requests().len(), 2);
    let long = stream(16);
    let seen = run_whole(long.as_bytes(), &limits);
    assert_eq!(seen.requests().len(), 1);
    assert_eq!((seen.phase, seen.keep_alive), (Phase::Closed, false));
    assert_eq!(run_byte_by_byte(long.as_bytes(), &limits), seen);
}

#[test]
fn rest_of_a_body_is_discarded_in_the_drain_phase() {
    let mut peer = Peer::request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(peer.input(b"a"), Ok((1, Event::Body(b"a"))));
    peer.answer(StatusCode::OK);
    assert_eq!(peer.connection.phase(), Phase::Drain);
    assert_eq!(peer.input(b"bc"), Ok((2, Event::NeedMore)));
    assert_eq!(peer.connection.phase(), Phase::Drain);
    assert_eq!(peer.input(b"de"), Ok((2, Event::NeedMore)));
    assert_eq!(peer.connection.phase(), Phase::Idle);
    assert!(peer.connection.keep_alive());
}

const EXPECT: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn continue_is_sent_once_if_expected() {
    let mut peer = Peer::request(EXPECT);
    assert!(peer.head.expects_continue());
    peer.connection.write_continue(&mut peer.output);
    peer.connection.write_continue(&mut peer.output);
    assert_eq!(peer.output, b"HTTP/1.1 100 Continue\r\n\r\n");
    peer.answer(StatusCode::OK);
    assert!(peer.connection.keep_alive());
}

#[test]
fn continue_is_not_sent_if_not_expected() {
    let mut peer = Peer::request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    peer.connection.write_continue(&mut peer.output);
    assert_eq!(peer.output, b"");

    let mut sent_already = Peer::request(EXPECT);
    assert_eq!(sent_already.input(b"a"), Ok((1, Event::Body(b"a"))));
    sent_already.connection.write_continue(&mut sent_already.output);
    assert_eq!(sent_already.output, b"");
    sent_already.answer(StatusCode::OK);
    assert!(sent_already.connection.keep_alive());

    let mut old = Peer::request("POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert!(!old.head.expects_continue());
    old.connection.write_continue(&mut old.output);
    assert_eq!(old.output, b"");
}

/// The client may or may not send the body, so the next byte is ambiguous.
#[test]
fn response_before_continue_closes_the_connection() {
    let mut peer = Peer::request(EXPECT);
    let output = peer.answer(StatusCode::UNAUTHORIZED);
    assert!(output.contains("connection: close\r\n"));
    assert_eq!(peer.connection.phase(), Phase::Closed);
}

#[test]
fn continue_is_not_sent_within_a_response() {
    let mut peer = Peer::request(EXPECT);
    let (headers, date) = (HeaderMap::new(), http_date(0));
    let (connection, out) = (&mut peer.connection, &mut peer.output);
    connection.write_head(out, StatusCode::OK, &headers, BodyLength::Chunked, &date);
    let before = out.len();
    connection.write_continue(out);
    assert_eq!(out.len(), before);
}

#[test]
fn body_of_unknown_length_closes_an_http_1_0_connection() {
    let mut peer = Peer::request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let (headers, date) = (HeaderMap::new(), http_date(0));
    let (connection, out) = (&mut peer.connection, &mut peer.output);
    connection.write_head(out, StatusCode::OK, &headers, BodyLength::Chunked, &date);
    connection.write_body(out, b"ok").expect("no length");
    connection.write_end(out, None).expect("no length");
    let output = String::from_utf8_lossy(out);
    assert!(output.contains("connection: close\r\n") && output.ends_with("\r\n\r\nok"));
    assert!(!connection.keep_alive());
}

#[test]
fn error_has_a_response_and_closes() {
    let mut peer = Peer::new();
    let stream = b"GET / HTTP/1.1\r\n\r\n";
    let error = peer.input(stream).expect_err("no Host");
    assert!(peer.connection.can_answer());
    let output = peer.answer(error.status());
    assert!(output.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert!(output.contains("connection: close\r\n"));
    assert!(!peer.connection.keep_alive() && !peer.connection.can_answer());
    assert_eq!(peer.input(GET.as_bytes()), Ok((GET.len(), Event::Closed)));
}

#[test]
fn error_in_a_body_can_have_a_response_until_one_has_started() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut waiting = Peer::request(head);
    waiting.input(b"x").expect_err("no size");
    assert!(waiting.connection.can_answer());

    let mut begun = Peer::request(head);
    let (headers, date) = (HeaderMap::new(), http_date(0));
    let body = BodyLength::Chunked;
    begun
        .connection
        .write_head(&mut begun.output, StatusCode::OK, &headers, body, &date);
    begun.input(b"x").expect_err("no size");
    assert!(!begun.connection.can_answer());
    assert!(!begun.connection.keep_alive());
}

#[test]
fn error_in_a_discarded_body_only_closes() {
    let stream = "POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx";
    let seen = run_every_way("an error while skipping", stream.as_bytes());
    assert_eq!(seen.output.windows(5).filter(|five| five == b"HTTP/").count(), 1);
    assert_eq!((seen.phase, seen.keep_alive), (Phase::Closed, false));
}

#[test]
fn response_without_a_request_closes() {
    let mut peer = Peer::new();
    assert_eq!(peer.input(b"GET / HT"), Ok((0, Event::NeedMore)));
    assert!(peer.connection.can_answer());
    let output = peer.answer(StatusCode::REQUEST_TIMEOUT);
    assert!(output.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert!(output.contains("connection: close\r\n") && output.ends_with("\r\n\r\nok"));
    assert!(!peer.connection.keep_alive());
    assert_eq!(peer.connection.phase(), Phase::Closed);
}

#[test]
fn switching_protocols_leaves_further_input_unconsumed() {
    let stream = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x81\x00";
    let seen = run_every_way("upgrade", stream);
    assert_eq!(seen.phase, Phase::Upgraded);
    assert_eq!(seen.seen.last(), Some(&Seen::Upgraded));
    assert_eq!(
        String::from_utf8_lossy(&seen.output),
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"
    );
}

#[test]
fn tunnel_has_no_framing() {
    let mut peer = Peer::request("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n");
    let (headers, date) = (HeaderMap::new(), http_date(0));
    let body = BodyLength::None;
    peer.connection
        .write_head(&mut peer.output, StatusCode::OK, &headers, body, &date);
    let output = String::from_utf8_lossy(&peer.output);
    assert!(!output.contains("content-length") && !output.contains("connection"));
    assert_eq!(peer.input(b"\x16"), Ok((0, Event::Upgraded)));
}

#[test]
fn abort_stops_reading_and_writing() {
    let mut peer = Peer::request(GET);
    peer.connection.abort();
    assert!(!peer.connection.keep_alive() && !peer.connection.can_answer());
    peer.connection
        .write_body(&mut peer.output, b"x")
        .expect("is discarded");
    peer.connection.write_end(&mut peer.output, None).expect("is discarded");
    assert_eq!(peer.output, b"");
    assert_eq!(peer.input(b"x"), Ok((1, Event::Closed)));
}
