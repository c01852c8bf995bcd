//! The bodies of responses: `HEAD`, 204, 304, streams; and `Expect`.

use crate::case::{Case, case, head, ok, status, until_close};

/// One row each: name and section, bytes, outcome. Without an outcome: 400 and a close.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("HEAD has the length and not the body", "9110 9.3.2", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[head(200).with(&[("content-length", "4")])]),
    case("HEAD of a stream has no length", "9110 9.3.2", b"HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[head(200).without(&["content-length"])]),
    case("HEAD of nothing", "9110 9.3.2", b"HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[head(404)]),
    case("HEAD of a path without GET", "9110 9.3.2", b"HEAD /body HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[head(405).with(&[("allow", "POST, OPTIONS")])]),
    case("HEAD in HTTP/1.0", "9110 9.3.2", b"HEAD / HTTP/1.0\r\n\r\n")
        .closed(&[head(200)]),
    case("HEAD of a 204", "9110 9.3.2", b"HEAD /no-content HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[head(204)]),
    case("HEAD with a body", "9110 9.3.2", b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        .kept(&[head(200)]),
    case("HEAD, then GET, in one pipeline", "9112 6.3",
        b"HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[head(200), ok("root"), head(200)]),
    case("a 204 has neither body nor length", "9112 6.3", b"GET /no-content HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(204).without(&["content-length", "transfer-encoding"])]),
    case("a 304 has no body", "9112 6.3", b"GET /not-modified HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(304).without(&["transfer-encoding"])]),
    case("a 205 is empty", "9110 15.3.6", b"GET /reset-content HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(205).with(&[("content-length", "0")])]),
    case("a 204, a 304 and a 200 in one pipeline", "9112 6.3",
        b"GET /no-content HTTP/1.1\r\nHost: a\r\n\r\nGET /not-modified HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(204), status(304), ok("root")]),
    case("a 204 to HTTP/1.0", "9112 6.3", b"GET /no-content HTTP/1.0\r\n\r\n")
        .closed(&[status(204)]),
    case("a stream is chunked", "9112 6.1", b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("streamed").with(&[("transfer-encoding", "chunked")])]),
    case("a stream to HTTP/1.0 ends with the connection", "9112 6.1", b"GET /stream HTTP/1.0\r\n\r\n")
        .closed(&[until_close("streamed").with(&[("connection", "close")])]),
    case("a stream to HTTP/1.0 with keep-alive ends with the connection", "9112 6.3",
        b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .closed(&[until_close("streamed").with(&[("connection", "close")])]),
    case("a stream to a client that closes", "9112 9.6", b"GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .closed(&[ok("streamed").with(&[("connection", "close")])]),
    case("a client that takes no trailers gets none", "9110 10.1.4", b"GET /stream HTTP/1.1\r\nHost: a\r\nTE:\r\n\r\n")
        .kept(&[ok("streamed")]),
    case("TE does not change the coding", "9110 10.1.4",
        b"GET /stream HTTP/1.1\r\nHost: a\r\nTE: trailers, deflate;q=0.5\r\nConnection: TE\r\n\r\n")
        .kept(&[ok("streamed").with(&[("transfer-encoding", "chunked")])]),
    case("TE that refuses chunked is overruled", "9110 10.1.4", b"GET /stream HTTP/1.1\r\nHost: a\r\nTE: chunked;q=0\r\n\r\n")
        .kept(&[ok("streamed")])
        .choice("chunked is always acceptable to a client of HTTP/1.1"),

    case("an ignored body is not the next request", "9112 9.3",
        b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 32\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("ignored")]),
    case("an ignored chunked body is not the next request", "9112 9.3",
        b"POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20\r\nGET /later HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n")
        .kept(&[ok("ignored")]),
    case("a body for an unknown path", "9112 9.3",
        b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        .kept(&[status(404)]),
    case("a body for a method that is not allowed", "9112 9.3",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        .kept(&[status(405)]),

    case("a client waits for 100 and gets it", "9110 10.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .after_continue(b"abc").kept(&[ok("abc")]),
    case("a client waits for 100 with a chunked body", "9110 10.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        .after_continue(b"3\r\nabc\r\n0\r\n\r\n").kept(&[ok("abc")]),
    case("100-continue in any case", "9110 10.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nexpect: 100-CONTINUE\r\n\r\n")
        .after_continue(b"abc").kept(&[ok("abc")]),
    case("two requests that wait for 100", "9110 10.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .after_continue(b"abcPOST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nd")
        .kept(&[ok("abc"), ok("d")]),
    case("a client that does not wait for 100", "9110 10.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        .kept(&[ok("abc")]),
    case("a final answer in place of 100", "9110 10.1.1",
        b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .closed_first(&[status(404).with(&[("connection", "close")])])
        .choice("the server may close or continue to read; it cannot know whether the body will arrive, and closes"),
    case("Expect without a body", "9110 10.1.1", b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")
        .kept(&[ok("root")]),
    case("Expect with a body of length zero", "9110 10.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n")
        .kept(&[ok("")]),
    case("Expect in HTTP/1.0 is ignored", "9110 10.1.1",
        b"POST /body HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        .closed(&[ok("abc")]),
    case("another expectation in HTTP/1.0 is ignored", "9110 10.1.1", b"GET / HTTP/1.0\r\nExpect: tea\r\n\r\n")
        .closed(&[ok("root")]),
    case("another expectation", "9110 10.1.1", b"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n")
        .refused(417)
        .choice("a server MAY respond with 417 to an unknown expectation"),
    case("100-continue and another expectation", "9110 10.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue, tea\r\n\r\nabc")
        .refused(417)
        .choice("a server MAY respond with 417 to an unknown expectation"),
    case("an expectation of another number", "9110 10.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 200-ok\r\n\r\nabc")
        .refused(417)
        .choice("a server MAY respond with 417 to an unknown expectation"),
    case("an empty expectation", "9110 10.1.1", b"GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n")
        .refused(417)
        .choice("the grammar allows an empty list; real clients do not send it"),
];
