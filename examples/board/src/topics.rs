//! The topics of the board, and the rule for their clients.

use conduit::hub::{Access, TopicFamily};
use conduit::prelude::*;
use serde::{Deserialize, Serialize};

/// The key of the only board.
pub(crate) const BOARD: &str = "board";

/// The name of a client. A service with accounts uses the authenticated user here.
pub(crate) struct Name(Option<String>);

impl Name {
    /// A client that only reads.
    pub(crate) fn reader() -> Self {
        Name(None)
    }

    pub(crate) fn new(name: &str) -> Self {
        Name(Some(name.to_owned()))
    }

    /// The only rule of the board: clients with a printable name may write.
    fn access(&self) -> Result<Access, Problem> {
        match self.0.as_deref() {
            None => Ok(Access::Subscribe),
            Some(name) if (1..=20).contains(&name.chars().count()) && !name.chars().any(char::is_control) => {
                Ok(Access::PublishAndSubscribe)
            }
            Some(_) => Err(Problem::forbidden("a name has 1 to 20 characters that can be shown")),
        }
    }
}

/// A message on the board. A client that reconnects repeats its unconfirmed messages, so that each message needs an ID.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The position of a cursor, as fractions of the width and height of the board.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    x: Part,
    y: Part,
}

/// A fraction from 0 to 1. A number that is not finite has no form in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f32")]
struct Part(f32);

impl TryFrom<f32> for Part {
    type Error = &'static str;

    fn try_from(part: f32) -> Result<Self, &'static str> {
        if (0.0..=1.0).contains(&part) {
            Ok(Part(part))
        } else {
            Err("the point is outside of the board: expected numbers from 0 to 1")
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) name: String,
    pub(crate) at: Point,
}

/// A line of the activity feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Activity {
    /// The name of the client.
    pub(crate) name: String,
    /// The activity, such as `has joined`.
    pub(crate) activity: String,
    /// The path of the file that was shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
}

macro_rules! families {
    ($($(#[$doc:meta])* $family:ident = $name:literal: $message:ty;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $family;

        impl TopicFamily for $family {
            const NAME: &'static str = $name;
            type Message = $message;
            type Client = Name;

            async fn authorize(name: &Name, _: &str) -> Result<Access, Problem> {
                name.access()
            }
        }
    )*};
}

families! {
    /// The messages, and the clients that are present.
    Notes = "notes": Note;
    /// The cursors.
    Cursors = "cursors": Cursor;
    /// The activity feed.
    Feed = "feed": Activity;
}
