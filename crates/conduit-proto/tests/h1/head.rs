//! Request lines, fields and limits: RFC 9112, sections 2, 3, 5 and 6, one row per case.

use conduit_proto::h1::{Connection, Head, Limits, Reason, TARGET_LIMIT};
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::drive::{Transcript, cut, run, run_byte_by_byte, run_whole};

/// The expected result of a case.
pub(crate) enum Expect {
    /// This number of requests, and no error.
    Accept(usize),
    /// An error with this status and reason.
    Refuse(u16, Reason),
    /// Neither a request nor an error: the input is incomplete.
    Wait,
}

/// A case: the section of RFC 9112, or of RFC 9110 if so marked, the behaviour, and the stream.
pub(crate) type Case = (&'static str, &'static str, &'static [u8], Expect);

use Expect::{Accept, Refuse, Wait};

#[rustfmt::skip]
const REQUEST_LINES: &[Case] = &[
    ("3", "a plain request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Accept(1)),
    ("3.1", "any token is a method", b"M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1\r\nHost: a\r\n\r\n", Accept(1)),
    ("3.1", "a method with a byte that is invalid in a token", b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Method)),
    ("3.1", "an empty method", b" / HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Method)),
    ("3", "another protocol is refused at its first byte", b"\x16\x03\x01\x02", Refuse(400, Reason::Method)),
    ("3", "two spaces after the method", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::RequestLine)),
    ("3", "two spaces after the target", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Version)),
    ("3", "a tab after the method", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Method)),
    ("3", "a space after the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refuse(400, Reason::Version)),
    ("3", "a target with a space", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Version)),
    ("3", "a method alone", b"GET\r\nHost: a\r\n\r\n", Refuse(400, Reason::RequestLine)),
    ("3", "no version, as in HTTP/0.9", b"GET /\r\n\r\n", Refuse(400, Reason::RequestLine)),
    ("2.2", "a request line that ends in LF", b"GET / HTTP/1.1\nHost: a\r\n\r\n", Refuse(400, Reason::LineEnd)),
    ("2.2", "CR inside the request line", b"GET /\ra HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::RequestLine)),
    ("2.2", "CR twice at the end of the request line", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Refuse(400, Reason::Version)),
    ("2.2", "empty lines before a request", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Accept(1)),
    ("2.2", "eight empty lines before a request", b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Accept(1)),
    ("2.2", "nine empty lines before a request", b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::BlankLines)),
    ("2.2", "an empty line of LF alone", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::LineEnd)),
    ("2.2", "CR before a request", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::LineEnd)),
    ("2.2", "white space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refuse(400, Reason::Folding)),
    ("2.3", "HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", Accept(1)),
    ("2.3", "a higher minor version is treated as 1.1", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Accept(1)),
    ("2.3", "a version in lower case", b"GET / http/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Version)),
    ("2.3", "a minor version of two digits", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", Refuse(400, Reason::Version)),
    ("2.3", "a version without a minor", b"GET / HTTP/1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Version)),
    ("9110 15.6.6", "HTTP/2 in clear text", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refuse(505, Reason::UnsupportedVersion)),
    ("9110 15.6.6", "HTTP/0.9 with a version", b"GET / HTTP/0.9\r\n\r\n", Refuse(505, Reason::UnsupportedVersion)),
    ("3", "an incomplete request line", b"GET / HTT", Wait),
    ("3", "a wrong request line is not rejected before it is complete", b"GET  / HTTP/1.1", Wait),
];

#[rustfmt::skip]
const TARGETS: &[Case] = &[
    ("3.2.1", "path and query", b"GET /a/b?c=d?e HTTP/1.1\r\nHost: a\r\n\r\n", Accept(1)),
    ("3.2.1", "a path without its slash", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.1", "a query without a path", b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "a byte that is not ASCII", b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "a control byte", b"GET /\x07 HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "NUL", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "DEL", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "a fragment", b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.1", "every byte that browsers send in a path and a query", b"GET /!$%41&'()*+,-./:;=@[\\]^_{|}~\"?!$%41&'()*+,-./:;=?@[\\]^_`{|}~ HTTP/1.1\r\nHost: a\r\n\r\n", Accept(1)),
    ("3.2", "a backtick in a path", b"GET /admin/`x HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "an opening angle bracket in a path", b"GET /a<b HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "a closing angle bracket in a path", b"GET /a>b HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "a quotation mark in a query", b"GET /?a=\"b HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "an opening angle bracket in a query", b"GET /?a=<b HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "a closing angle bracket in a query", b"GET /?a=>b HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2", "a backtick in the path of an absolute target", b"GET http://b/`x HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.2", "an absolute target with an encoded host", b"GET http://b%2fc/ HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.3", "an encoded host for CONNECT", b"CONNECT b%2fc:443 HTTP/1.1\r\nHost: b\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.2", "an absolute target", b"GET http://b:81/c?d HTTP/1.1\r\nHost: a\r\n\r\n", Accept(1)),
    ("3.2.2", "an absolute target without a path", b"GET HTTP://b HTTP/1.1\r\nHost: a\r\n\r\n", Accept(1)),
    ("3.2.2", "an absolute target with a query alone", b"GET https://b?c HTTP/1.1\r\nHost: a\r\n\r\n", Accept(1)),
    ("3.2.2", "an absolute target still needs Host", b"GET http://b/ HTTP/1.1\r\n\r\n", Refuse(400, Reason::MissingHost)),
    ("3.2.2", "an absolute target with an invalid Host", b"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2.2", "an absolute target with a repeated Host", b"GET http://b/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refuse(400, Reason::RepeatedHost)),
    ("3.2.2", "an absolute target with user information", b"GET http://u:p@b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.2", "an absolute target without a host", b"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.2", "an absolute target with a port alone", b"GET http://:80/a HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.2", "a scheme that is not served", b"GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.3", "an authority for CONNECT", b"CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", Accept(1)),
    ("3.2.3", "an IPv6 authority for CONNECT", b"CONNECT [::1]:443 HTTP/1.1\r\nHost: b\r\n\r\n", Accept(1)),
    ("3.2.3", "CONNECT without a port", b"CONNECT b HTTP/1.1\r\nHost: b\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.3", "CONNECT with an empty port", b"CONNECT b: HTTP/1.1\r\nHost: b\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.3", "CONNECT to IPv6 without a port", b"CONNECT [::1] HTTP/1.1\r\nHost: b\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.3", "CONNECT to IPv6 with an empty port", b"CONNECT [::1]: HTTP/1.1\r\nHost: b\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.3", "CONNECT without a host", b"CONNECT :443 HTTP/1.1\r\nHost: b\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.3", "CONNECT with a path", b"CONNECT /a HTTP/1.1\r\nHost: b\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.3", "an authority for GET", b"GET b:443 HTTP/1.1\r\nHost: b\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.4", "an asterisk for OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Accept(1)),
    ("3.2.4", "an asterisk for GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
    ("3.2.4", "more than an asterisk", b"OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", Refuse(400, Reason::Target)),
];

#[rustfmt::skip]
const HOSTS: &[Case] = &[
    ("3.2", "HTTP/1.1 without Host", b"GET / HTTP/1.1\r\n\r\n", Refuse(400, Reason::MissingHost)),
    ("3.2", "HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", Accept(1)),
    ("3.2", "Host twice", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refuse(400, Reason::RepeatedHost)),
    ("3.2", "Host twice in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", Refuse(400, Reason::RepeatedHost)),
    ("3.2", "an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Accept(1)),
    ("3.2", "Host with a port", b"GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n", Accept(1)),
    ("3.2", "Host with an empty port", b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", Accept(1)),
    ("3.2", "Host with a port above 65535", b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host with a port that is not a number", b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host with two ports", b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host of IPv6", b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", Accept(1)),
    ("3.2", "Host of a literal that is not an address", b"GET / HTTP/1.1\r\nHost: [::::]\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host of a literal of another version", b"GET / HTTP/1.1\r\nHost: [v1.a]\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host of IPv6 that is not closed", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host of IPv6 followed by a byte", b"GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host with an empty literal", b"GET / HTTP/1.1\r\nHost: []\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host with percent-encoding", b"GET / HTTP/1.1\r\nHost: a%20b\r\n\r\n", Accept(1)),
    ("3.2", "Host with broken percent-encoding", b"GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host with user information", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refuse(400, Reason::Host)),
    ("3.2", "Host that is not ASCII", b"GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n", Refuse(400, Reason::Host)),
];

#[rustfmt::skip]
const FIELDS: &[Case] = &[
    ("5", "white space around a value", b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", Accept(1)),
    ("5", "no white space before a value", b"GET / HTTP/1.1\r\nHost:a\r\n\r\n", Accept(1)),
    ("5", "an empty value", b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", Accept(1)),
    ("5", "a value of white space", b"GET / HTTP/1.1\r\nHost: a\r\nX: \t \r\n\r\n", Accept(1)),
    ("5.1", "a space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refuse(400, Reason::SpaceBeforeColon)),
    ("5.1", "a tab before the colon", b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", Refuse(400, Reason::SpaceBeforeColon)),
    ("5.1", "a tab at the end of a name whose next line is a colon", b"GET / HTTP/1.1\r\nHost\t\r\n: a\r\n\r\n", Refuse(400, Reason::FieldName)),
    ("5.1", "an empty name", b"GET / HTTP/1.1\r\n: a\r\n\r\n", Refuse(400, Reason::FieldName)),
    ("5.1", "a name with a space", b"GET / HTTP/1.1\r\nHo st: a\r\n\r\n", Refuse(400, Reason::FieldName)),
    ("5.1", "a name that is not ASCII", b"GET / HTTP/1.1\r\nH\xf6st: a\r\n\r\n", Refuse(400, Reason::FieldName)),
    ("5.1", "a line without a colon", b"GET / HTTP/1.1\r\nHost\r\n\r\n", Refuse(400, Reason::FieldName)),
    ("5.2", "a folded value", b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Refuse(400, Reason::Folding)),
    ("5.2", "a value folded with a tab", b"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", Refuse(400, Reason::Folding)),
    ("2.2", "CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Refuse(400, Reason::LineEnd)),
    ("2.2", "CR twice at the end of a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", Refuse(400, Reason::LineEnd)),
    ("2.2", "CR in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX\r: a\r\n\r\n", Refuse(400, Reason::FieldName)),
    ("2.2", "a field that ends in LF", b"GET / HTTP/1.1\r\nHost: a\n\r\n", Refuse(400, Reason::LineEnd)),
    ("2.2", "an empty line of LF alone after the fields", b"GET / HTTP/1.1\r\nHost: a\r\n\n", Refuse(400, Reason::LineEnd)),
    ("2.2", "an empty line of CR and another byte", b"GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n", Refuse(400, Reason::LineEnd)),
    ("9110 5.5", "NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Refuse(400, Reason::FieldValue)),
    ("9110 5.5", "a control byte deep in a long value", b"GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789\tabcdefgh\x0bijk\r\n\r\n", Refuse(400, Reason::FieldValue)),
    ("9110 5.5", "DEL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789abc\x7f\r\n\r\n", Refuse(400, Reason::FieldValue)),
    ("9110 5.5", "tabs and bytes above 0x7f in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\t\xff\x80\xe4 b\xa0\t\tc\r\n\r\n", Accept(1)),
    ("9110 10.1.1", "an expectation of 100-continue without a body", b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n", Accept(1)),
    ("9110 10.1.1", "an unknown expectation", b"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", Refuse(417, Reason::UnknownExpectation)),
    ("9110 10.1.1", "an expectation in HTTP/1.0 is nothing", b"GET / HTTP/1.0\r\nExpect: tea\r\n\r\n", Accept(1)),
    ("5", "an incomplete field", b"GET / HTTP/1.1\r\nHost: a\r\nX", Wait),
    ("5", "fields without their empty line", b"GET / HTTP/1.1\r\nHost: a\r\n", Wait),
    ("5", "CR that may begin the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\r", Wait),
    ("5", "a wrong field is refused although the head is incomplete", b"GET / HTTP/1.1\r\nHost : a\r\nX", Refuse(400, Reason::SpaceBeforeColon)),
];

/// Runs a case with every division into pieces, and returns the common result.
pub(crate) fn run_every_way(name: &str, stream: &[u8]) -> Transcript {
    let limits = Limits::default();
    let whole = run_whole(stream, &limits);
    assert_eq!(run_byte_by_byte(stream, &limits), whole, "{name}, byte by byte");
    for at in 0..=stream.len() {
        let split = run(cut(stream, &[at]), &limits);
        assert_eq!(split, whole, "{name}, split at {at}");
    }
    whole
}

pub(crate) fn check(cases: &[Case]) {
    for (section, name, stream, expect) in cases {
        let name = format!("{name} (section {section})");
        let seen = run_every_way(&name, stream);
        match expect {
            Accept(requests) => {
                assert_eq!(seen.error(), None, "{name}");
                assert_eq!(seen.requests().len(), *requests, "{name}");
            }
            Refuse(status, reason) => {
                let (found, found_reason) = seen.error().unwrap_or_else(|| panic!("taken: {name}"));
                assert_eq!((found.as_u16(), found_reason), (*status, *reason), "{name}");
                assert!(!seen.keep_alive, "{name}");
            }
            Wait => {
                assert_eq!(seen.error(), None, "{name}");
                assert_eq!(seen.requests().len(), 0, "{name}");
            }
        }
    }
}

#[test]
fn request_lines_are_parsed_strictly() {
    check(REQUEST_LINES);
}

#[test]
fn target_form_must_match_the_method() {
    check(TARGETS);
}

#[test]
fn host_must_be_valid_and_unique() {
    check(HOSTS);
}

#[test]
fn field_lines_are_parsed_strictly() {
    check(FIELDS);
}

#[test]
fn head_has_the_received_content() {
    let stream =
        b"POST /a%20b?c=%64 HTTP/1.1\r\nHOST: example.org:80\r\nX-a:  1 \r\nx-A: \xff\r\nContent-Length: 2\r\n\r\nhi";
    let seen = run_every_way("a head", stream);
    let request = seen.requests()[0];
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/a%20b?c=%64");
    assert_eq!(request.path, "/a%20b");
    assert_eq!(request.query.as_deref(), Some("c=%64"));
    assert_eq!(request.authority.as_deref(), Some("example.org:80"));
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), &value[..]))
        .collect();
    let expected = [
        ("HOST", &b"example.org:80"[..]),
        ("X-a", b"1"),
        ("x-A", b"\xff"),
        ("Content-Length", b"2"),
    ];
    assert_eq!(headers, expected);
    assert_eq!(seen.body(), b"hi");
}

#[test]
fn absolute_target_takes_precedence_over_host() {
    for (target, authority, path, query) in [
        ("http://b:81/c?d", "b:81", "/c", Some("d")),
        ("HTTPS://b", "b", "/", None),
        ("http://b?", "b", "/", Some("")),
        ("http://b/", "b", "/", None),
    ] {
        let stream = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let seen = run_every_way(target, stream.as_bytes());
        let request = seen.requests()[0];
        assert_eq!(request.authority.as_deref(), Some(authority), "{target}");
        assert_eq!(request.path, path, "{target}");
        assert_eq!(request.query.as_deref(), query, "{target}");
        assert_eq!(
            request.headers,
            [("host".to_owned(), authority.as_bytes().to_vec())],
            "{target}"
        );
    }
}

#[test]
fn host_of_an_absolute_target_replaces_the_field() {
    use conduit_proto::h1::{Connection, Head};
    let fields = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    for (stream, expected) in [
        (
            "GET http://long.example:81/ HTTP/1.1\r\nX: 1\r\nHOST: a\r\nY: 2\r\n\r\n",
            fields(&[("x", "1"), ("y", "2"), ("host", "long.example:81")]),
        ),
        (
            "GET http://b/ HTTP/1.1\r\nHost: long.example:81\r\nX: 1\r\n\r\n",
            fields(&[("x", "1"), ("host", "b")]),
        ),
        ("GET http://b/ HTTP/1.0\r\n\r\n", fields(&[("host", "b")])),
        (
            "GET http://b/ HTTP/1.0\r\nX: 1\r\n\r\n",
            fields(&[("x", "1"), ("host", "b")]),
        ),
        (
            "CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            fields(&[("host", "b:443")]),
        ),
    ] {
        let mut head = Head::new();
        let found = Connection::new().handle_input(stream.as_bytes(), &mut head, &Limits::default());
        assert_eq!(found.map(|(used, _)| used), Ok(stream.len()), "{stream}");
        let map = head.header_map();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let of_map: Vec<_> = map
            .iter()
            .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
            .collect();
        let of_head: Vec<_> = head
            .headers()
            .map(|(name, value)| (name.to_lowercase(), text(value)))
            .collect();
        assert_eq!((&of_map, &of_head), (&expected, &expected), "{stream}");
        assert_eq!(
            head.header("host").map(text),
            head.authority().map(str::to_owned),
            "{stream}"
        );
    }
}

#[test]
fn absolute_options_target_without_a_path_is_an_asterisk() {
    for (target, path, query) in [
        ("http://b", "*", None),
        ("http://b/", "/", None),
        ("http://b?", "/", Some("")),
        ("http://b?c", "/", Some("c")),
        ("*", "*", None),
    ] {
        let stream = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let seen = run_every_way(target, stream.as_bytes());
        let request = seen.requests()[0];
        assert_eq!((&*request.path, request.query.as_deref()), (path, query), "{target}");
    }
}

#[test]
fn header_map_has_every_value_in_order() {
    use conduit_proto::h1::{Connection, Head};
    let stream = b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\ny: 2\r\nx: 3\r\n\r\n";
    let mut head = Head::new();
    let found = Connection::new().handle_input(stream, &mut head, &Limits::default());
    assert_eq!(found.expect("a valid head").0, stream.len());
    let map = head.header_map();
    assert_eq!(map.len(), 4);
    assert_eq!(map.get_all("x").iter().collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(head.header("X"), Some(&b"1"[..]));
    assert_eq!(head.header_all("x").count(), 2);
    assert_eq!(head.header("z"), None);
    head.clear();
    assert_eq!((head.path(), head.headers().len()), ("/", 0));
}

#[test]
fn head_limit_is_inclusive() {
    let stream = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut limits = Limits {
        head_bytes: stream.len(),
        headers: 1,
    };
    assert_eq!(run_whole(stream, &limits).requests().len(), 1);
    assert_eq!(run_byte_by_byte(stream, &limits).requests().len(), 1);
    limits.head_bytes -= 1;
    for seen in [run_whole(stream, &limits), run_byte_by_byte(stream, &limits)] {
        let (status, reason) = seen.error().expect("one byte too many");
        assert_eq!((status.as_u16(), reason), (431, Reason::HeadTooLarge));
    }
}

#[test]
fn request_line_at_the_limit_is_414() {
    let limits = Limits {
        head_bytes: 32,
        headers: 1,
    };
    let stream = b"GET /0123456789012345678901234567890123456789 HTTP/1.1\r\nHost: a\r\n\r\n";
    for seen in [run_whole(stream, &limits), run_byte_by_byte(stream, &limits)] {
        let (status, reason) = seen.error().expect("a target too long");
        assert_eq!((status.as_u16(), reason), (414, Reason::RequestLineTooLong));
    }
}

#[test]
fn method_at_the_limit_is_501() {
    let limits = Limits {
        head_bytes: 32,
        headers: 1,
    };
    let method = "M".repeat(32);
    for stream in [method.clone(), method + "M / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        for seen in [
            run_whole(stream.as_bytes(), &limits),
            run_byte_by_byte(stream.as_bytes(), &limits),
        ] {
            let (status, reason) = seen.error().expect("a method too long");
            assert_eq!((status.as_u16(), reason), (501, Reason::MethodTooLong));
        }
    }
}

#[test]
fn target_longer_than_a_uri_is_414() {
    let limits = Limits {
        head_bytes: 100_000,
        headers: 1,
    };
    let stream = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length - 1));
    let longest = run_whole(stream(TARGET_LIMIT).as_bytes(), &limits);
    let target = &longest.requests()[0].target;
    assert_eq!(
        target.parse::<http::Uri>().expect("a URI of this length").path(),
        target
    );
    let seen = run_whole(stream(TARGET_LIMIT + 1).as_bytes(), &limits);
    let (status, reason) = seen.error().expect("a target too long");
    assert_eq!((status.as_u16(), reason), (414, Reason::RequestLineTooLong));
}

#[test]
fn set_target_keeps_the_authority() {
    let mut head = Head::new();
    let input = b"GET http://b:81/c?d HTTP/1.1\r\nHost: a\r\n\r\n";
    Connection::new()
        .handle_input(input, &mut head, &Limits::default())
        .expect("a valid head");
    head.set_target("/e?f");
    assert_eq!(
        (head.target(), head.path(), head.query(), head.authority()),
        ("/e?f", "/e", Some("f"), Some("b:81"))
    );
    assert_eq!(head.header("host"), Some(&b"b:81"[..]));
}

#[test]
fn one_field_above_the_limit_is_431() {
    let limits = Limits::default();
    let stream = |fields: usize| {
        let rest = "X: y\r\n".repeat(fields - 1);
        format!("GET / HTTP/1.1\r\nHost: a\r\n{rest}\r\n")
    };
    let seen = run_whole(stream(100).as_bytes(), &limits);
    assert_eq!(seen.requests()[0].headers.len(), 100);
    let stream = stream(101);
    let seen = run_whole(stream.as_bytes(), &limits);
    let (status, reason) = seen.error().expect("a field too many");
    assert_eq!((status.as_u16(), reason), (431, Reason::TooManyFields));
    assert_eq!(run_byte_by_byte(stream.as_bytes(), &limits), seen);
    let unfinished = stream.trim_ascii_end().len() + 2;
    assert_eq!(run_byte_by_byte(&stream.as_bytes()[..unfinished], &limits), seen);
}

#[test]
fn header_map_of_the_maximum_number_of_fields_does_not_panic() {
    use conduit_proto::h1::{Connection, Head};
    let limits = Limits {
        head_bytes: usize::MAX,
        headers: usize::MAX,
    };
    let stream = |fields: usize| {
        let fields: String = (0..fields).map(|field| format!("x{field}: y\r\n")).collect();
        // The authority of the target becomes one more field.
        format!("GET http://a/ HTTP/1.0\r\n{fields}\r\n")
    };
    let (mut head, most, too_many) = (Head::new(), stream(24_000), stream(24_001));
    let found = Connection::new().handle_input(most.as_bytes(), &mut head, &limits);
    assert!(found.is_ok());
    let mut map = head.header_map();
    assert_eq!(map.len(), 24_001);
    // A layer adds fields.
    map.insert("y", HeaderValue::from_static("z"));
    let found = Connection::new().handle_input(too_many.as_bytes(), &mut head, &limits);
    assert_eq!(found.expect_err("a field too many").reason(), Reason::TooManyFields);
}

#[test]
fn error_has_position_and_remedy() {
    use conduit_proto::h1::{Connection, Head};
    let stream = b"GET / HTTP/1.1\r\nHost : a\r\n\r\n";
    let error = Connection::new()
        .handle_input(stream, &mut Head::new(), &Limits::default())
        .expect_err("a space before the colon");
    assert_eq!(
        error.to_string(),
        "white space between a field's name and its colon: remove it (byte 20 of the request)"
    );
    assert_eq!(error.offset(), Some(20));
}

#[test]
fn assembled_head_equals_a_parsed_one() {
    let mut parsed = Head::new();
    let input = b"PUT /a/b?c=d HTTP/1.1\r\nHost: example.org\r\nAccept: a\r\nX-Other: \xff\r\nAccept: b\r\n\r\n";
    let (used, _) = Connection::new()
        .handle_input(input, &mut parsed, &Limits::default())
        .expect("a valid head");
    assert_eq!(used, input.len());
    let mut assembled = Head::new();
    // Nothing of the previous content is left.
    assembled.assemble(Method::GET, Version::HTTP_2, "/something-else", &parsed.header_map());
    assembled.assemble(Method::PUT, Version::HTTP_11, "/a/b?c=d", &parsed.header_map());
    for head in [&parsed, &assembled] {
        assert_eq!((head.method(), head.version()), (&Method::PUT, Version::HTTP_11));
        assert_eq!(
            (head.target(), head.path(), head.query()),
            ("/a/b?c=d", "/a/b", Some("c=d"))
        );
        assert_eq!(head.authority(), Some("example.org"));
        assert_eq!(head.header("ACCEPT"), Some(&b"a"[..]));
        assert_eq!(head.header_all("accept").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(head.header("x-other"), Some(&b"\xff"[..]));
        assert_eq!(head.headers().len(), 4);
    }
    assert_eq!(parsed.header_map(), assembled.header_map());
    assembled.assemble(Method::OPTIONS, Version::HTTP_11, "*", &HeaderMap::new());
    assert_eq!(
        (assembled.target(), assembled.path(), assembled.query()),
        ("*", "*", None)
    );
    assert_eq!((assembled.authority(), assembled.headers().len()), (None, 0));
}
