//! One event, and its bytes (WHATWG HTML, section 9.2.5).

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::problem::Excerpt;

/// A text for a field of an event: without line feeds, carriage returns and NUL, which would end the field or make clients
/// ignore it.
///
/// Numbers convert by [`From`], literals by [`from_static`](Self::from_static), and other strings by [`str::parse`] or
/// [`TryFrom<String>`].
///
/// # Example
///
/// A string of a client does not become a second field:
///
/// ```
/// use conduit::events::EventText;
///
/// assert_eq!(EventText::from(7_u64).as_str(), "7");
/// assert!("order-7".parse::<EventText>().is_ok());
/// assert!("7\ndata: forged".parse::<EventText>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventText(Cow<'static, str>);

impl EventText {
    /// Creates a text from a literal.
    ///
    /// # Panics
    ///
    /// Panics if the text contains a line feed, a carriage return or NUL: at compile time if it initializes a constant.
    #[track_caller]
    pub const fn from_static(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            assert!(
                !is_forbidden(bytes[at]),
                "a field of an event cannot contain a line feed, a carriage return or NUL"
            );
            at += 1;
        }
        EventText(Cow::Borrowed(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_forbidden(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0)
}

/// A text that cannot be a field of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEventText {
    excerpt: String,
}

impl fmt::Display for InvalidEventText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let excerpt = &self.excerpt;
        write!(
            f,
            "a field of an event cannot contain a line feed, a carriage return or NUL, found {excerpt}"
        )
    }
}

impl std::error::Error for InvalidEventText {}

impl TryFrom<String> for EventText {
    type Error = InvalidEventText;

    fn try_from(text: String) -> Result<Self, InvalidEventText> {
        if text.bytes().any(is_forbidden) {
            let excerpt = Excerpt::new(text.as_bytes()).to_string();
            return Err(InvalidEventText { excerpt });
        }
        Ok(EventText(Cow::Owned(text)))
    }
}

impl FromStr for EventText {
    type Err = InvalidEventText;

    fn from_str(text: &str) -> Result<Self, InvalidEventText> {
        text.to_owned().try_into()
    }
}

macro_rules! from_numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for EventText {
            fn from(number: $number) -> Self {
                EventText(Cow::Owned(number.to_string()))
            }
        }
    )*};
}

from_numbers!(u16, u32, u64, u128, usize, i32, i64);

impl fmt::Display for EventText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An event of an event stream: data, and optionally an ID, a name, and the time before a reconnect.
///
/// # Example
///
/// The bytes of an event:
///
/// ```
/// use conduit::events::Event;
///
/// let event = Event::new(["a", "b"]).id(7_u64).name("letters");
/// assert_eq!(&event.encode()?[..], b"event: letters\nid: 7\ndata: [\"a\",\"b\"]\n\n");
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event<T> {
    data: EventData<T>,
    id: Option<EventText>,
    name: Option<EventText>,
    retry: Option<Duration>,
}

#[derive(Clone, Debug)]
enum EventData<T> {
    Json(T),
    Text(String),
    Missing,
}

impl<T> Event<T> {
    /// An event whose data is the JSON of a value.
    pub const fn new(data: T) -> Self {
        Event::of(EventData::Json(data))
    }

    /// An event whose data is this text and not JSON, such as a fragment of HTML. A client receives each line break in it as
    /// a line feed.
    pub fn text(text: impl Into<String>) -> Self {
        Event::of(EventData::Text(text.into()))
    }

    /// An event without data: a client dispatches nothing, but applies its [`id`](Self::id) and [`retry`](Self::retry).
    pub const fn without_data() -> Self {
        Event::of(EventData::Missing)
    }

    const fn of(data: EventData<T>) -> Self {
        Event {
            data,
            id: None,
            name: None,
            retry: None,
        }
    }

    /// Sets the ID. A client that reconnects sends the last received ID in `last-event-id`
    /// ([`LastEventId`](super::LastEventId)).
    pub fn id(mut self, id: impl Into<EventText>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the name: `addEventListener(name, …)` receives the event in a browser. Without one it is `message`.
    ///
    /// # Panics
    ///
    /// Panics if the name contains a line feed, a carriage return or NUL.
    #[track_caller]
    pub fn name(self, name: &'static str) -> Self {
        self.named(EventText::from_static(name))
    }

    /// Sets a name that is not a literal.
    pub fn named(mut self, name: EventText) -> Self {
        self.name = Some(name);
        self
    }

    /// Sets the time after which the client connects again when the connection is lost, in milliseconds.
    pub fn retry(mut self, time: Duration) -> Self {
        self.retry = Some(time);
        self
    }
}

impl<T: Serialize> Event<T> {
    /// The bytes of the event.
    ///
    /// # Errors
    ///
    /// Returns an error if the data cannot be written as JSON, such as a map with keys that are not strings.
    pub fn encode(&self) -> serde_json::Result<Bytes> {
        let mut out = Vec::with_capacity(64);
        if let Some(time) = self.retry {
            write_retry(&mut out, time);
        }
        for (field, value) in [("event: ", &self.name), ("id: ", &self.id)] {
            if let Some(value) = value {
                write_line(&mut out, field, value.as_str().as_bytes());
            }
        }
        match &self.data {
            EventData::Json(data) => {
                out.extend_from_slice(DATA);
                let start = out.len();
                serde_json::to_writer(&mut out, data)?;
                out.push(b'\n');
                if has_line_break(&out[start..out.len() - 1]) {
                    // Only raw JSON of the application can contain line breaks; elsewhere they are escaped.
                    let json = out.split_off(start - DATA.len());
                    write_data(&mut out, &json[DATA.len()..json.len() - 1]);
                }
            }
            EventData::Text(text) => write_data(&mut out, text.as_bytes()),
            EventData::Missing => {}
        }
        out.push(b'\n');
        Ok(Bytes::from(out))
    }
}

const DATA: &[u8] = b"data: ";

/// Writes the field `retry`.
pub(super) fn write_retry(out: &mut Vec<u8>, time: Duration) {
    // Writing to a vector cannot fail.
    let _ = writeln!(out, "retry: {}", time.as_millis());
}

fn write_line(out: &mut Vec<u8>, field: &str, value: &[u8]) {
    out.extend_from_slice(field.as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Writes a field `data` for each line.
pub(crate) fn write_data(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        let end = text.iter().position(|&byte| is_line_break(byte)).unwrap_or(text.len());
        write_line(out, "data: ", &text[..end]);
        text = match &text[end..] {
            [] => return,
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
        };
    }
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn has_line_break(text: &[u8]) -> bool {
    text.iter().any(|&byte| is_line_break(byte))
}

/// An item of a stream that [`Events`](super::Events) sends: an [`Event`], its data alone, or a `Result` of one of them.
#[diagnostic::on_unimplemented(
    message = "a stream of `{Self}` cannot be sent as events with data of type `{T}`",
    label = "expected items of type `{T}`, `Event<{T}>`, or a `Result` of one of them",
    note = "`Events<T>` in the handler's signature names the type of the data"
)]
pub trait IntoEvent<T> {
    /// The event.
    ///
    /// # Errors
    ///
    /// Returns the application's error, which ends the stream and is logged.
    fn into_event(self) -> Result<Event<T>, crate::BoxError>;
}

impl<T> IntoEvent<T> for T {
    fn into_event(self) -> Result<Event<T>, crate::BoxError> {
        Ok(Event::new(self))
    }
}

impl<T> IntoEvent<T> for Event<T> {
    fn into_event(self) -> Result<Event<T>, crate::BoxError> {
        Ok(self)
    }
}

impl<T, E: Into<crate::BoxError>> IntoEvent<T> for Result<T, E> {
    fn into_event(self) -> Result<Event<T>, crate::BoxError> {
        self.map(Event::new).map_err(Into::into)
    }
}

impl<T, E: Into<crate::BoxError>> IntoEvent<T> for Result<Event<T>, E> {
    fn into_event(self) -> Result<Event<T>, crate::BoxError> {
        self.map_err(Into::into)
    }
}
