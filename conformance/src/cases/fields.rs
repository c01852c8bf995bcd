//! Field lines: names, values, the white space around them, line ends, repetition.

use crate::case::{Case, case, ok, repeated};

/// One row each: name and section, bytes, outcome. Without an outcome: 400 and a close.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("a field", "9112 5", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n")
        .kept(&[ok("[x-a=b]")]),
    case("a field without a space after the colon", "9112 5", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A:b\r\n\r\n")
        .kept(&[ok("[x-a=b]")]),
    case("spaces and tabs around a value", "9112 5.1", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: \t b \t \r\n\r\n")
        .kept(&[ok("[x-a=b]")]),
    case("spaces and tabs in a value", "9110 5.5", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: b \t c\r\n\r\n")
        .kept(&[ok("[x-a=b \t c]")]),
    case("an empty value", "9110 5.5", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A:\r\n\r\n")
        .kept(&[ok("[x-a=]")]),
    case("a value of white space", "9110 5.5", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: \t \r\n\r\n")
        .kept(&[ok("[x-a=]")]),
    case("colons in a value", "9110 5.5", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: :b:c:\r\n\r\n")
        .kept(&[ok("[x-a=:b:c:]")]),
    case("obs-text in a value", "9110 5.5", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: \x80\xe9\xff\r\n\r\n")
        .kept(&[ok("[x-a=\u{80}\u{e9}\u{ff}]")]),
    case("all visible bytes in a value", "9110 5.5",
        b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\r\n\r\n")
        .kept(&[ok("[x-a=!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~]")]),
    case("all bytes of a token in a name", "9110 5.6.2",
        b"GET /fields HTTP/1.1\r\nHost: a\r\nX-!#$%&'*+.^_`|~09az: b\r\n\r\n")
        .kept(&[ok("[x-!#$%&'*+.^_`|~09az=b]")]),
    case("a name of one byte", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\n!: b\r\n\r\n")
        .kept(&[ok("root")]),
    case("a repeated field keeps its order", "9110 5.3",
        b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\n\r\n")
        .kept(&[ok("[x-a=1][x-a=3][x-b=2]")]),
    case("a list is one value", "9110 5.6.1", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: b, ,c,\r\n\r\n")
        .kept(&[ok("[x-a=b, ,c,]")]),
    case("a quoted string is unchanged", "9110 5.6.4", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: \"b, \\\"c\"\r\n\r\n")
        .kept(&[ok("[x-a=\"b, \\\"c\"]")]),
    case("a singleton field that is repeated", "9110 5.3", b"GET / HTTP/1.1\r\nHost: a\r\nReferer: /a\r\nReferer: /b\r\n\r\n")
        .kept(&[ok("root")])
        .choice("the recipient decides which fields are lists; repeated framing or routing fields are rejected"),
    case("an unknown field", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX-Unknown: this\r\n\r\n")
        .kept(&[ok("root")]),
    case("a value that looks like a request", "9112 5", b"GET /fields HTTP/1.1\r\nHost: a\r\nX-A: GET / HTTP/1.1\r\n\r\n")
        .kept(&[ok("[x-a=GET / HTTP/1.1]")]),
    repeated("a value of 600 bytes", "9110 5.4", &[(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ", 1), (b"v", 600), (b"\r\n\r\n", 1)])
        .kept(&[ok("root")]),

    case("a space before the colon", "9112 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n"),
    case("a tab before the colon", "9112 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX-A\t: b\r\n\r\n"),
    case("spaces before the colon of Host", "9112 5.1", b"GET / HTTP/1.1\r\nHost  : a\r\n\r\n"),
    case("a folded value", "9112 5.2", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n")
        .choice("a server MUST refuse it or replace the fold with spaces"),
    case("a value folded with a tab", "9112 5.2", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tc\r\n\r\n")
        .choice("a server MUST refuse it or replace the fold with spaces"),
    case("a fold with only white space", "9112 5.2", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n \r\n\r\n")
        .choice("a server MUST refuse it or replace the fold with spaces"),
    case("a folded Host", "9112 5.2", b"GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n")
        .choice("a server MUST refuse it or replace the fold with spaces"),
    case("a space before the first field", "9112 2.2", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n")
        .choice("a recipient MUST refuse it or drop the lines"),
    case("a tab before the first field", "9112 2.2", b"GET / HTTP/1.1\r\n\tX-A: b\r\nHost: a\r\n\r\n")
        .choice("a recipient MUST refuse it or drop the lines"),
    case("a line of a space before the first field", "9112 2.2", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n")
        .choice("a recipient MUST refuse it or drop the lines"),
    case("no colon", "9112 5", b"GET / HTTP/1.1\r\nHost: a\r\nX-A b\r\n\r\n"),
    case("a name alone", "9112 5", b"GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n"),
    case("no name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    case("a space for a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\n : b\r\n\r\n"),
    case("a space in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n"),
    case("parentheses in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX(A): b\r\n\r\n"),
    case("a comma in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX,A: b\r\n\r\n"),
    case("a slash in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX/A: b\r\n\r\n"),
    case("an at sign in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX@A: b\r\n\r\n"),
    case("braces in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\n{X}: b\r\n\r\n"),
    case("a quote in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\n\"X\": b\r\n\r\n"),
    case("an equals sign in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX=A: b\r\n\r\n"),
    case("a NUL in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX\0A: b\r\n\r\n"),
    case("a DEL in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX\x7fA: b\r\n\r\n"),
    case("a byte above 0x7f in a name", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX\xe9: b\r\n\r\n"),
    case("a vertical tab before the colon", "9110 5.1", b"GET / HTTP/1.1\r\nHost: a\r\nX\x0b: b\r\n\r\n"),
    case("a CR in a name", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX\rA: b\r\n\r\n"),
    case("an LF in a name", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX\nA: b\r\n\r\n"),
    case("a NUL in a value", "9110 5.5", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n")
        .choice("CR, LF and NUL MUST be refused or replaced"),
    case("a CR in a value", "9110 5.5", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n")
        .choice("CR, LF and NUL MUST be refused or replaced"),
    case("an LF in a value", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\nX-B: c\r\n\r\n")
        .choice("a recipient MAY take a single LF for the end of a line; two readers may differ"),
    case("a control byte in a value", "9110 5.5", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x01c\r\n\r\n")
        .choice("other control bytes MAY be kept in safe contexts; here they are refused"),
    case("an escape byte in a value", "9110 5.5", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \x1b[2J\r\n\r\n")
        .choice("other control bytes MAY be kept in safe contexts; here they are refused"),
    case("a DEL in a value", "9110 5.5", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x7f\r\n\r\n")
        .choice("other control bytes MAY be kept in safe contexts; here they are refused"),
    case("a vertical tab before a value", "9110 5.5", b"GET / HTTP/1.1\r\nHost: a\r\nX-A:\x0bb\r\n\r\n")
        .choice("other control bytes MAY be kept in safe contexts; here they are refused"),
    case("an LF without CR after a field", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n")
        .choice("a recipient MAY take a single LF for the end of a line; two readers may differ"),
    case("an LF without CR for the empty line", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\n")
        .choice("a recipient MAY take a single LF for the end of a line; two readers may differ"),
    case("LF without CR everywhere", "9112 2.2", b"GET / HTTP/1.1\nHost: a\n\n")
        .choice("a recipient MAY take a single LF for the end of a line; two readers may differ"),
    case("a CR without LF after a field", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\rX-A: b\r\n\r\n"),
    case("two CRs after a field", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    case("a CR alone in the empty line", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n"),
    case("two CRs for the empty line", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n"),
    case("LF and CR in the wrong order", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\n\r\n\r"),
];
