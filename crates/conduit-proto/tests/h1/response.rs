//! The written bytes: RFC 9112, sections 4 to 7, and responses without a body.

use conduit_proto::h1::{BodyError, BodyLength, Connection, Event, Head, Limits};
use conduit_proto::http_date;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use BodyLength::{Chunked, Exact};

const DATE: &str = "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

fn request(method: &str, version: &str) -> Connection {
    let stream = format!("{method} / HTTP/{version}\r\nHost: a\r\n\r\n");
    let mut connection = Connection::new();
    let found = connection.handle_input(stream.as_bytes(), &mut Head::new(), &Limits::default());
    assert_eq!(found, Ok((stream.len(), Event::Request)));
    connection
}

/// Writes a response in pieces; returns the output, and whether the connection persists.
fn respond(
    connection: &mut Connection,
    status: u16,
    fields: &HeaderMap,
    body: BodyLength,
    pieces: &[&str],
) -> (String, bool) {
    let mut out = Vec::new();
    let status = StatusCode::from_u16(status).expect("a status");
    connection.write_head(&mut out, status, fields, body, &http_date(0));
    for piece in pieces {
        connection.write_body(&mut out, piece.as_bytes()).expect("it fits");
    }
    connection.write_end(&mut out, None).expect("it is complete");
    (String::from_utf8(out).expect("text"), connection.keep_alive())
}

/// Writes the same response to the same request from a prepared head and from a map. Returns both outputs, and whether
/// the fast path applied.
fn respond_both_ways(input: &str, body: &str) -> (Vec<u8>, Vec<u8>, bool) {
    let start = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
    let fields = headers(&[("content-type", "text/plain")]);
    let asked = || {
        let mut connection = Connection::new();
        // The rest of the body is not read yet.
        let asked = connection.handle_input(input.as_bytes(), &mut Head::new(), &Limits::default());
        assert!(matches!(asked, Ok((_, Event::Request))), "{input}");
        connection
    };
    let (mut one, mut other) = (asked(), asked());
    let (mut usual, mut other_out) = (Vec::new(), Vec::new());
    let is_usual = one.write_usual(&mut usual, start, body.as_bytes(), &http_date(0));
    other.write_response(&mut other_out, StatusCode::OK, &fields, body.as_bytes(), &http_date(0));
    if is_usual {
        assert_eq!((one.keep_alive(), one.phase()), (other.keep_alive(), other.phase()));
        let again = one.write_usual(&mut Vec::new(), start, b"", &http_date(0));
        assert!(!again, "an answer is written once");
    }
    (usual, other_out, is_usual)
}

#[test]
fn prepared_head_makes_the_same_response_on_the_fast_path() {
    let lengths = (0..120).chain([999, 1000, 1001, 9_999, 65_536, 1_000_000]);
    for body in lengths.map(|length| "x".repeat(length)) {
        let (usual, other, is_usual) = respond_both_ways("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &body);
        assert!(is_usual && usual == other, "{} bytes", body.len());
    }
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert!(respond_both_ways(post, "ok").2);
    for input in [
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let (usual, _, is_usual) = respond_both_ways(input, "ok");
        assert!(!is_usual && usual.is_empty(), "{input}");
    }
    let before_a_request = Connection::new().write_usual(&mut Vec::new(), b"", b"", &http_date(0));
    assert!(!before_a_request);
}

/// Method, version, status, fields, body; then framing, the bytes after the head, and keep-alive.
type FramingCase<'a> = (&'a str, &'a str, u16, &'a HeaderMap, BodyLength, &'a str, &'a str, bool);

#[test]
fn framing_follows_the_kind_of_response() {
    let none = BodyLength::None;
    let no_length = headers(&[]);
    let length = headers(&[("content-length", "7")]);
    #[rustfmt::skip]
    let cases: [FramingCase<'_>; 23] = [
        ("GET", "1.1", 200, &no_length, Exact(2), "content-length: 2\r\n", "ok", true),
        ("GET", "1.1", 200, &no_length, none, "content-length: 0\r\n", "", true),
        ("GET", "1.1", 404, &no_length, Exact(2), "content-length: 2\r\n", "ok", true),
        ("GET", "1.1", 200, &no_length, Chunked, "transfer-encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n", true),
        ("GET", "1.0", 200, &no_length, Exact(2), "content-length: 2\r\nconnection: close\r\n", "ok", false),
        ("GET", "1.0", 200, &no_length, Chunked, "connection: close\r\n", "ok", false),
        // The caller's length is ignored if the length of the body is known.
        ("GET", "1.1", 200, &length, Exact(2), "content-length: 2\r\n", "ok", true),
        ("GET", "1.1", 200, &length, Chunked, "transfer-encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n", true),
        ("GET", "1.1", 200, &length, none, "content-length: 0\r\n", "", true),
        ("HEAD", "1.1", 200, &no_length, Exact(2), "content-length: 2\r\n", "", true),
        ("HEAD", "1.1", 200, &length, none, "content-length: 7\r\n", "", true),
        ("HEAD", "1.1", 200, &length, Exact(0), "content-length: 7\r\n", "", true),
        ("HEAD", "1.1", 200, &no_length, none, "", "", true),
        ("HEAD", "1.1", 200, &no_length, Chunked, "", "", true),
        ("HEAD", "1.0", 200, &no_length, Chunked, "connection: close\r\n", "", false),
        ("GET", "1.1", 204, &no_length, Exact(2), "", "", true),
        ("GET", "1.1", 204, &length, none, "", "", true),
        ("GET", "1.1", 204, &no_length, Chunked, "", "", true),
        ("GET", "1.1", 205, &no_length, Exact(2), "content-length: 0\r\n", "", true),
        ("GET", "1.1", 304, &no_length, Exact(2), "", "", true),
        ("GET", "1.1", 304, &length, none, "content-length: 7\r\n", "", true),
        ("GET", "1.1", 304, &no_length, Chunked, "", "", true),
        ("HEAD", "1.1", 304, &length, none, "content-length: 7\r\n", "", true),
    ];
    for (method, version, status, fields, body, framing, rest, stays_open) in cases {
        let name = format!("{method} HTTP/{version} {status} {body:?}");
        let pieces: &[&str] = if body == none { &[] } else { &["o", "", "k"] };
        let (output, keep_alive) = respond(&mut request(method, version), status, fields, body, pieces);
        let reason = StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
        let rest = rest.replace("2\r\nok\r\n0", "1\r\no\r\n1\r\nk\r\n0");
        let expected = format!("HTTP/1.1 {status} {reason}\r\n{framing}{DATE}\r\n{rest}");
        assert_eq!((output, keep_alive), (expected, stays_open), "{name}");
    }
}

#[test]
fn whole_response_equals_its_pieces() {
    let fields = headers(&[("x-a", "1"), ("content-length", "9"), ("connection", "close")]);
    for method in ["GET", "HEAD"] {
        for status in [200, 204, 205, 304, 404] {
            let mut whole = Vec::new();
            let mut connection = request(method, "1.1");
            let code = StatusCode::from_u16(status).unwrap();
            connection.write_response(&mut whole, code, &fields, b"ok", &http_date(0));
            let (pieces, keep_alive) = respond(&mut request(method, "1.1"), status, &fields, Exact(2), &["ok"]);
            assert_eq!(String::from_utf8(whole).unwrap(), pieces);
            assert_eq!(connection.keep_alive(), keep_alive);
        }
    }
}

#[test]
fn caller_fields_are_sent_in_order_except_engine_fields() {
    let fields = headers(&[
        ("x-a", "1"),
        ("transfer-encoding", "gzip"),
        ("content-length", "99"),
        ("keep-alive", "timeout=5"),
        ("set-cookie", "a=b"),
        ("set-cookie", "c=d"),
        ("connection", "x-a"),
    ]);
    let (output, stays_open) = respond(&mut request("GET", "1.1"), 200, &fields, Exact(0), &[]);
    let expected =
        format!("HTTP/1.1 200 OK\r\nx-a: 1\r\nset-cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 0\r\n{DATE}\r\n");
    assert_eq!((output, stays_open), (expected, true));
}

/// RFC 9110, section 7.8: a sender of `upgrade` also sends the connection option.
#[test]
fn upgrade_is_a_connection_option() {
    let fields = headers(&[("upgrade", "websocket")]);
    for (version, option, more, stays_open) in [
        ("1.1", "x-a", "", true),
        ("1.1", "upgrade", "", true),
        ("1.1", "close, upgrade", "connection: close\r\n", false),
        ("1.0", "x-a", "connection: close\r\n", false),
    ] {
        let mut fields = fields.clone();
        fields.insert("connection", option.parse().expect("a value"));
        let responded = respond(&mut request("GET", version), 426, &fields, Exact(0), &[]);
        let expected = format!(
            "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\ncontent-length: 0\r\nconnection: upgrade\r\n{more}{DATE}\r\n"
        );
        assert_eq!(responded, (expected, stays_open), "{version} {option}");
    }
}

#[test]
fn caller_can_close_and_set_the_date() {
    let fields = headers(&[("connection", "X, Close"), ("date", "yesterday")]);
    let (output, stays_open) = respond(&mut request("GET", "1.1"), 200, &fields, Exact(0), &[]);
    let expected = "HTTP/1.1 200 OK\r\ndate: yesterday\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!((output.as_str(), stays_open), (expected, false));
}

#[test]
fn unknown_status_keeps_the_space_before_an_empty_reason() {
    let (output, _) = respond(&mut request("GET", "1.1"), 599, &headers(&[]), Exact(0), &[]);
    assert!(output.starts_with("HTTP/1.1 599 \r\n"));
}

#[test]
fn informational_response_precedes_the_response() {
    let link = headers(&[("link", "</a>")]);
    let mut connection = request("GET", "1.1");
    let mut out = Vec::new();
    let hints = StatusCode::EARLY_HINTS;
    connection.write_head(&mut out, hints, &link, BodyLength::None, &http_date(0));
    assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    let (output, stays_open) = respond(&mut connection, 200, &headers(&[]), Exact(2), &["ok"]);
    assert!(output.starts_with("HTTP/1.1 200 OK\r\n") && stays_open);

    out.clear();
    request("GET", "1.0").write_head(&mut out, hints, &link, BodyLength::None, &http_date(0));
    assert_eq!(out, b"", "HTTP/1.0 has no interim responses");
}

#[test]
fn chunk_length_is_hexadecimal() {
    let mut connection = request("GET", "1.1");
    let mut out = Vec::new();
    connection.write_head(&mut out, StatusCode::OK, &headers(&[]), Chunked, &http_date(0));
    out.clear();
    for length in [1, 15, 16, 255, 4096] {
        connection.write_body(&mut out, &vec![b'x'; length]).expect("no length");
        let data = "x".repeat(length);
        assert_eq!(out, format!("{length:x}\r\n{data}\r\n").as_bytes());
        out.clear();
    }
    let trailers = headers(&[
        ("x-sum", "7"),
        ("content-length", "9"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
    ]);
    connection.write_end(&mut out, Some(&trailers)).expect("no length");
    assert_eq!(out, b"0\r\nx-sum: 7\r\n\r\n");
}

#[test]
fn excess_body_is_discarded_and_reported() {
    let mut connection = request("GET", "1.1");
    let mut out = Vec::new();
    connection.write_head(&mut out, StatusCode::OK, &headers(&[]), Exact(3), &http_date(0));
    assert_eq!(connection.write_body(&mut out, b"ab"), Ok(()));
    let error = connection.write_body(&mut out, b"cde").expect_err("too long");
    assert_eq!(error, BodyError::TooLong { excess: 2 });
    assert!(error.to_string().contains("2 bytes more than its head declared"));
    assert_eq!(connection.write_end(&mut out, None), Ok(()));
    assert!(out.ends_with(b"\r\n\r\nabc") && connection.keep_alive());
}

#[test]
fn short_body_closes_and_is_reported() {
    let mut connection = request("GET", "1.1");
    let mut out = Vec::new();
    connection.write_head(&mut out, StatusCode::OK, &headers(&[]), Exact(3), &http_date(0));
    assert_eq!(connection.write_body(&mut out, b"ab"), Ok(()));
    let error = connection.write_end(&mut out, None).expect_err("too short");
    assert_eq!(error, BodyError::TooShort { missing: 1 });
    assert!(!connection.keep_alive());
}

#[test]
fn content_length_is_decimal() {
    for length in [0, 9, 10, 99, 100, 12_345, u64::MAX] {
        let mut out = Vec::new();
        let exact = Exact(length);
        request("HEAD", "1.1").write_head(&mut out, StatusCode::OK, &headers(&[]), exact, &http_date(0));
        let expected = format!("content-length: {length}\r\n");
        assert!(String::from_utf8(out).unwrap().contains(&expected));
    }
}

/// Writes a response of two bytes after this input, which contains no whole request.
fn refuse(pieces: &[&str]) -> (String, bool) {
    let mut connection = Connection::new();
    let mut input = String::new();
    for piece in pieces {
        input.push_str(piece);
        if let Ok((used, event)) = connection.handle_input(input.as_bytes(), &mut Head::new(), &Limits::default()) {
            assert_eq!(event, Event::NeedMore, "{input}");
            input.drain(..used);
        }
    }
    let is_head_only = connection.is_head_only();
    let (output, keep_alive) = respond(&mut connection, 408, &headers(&[]), Exact(2), &["ok"]);
    assert!(!keep_alive, "{pieces:?}");
    (output, is_head_only)
}

#[test]
fn response_to_an_incomplete_or_invalid_head_follows_its_method() {
    let cases: [(&[&str], bool); 12] = [
        (&["HEAD "], true),
        (&["HEAD / HTTP/1.1\r\nHos"], true),
        (&["HE", "AD", " /", " HTTP/1.1\r\n"], true),
        (&["\r\nHEAD / HTTP/1.1\r\n"], true),
        (&["HEAD / HTTP/1.1\r\nHost : a\r\n\r\n"], true),
        (&["HEAD / HTTP/1.1\r\n\r\n"], true),
        (&["HEAD / HTTP/3.0\r\n"], true),
        // The token is incomplete, or another one.
        (&["HEAD"], false),
        (&["HEADER / HTTP/1.1\r\n"], false),
        (&["head / HTTP/1.1\r\n"], false),
        (&["GET /HEAD HTTP/1.1\r\n"], false),
        (&[], false),
    ];
    for (pieces, expected) in cases {
        let (output, is_head_only) = refuse(pieces);
        let rest = if expected { "" } else { "ok" };
        let expected_output =
            format!("HTTP/1.1 408 Request Timeout\r\ncontent-length: 2\r\nconnection: close\r\n{DATE}\r\n{rest}");
        assert_eq!((output, is_head_only), (expected_output, expected), "{pieces:?}");
    }
}

#[test]
fn method_of_one_request_does_not_affect_the_next() {
    let mut connection = request("HEAD", "1.1");
    let (_, keep_alive) = respond(&mut connection, 200, &headers(&[]), Exact(2), &["ok"]);
    assert!(keep_alive && !connection.is_head_only());
    let (output, _) = respond(&mut connection, 408, &headers(&[]), Exact(2), &["ok"]);
    assert!(output.ends_with("\r\n\r\nok"), "{output}");
}
