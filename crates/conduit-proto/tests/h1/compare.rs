//! Compares the engine with two other parsers: a naive one, and httparse.

use conduit_proto::h1::{BodyLength, Limits};

use crate::drive::{Request, Seen, run_whole};
use crate::naive::{self, Naive};

/// Compares the head at the start of a stream, without empty lines before it, with the naive parser: accepted with the
/// same content, rejected with an allowed status, or incomplete.
pub(crate) fn head_with_twin(stream: &[u8]) {
    let seen = run_whole(stream, &limits(stream));
    match (naive::head(stream), seen.seen.first()) {
        (Naive::Incomplete, None) => {}
        (Naive::Refused(statuses), Some(Seen::Error(status, ..))) => {
            assert!(statuses.contains(&status.as_u16()), "{statuses:?} {status}");
        }
        (Naive::Accepted(twin), Some(Seen::Request(request))) => {
            assert_eq!(request.method, twin.method);
            assert_eq!(request.target, twin.target);
            assert_eq!(
                request.headers,
                with_host_of_target(&twin.method, &twin.target, twin.headers)
            );
            assert_eq!(request.body, twin.body);
            assert_eq!(request.keep_alive, twin.keep_alive);
            assert_eq!(request.expects_continue, twin.expects_continue);
            // The next request begins at this place.
            let is_accepted = |bytes| matches!(run_whole(bytes, &limits(stream)).seen.first(), Some(Seen::Request(_)));
            assert!(is_accepted(&stream[..twin.length]), "the engine expects a longer head");
            assert!(
                !is_accepted(&stream[..twin.length - 1]),
                "the engine accepts a part of the head"
            );
        }
        (twin, seen) => panic!("the twin returns {twin:?}, the engine {seen:?}"),
    }
}

/// Compares a chunked body with the naive parser.
pub(crate) fn chunks_with_twin(body: &[u8]) {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let stream = [head, body].concat();
    let seen = run_whole(&stream, &limits(&stream));
    assert_eq!(seen.requests()[0].body, BodyLength::Chunked);
    let ended = seen.seen.iter().position(|seen| matches!(seen, Seen::End(_)));
    match naive::chunked(body) {
        // The naive parser checks whole lines, the engine each byte, so the engine may report an error earlier.
        Naive::Incomplete => assert_eq!(ended, None),
        Naive::Refused(statuses) => {
            assert_eq!(ended, None);
            let (status, _) = seen.error().expect("the twin refuses it");
            assert!(statuses.contains(&status.as_u16()));
        }
        Naive::Accepted((data, length)) => {
            let before_end = &seen.seen[..ended.expect("the twin accepts it")];
            let pieces = before_end.iter().filter_map(|seen| match seen {
                Seen::Body(piece) => Some(&piece[..]),
                _ => None,
            });
            assert_eq!(pieces.collect::<Vec<_>>().concat(), data);
            let is_complete = |body_bytes: usize| {
                let seen = run_whole(&stream[..head.len() + body_bytes], &limits(&stream)).seen;
                seen.iter().any(|seen| matches!(seen, Seen::End(_)))
            };
            assert!(is_complete(length), "the engine expects a longer body");
            assert!(!is_complete(length - 1), "the engine accepts a part of the body");
        }
    }
}

/// Compares an accepted head with httparse, which must return the same content. (httparse accepts more: LF alone, any
/// target, any framing; and it rejects HTTP/1.2.)
pub(crate) fn head_with_httparse(stream: &[u8]) {
    let seen = run_whole(stream, &limits(stream));
    let Some(Seen::Request(request)) = seen.seen.first() else {
        return;
    };
    let mut fields = vec![httparse::EMPTY_HEADER; stream.len()];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(stream) {
        Ok(status) => {
            assert!(status.is_complete());
            same_as_httparse(request, &parsed);
        }
        // The engine accepts only one error of httparse: a minor version above 1.
        Err(error) => {
            assert_eq!(error, httparse::Error::Version);
            let known = [&b" HTTP/1.0\r\n"[..], b" HTTP/1.1\r\n"];
            let line_end = 2 + stream.windows(2).position(|two| two == b"\r\n").unwrap_or(0);
            assert!(!known.iter().any(|version| stream[..line_end].ends_with(version)));
        }
    }
}

fn same_as_httparse(request: &Request, parsed: &httparse::Request<'_, '_>) {
    assert_eq!(parsed.method, Some(request.method.as_str()));
    assert_eq!(parsed.path, Some(request.target.as_str()));
    let old = request.version == http::Version::HTTP_10;
    assert_eq!(parsed.version, Some(u8::from(!old)));
    let fields = parsed
        .headers
        .iter()
        .map(|field| (field.name.to_owned(), field.value.to_vec()));
    assert_eq!(
        request.headers,
        with_host_of_target(&request.method, &request.target, fields.collect())
    );
}

/// The fields of a request: the host of an absolute target, or of `CONNECT`, replaces `Host` (RFC 9112, section 3.2.2).
fn with_host_of_target(method: &str, target: &str, mut fields: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let host = match target.split_once("://") {
        _ if method == "CONNECT" => target,
        Some((scheme, rest)) if !scheme.contains('/') => rest.split(['/', '?']).next().unwrap_or_default(),
        _ => return fields,
    };
    fields.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
    fields.push(("host".to_owned(), host.into()));
    fields
}

/// Limits that a stream of this length cannot exceed.
fn limits(stream: &[u8]) -> Limits {
    Limits {
        head_bytes: stream.len() + 64,
        headers: stream.len(),
    }
}
