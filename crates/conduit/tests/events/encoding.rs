//! The bytes of events.

use std::collections::BTreeMap;
use std::time::Duration;

use conduit::events::{Event, EventText};
use proptest::prelude::*;

use crate::naive::{self, Dispatched};

fn parsed(event: &Event<impl serde::Serialize>) -> Vec<Dispatched> {
    let bytes = event.encode().expect("the data is JSON");
    naive::parse(str::from_utf8(&bytes).expect("events are UTF-8")).0
}

#[test]
fn fields_have_their_order_and_end_with_an_empty_line() {
    let event = Event::new(1).id(2_u64).name("three").retry(Duration::from_secs(4));
    assert_eq!(
        &event.encode().expect("JSON")[..],
        b"retry: 4000\nevent: three\nid: 2\ndata: 1\n\n"
    );
    assert_eq!(
        &Event::<()>::without_data().id(1_u16).encode().expect("JSON")[..],
        b"id: 1\n\n"
    );
}

#[test]
fn line_ends_and_nul_are_refused_in_fields_of_one_line() {
    for text in ["a\nb", "a\rb", "a\0b", "\n", "data: a\n\n"] {
        let error = text.parse::<EventText>().expect_err("it is refused");
        assert!(error.to_string().contains("line feed"), "{error}");
        assert!(EventText::try_from(text.to_owned()).is_err());
        let caught = std::panic::catch_unwind(|| Event::new(1).name(text));
        assert!(caught.is_err());
    }
    let long = format!("{}\n", "a".repeat(10_000));
    let error = long.parse::<EventText>().expect_err("it is refused");
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn line_ends_in_data_cannot_end_the_event() {
    // Data must not inject an event: each line end of any kind belongs to the data.
    for text in [
        "a\n\nevent: forged\ndata: b",
        "a\r\rdata: b",
        "a\r\n\r\nid: 9\n\n",
        "\n",
        "",
        "a\n",
    ] {
        let events = parsed(&Event::<()>::text(text).id(1_u64));
        let data = text.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(events.len(), 1, "{text:?}");
        assert_eq!((&events[0].data, &events[0].last_event_id[..]), (&data, "1"));
    }
    let json = parsed(&Event::new("a\r\n\ndata: b\0\u{2028}"));
    assert_eq!(
        serde_json::from_str::<String>(&json[0].data).expect("JSON"),
        "a\r\n\ndata: b\0\u{2028}"
    );
}

#[test]
fn data_that_does_not_serialize_is_an_error() {
    assert!(Event::new(BTreeMap::from([((1, 2), 3)])).encode().is_err());
}

proptest! {
    #[test]
    fn a_client_receives_each_event(
        text in "(?s).{0,40}",
        is_json: bool,
        id in proptest::option::of("[^\r\n\0]{1,20}"),
        name in proptest::option::of("[^\r\n\0]{1,20}"),
        millis in proptest::option::of(0_u64..100_000),
    ) {
        let mut event = if is_json { Event::new(text.clone()) } else { Event::text(text.clone()) };
        if let Some(id) = &id {
            event = event.id(id.parse::<EventText>().expect("it is valid"));
        }
        if let Some(name) = &name {
            event = event.named(name.parse().expect("it is valid"));
        }
        if let Some(millis) = millis {
            event = event.retry(Duration::from_millis(millis));
        }
        let bytes = event.encode().expect("JSON");
        // A second event must not change the first one.
        let twice = [&bytes[..], &bytes[..]].concat();
        let (events, retry) = naive::parse(str::from_utf8(&twice).expect("UTF-8"));
        let data = match is_json {
            true => serde_json::to_string(&text).expect("JSON"),
            false => text.replace("\r\n", "\n").replace('\r', "\n"),
        };
        let expected = Dispatched {
            kind: name.unwrap_or_else(|| "message".to_owned()),
            data,
            last_event_id: id.unwrap_or_default(),
        };
        prop_assert_eq!(events, vec![expected.clone(), expected]);
        prop_assert_eq!(retry, millis);
    }
}
