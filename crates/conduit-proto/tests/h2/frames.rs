//! Frames of a client: writing and parsing.

use conduit_proto::h2::ErrorCode;
use conduit_proto::h2::hpack::Decoder;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const PRIORITY_UPDATE: u8 = 0x10;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Parses hexadecimal digits; spaces are ignored.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A field block of literals without indexing.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        literal(&mut block, 0, name.as_bytes(), value.as_bytes());
    }
    block
}

/// A literal of any kind with a new name.
pub(crate) fn literal(block: &mut Vec<u8>, first: u8, name: &[u8], value: &[u8]) {
    block.push(first);
    for string in [name, value] {
        if string.len() < 127 {
            block.push(string.len() as u8);
        } else {
            block.push(127);
            let mut rest = string.len() - 127;
            while rest >= 128 {
                block.push(rest as u8 | 128);
                rest >>= 7;
            }
            block.push(rest as u8);
        }
        block.extend(string);
    }
}

/// The pseudo-header fields of a request.
pub(crate) fn pseudo<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [
        (":method", method),
        (":scheme", "https"),
        (":path", path),
        (":authority", "example.org"),
    ]
}

/// A block with a field that enters the table as its newest one, and a block with as many references to it.
pub(crate) fn bomb(fields: &[(&str, &str)], name: &[u8], value: &[u8], references: usize) -> (Vec<u8>, Vec<u8>) {
    let mut entry = block(fields);
    literal(&mut entry, 0x40, name, value);
    (entry, [block(fields), vec![0xbe; references]].concat())
}

/// HEADERS with END_STREAM.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    request(stream, &pseudo("GET", path))
}

/// HEADERS with END_STREAM and these fields.
pub(crate) fn request(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields))
}

/// `GET /` with additional fields and END_STREAM.
pub(crate) fn with_fields(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    request(stream, &[&pseudo("GET", "/"), fields].concat())
}

/// HEADERS of a request with a body.
pub(crate) fn post(stream: u32, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS,
        stream,
        &block(&[&pseudo("POST", path), fields].concat()),
    )
}

pub(crate) fn data(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, payload)
}

pub(crate) fn last_data(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, payload)
}

pub(crate) fn trailers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    request(stream, fields)
}

pub(crate) fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn reset(stream: u32, code: ErrorCode) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.0.to_be_bytes())
}

pub(crate) fn ping() -> Vec<u8> {
    frame(PING, 0, 0, b"pingping")
}

/// The preface and empty SETTINGS.
pub(crate) fn opening() -> Vec<u8> {
    [PREFACE, &settings(&[])].concat()
}

/// A frame from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    Head {
        stream: u32,
        fields: Vec<(String, String)>,
        end_stream: bool,
    },
    Data {
        stream: u32,
        bytes: Vec<u8>,
        end_stream: bool,
    },
    Reset(u32, ErrorCode),
    GoAway(u32, ErrorCode),
    Settings(Vec<(u16, u32)>),
    SettingsAck,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    WindowUpdate(u32, u32),
}

impl Received {
    /// The `:status` of a head.
    pub(crate) fn status(&self) -> Option<(u32, &str)> {
        match self {
            Self::Head { stream, fields, .. } => Some((*stream, &fields.first()?.1)),
            _ => None,
        }
    }
}

/// Parses all frames of a server.
pub(crate) fn parse(mut output: &[u8], decoder: &mut Decoder) -> Vec<Received> {
    let mut received = Vec::new();
    while !output.is_empty() {
        let (kind, flags, stream, payload, rest) = take(output);
        output = rest;
        let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        received.push(match kind {
            HEADERS => {
                let mut block = payload.to_vec();
                let mut ended = flags & END_HEADERS != 0;
                while !ended {
                    let (kind, flags, other, payload, rest) = take(output);
                    assert_eq!((kind, other), (CONTINUATION, stream));
                    block.extend(payload);
                    output = rest;
                    ended = flags & END_HEADERS != 0;
                }
                let mut fields = Vec::new();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                decoder
                    .decode(&block, |name, value| fields.push((text(name), text(value))))
                    .unwrap();
                Received::Head {
                    stream,
                    fields,
                    end_stream: flags & END_STREAM != 0,
                }
            }
            DATA => Received::Data {
                stream,
                bytes: payload.to_vec(),
                end_stream: flags & END_STREAM != 0,
            },
            RST_STREAM => Received::Reset(stream, ErrorCode(word(0))),
            GOAWAY => Received::GoAway(word(0), ErrorCode(word(4))),
            SETTINGS if flags & ACK != 0 => Received::SettingsAck,
            SETTINGS => Received::Settings(
                payload
                    .chunks(6)
                    .map(|setting| {
                        let id = u16::from_be_bytes([setting[0], setting[1]]);
                        (id, u32::from_be_bytes(setting[2..].try_into().unwrap()))
                    })
                    .collect(),
            ),
            PING if flags & ACK != 0 => Received::Pong(payload.to_vec()),
            PING => Received::Ping(payload.to_vec()),
            WINDOW_UPDATE => Received::WindowUpdate(stream, word(0)),
            kind => panic!("unexpected frame {kind}"),
        });
    }
    received
}

fn take(output: &[u8]) -> (u8, u8, u32, &[u8], &[u8]) {
    let length = u32::from_be_bytes([0, output[0], output[1], output[2]]) as usize;
    assert!(length <= 16_384, "a frame is too long");
    let stream = u32::from_be_bytes(output[5..9].try_into().unwrap());
    let (payload, rest) = output[9..].split_at(length);
    (output[3], output[4], stream, payload, rest)
}
