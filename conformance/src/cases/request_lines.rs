//! The request line: method, target, version, and the spaces between them.

use crate::case::{Case, case, ok, status};

/// The reason for accepting some bytes that are invalid in a URI.
const NOT_IN_A_URI: &str = "400 is a SHOULD; clients send these bytes, and `http::Uri` holds them";

/// One row each: name and section, bytes, outcome. Without an outcome: 400 and a close.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("a path", "9112 3.2.1", b"GET /seen/a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/a")]),
    case("a path and a query", "9112 3.2.1", b"GET /seen/a?b=c&d HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/a query=b=c&d")]),
    case("an empty query", "3986 3.4", b"GET /seen/a? HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/a query=")]),
    case("a question mark and a slash in a query", "3986 3.4", b"GET /seen/a?b?/c HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/a query=b?/c")]),
    case("a query after the root", "9112 3.2.1", b"GET /?x HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("root")]),
    case("every byte that a path segment may have", "3986 3.3",
        b"GET /seen/-._~!$&'()*+,;=:@azAZ09 HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/-._~!$&'()*+,;=:@azAZ09")]),
    case("a percent-encoded path is unchanged", "3986 2.1", b"GET /seen/%41%2f%2F HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/%41%2f%2F")]),
    case("a percent-encoded parameter is decoded once", "3986 2.4", b"GET /decoded/%2541 HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("<%41>")]),
    case("an encoded slash does not end a segment", "3986 2.2", b"GET /decoded/a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("<a/b>")]),
    case("an encoded question mark does not begin a query", "3986 2.2", b"GET /decoded/a%3Fb HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("<a?b>")]),
    case("hexadecimal digits of either case are the same", "3986 2.1", b"GET /decoded/%c3%A9 HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("<\u{e9}>")]),
    case("a plus sign in a path is a plus sign", "3986 3.3", b"GET /decoded/a+b HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("<a+b>")]),
    case("an encoded NUL is data", "3986 2.1", b"GET /decoded/a%00b HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("<a\0b>")]),
    case("an encoded CR and LF are data", "3986 2.1", b"GET /seen/a%0d%0aX:b HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/a%0d%0aX:b")]),
    case("a parameter that is not UTF-8 once decoded", "9110 15.5.1", b"GET /decoded/%ff HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(400)])
        .choice("any bytes may be encoded; a handler that reads text rejects them, and the connection continues"),
    case("a percent sign without digits is a literal one", "3986 2.1", b"GET /decoded/100% HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("<100%>")])
        .choice("the URI is invalid and may be refused; the path is opaque to the engine and is decoded as the URL \
                 standard of browsers has it"),
    case("a percent sign before other characters", "3986 2.1", b"GET /decoded/%zz HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("<%zz>")])
        .choice("as for a percent sign without digits"),
    case("dot segments are unchanged", "3986 5.2.4", b"GET /seen/../a/./b HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/../a/./b")])
        .choice("the sender of a reference normalises it; a target is matched unchanged"),
    case("encoded dot segments are unchanged", "3986 6.2.2.3", b"GET /seen/%2e%2e/root HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/%2e%2e/root")]),
    case("dot segments do not lead to another route", "3986 5.2.4", b"GET /nowhere/../probe HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(404)]),
    case("two slashes at the start are a path", "9112 3.2.1", b"GET //seen/a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(404)]),
    case("an empty segment is a segment", "3986 3.3", b"GET /seen//a/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen//a/")]),
    case("a path is case-sensitive", "3986 6.2.2.1", b"GET /PROBE HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(404)]),
    case("a path with every byte that is invalid in a URI and that some clients send", "9112 3.2", b"GET /seen/{a}|\"^\\[] HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/{a}|\"^\\[]")])
        .choice(NOT_IN_A_URI),
    case("a query with every byte that is invalid in a URI and that browsers send", "9112 3.2", b"GET /seen/a?{b}|^`\\[] HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/a query={b}|^`\\[]")])
        .choice(NOT_IN_A_URI),
    case("a backtick in a path", "9112 3.2", b"GET /seen/`a HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an opening angle bracket in a path", "9112 3.2", b"GET /seen/<a HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a closing angle bracket in a path", "9112 3.2", b"GET /seen/>a HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a quotation mark in a query", "9112 3.2", b"GET /seen/a?\"b HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an opening angle bracket in a query", "9112 3.2", b"GET /seen/a?<b HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a closing angle bracket in a query", "9112 3.2", b"GET /seen/a?>b HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an absolute target with an encoded host", "3986 3.2.2", b"GET http://a%2fb/seen/c HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("no client encodes the host that it sends, and recipients interpret it differently"),
    case("CONNECT with an encoded host", "3986 3.2.2", b"CONNECT a%2fb:80 HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("no client encodes the host that it sends, and recipients interpret it differently"),

    case("an absolute target", "9112 3.2.2", b"GET http://a/seen/b?c HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/b query=c")]),
    case("an absolute target without a path", "9112 3.2.2", b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("root")]),
    case("an absolute target with a query and no path", "3986 3", b"GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("root")]),
    case("an absolute target of https", "9112 3.2.2", b"GET https://a:443/seen/b HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/b")]),
    case("a scheme in capitals", "3986 3.1", b"GET HTTP://a/seen/b HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/b")]),
    case("an absolute target takes precedence over Host", "9112 3.2.2", b"GET http://b:8080/uri HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("http://b:8080/uri")]),
    case("an absolute target with an IPv6 address", "3986 3.2.2", b"GET http://[::1]:80/seen/b HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/b")]),
    case("an absolute target with an empty port", "3986 3.2.3", b"GET http://a:/seen/b HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("GET /seen/b")]),
    case("an absolute target in HTTP/1.0", "9112 3.2.2", b"GET http://a/seen/b HTTP/1.0\r\n\r\n")
        .closed(&[ok("GET /seen/b")]),
    case("an absolute target still needs Host", "9112 3.2", b"GET http://a/seen/b HTTP/1.1\r\n\r\n"),
    case("an absolute target without a host", "9110 4.2.1", b"GET http:///seen/b HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an absolute target with a port alone", "9110 4.2.1", b"GET http://:80/seen/b HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an absolute target with user information", "9110 4.2.4", b"GET http://u:p@a/seen/b HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("a recipient SHOULD treat user information as an error"),
    case("an absolute target of another scheme", "9112 3.2.2", b"GET ftp://a/seen/b HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("the server is not a proxy: schemes other than http and https are rejected"),
    case("an absolute target with one slash", "3986 3", b"GET http:/seen/b HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an absolute target with a port that is not a number", "3986 3.2.3", b"GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an absolute target with an unclosed bracket", "3986 3.2.2", b"GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an absolute target with a backslash for a host", "3986 3.2.2", b"GET http://\\a/ HTTP/1.1\r\nHost: a\r\n\r\n"),

    case("an authority target outside CONNECT", "9112 3.2.3", b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("CONNECT with a path", "9112 3.2.3", b"CONNECT /seen/a HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("CONNECT without a port", "9112 3.2.3", b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("CONNECT with an empty port", "9112 3.2.3", b"CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("CONNECT without a host", "9112 3.2.3", b"CONNECT :80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("CONNECT with an absolute target", "9112 3.2.3", b"CONNECT http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("CONNECT with user information", "9112 3.2.3", b"CONNECT u@a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("CONNECT is not a tunnel without a 2xx", "9110 9.3.6", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n")
        .kept(&[status(501)])
        .choice("an origin server need not support CONNECT; this one opens no tunnels"),
    case("CONNECT to an IPv6 address", "9112 3.2.3", b"CONNECT [::1]:80 HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(501)]),
    case("CONNECT to an IPv6 address without a port", "9112 3.2.3", b"CONNECT [::1] HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("CONNECT to an IPv6 address with an empty port", "9112 3.2.3", b"CONNECT [::1]: HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an asterisk with OPTIONS", "9112 3.2.4", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[status(204)]),
    case("an asterisk with GET", "9112 3.2.4", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an asterisk and more", "9112 3.2.4", b"OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an asterisk and a query", "9112 3.2.4", b"OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n"),

    case("a target without a slash", "9112 3.2", b"GET seen/a HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a target that is a query alone", "9112 3.2", b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a fragment", "9112 3.2", b"GET /seen/a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a space in the target", "9112 3.2", b"GET /seen/a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a tab in the target", "9112 3.2", b"GET /seen/a\tb HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a NUL in the target", "9112 3.2", b"GET /seen/a\0b HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a DEL in the target", "9112 3.2", b"GET /seen/a\x7fb HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("UTF-8 in the target", "3986 2", b"GET /seen/\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a byte above 0x7f in the query", "3986 2", b"GET /seen/a?\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a CR in the target", "9112 2.2", b"GET /seen/a\rb HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an LF in the target", "9112 2.2", b"GET /seen/a\nb HTTP/1.1\r\nHost: a\r\n\r\n"),

    case("two spaces after the method", "9112 3", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("a recipient MAY split at any white space; the grammar has one space"),
    case("two spaces before the version", "9112 3", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("a recipient MAY split at any white space; the grammar has one space"),
    case("a tab for the first space", "9112 3", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("a recipient MAY split at any white space; the grammar has one space"),
    case("a tab for the second space", "9112 3", b"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("a recipient MAY split at any white space; the grammar has one space"),
    case("a vertical tab for the first space", "9112 3", b"GET\x0b/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("a recipient MAY split at any white space; the grammar has one space"),
    case("a form feed for the second space", "9112 3", b"GET /\x0cHTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("a recipient MAY split at any white space; the grammar has one space"),
    case("a space after the version", "9112 3", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n")
        .choice("a recipient MAY ignore trailing white space; the grammar has none"),
    case("a space before the method", "9112 3", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("a recipient MAY ignore leading white space; the grammar has none"),
    case("a tab before the method", "9112 3", b"\tGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("a recipient MAY ignore leading white space; the grammar has none"),
    case("no target", "9112 3", b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("no target between two spaces", "9112 3", b"GET  HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("no method", "9112 3", b"/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a method alone", "9112 3", b"GET\r\nHost: a\r\n\r\n"),
    case("a request line of HTTP/0.9", "9112 3", b"GET /\r\n\r\n"),
    case("four words", "9112 3", b"GET / x HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("an LF without CR after the request line", "9112 2.2", b"GET / HTTP/1.1\nHost: a\r\n\r\n")
        .choice("a recipient MAY take a single LF for the end of a line; two readers may differ"),
    case("a CR without LF after the request line", "9112 2.2", b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    case("two CRs after the request line", "9112 2.2", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),

    case("an empty line before the request", "9112 2.2", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("root")]),
    case("eight empty lines before the request", "9112 2.2",
        b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("root")])
        .choice("at least one SHOULD be ignored"),
    case("nine empty lines before the request", "9112 2.2",
        b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("at least one SHOULD be ignored; more than eight are not an accident"),
    case("an LF before the request", "9112 2.2", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .choice("only CR and LF together are an empty line"),
    case("a CR before the request", "9112 2.2", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("a space in an empty line before the request", "9112 2.2", b" \r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("nothing but empty lines", "9112 2.2", b"\r\n\r\n")
        .waits(&[]),

    case("HTTP/1.2 is answered as 1.1", "9110 2.5", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n")
        .kept(&[ok("root")]),
    case("HTTP/1.9 is answered as 1.1", "9110 2.5", b"GET / HTTP/1.9\r\nHost: a\r\n\r\n")
        .kept(&[ok("root")]),
    case("HTTP/1.2 needs Host", "9112 3.2", b"GET / HTTP/1.2\r\n\r\n"),
    case("HTTP/2.0", "9110 15.6.6", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n")
        .refused(505),
    case("HTTP/0.9 by name", "9110 15.6.6", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n")
        .refused(505),
    case("HTTP/3.1", "9110 15.6.6", b"GET / HTTP/3.1\r\nHost: a\r\n\r\n")
        .refused(505),
    case("a version in small letters", "9112 2.3", b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    case("a version of one digit", "9112 2.3", b"GET / HTTP/1\r\nHost: a\r\n\r\n"),
    case("a version of two digits after the dot", "9112 2.3", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    case("a version of two digits before the dot", "9112 2.3", b"GET / HTTP/01.1\r\nHost: a\r\n\r\n"),
    case("a version without a dot", "9112 2.3", b"GET / HTTP/11\r\nHost: a\r\n\r\n"),
    case("a version with a comma", "9112 2.3", b"GET / HTTP/1,1\r\nHost: a\r\n\r\n"),
    case("a version with a sign", "9112 2.3", b"GET / HTTP/1.-1\r\nHost: a\r\n\r\n"),
    case("a version with a letter", "9112 2.3", b"GET / HTTP/1.x\r\nHost: a\r\n\r\n"),
    case("a version of another protocol", "9112 2.3", b"GET / HTTPS/1.1\r\nHost: a\r\n\r\n"),
    case("a version with a space in it", "9112 2.3", b"GET / HTTP/ 1.1\r\nHost: a\r\n\r\n"),
    case("a version followed by a NUL", "9112 2.3", b"GET / HTTP/1.1\0\r\nHost: a\r\n\r\n"),
    case("a greeting of TLS", "9112 3", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"),
    case("a part of a request line", "9112 8", b"GET /seen/a HT")
        .waits(&[]),
    case("a head without its end", "9112 8", b"GET / HTTP/1.1\r\nHost: a\r\n")
        .waits(&[]),
];
