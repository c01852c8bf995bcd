//! One rule of RFC 6455 or 7692 per row, each received at once, and split at every byte.

use conduit_proto::ws::{DeflateConfig, WebSocketEvent, WebSocketLimits};
use http::{HeaderMap, HeaderValue, header};

use crate::cases::{self, Case, Expect};
use crate::drive::Server;
use crate::frames::{CLOSE, FIN, ServerFrame, parse, text};

/// The observable behaviour of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Transcript {
    events: Vec<WebSocketEvent>,
    error: Option<u16>,
    frames: Vec<ServerFrame>,
}

/// The limits of the table.
pub(crate) const LIMITS: WebSocketLimits = WebSocketLimits {
    message_bytes: 1000,
    frame_bytes: 800,
    fragments: 6,
};

fn run<'a>(case: &Case, pieces: impl IntoIterator<Item = &'a [u8]>) -> Transcript {
    let deflate = case.extensions.map(|offer| {
        let mut headers = HeaderMap::new();
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        let config = DeflateConfig {
            context_takeover: true,
            ..DeflateConfig::default()
        };
        config.negotiate(&headers).expect("the offer is accepted").0
    });
    let mut server = Server::new(LIMITS, deflate);
    for piece in pieces {
        server.receive(piece);
    }
    Transcript {
        events: server.events,
        error: server.error.map(|error| error.code().0),
        frames: parse(&server.output),
    }
}

fn check(case: &Case, transcript: &Transcript) -> Result<(), String> {
    let fail = |what: &str| Err(format!("{what}: {transcript:?}"));
    let closes: Vec<_> = transcript
        .frames
        .iter()
        .filter(|(first, _)| *first == FIN | CLOSE)
        .collect();
    let code = closes.first().and_then(|(_, payload)| payload.first_chunk());
    let code = code.map(|code| u16::from_be_bytes(*code));
    if closes.len() > 1 {
        return fail("more than one Close");
    }
    match &case.expect {
        Expect::Error(expected) => {
            if transcript.error != Some(*expected) || code != Some(*expected) {
                return fail("no error with the code");
            }
        }
        Expect::Closed(events) => {
            if transcript.events != *events || closes.is_empty() || transcript.error.is_some() {
                return fail("no close after the events");
            }
        }
        Expect::Events(events, frames) => {
            let last = WebSocketEvent::Text("last".to_owned());
            let Some((after, before)) = transcript.events.split_last() else {
                return fail("no events");
            };
            if before != &events[..] || *after != last || transcript.frames != *frames {
                return fail("other events or frames");
            }
        }
    }
    Ok(())
}

#[test]
fn each_rule_is_applied() {
    let cases = cases::all();
    let mut failures = Vec::new();
    for case in &cases {
        let stream = [&case.input[..], &text("last")].concat();
        if let Err(failure) = check(case, &run(case, [&stream[..]])) {
            failures.push(format!("{} {}: {failure}", case.section, case.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
    assert!(cases.len() >= 150, "{} cases", cases.len());
}

#[test]
fn each_rule_is_applied_for_every_split() {
    for case in cases::all() {
        let stream = [&case.input[..], &text("last")].concat();
        let whole = run(&case, [&stream[..]]);
        assert_eq!(run(&case, stream.chunks(1)), whole, "{} {}", case.section, case.name);
        for at in 0..stream.len() {
            let (first, rest) = stream.split_at(at);
            assert_eq!(
                run(&case, [first, rest]),
                whole,
                "{} {} cut at {at}",
                case.section,
                case.name
            );
        }
    }
}
