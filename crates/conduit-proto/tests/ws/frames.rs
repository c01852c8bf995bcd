//! Writes frames of a client.

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;

pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame with this first byte, the shortest length and a mask.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        length @ 0..=125 => vec![0x80 | length as u8],
        length @ 126..=0xffff => [&[0x80 | 126][..], &(length as u16).to_be_bytes()].concat(),
        length => [&[0x80 | 127][..], &(length as u64).to_be_bytes()].concat(),
    };
    [&[first][..], &length, &masked(payload)].concat()
}

/// The mask, and the masked payload.
pub(crate) fn masked(payload: &[u8]) -> Vec<u8> {
    let bytes = payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]);
    MASK.into_iter().chain(bytes).collect()
}

pub(crate) fn text(payload: &str) -> Vec<u8> {
    frame(FIN | TEXT, payload.as_bytes())
}

pub(crate) fn binary(payload: &[u8]) -> Vec<u8> {
    frame(FIN | BINARY, payload)
}

pub(crate) fn ping(payload: &[u8]) -> Vec<u8> {
    frame(FIN | PING, payload)
}

pub(crate) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A frame of a server: its first byte and its payload.
pub(crate) type ServerFrame = (u8, Vec<u8>);

/// The frames in a server's output.
pub(crate) fn parse(mut output: &[u8]) -> Vec<ServerFrame> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = output {
        assert_eq!(second & 0x80, 0, "a server's frames have no mask");
        let (length, rest) = match second {
            126 => (u16::from_be_bytes([rest[0], rest[1]]).into(), &rest[2..]),
            127 => (u64::from_be_bytes(*rest.first_chunk().expect("a length")), &rest[8..]),
            _ => (u64::from(*second), rest),
        };
        let (payload, rest) = rest.split_at(length as usize);
        frames.push((*first, payload.to_vec()));
        output = rest;
    }
    assert!(output.is_empty());
    frames
}
