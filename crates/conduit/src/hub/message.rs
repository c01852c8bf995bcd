//! Messages of a topic, their positions, and the beginning of a subscription.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::events::{LastEventId, write_data};

/// The approximate memory of a message besides its bytes.
const MESSAGE_BYTES: usize = 160;

/// The position of a message in its topic. Positions are ordered, also across restarts of the process. As text it is the
/// identity of an event, such as `18c2a-7`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The time of the topic's creation, in milliseconds since 1970.
    pub(super) epoch: u64,
    /// The number of the message, from 1 on.
    pub(super) number: u64,
}

impl Position {
    /// Creates the position of an engine's message. A topic that is created again, for example after the loss of its
    /// history, has a larger `epoch`, and its messages are numbered from 1 on.
    pub fn new(epoch: u64, number: u64) -> Self {
        Position { epoch, number }
    }

    /// The number of the topic's creation: in a hub without an engine, its time in milliseconds since 1970.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of the message.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.number)
    }
}

/// A text that is not the position of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPosition;

impl fmt::Display for InvalidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected the position of a message, such as `18c2a-7`")
    }
}

impl std::error::Error for InvalidPosition {}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (epoch, number) = text.split_once('-').ok_or(InvalidPosition)?;
        // A position has exactly one text.
        let position = Position {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| InvalidPosition)?,
            number: number.parse().map_err(|_| InvalidPosition)?,
        };
        (position.to_string() == text)
            .then_some(position)
            .ok_or(InvalidPosition)
    }
}

/// The first message of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// The next message.
    Now,
    /// The oldest message of the history.
    History,
    /// The message after this position. If the history no longer has it, the subscription starts with
    /// [`Update::Missed`](super::Update::Missed) and then the whole history.
    After(Position),
}

/// Continues after the last event of a client; a client without a last event starts with the next message. A value that is
/// not a position counts as one that is no longer in the history.
impl From<LastEventId> for StartFrom {
    fn from(last: LastEventId) -> Self {
        match &last.0 {
            None => StartFrom::Now,
            Some(_) => StartFrom::After(last.parse().unwrap_or_default()),
        }
    }
}

/// A message, encoded once for all subscribers of the process.
pub(super) struct Message {
    pub(super) position: Position,
    pub(super) published: Instant,
    json: Arc<str>,
    event: OnceLock<Bytes>,
}

impl Message {
    pub(super) fn new(position: Position, json: Arc<str>, published: Instant) -> Self {
        Message {
            position,
            published,
            json,
            event: OnceLock::new(),
        }
    }

    /// The memory of the message.
    pub(super) fn cost(&self) -> usize {
        cost(&self.json)
    }

    /// The bytes of the event.
    pub(super) fn event(&self) -> Bytes {
        let event = self.event.get_or_init(|| {
            let mut event = format!("id: {}\n", self.position).into_bytes();
            event.reserve_exact(self.json.len() + 8);
            // Raw JSON of the application can contain line breaks.
            write_data(&mut event, self.json.as_bytes());
            event.push(b'\n');
            Bytes::from(event)
        });
        event.clone()
    }
}

/// The memory of a message with this JSON.
pub(super) fn cost(json: &str) -> usize {
    2 * json.len() + MESSAGE_BYTES
}

/// A message that a subscriber receives.
pub struct Published<M> {
    message: Arc<Message>,
    _message: PhantomData<fn() -> M>,
}

impl<M> Published<M> {
    pub(super) fn new(message: Arc<Message>) -> Self {
        Published {
            message,
            _message: PhantomData,
        }
    }

    /// The position. A subscriber may [continue after it](StartFrom::After).
    pub fn position(&self) -> Position {
        self.message.position
    }

    /// The JSON of the message, which all subscribers share: `send_shared` of a WebSocket sends it without a copy.
    pub fn json(&self) -> &Arc<str> {
        &self.message.json
    }

    /// Returns the bytes of the message as an event of an event stream, with its position as the ID.
    pub fn event(&self) -> Bytes {
        self.message.event()
    }
}

impl<M: DeserializeOwned> Published<M> {
    /// Deserializes the message.
    ///
    /// # Errors
    ///
    /// Returns an error if serde cannot deserialize the JSON that it serialized for an `M`: a `NaN`, for example, becomes
    /// `null`. A subscriber should ignore such a message: if it ends instead, one client can end all subscribers.
    pub fn value(&self) -> serde_json::Result<M> {
        serde_json::from_str(self.json())
    }
}

impl<M> Clone for Published<M> {
    fn clone(&self) -> Self {
        Published::new(Arc::clone(&self.message))
    }
}

impl<M> fmt::Debug for Published<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("position", &self.position())
            .field("bytes", &self.json().len())
            .finish()
    }
}

/// A command to the workers with a subscriber.
#[derive(Clone)]
pub(super) struct Notice {
    /// The sequence number among the notices of the topic: a subscriber ignores the notices that precede its subscription.
    pub(super) number: u64,
    pub(super) change: Change,
}

/// The change of a topic.
#[derive(Clone)]
pub(super) enum Change {
    Message(Arc<Message>),
    Joined(Arc<str>),
    Left(Arc<str>),
    /// Messages were lost before the next notice.
    Missed,
}

impl Notice {
    pub(super) fn cost(&self) -> usize {
        match &self.change {
            Change::Message(message) => message.cost(),
            Change::Joined(member) | Change::Left(member) => member.len() + MESSAGE_BYTES,
            Change::Missed => MESSAGE_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_raw_json_are_separate_fields_of_the_event() {
        let event = |json: &str| Message::new(Position::new(10, 7), json.into(), Instant::now()).event();
        assert_eq!(event("{}"), "id: a-7\ndata: {}\n\n");
        assert_eq!(
            event("{\n\n\"a\":1\r}"),
            "id: a-7\ndata: {\ndata: \ndata: \"a\":1\ndata: }\n\n"
        );
    }
}
