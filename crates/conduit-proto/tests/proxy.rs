//! The PROXY protocol: whole headers, headers in pieces, and invalid ones. Section numbers refer to
//! `proxy-protocol.txt`.

use conduit_proto::proxy::{Header, HeaderError, HeaderParser, LENGTH_LIMIT};

/// Section, name, bytes, result. `GET` after a header must not be consumed.
type Case = (&'static str, &'static str, Vec<u8>, Result<Header, HeaderError>);

fn internet(source: &str, destination: &str) -> Result<Header, HeaderError> {
    Ok(Header::Internet {
        source: source.parse().expect("an address"),
        destination: destination.parse().expect("an address"),
    })
}

/// A version 2 header with these bytes and their length.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    v2_of_length(command, family, rest.len(), rest)
}

fn v2_of_length(command: u8, family: u8, length: usize, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(length).expect("a length").to_be_bytes());
    bytes.extend(rest);
    bytes
}

const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb];

fn v6() -> Vec<u8> {
    let mut bytes = vec![0; 36];
    (bytes[0], bytes[1], bytes[2], bytes[3], bytes[15]) = (0x20, 0x01, 0x0d, 0xb8, 7);
    bytes[31] = 1;
    bytes[32..].copy_from_slice(&[0xdc, 4, 1, 0xbb]);
    bytes
}

/// A version 2 header with extensions of this total length.
fn extended(length: usize) -> Vec<u8> {
    let mut bytes = V4.to_vec();
    bytes.resize(12 + length, 0xaa);
    bytes
}

fn cases() -> Vec<Case> {
    let line = |text: &str| text.as_bytes().to_vec();
    let ours = || internet("192.0.2.7:56324", "198.51.100.1:443");
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
    let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 15));
    #[rustfmt::skip]
    let cases = vec![
        ("2.1", "TCP4", line("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"), ours()),
        ("2.1", "TCP6", line("PROXY TCP6 2001:db8::7 ::1 56324 443\r\n"), internet("[2001:db8::7]:56324", "[::1]:443")),
        ("2.1", "ports 0 and 65535", line("PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n"), internet("192.0.2.7:0", "198.51.100.1:65535")),
        ("2.1", "UNKNOWN", line("PROXY UNKNOWN\r\n"), Ok(Header::Unknown)),
        ("2.1", "UNKNOWN with anything", line("PROXY UNKNOWN ffff::1 x y z\r\n"), Ok(Header::Unknown)),
        ("2.1", "UNKNOWN with bytes that are not text", b"PROXY UNKNOWN \xff\xfe\r\n".to_vec(), Ok(Header::Unknown)),
        ("2.1", "a word that begins with UNKNOWN", line("PROXY UNKNOWN4\r\n"), Err(HeaderError::Word)),
        ("2.1", "a line of 107 bytes", line(&longest), Ok(Header::Unknown)),
        ("2.1", "a line of 108 bytes", line(&too_long), Err(HeaderError::Line)),
        ("2.1", "no end", line(&"PROXY TCP4 ".repeat(20)), Err(HeaderError::Line)),
        ("2.1", "LF alone", line("PROXY UNKNOWN\n"), Err(HeaderError::Line)),
        ("2.1", "small letters", line("proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n"), Err(HeaderError::Signature)),
        ("2.1", "another protocol", line("PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n"), Err(HeaderError::Word)),
        ("2.1", "no protocol", line("PROXY \r\n"), Err(HeaderError::Word)),
        ("2.1", "no space", line("PROXYTCP4 192.0.2.7 198.51.100.1 1 2\r\n"), Err(HeaderError::Signature)),
        ("2.1", "two spaces", line("PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n"), Err(HeaderError::Word)),
        ("2.1", "a tab", line("PROXY TCP4\t192.0.2.7 198.51.100.1 1 2\r\n"), Err(HeaderError::Word)),
        ("2.1", "a space at the end", line("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n"), Err(HeaderError::Word)),
        ("2.1", "too few words", line("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n"), Err(HeaderError::Word)),
        ("2.1", "the other family", line("PROXY TCP4 ::1 ::1 1 2\r\n"), Err(HeaderError::Word)),
        ("2.1", "an address with a leading zero", line("PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n"), Err(HeaderError::Word)),
        ("2.1", "a port with a leading zero", line("PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n"), Err(HeaderError::Word)),
        ("2.1", "a port with a sign", line("PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n"), Err(HeaderError::Word)),
        ("2.1", "a port of 65536", line("PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n"), Err(HeaderError::Word)),
        ("2.1", "bytes that are not text", b"PROXY TCP4 \xff\xfe 1 1 1\r\n".to_vec(), Err(HeaderError::Word)),
        ("2", "a request", line("GET / HTTP/1.1\r\n\r\n"), Err(HeaderError::Signature)),
        ("2", "a request line that begins in the same way", line("PUT / HTTP/1.1\r\n\r\n"), Err(HeaderError::Signature)),
        ("2", "a hello of TLS", vec![0x16, 3, 1, 2, 0, 1], Err(HeaderError::Signature)),
        ("2", "empty lines", line("\r\n\r\nGET / HTTP/1.1\r\n"), Err(HeaderError::Signature)),
        ("2.2", "TCP over IPv4", v2(0x21, 0x11, &V4), ours()),
        ("2.2", "UDP over IPv4", v2(0x21, 0x12, &V4), ours()),
        ("2.2", "TCP over IPv6", v2(0x21, 0x21, &v6()), internet("[2001:db8::7]:56324", "[::1]:443")),
        ("2.2", "a Unix socket", v2(0x21, 0x31, &[b'/'; 216]), Ok(Header::Unknown)),
        ("2.2", "UNSPEC", v2(0x21, 0x00, &[]), Ok(Header::Unknown)),
        ("2.2", "UNSPEC with bytes", v2(0x21, 0x00, &[9; 300]), Ok(Header::Unknown)),
        ("2.2", "LOCAL", v2(0x20, 0x00, &[]), Ok(Header::Local)),
        ("2.2", "LOCAL with addresses", v2(0x20, 0x11, &V4), Ok(Header::Local)),
        ("2.2", "LOCAL with half an address", v2(0x20, 0x11, &V4[..5]), Ok(Header::Local)),
        ("2.2", "LOCAL of an unknown family", v2(0x20, 0x41, &[]), Ok(Header::Local)),
        ("2.2", "LOCAL of an unknown transport with bytes", v2(0x20, 0x1f, &[9; 300]), Ok(Header::Local)),
        ("2.2", "LOCAL of every bit", v2(0x20, 0xff, &V4), Ok(Header::Local)),
        ("2.2", "LOCAL of a Unix socket without addresses", v2(0x20, 0x31, &[]), Ok(Header::Local)),
        ("2.2", "LOCAL of an unknown family above the limit", v2_of_length(0x20, 0x41, LENGTH_LIMIT + 1, &[]), Err(HeaderError::Length)),
        ("2.2", "a family without a transport", v2(0x21, 0x10, &V4), Err(HeaderError::Family)),
        ("2.2", "a transport without a family", v2(0x21, 0x01, &[]), Err(HeaderError::Family)),
        ("2.2.1", "extensions", v2(0x21, 0x11, &extended(60)), ours()),
        ("2.2.1", "extensions up to the limit", v2(0x21, 0x11, &extended(LENGTH_LIMIT - 12)), ours()),
        ("2.2.1", "extensions above the limit", v2(0x21, 0x11, &extended(LENGTH_LIMIT - 11)), Err(HeaderError::Length)),
        ("2.2", "the maximum length", v2_of_length(0x20, 0x00, 65535, &[]), Err(HeaderError::Length)),
        ("2.2", "a length short of the addresses", v2(0x21, 0x11, &V4[..11]), Err(HeaderError::Length)),
        ("2.2", "a length of IPv4 for IPv6", v2(0x21, 0x21, &V4), Err(HeaderError::Length)),
        ("2.2", "a short Unix address", v2(0x21, 0x32, &[0; 215]), Err(HeaderError::Length)),
        ("2.2", "version 1 in binary", v2(0x11, 0x11, &V4), Err(HeaderError::Command)),
        ("2.2", "version 3", v2(0x31, 0x11, &V4), Err(HeaderError::Command)),
        ("2.2", "another command", v2(0x22, 0x11, &V4), Err(HeaderError::Command)),
        ("2.2", "another family", v2(0x21, 0x41, &V4), Err(HeaderError::Family)),
        ("2.2", "another transport", v2(0x21, 0x13, &V4), Err(HeaderError::Family)),
    ];
    cases
}

/// Parses the bytes in pieces of this length; returns the header and the number of consumed bytes.
fn run(bytes: &[u8], length: usize) -> Result<Option<(Header, usize)>, HeaderError> {
    let mut parser = HeaderParser::new();
    let mut used = 0;
    for piece in bytes.chunks(length) {
        let (step, header) = parser.handle_input(piece)?;
        used += step;
        if let Some(header) = header {
            return Ok(Some((header, used)));
        }
        assert_eq!(
            step,
            piece.len(),
            "each piece is consumed completely while the header is incomplete"
        );
    }
    Ok(None)
}

#[test]
fn header_does_not_depend_on_the_division() {
    for (section, name, bytes, outcome) in cases() {
        let mut followed = bytes.clone();
        followed.extend(b"GET / HTTP/1.1\r\n");
        for length in 1..=followed.len() {
            let seen = run(&followed, length);
            let wanted = outcome.map(|header| Some((header, bytes.len())));
            assert_eq!(seen, wanted, "section {section}, {name}, in pieces of {length}");
        }
    }
}

#[test]
fn truncated_header_is_incomplete() {
    for (section, name, bytes, outcome) in cases() {
        if outcome.is_err() {
            continue;
        }
        for end in 0..bytes.len() {
            assert_eq!(
                run(&bytes[..end], end.max(1)),
                Ok(None),
                "section {section}, {name}, {end}"
            );
        }
    }
}

#[test]
fn invalid_header_is_rejected_at_its_first_invalid_byte() {
    assert_eq!(run(b"G", 1), Err(HeaderError::Signature));
    assert_eq!(run(b"PR\r", 1), Err(HeaderError::Signature));
    assert_eq!(
        run(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 1),
        Err(HeaderError::Length)
    );
}
