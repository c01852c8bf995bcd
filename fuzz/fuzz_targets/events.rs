//! A client receives exactly the events that were encoded: fields with any text become exactly one event, or are rejected.
//!
//! The first byte chooses the fields, and the rest is their text, divided at the byte 0xff.
#![no_main]

use std::time::Duration;

use conduit::events::{Event, EventText};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/conduit/tests/events/naive.rs"]
mod naive;

use naive::Dispatched;

fn event(flags: u8, texts: &[String]) -> Option<(Event<String>, Dispatched)> {
    let text = |at: usize| texts.get(at).cloned().unwrap_or_default();
    let (mut event, data) = if flags & 1 == 0 {
        let json = serde_json::to_string(&text(0)).expect("a text is JSON");
        (Event::new(text(0)), json)
    } else {
        let lines = text(0).replace("\r\n", "\n").replace('\r', "\n");
        (Event::text(text(0)), lines)
    };
    let mut expected = Dispatched {
        kind: "message".to_owned(),
        data,
        last_event_id: String::new(),
    };
    let field = |text: String| {
        let parsed = text.parse::<EventText>();
        assert_eq!(parsed.is_err(), text.contains(['\n', '\r', '\0']));
        parsed.ok()
    };
    if flags & 2 != 0 {
        event = event.id(field(text(1))?);
        expected.last_event_id = text(1);
    }
    if flags & 4 != 0 {
        event = event.named(field(text(2))?);
        if !text(2).is_empty() {
            expected.kind = text(2);
        }
    }
    if flags & 8 != 0 {
        event = event.retry(Duration::from_millis(flags.into()));
    }
    Some((event, expected))
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, rest)) = input.split_first() else {
        return;
    };
    let texts = rest.split(|&byte| byte == 0xff);
    let texts: Vec<String> = texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    let Some((event, expected)) = event(flags, &texts) else {
        return;
    };
    let bytes = event.encode().expect("a text is JSON");
    let twice = [&bytes[..], &bytes[..]].concat();
    let (events, retry) = naive::parse(str::from_utf8(&twice).expect("events are UTF-8"));
    assert_eq!(events, [expected.clone(), expected]);
    assert_eq!(retry, (flags & 8 != 0).then_some(flags.into()));
});
