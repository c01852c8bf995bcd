//! For any status, fields, body and trailers of a handler, the output is one response that httparse reads as intended:
//! no value begins another field, body or response.
//!
//! The input has a line with the kind of response, a line for each field and, after an empty line, the body.
#![no_main]

use conduit_proto::h1::{BodyLength, Connection, Event, Head, Limits};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;

const REQUESTS: [&[u8]; 4] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
];

/// Fields that only the engine may set.
const OWNED: [&str; 4] = ["content-length", "transfer-encoding", "connection", "keep-alive"];

fuzz_target!(|data: &[u8]| {
    let Some((&[request, high, low, how], rest)) = data
        .split_at_checked(4)
        .and_then(|(head, rest)| <&[u8; 4]>::try_from(head).ok().map(|head| (head, rest)))
    else {
        return;
    };
    let Ok(status) = StatusCode::from_u16(200 + u16::from_be_bytes([high, low]) % 800) else {
        return;
    };
    let (fields, body) = split(rest);
    let mut connection = Connection::new();
    let mut head = Head::new();
    let input = REQUESTS[usize::from(request) % REQUESTS.len()];
    let (_, event) = connection
        .handle_input(input, &mut head, &Limits::default())
        .expect("the request is good");
    assert_eq!(event, Event::Request);

    let mut out = Vec::new();
    let date = conduit_proto::http_date(0);
    let chunked = match how % 3 {
        0 => {
            connection.write_response(&mut out, status, &fields, body, &date);
            false
        }
        1 => {
            let length = BodyLength::Exact(body.len() as u64);
            connection.write_head(&mut out, status, &fields, length, &date);
            for piece in body.chunks(7) {
                connection.write_body(&mut out, piece).expect("the length is right");
            }
            connection
                .write_end(&mut out, Some(&fields))
                .expect("the length is right");
            false
        }
        _ => {
            connection.write_head(&mut out, status, &fields, BodyLength::Chunked, &date);
            for piece in body.chunks(7) {
                connection.write_body(&mut out, piece).expect("there is no length");
            }
            connection
                .write_end(&mut out, Some(&fields))
                .expect("there is no length");
            true
        }
    };

    let bodiless = *head.method() == Method::HEAD || matches!(status.as_u16(), 204 | 205 | 304);
    let read = Read::of(&out, &fields);
    assert_eq!(read.status, status.as_u16());
    let expected = if bodiless { b"" } else { body };
    if let Some(length) = read.length.filter(|_| !bodiless) {
        assert_eq!(length, expected.len());
    }
    if read.chunked {
        assert!(chunked && !bodiless && head.version() == http::Version::HTTP_11);
        assert_eq!(dechunk(read.behind, &fields), expected);
    } else {
        assert_eq!(read.behind, expected);
        assert!(read.length.is_some() || bodiless || !connection.keep_alive());
    }
    assert_eq!(read.close, !connection.keep_alive());
});

/// The fields that the `http` crate lets a handler create, and the body.
fn split(mut rest: &[u8]) -> (HeaderMap, &[u8]) {
    let mut fields = HeaderMap::new();
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(value))
            && fields.len() < 60
        {
            fields.append(name, value);
        }
    }
    (fields, rest)
}

/// A response as httparse has parsed it.
struct Read<'a> {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    close: bool,
    behind: &'a [u8],
}

impl<'a> Read<'a> {
    fn of(out: &'a [u8], fields: &HeaderMap) -> Self {
        let mut parsed = [httparse::EMPTY_HEADER; 80];
        let mut response = httparse::Response::new(&mut parsed);
        let end = match response.parse(out).expect("httparse reads it") {
            httparse::Status::Complete(end) => end,
            httparse::Status::Partial => panic!("the head has no end"),
        };
        let mut read = Read {
            status: response.code.expect("a status"),
            length: None,
            chunked: false,
            close: false,
            behind: &out[end..],
        };
        let mut others = Vec::new();
        let mut dates = 0;
        for field in response.headers.iter() {
            match field.name {
                "content-length" => {
                    let digits = str::from_utf8(field.value).expect("digits");
                    assert_eq!(read.length.replace(digits.parse().expect("a number")), None);
                }
                "transfer-encoding" => {
                    assert_eq!(field.value, b"chunked");
                    assert!(!std::mem::replace(&mut read.chunked, true), "two framings");
                }
                "connection" => read.close |= field.value == b"close",
                name => {
                    dates += usize::from(name == "date");
                    others.push((name, field.value));
                }
            }
        }
        assert!(!(read.chunked && read.length.is_some()), "two framings");
        let meant: Vec<_> = fields
            .iter()
            .filter(|(name, _)| !OWNED.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.as_bytes().trim_ascii()))
            .collect();
        if fields.contains_key("date") {
            assert_eq!(trimmed(&others), meant);
        } else {
            assert_eq!(dates, 1);
            others.retain(|(name, _)| *name != "date");
            assert_eq!(trimmed(&others), meant);
        }
        read
    }
}

/// White space around a value is not part of it (RFC 9110, section 5.5).
fn trimmed<'a>(fields: &[(&'a str, &'a [u8])]) -> Vec<(&'a str, &'a [u8])> {
    fields.iter().map(|(name, value)| (*name, value.trim_ascii())).collect()
}

/// Reads chunks to their end, which must be the end of the output, and checks that each trailer is one of the fields.
fn dechunk(mut rest: &[u8], fields: &HeaderMap) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let (at, size) = match httparse::parse_chunk_size(rest).expect("a size") {
            httparse::Status::Complete(read) => read,
            httparse::Status::Partial => panic!("half of a size"),
        };
        rest = &rest[at..];
        let size = usize::try_from(size).expect("it is small");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[..size]);
        rest = rest[size..].strip_prefix(b"\r\n").expect("a chunk ends so");
    }
    let mut parsed = [httparse::EMPTY_HEADER; 80];
    match httparse::parse_headers(rest, &mut parsed).expect("trailers") {
        httparse::Status::Complete((end, trailers)) => {
            assert_eq!(end, rest.len(), "something follows the response");
            for field in trailers {
                let meant = fields.get_all(field.name);
                assert!(
                    meant
                        .iter()
                        .any(|value| value.as_bytes().trim_ascii() == field.value.trim_ascii())
                );
            }
        }
        httparse::Status::Partial => panic!("an incomplete trailer section"),
    }
    body
}
