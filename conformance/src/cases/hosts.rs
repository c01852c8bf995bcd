//! `Host`: exactly one field, with a host and an optional port.

use crate::case::{Case, case, ok};

/// One row each: name and section, bytes, outcome. Without an outcome: 400 and a close.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("a name", "9110 7.2", b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
        .kept(&[ok("root")]),
    case("a name and a port", "9110 7.2", b"GET / HTTP/1.1\r\nHost: example.org:8080\r\n\r\n")
        .kept(&[ok("root")]),
    case("an empty port", "3986 3.2.3", b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n")
        .kept(&[ok("root")]),
    case("an empty Host", "9112 3.2", b"GET / HTTP/1.1\r\nHost:\r\n\r\n")
        .kept(&[ok("root")]),
    case("an empty Host of white space", "9112 3.2", b"GET / HTTP/1.1\r\nHost: \t \r\n\r\n")
        .kept(&[ok("root")]),
    case("an IPv4 address", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n")
        .kept(&[ok("root")]),
    case("an IPv6 address", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n")
        .kept(&[ok("root")]),
    case("an IPv6 address and a port", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [::1]:65535\r\n\r\n")
        .kept(&[ok("root")]),
    case("an IPv6 address with an IPv4 part", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [::ffff:127.0.0.1]\r\n\r\n")
        .kept(&[ok("root")]),
    case("a percent-encoded name", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: ex%C3%A4mple\r\n\r\n")
        .kept(&[ok("root")]),
    case("a name with an underscore", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: my_service\r\n\r\n")
        .kept(&[ok("root")]),
    case("the field's name in any case", "9110 5.1", b"GET / HTTP/1.1\r\nhOSt: a\r\n\r\n")
        .kept(&[ok("root")]),
    case("Host after other fields", "9110 7.2", b"GET / HTTP/1.1\r\nX: y\r\nAccept: */*\r\nHost: a\r\n\r\n")
        .kept(&[ok("root")]),
    case("no Host in HTTP/1.0", "9112 3.2", b"GET / HTTP/1.0\r\n\r\n")
        .closed(&[ok("root")]),
    case("no Host", "9112 3.2", b"GET / HTTP/1.1\r\n\r\n"),
    case("no Host among other fields", "9112 3.2", b"GET / HTTP/1.1\r\nX-Host: a\r\nHosts: a\r\n\r\n"),
    case("two different Hosts", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    case("two equal Hosts", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    case("two Hosts in different case", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"),
    case("two Hosts far apart", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nX: z\r\nHOST: b\r\n\r\n"),
    case("two Hosts, one empty", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n"),
    case("two Hosts in HTTP/1.0", "9112 3.2", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    case("two Hosts and an absolute target", "9112 3.2", b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    case("a bad Host and an absolute target", "9112 3.2", b"GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n"),
    case("a Host with user information", "9112 3.2", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    case("a Host with a path", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    case("a Host with a query", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"),
    case("a Host with a fragment", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"),
    case("a Host with a scheme", "9112 3.2", b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"),
    case("a Host with a space", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    case("a Host with a tab", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n"),
    case("a Host that is a list", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    case("a Host with a backslash", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"),
    case("a Host in quotes", "9112 3.2", b"GET / HTTP/1.1\r\nHost: \"a\"\r\n\r\n"),
    case("a Host in angle brackets", "9112 3.2", b"GET / HTTP/1.1\r\nHost: <a>\r\n\r\n"),
    case("a Host with a byte above 0x7f", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: ex\xe4mple\r\n\r\n"),
    case("a Host with a bad escape", "3986 2.1", b"GET / HTTP/1.1\r\nHost: a%2\r\n\r\n"),
    case("a Host with an escape that is not a number", "3986 2.1", b"GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n"),
    case("a port that is not a number", "3986 3.2.3", b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    case("a port with a sign", "3986 3.2.3", b"GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n"),
    case("a port above 65535", "3986 3.2.3", b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n")
        .choice("the grammar has any number of digits; no such port exists"),
    case("two ports", "3986 3.2.3", b"GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"),
    case("a space before the port", "9112 3.2", b"GET / HTTP/1.1\r\nHost: a :80\r\n\r\n"),
    case("a bracket that is not closed", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    case("a bracket that is not opened", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: ::1]\r\n\r\n"),
    case("an IPv6 address without brackets", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"),
    case("empty brackets", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: []\r\n\r\n"),
    case("a literal of colons that is not an address", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [::::]\r\n\r\n"),
    case("a literal with two gaps", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [1::2::3]\r\n\r\n"),
    case("a literal with nine groups", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7:8:9]\r\n\r\n"),
    case("a literal with a group of five digits", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [::12345]\r\n\r\n"),
    case("a literal with an IPv4 part above 255", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [::1.2.3.256]\r\n\r\n"),
    case("an IPv4 address in brackets", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [127.0.0.1]\r\n\r\n"),
    case("an IPv6 address with a zone", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"),
    case("a literal of a future version", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [v1.fe80::a+en1]\r\n\r\n")
        .choice("the grammar permits it; no such version exists"),
    case("all groups of an IPv6 address", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7:8]:80\r\n\r\n")
        .kept(&[ok("root")]),
    case("a gap for one group", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7::]\r\n\r\n")
        .kept(&[ok("root")]),
    case("brackets around a name", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [name]\r\n\r\n"),
    case("a byte after the bracket", "3986 3.2.2", b"GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n"),
];
