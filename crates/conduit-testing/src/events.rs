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

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The received part of an event stream.
#[derive(Default)]
pub(super) struct EventBuffer {
    /// The bytes after the last event.
    text: Vec<u8>,
    /// The beginning of the stream was checked for a byte-order mark.
    has_begun: bool,
    /// The last event ended with a CR, and an LF that follows belongs to it.
    ends_with_return: bool,
}

impl EventBuffer {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    /// The bytes after the last event.
    pub(super) fn into_rest(self) -> Vec<u8> {
        self.text
    }

    /// Takes the next event, once it is complete. Comments and events without data are skipped.
    pub(super) fn take_event(&mut self) -> Option<ServerEvent> {
        self.skip_mark()?;
        if self.ends_with_return {
            let is_rest = *self.text.first()? == b'\n';
            self.text.drain(..usize::from(is_rest));
            self.ends_with_return = false;
        }
        let (mut event, mut data) = (ServerEvent::default(), None);
        let mut rest = &self.text[..];
        loop {
            let line = take_line(&mut rest)?;
            if !line.is_empty() {
                add_field(&String::from_utf8_lossy(line), &mut event, &mut data);
            } else if let Some(data) = data.take() {
                event.data = data;
                let end = self.text.len() - rest.len();
                self.ends_with_return = rest.is_empty() && self.text.ends_with(b"\r");
                self.text.drain(..end);
                return Some(event);
            } else {
                event = ServerEvent::default();
            }
        }
    }

    /// Skips a byte-order mark at the beginning of the stream; `None` if more bytes determine whether there is one.
    fn skip_mark(&mut self) -> Option<()> {
        if self.has_begun {
            return Some(());
        }
        if self.text.starts_with(BYTE_ORDER_MARK) {
            self.text.drain(..BYTE_ORDER_MARK.len());
        } else if BYTE_ORDER_MARK.starts_with(&self.text) {
            return None;
        }
        self.has_begun = true;
        Some(())
    }
}

/// Takes a line, which ends with CR LF, LF or CR.
fn take_line<'a>(text: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = text.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let (line, rest) = text.split_at(end);
    *text = rest.strip_prefix(b"\r\n").unwrap_or(&rest[1..]);
    Some(line)
}

fn add_field(line: &str, event: &mut ServerEvent, data: &mut Option<String>) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    let value = value.strip_prefix(' ').unwrap_or(value);
    match name {
        "data" => match data {
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => *data = Some(value.to_owned()),
        },
        "event" => value.clone_into(&mut event.event),
        "id" if !value.contains('\0') => event.id = Some(value.to_owned()),
        "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
            event.retry_millis = value.parse().ok().or(event.retry_millis);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a stream that arrives in two pieces, divided at `cut`: type, data, ID and time.
    fn events(stream: &[u8], cut: usize) -> Vec<(String, String, Option<String>, Option<u64>)> {
        let (mut buffer, mut events) = (EventBuffer::default(), Vec::new());
        for piece in [&stream[..cut], &stream[cut..]] {
            buffer.push(piece);
            while let Some(event) = buffer.take_event() {
                events.push((event.event, event.data, event.id, event.retry_millis));
            }
        }
        events
    }

    #[track_caller]
    fn check(stream: &str, expected: &[(&str, &str, Option<&str>, Option<u64>)]) {
        for cut in 0..=stream.len() {
            let events = events(stream.as_bytes(), cut);
            let events: Vec<_> = events
                .iter()
                .map(|(event, data, id, retry)| (&**event, &**data, id.as_deref(), *retry))
                .collect();
            assert_eq!(events, expected, "{stream:?}, divided at {cut}");
        }
    }

    #[test]
    fn incomplete_event_waits() {
        check(
            ": hello\n\nevent: tick\nid: 7\ndata: a\ndata:b\r\n\r\ndata: rest\n",
            &[("tick", "a\nb", Some("7"), None)],
        );
    }

    #[test]
    fn line_ends_with_crlf_lf_or_cr() {
        let expected = [("", "a\nb", None, None), ("", "c", None, None)];
        for end in ["\n", "\r\n", "\r"] {
            check(&"data: a|data: b||data: c||".replace('|', end), &expected);
        }
        check("data: a\rdata: b\n\rdata: c\r\n\r", &expected);
    }

    #[test]
    fn byte_order_mark_is_skipped_at_the_beginning_only() {
        check("\u{feff}data: a\n\n", &[("", "a", None, None)]);
        check(
            "\u{feff}\u{feff}data: a\n\ndata: b\n\n\u{feff}data: c\n\n",
            &[("", "b", None, None)],
        );
    }

    #[test]
    fn id_with_nul_and_time_with_other_characters_than_digits_are_ignored() {
        check(
            "id: 1\nid: 2\0\nretry: 5\nretry: +6\nretry: 7s\nretry\ndata\n\n",
            &[("", "", Some("1"), Some(5))],
        );
    }

    #[test]
    fn event_without_data_is_skipped_with_its_type() {
        check("event: a\n\ndata:  b\n\n", &[("", " b", None, None)]);
    }
}
