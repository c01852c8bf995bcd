//! One rule of RFC 9113, 7541, 8441 or 9218 per row. Each input is received at once, and split at every byte.

use conduit_proto::h2::hpack::Decoder;
use conduit_proto::h2::{ErrorCode, Http2Limits};

use crate::cases::{self, Case, Expect};
use crate::drive::{Seen, Server};
use crate::frames::{PREFACE, Received, get, opening, parse, ping};

/// The stream of the request that checks that a connection still works.
const LAST: u32 = 0x7fff_fff1;

/// The observable behaviour of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Transcript {
    seen: Vec<Seen>,
    /// Without WINDOW_UPDATE, whose timing depends on the pieces.
    received: Vec<Received>,
}

fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Transcript {
    let limits = Http2Limits {
        extended_connect: true,
        ..Http2Limits::default()
    };
    let mut server = Server::new(&limits);
    for piece in pieces {
        server.receive(piece);
    }
    let mut received = parse(&server.output, &mut Decoder::new());
    received.retain(|frame| !matches!(frame, Received::WindowUpdate(..)));
    Transcript {
        seen: server.seen,
        received,
    }
}

fn check(case: &Case, transcript: &Transcript) -> Result<(), String> {
    let received = &transcript.received;
    let go_away = received.iter().find_map(|frame| match frame {
        Received::GoAway(_, code) => Some(*code),
        _ => None,
    });
    let resets: Vec<(u32, ErrorCode)> = received
        .iter()
        .filter_map(|frame| match frame {
            Received::Reset(stream, code) => Some((*stream, *code)),
            _ => None,
        })
        .collect();
    let statuses: Vec<(u32, &str)> = received
        .iter()
        .filter_map(Received::status)
        .filter(|(stream, _)| *stream != LAST)
        .collect();
    let fail = |what: &str| Err(format!("{what}: {:.1000}", format!("{transcript:?}")));
    if let Expect::Connection(code) = case.expect {
        return match go_away {
            Some(other) if other == code => Ok(()),
            _ => fail("no GOAWAY with the code"),
        };
    }
    if go_away.is_some() {
        return fail("the connection ends");
    }
    if !received.contains(&Received::Pong(b"pingping".to_vec())) {
        return fail("PING is not answered");
    }
    if !received
        .iter()
        .any(|frame| matches!(frame.status(), Some((LAST, "200"))))
    {
        return fail("a later request is not served");
    }
    match &case.expect {
        Expect::Connection(_) => {}
        Expect::Stream(stream, code) => {
            if resets != [(*stream, *code)] {
                return fail("no RST_STREAM with the code");
            }
        }
        Expect::Status(expected) => {
            if statuses != *expected || resets.iter().any(|reset| reset.1 != ErrorCode::NO_ERROR) {
                return fail("other responses");
            }
        }
        Expect::Request(stream, check) => {
            let request = transcript.seen.iter().find_map(|seen| match seen {
                Seen::Request(number, request) if number == stream => Some(request),
                _ => None,
            });
            match request {
                Some(request) => {
                    if !check(request) || !resets.is_empty() {
                        return fail("another request");
                    }
                }
                None => return fail("no request"),
            }
        }
        Expect::Sent(check) => {
            if !check(received) {
                return fail("other frames");
            }
        }
        Expect::Seen(check) => {
            if !check(&transcript.seen) {
                return fail("other events");
            }
        }
    }
    Ok(())
}

fn stream_of(case: &Case) -> Vec<u8> {
    let mut stream = match case.is_bare {
        true => case.input.clone(),
        false => [opening(), case.input.clone()].concat(),
    };
    stream.extend(ping());
    stream.extend(get(LAST, "/last"));
    stream
}

#[test]
fn every_rule_is_applied() {
    let cases = cases::all();
    let mut failures = Vec::new();
    for case in &cases {
        if let Err(failure) = check(case, &run([&stream_of(case)[..]])) {
            failures.push(format!("{} {}: {failure}", case.section, case.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n\n")
    );
    assert!(cases.len() >= 250, "{} cases", cases.len());
}

#[test]
fn every_rule_is_applied_for_every_split() {
    for case in cases::all() {
        let stream = stream_of(&case);
        let whole = run([&stream[..]]);
        // One byte each, except for a few long streams.
        let length = 1 + stream.len() / 4000;
        assert_eq!(run(stream.chunks(length)), whole, "{} {}", case.section, case.name);
        // The opening is equal in all cases; maximum-size frames are split at fewer positions.
        let start = if case.is_bare { 0 } else { PREFACE.len() };
        for at in (start..stream.len()).step_by(1 + stream.len() / 600) {
            let (first, rest) = stream.split_at(at);
            assert_eq!(run([first, rest]), whole, "{} {} cut at {at}", case.section, case.name);
        }
    }
}
