//! The errors of operations on topics.

use std::fmt;

/// The error of an operation on a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, conduit_macros::Problem)]
#[non_exhaustive]
pub enum HubError {
    /// The family permits the client only to subscribe.
    #[problem(status = 403, title = "Not permitted", detail = "this client may not publish here")]
    NotPermitted,
    /// The key of the topic or the name of a member is too long.
    #[problem(
        status = 400,
        title = "The key is too long",
        detail = "the key of a topic and the name of a member have at most {limit_bytes} bytes"
    )]
    LongKey {
        /// The limit.
        limit_bytes: usize,
    },
    /// The message is longer than [`HubConfig::message_bytes`](super::HubConfig::message_bytes).
    #[problem(
        status = 413,
        title = "The message is too long",
        detail = "a message has at most {limit_bytes} bytes"
    )]
    LongMessage {
        /// The limit.
        limit_bytes: usize,
    },
    /// The message cannot be serialized as JSON, such as a map with keys that are not strings.
    #[problem(status = 500, title = "The message is not JSON")]
    NotJson,
    /// The engine of the hub did not respond in time. The message may have been published.
    #[problem(
        status = 503,
        title = "Messages cannot be delivered",
        detail = "the connection between the servers is interrupted; try again later"
    )]
    Unavailable,
    /// The hub has reached a bound of its [`HubConfig`](super::HubConfig), or a bound of its engine.
    #[problem(
        status = 503,
        title = "Too many live connections",
        detail = "the hub has reached its limit of {what}"
    )]
    Full {
        /// The bounded quantity.
        what: &'static str,
    },
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HubError::NotPermitted => f.write_str("the family of the topic does not permit this client to publish"),
            HubError::LongKey { limit_bytes } => {
                write!(
                    f,
                    "the key of a topic or the name of a member is longer than {limit_bytes} bytes"
                )
            }
            HubError::LongMessage { limit_bytes } => {
                write!(
                    f,
                    "a message is longer than {limit_bytes} bytes, which HubConfig::message_bytes sets"
                )
            }
            HubError::NotJson => f.write_str("a message cannot be serialized as JSON"),
            HubError::Unavailable => f.write_str("the engine of the hub does not respond"),
            HubError::Full { what } => write!(
                f,
                "the hub has reached its limit of {what}, which its configuration sets"
            ),
        }
    }
}
