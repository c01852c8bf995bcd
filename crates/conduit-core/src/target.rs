//! The target of a request as a [`Uri`], equal to the path and query that the router reads.

use bytes::Bytes;
use conduit_proto::h1::Head;
use http::Uri;
use http::uri::{Parts, PathAndQuery};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The bytes that the engine rejects in a path; `%` is unchanged.
const NOT_IN_A_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`');

/// The bytes that the engine rejects in a query.
const NOT_IN_A_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// Parses the target of a head.
///
/// # Panics
///
/// Panics if a `Uri` cannot hold it. The engine accepts no such target; a `Uri` that differs from the path that is routed would
/// let requests pass a guard that checks it.
pub(crate) fn uri_of(head: &Head) -> Uri {
    let target = head.target();
    if target.is_empty() {
        return Uri::default();
    }
    let uri = Uri::try_from(target).expect("the engine accepts only targets that a URI can hold");
    if head.path_bytes() == b"*" && target != "*" {
        // `OPTIONS http://host` is for the server as a whole (RFC 9112, section 3.2.4).
        return with(uri.into_parts(), PathAndQuery::from_static("*"));
    }
    uri
}

/// Returns the URI with another path and query, percent-encoded where necessary.
pub fn with_path(uri: &Uri, path: &str, query: Option<&str>) -> Uri {
    with(uri.clone().into_parts(), path_and_query(path, query))
}

/// Returns the URI in a form that a head takes: with a path that starts with a slash, in ASCII.
pub(crate) fn normalized(uri: Uri) -> Uri {
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.starts_with('/') && target.is_ascii() {
        return uri;
    }
    with_path(&uri, uri.path(), uri.query())
}

fn with(mut parts: Parts, path_and_query: PathAndQuery) -> Uri {
    parts.path_and_query = Some(path_and_query);
    if parts.scheme.is_none() {
        // The authority of CONNECT has no path.
        parts.authority = None;
    }
    Uri::from_parts(parts).expect("scheme and authority are those of a URI")
}

fn path_and_query(path: &str, query: Option<&str>) -> PathAndQuery {
    let mut target = String::with_capacity(1 + path.len() + query.map_or(0, |query| 1 + query.len()));
    if !path.starts_with('/') {
        target.push('/');
    }
    target.extend(utf8_percent_encode(path, NOT_IN_A_PATH));
    if let Some(query) = query {
        target.push('?');
        target.extend(utf8_percent_encode(query, NOT_IN_A_QUERY));
    }
    PathAndQuery::from_maybe_shared(Bytes::from(target)).expect("a target has at most 65,534 bytes")
}

#[cfg(test)]
mod tests {
    use conduit_proto::h1::{Connection, Event, Limits};
    use proptest::prelude::*;

    use crate::request::Request;

    /// The request that the engine reads; `None` if it rejects the target.
    fn parsed(method: &str, target: &str) -> Option<Request> {
        let stream = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut request = Request::blank();
        let found = Connection::new().handle_input(stream.as_bytes(), request.head_mut(), &Limits::default());
        matches!(found, Ok((_, Event::Request))).then_some(request)
    }

    #[track_caller]
    fn assert_views_are_equal(request: &Request) {
        let (uri, head) = (request.uri(), request.head());
        assert_eq!(uri.path(), head.path());
        assert_eq!(uri.query(), head.query());
        if let Some(authority) = uri.authority() {
            assert_eq!(Some(authority.as_str()), head.authority());
        }
        // The authority of an absolute target, and of CONNECT, is kept.
        let has_authority = !head.target().starts_with(['/', '*']);
        assert!(uri.authority().is_some() || !has_authority, "{}", head.target());
    }

    fn targets() -> impl Strategy<Value = String> {
        let start = prop::sample::select(&["/", "/", "", "*", "http://", "HTTPS://", "b:1", "http://[::1]:", "?"][..]);
        let piece = prop_oneof![
            "[!-~]{1,3}",
            prop::sample::select(&["/", "?", "b", ":80", "%41", "[::1]", "@", "..", "//"][..]).prop_map(str::to_owned),
        ];
        (start, prop::collection::vec(piece, 0..6)).prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn uri_equals_the_routed_target_or_the_target_is_rejected(
            method in prop::sample::select(&["GET", "OPTIONS", "CONNECT"][..]),
            target in targets(),
        ) {
            if let Some(request) = parsed(method, &target) {
                assert_views_are_equal(&request);
                prop_assert_eq!(request.head().target(), target);
            }
        }

        #[test]
        fn a_changed_path_leaves_both_views_equal(target in targets(), path in ".{0,12}") {
            if let Some(mut request) = parsed("GET", &target) {
                let authority = request.uri().authority().cloned();
                request.set_path(&path);
                assert_views_are_equal(&request);
                prop_assert_eq!(request.uri().authority(), authority.as_ref());
            }
        }
    }

    #[test]
    fn options_for_the_whole_server_keeps_the_host_of_an_absolute_target() {
        let request = parsed("OPTIONS", "http://b:81").expect("a valid target");
        assert_views_are_equal(&request);
        let uri = request.uri();
        assert_eq!((uri.path(), uri.host(), uri.port_u16()), ("*", Some("b"), Some(81)));
    }
}
