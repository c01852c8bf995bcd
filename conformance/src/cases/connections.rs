//! The state of the connection: `Connection`, HTTP/1.0, `Upgrade`, pipelines.

use crate::case::{Case, case, ok, problem, status};

/// One row each: name and section, bytes, outcome. Without an outcome: 400 and a close.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("HTTP/1.1 continues", "9112 9.3", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("root").without(&["connection"])]),
    case("close", "9112 9.6", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .closed(&[ok("root").with(&[("connection", "close")])]),
    case("close in any case", "9110 7.6.1", b"GET / HTTP/1.1\r\nHost: a\r\ncONNECTION: ClOsE\r\n\r\n")
        .closed(&[ok("root").with(&[("connection", "close")])]),
    case("close in a list", "9110 7.6.1", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close, y\r\n\r\n")
        .closed(&[ok("root")]),
    case("close in a list without spaces", "9110 7.6.1", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x,close,y\r\n\r\n")
        .closed(&[ok("root")]),
    case("close after empty elements", "9110 5.6.1", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: ,, \t,close\r\n\r\n")
        .closed(&[ok("root")]),
    case("close in the second field", "9110 5.3", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n")
        .closed(&[ok("root")]),
    case("close in the first field", "9110 5.3", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n")
        .closed(&[ok("root")]),
    case("close wins over keep-alive", "9112 9.3", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n")
        .closed(&[ok("root")]),
    case("keep-alive", "9112 9.3", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        .kept(&[ok("root")]),
    case("an empty Connection", "9110 7.6.1", b"GET / HTTP/1.1\r\nHost: a\r\nConnection:\r\n\r\n")
        .kept(&[ok("root")]),
    case("an unknown option", "9110 7.6.1", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed, x-close, closer\r\n\r\n")
        .kept(&[ok("root")]),
    case("close in quotes is not close", "9110 7.6.1", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: \"close\"\r\n\r\n")
        .kept(&[ok("root")]),
    case("Connection cannot remove Host", "9110 7.6.1", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n")
        .kept(&[ok("root")]),
    case("Connection cannot remove the length", "9110 7.6.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 3\r\n\r\nabc")
        .kept(&[ok("abc")]),
    case("Connection cannot remove the coding", "9110 7.6.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
        .kept(&[ok("a")]),
    case("Proxy-Connection has no effect", "9112 9.3", b"GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n")
        .kept(&[ok("root")]),
    case("Keep-Alive has no effect", "9112 9.3", b"GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: timeout=0, max=0\r\n\r\n")
        .kept(&[ok("root")]),
    case("close with a body", "9112 9.6", b"POST /body HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")
        .closed(&[ok("abc")]),
    case("close to an unknown path", "9112 9.6", b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .closed(&[status(404).with(&[("connection", "close")])]),
    case("a handler closes", "9112 9.6", b"GET /closing HTTP/1.1\r\nHost: a\r\n\r\n")
        .closed(&[ok("closing").with(&[("connection", "close")])]),
    case("no response after a close", "9112 9.6",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .closed(&[ok("root")]),

    case("HTTP/1.0 closes", "9112 9.3", b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        .closed(&[ok("root").with(&[("connection", "close")])]),
    case("HTTP/1.0 with keep-alive continues", "9112 9.3", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .kept(&[ok("root").with(&[("connection", "keep-alive")])]),
    case("HTTP/1.0 with keep-alive in any case", "9112 9.3", b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
        .kept(&[ok("root").with(&[("connection", "keep-alive")])]),
    case("HTTP/1.0 with keep-alive in a list", "9112 9.3", b"GET / HTTP/1.0\r\nConnection: x, keep-alive\r\n\r\n")
        .kept(&[ok("root")]),
    case("HTTP/1.0 with keep-alive and close", "9112 9.3", b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n")
        .closed(&[ok("root").with(&[("connection", "close")])]),
    case("HTTP/1.0 with a field Keep-Alive alone", "9112 9.3", b"GET / HTTP/1.0\r\nKeep-Alive: timeout=5\r\n\r\n")
        .closed(&[ok("root")]),
    case("HTTP/1.0 with another option", "9112 9.3", b"GET / HTTP/1.0\r\nConnection: x\r\n\r\n")
        .closed(&[ok("root")]),
    case("HTTP/1.0 with keep-alive and a body", "9112 9.3",
        b"POST /body HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc")
        .kept(&[ok("abc")]),
    case("HTTP/1.0 and then HTTP/1.1", "9112 2.3",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("root").with(&[("connection", "keep-alive")]), ok("root").without(&["connection"])]),
    case("HTTP/1.1 and then HTTP/1.0", "9112 2.3",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\n\r\n")
        .closed(&[ok("root"), ok("root")]),

    case("Upgrade to WebSocket on a route without it", "9110 7.8",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n")
        .kept(&[ok("root").without(&["upgrade"])]),
    case("Upgrade to h2c", "9110 7.8",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
        .kept(&[ok("root").without(&["upgrade"])]),
    case("Upgrade with a body", "9110 7.8",
        b"POST /body HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc")
        .kept(&[ok("abc")]),
    case("Upgrade without the option", "9110 7.8", b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n")
        .kept(&[ok("root")]),
    case("Upgrade in HTTP/1.0 is ignored", "9110 7.8", b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .closed(&[ok("root")]),
    case("Upgrade and close", "9110 7.8", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: x\r\n\r\n")
        .closed(&[ok("root")]),

    case("a pipeline of three", "9112 9.3.2",
        b"GET /seen/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /seen/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /seen/3 HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/1"), ok("GET /seen/2"), ok("GET /seen/3")]),
    case("a pipeline whose first answer takes longer", "9112 9.3.2",
        b"GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /seen/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("later"), ok("GET /seen/2")]),
    case("a pipeline with bodies", "9112 9.3.2",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\naPOST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("a"), ok("b"), ok("root")]),
    case("a pipeline with streams", "9112 9.3.2",
        b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("streamed"), ok("root"), ok("streamed")]),
    case("a pipeline with an empty line between", "9112 2.2",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("root"), ok("root")]),
    case("a pipeline with an unknown path", "9112 9.3.2",
        b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(404), ok("root")]),
    case("a pipeline with a bad request at its end", "9112 9.3.2",
        b"GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /\r\n\r\n")
        .closed(&[ok("later"), ok("root"), problem(400)]),
    case("a pipeline with a bad request at its start", "9112 9.3.2",
        b"GET /\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a pipeline with half a request at its end", "9112 9.3.2",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHo")
        .waits(&[ok("root")]),
    case("a body, and an invalid request after it", "9112 9.3.2",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc#!\r\n")
        .closed(&[ok("abc"), problem(400)]),
];
