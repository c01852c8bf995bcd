//! Server-sent events, parsed as the HTML standard requires of clients (section 9.2.6).

/// One event of an event stream.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServerEvent {
    /// The event's type; empty without an `event` field, which a browser calls `message`.
    pub event: String,
    /// The lines of data, joined by line feeds.
    pub data: String,
    /// The ID, if this event sets one.
    pub id: Option<String>,
    /// The time before a reconnect in milliseconds, if this event sets one.
    pub retry_millis: Option<u64>,
}

/// Takes the first whole event out of `text`. Comments and events without data are skipped.
pub(super) fn take_event(text: &mut Vec<u8>) -> Option<ServerEvent> {
    let mut event = ServerEvent::default();
    let mut data: Option<String> = None;
    let mut at = 0;
    loop {
        let end = at + text[at..].iter().position(|&byte| byte == b'\n')?;
        let line = String::from_utf8_lossy(text[at..end].strip_suffix(b"\r").unwrap_or(&text[at..end])).into_owned();
        at = end + 1;
        if line.is_empty() {
            if let Some(data) = data.take() {
                event.data = data;
                text.drain(..at);
                return Some(event);
            }
            event = ServerEvent::default();
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            "event" => event.event = value.to_owned(),
            "id" => event.id = Some(value.to_owned()),
            "retry" => event.retry_millis = value.parse().ok(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_one_by_one_and_an_incomplete_one_waits() {
        let mut text = b": hello\n\nevent: tick\nid: 7\ndata: a\ndata:b\r\n\r\ndata: rest\n".to_vec();
        let event = take_event(&mut text).expect("a whole event");
        assert_eq!(
            (&*event.event, &*event.data, event.id.as_deref()),
            ("tick", "a\nb", Some("7"))
        );
        assert_eq!(take_event(&mut text), None);
        text.extend_from_slice(b"\n");
        assert_eq!(take_event(&mut text).expect("its end came").data, "rest");
    }
}
