//! Settings (RFC 9113, section 6.5).

use conduit_proto::h2::ErrorCode as E;

use super::Expect::{Connection, Sent};
use super::{Case, bare, case, ignored, served};
use crate::frames::*;

/// The number of acknowledgements of SETTINGS.
fn acknowledgements(frames: &[Received]) -> usize {
    let acknowledgements = frames.iter().filter(|frame| **frame == Received::SettingsAck);
    acknowledgements.count()
}

/// The bytes of the response on stream 1.
fn bytes_of(frames: &[Received]) -> Vec<u8> {
    let bytes = frames.iter().filter_map(|frame| match frame {
        Received::Data { stream: 1, bytes, .. } => Some(&bytes[..]),
        _ => None,
    });
    bytes.collect::<Vec<_>>().concat()
}

/// The response on stream 1 has three bytes and no end.
fn has_three_bytes(frames: &[Received]) -> bool {
    let is_end = |frame: &Received| {
        matches!(
            frame,
            Received::Data {
                stream: 1,
                end_stream: true,
                ..
            }
        )
    };
    bytes_of(frames) == b"GET" && !frames.iter().any(is_end)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "6.5",
            "SETTINGS on a stream",
            frame(SETTINGS, 0, 1, b""),
            Connection(E::PROTOCOL_ERROR),
        ),
        case("6.5", "ACK", frame(SETTINGS, ACK, 0, b""), ignored()),
        case(
            "6.5",
            "ACK twice",
            [frame(SETTINGS, ACK, 0, b""), frame(SETTINGS, ACK, 0, b"")],
            ignored(),
        ),
        case(
            "6.5",
            "ACK with a payload",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Connection(E::FRAME_SIZE_ERROR),
        ),
        case(
            "6.5",
            "ACK on a stream",
            frame(SETTINGS, ACK, 1, b""),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.5",
            "SETTINGS again",
            [settings(&[(3, 7)]), settings(&[(3, 8)])],
            ignored(),
        ),
        case(
            "6.5.3",
            "each SETTINGS is acknowledged",
            [settings(&[(3, 7)]), settings(&[])],
            Sent(|frames| acknowledgements(frames) == 3),
        ),
        case(
            "6.5.3",
            "ACK is not acknowledged",
            [frame(SETTINGS, ACK, 0, b""), get(1, "/")],
            Sent(|frames| acknowledgements(frames) == 1),
        ),
        case(
            "6.9.2",
            "a response within a small initial window",
            [settings(&[(4, 3)]), get(1, "/")],
            Sent(has_three_bytes),
        ),
        case(
            "6.9.2",
            "a negative window permits no byte",
            [
                settings(&[(4, 3)]),
                get(1, "/"),
                settings(&[(4, 0)]),
                window_update(1, 3),
                settings(&[(4, 65_535)]),
                settings(&[(4, 0)]),
            ],
            Sent(|frames| {
                let bytes = bytes_of(frames);
                !bytes.is_empty() && b"GET /".starts_with(&bytes[..])
            }),
        ),
        case(
            "6.5",
            "a setting twice in a frame",
            settings(&[(4, 1), (4, 70_000)]),
            ignored(),
        ),
        case(
            "6.5",
            "the last value counts",
            [
                post(1, "/", &[]),
                settings(&[(4, 0x7fff_ffff), (4, 5)]),
                last_data(1, b""),
            ],
            served(1),
        ),
        case(
            "6.5.1",
            "a setting with two values in their order",
            settings(&[(2, 1), (2, 0)]),
            ignored(),
        ),
        case(
            "6.5.2",
            "an unknown setting",
            settings(&[(0x1234, 0xffff_ffff), (0, 1)]),
            ignored(),
        ),
        case(
            "6.9.2",
            "an initial window of 0",
            [
                settings(&[(4, 0)]),
                frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&pseudo("HEAD", "/"))),
                settings(&[(4, 65_535)]),
            ],
            served(1),
        ),
        case(
            "6.9.2",
            "a smaller initial window makes one negative",
            [
                post(1, "/", &[]),
                settings(&[(4, 0)]),
                settings(&[(4, 65_535)]),
                last_data(1, b""),
            ],
            served(1),
        ),
        case(
            "6.9.2",
            "a larger initial window makes one too large",
            [
                post(1, "/", &[]),
                window_update(1, 0x7fff_0000),
                settings(&[(4, 65_536)]),
            ],
            Connection(E::FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.2",
            "the connection's window does not change",
            [settings(&[(4, 0x7fff_ffff)]), window_update(0, 0x7fff_0000)],
            ignored(),
        ),
        bare(
            "6.5",
            "settings in the first frame",
            [
                PREFACE.to_vec(),
                settings(&[(1, 65_536), (2, 0), (3, 100), (4, 1 << 20), (5, 16_384), (6, 8192)]),
            ],
            ignored(),
        ),
        bare(
            "6.5",
            "an invalid value in the first frame",
            [PREFACE.to_vec(), settings(&[(2, 2)])],
            Connection(E::PROTOCOL_ERROR),
        ),
        bare(
            "RFC 9218, 2.1",
            "NO_RFC7540_PRIORITIES",
            [PREFACE.to_vec(), settings(&[(9, 1)]), settings(&[(9, 1)])],
            ignored(),
        ),
        bare(
            "RFC 9218, 2.1",
            "NO_RFC7540_PRIORITIES is omitted later",
            [PREFACE.to_vec(), settings(&[(9, 1)]), settings(&[])],
            ignored(),
        ),
        bare(
            "RFC 9218, 2.1",
            "NO_RFC7540_PRIORITIES changes",
            [PREFACE.to_vec(), settings(&[(9, 0)]), settings(&[(9, 1)])],
            Connection(E::PROTOCOL_ERROR),
        ),
        bare(
            "RFC 9218, 2.1",
            "NO_RFC7540_PRIORITIES is 2",
            [PREFACE.to_vec(), settings(&[(9, 2)])],
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "RFC 7541, 4.2",
            "a table of no bytes",
            [settings(&[(1, 0)]), get(1, "/")],
            served(1),
        ),
        case(
            "RFC 7541, 4.2",
            "a table that shrinks and grows",
            [settings(&[(1, 0), (1, 100)]), get(1, "/")],
            served(1),
        ),
    ];
    for length in [1, 5, 7, 11, 13] {
        let input = frame(SETTINGS, 0, 0, &[0; 16][..length]);
        cases.push(case(
            "6.5",
            format!("SETTINGS of {length} bytes"),
            input,
            Connection(E::FRAME_SIZE_ERROR),
        ));
    }
    for (id, value, code) in [
        (2, 2, E::PROTOCOL_ERROR),
        (2, u32::MAX, E::PROTOCOL_ERROR),
        (4, 1 << 31, E::FLOW_CONTROL_ERROR),
        (4, u32::MAX, E::FLOW_CONTROL_ERROR),
        (5, 0, E::PROTOCOL_ERROR),
        (5, 16_383, E::PROTOCOL_ERROR),
        (5, 1 << 24, E::PROTOCOL_ERROR),
        (5, u32::MAX, E::PROTOCOL_ERROR),
        (8, 2, E::PROTOCOL_ERROR),
    ] {
        cases.push(case(
            "6.5.2",
            format!("setting {id} with {value}"),
            settings(&[(id, value)]),
            Connection(code),
        ));
    }
    for (id, value) in [
        (1, 0),
        (1, u32::MAX),
        (2, 0),
        (2, 1),
        (3, 0),
        (3, u32::MAX),
        (4, 1),
        (4, (1 << 31) - 1),
        (5, 16_384),
        (5, (1 << 24) - 1),
        (6, 0),
        (6, u32::MAX),
        (8, 0),
        (8, 1),
    ] {
        let input = [settings(&[(id, value)]), settings(&[(4, 65_535)]), get(1, "/")];
        cases.push(case("6.5.2", format!("setting {id} with {value}"), input, served(1)));
    }
    cases
}
