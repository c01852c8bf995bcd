//! Methods: known ones, 405 and `Allow`, 501, `OPTIONS`.

use crate::case::{Case, case, ok, status};

/// One row each: name and section, bytes, outcome. Without an outcome: 400 and a close.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("GET", "9110 9.3.1", b"GET /seen/a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/a")]),
    case("PUT", "9110 9.3.4", b"PUT /seen/a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .kept(&[ok("PUT /seen/a")]),
    case("a method of the application", "9110 16.1", b"PURGE /seen/a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("PURGE /seen/a")]),
    case("a method in small letters is another", "9110 9.1", b"get /seen/a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(501)]),
    case("a method in mixed letters is another", "9110 9.1", b"Put /seen/a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(501)]),
    case("an unknown method", "9110 9.1", b"BREW /seen/a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(501)]),
    case("a method of all bytes of a token", "9110 9.1", b"!#$%&'*+-.^_`|~09azAZ /seen/a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(501)]),
    case("a method of one letter", "9110 9.1", b"G /seen/a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(501)]),
    case("a method that begins like another", "9110 9.1", b"GETTER /seen/a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(501)]),
    case("TRACE is not echoed", "9110 9.3.8", b"TRACE /seen/a HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\n")
        .kept(&[status(405)]),
    case("DELETE on a path without it", "9110 15.5.6", b"DELETE /body HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(405).with(&[("allow", "POST, OPTIONS")])]),
    case("Allow has HEAD if it has GET", "9110 10.2.1", b"POST / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(405).with(&[("allow", "GET, HEAD, OPTIONS")])]),
    case("a method on an unknown path", "9110 15.5.5", b"DELETE /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(404).without(&["allow"])]),
    case("OPTIONS lists the methods", "9110 9.3.7", b"OPTIONS /body HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(204).with(&[("allow", "POST, OPTIONS")])]),
    case("an unknown method on an unknown path", "9110 9.1", b"BREW /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(501)]),
    case("a registered method that no route has", "9110 15.5.6", b"MKCOL / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(405).with(&[("allow", "GET, HEAD, OPTIONS")])]),
    case("a method that only another path has", "9110 15.5.6", b"PURGE / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(405).with(&[("allow", "GET, HEAD, OPTIONS")])]),
    case("OPTIONS of an unknown path", "9110 9.3.7", b"OPTIONS /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(404)]),
    case("OPTIONS with a body", "9110 9.3.7", b"OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        .kept(&[status(204)]),
    case("OPTIONS of an absolute target", "9112 3.2.4", b"OPTIONS http://a/body HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(204).with(&[("allow", "POST, OPTIONS")])]),
    case("OPTIONS of an absolute target without a path is for the server", "9112 3.2.4", b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(204).without(&["allow"])]),
    case("OPTIONS of an absolute target with a slash is for that path", "9112 3.2.4", b"OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(204).with(&[("allow", "GET, HEAD, OPTIONS")])]),
    case("OPTIONS of an absolute target with a query and no path", "9112 3.2.4", b"OPTIONS http://a?b HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(204).with(&[("allow", "GET, HEAD, OPTIONS")])])
        .choice("the section describes one without a query; the path is read as a slash"),
    case("OPTIONS of a server with a body", "9110 9.3.7", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        .kept(&[status(204)]),
    case("OPTIONS of a server in HTTP/1.0", "9112 3.2.4", b"OPTIONS * HTTP/1.0\r\n\r\n")
        .closed(&[status(204)]),
    case("a slash in a method", "9110 9.1", b"GE/T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a colon in a method", "9110 9.1", b"GET: / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a method in quotes", "9110 9.1", b"\"GET\" / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a method in parentheses", "9110 9.1", b"(GET) / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a NUL in a method", "9110 9.1", b"GE\0T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a byte above 0x7f in a method", "9110 9.1", b"G\xc9T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a byte-order mark before a method", "9112 2.2", b"\xef\xbb\xbfGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a control byte before a method", "9112 3", b"\x01GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
];
