//! A PROXY header is parsed as a naive twin parses the whole, for any split; its content can be written in both versions, and is
//! parsed as the same.
//!
//! The first byte of the input determines the split of the rest; the rest is the stream.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use conduit_proto::proxy::{Header, HeaderParser, LENGTH_LIMIT};
use libfuzzer_sys::fuzz_target;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The start of a stream: a header and its length, a partial header, or no header.
type Outcome = Result<Option<(Header, usize)>, ()>;

/// The parser's result for these pieces, one after the other.
fn parse<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut parser = HeaderParser::new();
    let mut used = 0;
    for piece in pieces {
        let (step, header) = parser.handle_input(piece).map_err(|_| ())?;
        assert!(step <= piece.len());
        used += step;
        if let Some(header) = header {
            return Ok(Some((header, used)));
        }
        assert_eq!(
            step,
            piece.len(),
            "while the header is incomplete, all bytes belong to it"
        );
    }
    Ok(None)
}

fn twin(stream: &[u8]) -> Outcome {
    match stream {
        [] => Ok(None),
        [b'P', ..] => twin_of_line(stream),
        _ => twin_of_binary(stream),
    }
}

fn twin_of_line(stream: &[u8]) -> Outcome {
    let begun = stream.len().min(6);
    if stream[..begun] != b"PROXY "[..begun] {
        return Err(());
    }
    let Some(end) = stream.iter().take(107).position(|&byte| byte == b'\n') else {
        return if stream.len() < 107 { Ok(None) } else { Err(()) };
    };
    let line = stream[6..end].strip_suffix(b"\r").ok_or(())?;
    // The rest of the line is ignored, and need not be text (section 2.1).
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(Some((Header::Unknown, end + 1)));
    }
    let words: Vec<&str> = str::from_utf8(line).map_err(|_| ())?.split(' ').collect();
    let header = match words[..] {
        [family, source, destination, source_port, destination_port] => {
            let address = |text: &str| match family {
                "TCP4" => twin_of_v4(text).map(IpAddr::V4),
                "TCP6" => text.parse().ok().map(IpAddr::V6),
                _ => None,
            };
            let at = |text, port| Some(SocketAddr::new(address(text)?, number(port, 65535)?.try_into().ok()?));
            Header::Internet {
                source: at(source, source_port).ok_or(())?,
                destination: at(destination, destination_port).ok_or(())?,
            }
        }
        _ => return Err(()),
    };
    Ok(Some((header, end + 1)))
}

fn twin_of_v4(text: &str) -> Option<Ipv4Addr> {
    let numbers: Vec<u32> = text.split('.').map(|part| number(part, 255)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = numbers.into_iter().map(|number| number as u8).collect();
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}

/// The digits of a number in its shortest form.
fn number(text: &str, most: u32) -> Option<u32> {
    let value: u32 = text.parse().ok()?;
    (value <= most && value.to_string() == text).then_some(value)
}

fn twin_of_binary(stream: &[u8]) -> Outcome {
    let begun = stream.len().min(SIGNATURE.len());
    let byte = |at: usize| stream.get(at).copied();
    if stream[..begun] != SIGNATURE[..begun]
        || byte(12).is_some_and(|byte| byte != 0x20 && byte != 0x21)
        // The family of `LOCAL` is ignored (section 2.2).
        || byte(12) == Some(0x21)
            && byte(13).is_some_and(|byte| ![0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32].contains(&byte))
    {
        return Err(());
    }
    let (Some(command), Some(family), Some(high), Some(low)) = (byte(12), byte(13), byte(14), byte(15)) else {
        return Ok(None);
    };
    let length = usize::from(high) * 256 + usize::from(low);
    let wanted = match (command, family >> 4) {
        (0x20, _) | (_, 0) => 0,
        (_, 1) => 12,
        (_, 2) => 36,
        _ => 216,
    };
    if length < wanted || length > LENGTH_LIMIT {
        return Err(());
    }
    let Some(rest) = stream[16..].get(..length) else {
        return Ok(None);
    };
    let port = |at: usize| u16::from(rest[at]) * 256 + u16::from(rest[at + 1]);
    let v4 = |at: usize| Ipv4Addr::new(rest[at], rest[at + 1], rest[at + 2], rest[at + 3]);
    let v6 = |at: usize| {
        let group = |group: usize| port(at + 2 * group);
        Ipv6Addr::new(
            group(0),
            group(1),
            group(2),
            group(3),
            group(4),
            group(5),
            group(6),
            group(7),
        )
    };
    let header = match wanted {
        12 => Header::Internet {
            source: (v4(0), port(8)).into(),
            destination: (v4(4), port(10)).into(),
        },
        36 => Header::Internet {
            source: (v6(0), port(32)).into(),
            destination: (v6(16), port(34)).into(),
        },
        _ if command == 0x20 => Header::Local,
        _ => Header::Unknown,
    };
    Ok(Some((header, 16 + length)))
}

/// The two versions of a header.
fn written(source: SocketAddr, destination: SocketAddr) -> [Vec<u8>; 2] {
    let word = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let line = format!("PROXY {word} {from} {to} {} {}\r\n", source.port(), destination.port());
    let mut addresses = Vec::new();
    for address in [from, to] {
        match address {
            IpAddr::V4(address) => addresses.extend(address.octets()),
            IpAddr::V6(address) => addresses.extend(address.octets()),
        }
    }
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(destination.port().to_be_bytes());
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    let binary = [SIGNATURE, &[0x21, family, 0, addresses.len() as u8], &addresses].concat();
    [line.into_bytes(), binary]
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, stream)) = data.split_first() else {
        return;
    };
    let outcome = twin(stream);
    assert_eq!(parse([stream].into_iter()), outcome);
    assert_eq!(parse(stream.chunks(usize::from(how) + 1)), outcome);
    assert_eq!(parse(stream.chunks(1)), outcome);
    if let Ok(Some((header @ Header::Internet { source, destination }, _))) = outcome {
        for bytes in written(source, destination) {
            assert_eq!(
                parse(bytes.chunks(usize::from(how) + 1)),
                Ok(Some((header, bytes.len())))
            );
        }
    }
});
