//! Topics: messages that reach the event streams and WebSockets of all clients that subscribe.
//!
//! A [`Hub`] is a part of the application's state. A [`TopicFamily`] declares topics of one kind: the type of their messages,
//! and the one function that decides which client may use which topic. [`Hub::authorize`] calls it, and returns the
//! [`Topic`].
//!
//! # Example
//!
//! A room whose members publish and read an event stream:
//!
//! ```
//! use conduit::events::LastEventId;
//! use conduit::hub::{Access, Hub, TopicFamily};
//! use conduit::prelude::*;
//! use conduit::testing::TestClient;
//! use conduit::Events;
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Entry {
//!     text: String,
//! }
//!
//! struct Room;
//!
//! impl TopicFamily for Room {
//!     const NAME: &'static str = "room";
//!     type Message = Entry;
//!     type Client = str;
//!
//!     async fn authorize(user: &str, room: &str) -> Result<Access, Problem> {
//!         match (user, room) {
//!             ("ada", _) => Ok(Access::PublishAndSubscribe),
//!             (_, "public") => Ok(Access::Subscribe),
//!             _ => Err(Problem::forbidden("only members read this room")),
//!         }
//!     }
//! }
//!
//! #[derive(Deserialize, PathParams)]
//! struct Target {
//!     user: String,
//!     room: String,
//! }
//!
//! #[post("/{room}/{user}")]
//! async fn write(entry: Json<Entry>, hub: State<Hub>, to: Path<Target>) -> Result<StatusCode, Problem> {
//!     let room = hub.authorize::<Room>(&to.user, &to.room).await?;
//!     room.publish(&entry).await?;
//!     Ok(StatusCode::ACCEPTED)
//! }
//!
//! #[get("/{room}/{user}")]
//! async fn listen(last: LastEventId, hub: State<Hub>, to: Path<Target>) -> Result<Events<Entry>, Problem> {
//!     let room = hub.authorize::<Room>(&to.user, &to.room).await?;
//!     Ok(room.events(last).await?)
//! }
//!
//! let client = TestClient::new(App::new(Hub::new()).routes(routes![write, listen]));
//! client.get("/private/bob").send().assert_status(403);
//! let mut bob = client.get("/public/bob").stream();
//! client.post("/public/ada").json(&json!({ "text": "hello" })).send().assert_status(202);
//! assert_eq!(bob.event().expect("an event").data, r#"{"text":"hello"}"#);
//! ```

mod driver;
mod engine;
mod local;
mod message;
pub mod remote;
mod remote_engine;
mod replica;
mod request;
mod ring;
mod shared;
mod subscription;
mod topic;
mod topic_server;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::engine::{EngineFuture, EngineMessage, HubEngine, Replica, TopicSnapshot};
pub use self::message::{InvalidPosition, Position, Published};
use self::shared::SharedTopics;
pub(crate) use self::subscription::encoded;
pub use self::subscription::{LagPolicy, Subscription, Update};
pub use self::topic::{Access, Presence, StartFrom, Topic, TopicFamily};
use crate::problem::Problem;

/// The topics of an application. Clones share the topics: store the hub in the application's state.
///
/// # Guarantees
///
/// - **Order**: all subscribers of a topic receive its messages in the same order, each at most once.
/// - **Reconnects**: a subscriber that continues [after a position](StartFrom::After) receives all later messages, or first
///   [`Update::Missed`] where the history no longer has them.
/// - **Cost**: a message is encoded once. Each worker with a subscriber gets one command for it and takes no lock to
///   deliver it; its bytes are shared by all subscribers.
/// - **Bounds**: those of [`HubConfig`]. A subscriber that is slow follows its [`LagPolicy`].
///
/// A hub is a part of one process. [`with_engine`](Self::with_engine) connects the hubs of several processes with the same
/// guarantees, which each engine limits in its documentation.
#[derive(Clone)]
pub struct Hub(pub(self) Arc<SharedTopics>);

/// The bounds of a [`Hub`].
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// The maximum number of topics with a subscriber, a member or a message. Default: 100,000.
    pub topics: usize,
    /// The maximum number of subscriptions of a worker. Default: 100,000.
    pub worker_subscriptions: usize,
    /// The maximum number of members that are present in a topic. Default: 10,000.
    pub members: usize,
    /// The maximum number of messages in the history of a topic; 0 keeps no history. Default: 100.
    pub history_messages: usize,
    /// The maximum number of bytes in the history of a topic, and of the messages of a topic that slow subscribers on a worker have
    /// not received. Default: 256 KiB.
    pub history_bytes: usize,
    /// The time for which a message stays in the history. Default: 5 minutes.
    pub history_time: Duration,
    /// The maximum number of bytes in the histories of all topics. Default: 64 MiB.
    pub memory_bytes: usize,
    /// The maximum length of a message in bytes. Default: 64 KiB.
    pub message_bytes: usize,
    /// The number of messages by which a subscriber may lag before its [`LagPolicy`] applies. Default: 256.
    pub lag_messages: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        HubConfig {
            topics: 100_000,
            worker_subscriptions: 100_000,
            members: 10_000,
            history_messages: 100,
            history_bytes: 256 * 1024,
            history_time: Duration::from_secs(300),
            memory_bytes: 64 * 1024 * 1024,
            message_bytes: 64 * 1024,
            lag_messages: 256,
        }
    }
}

impl Hub {
    /// Creates a hub with the default bounds.
    pub fn new() -> Self {
        Hub::with(HubConfig::default())
    }

    /// Creates a hub with these bounds.
    pub fn with(config: HubConfig) -> Self {
        Hub(Arc::new(SharedTopics::new(config, None)))
    }

    /// Creates a hub with these bounds that shares its topics with the hubs of other processes, which must have the same bounds.
    pub fn with_engine(config: HubConfig, engine: impl HubEngine) -> Self {
        let engine: Arc<dyn HubEngine> = Arc::new(engine);
        let shared = Arc::new(SharedTopics::new(config, Some(Arc::clone(&engine))));
        engine.start(Replica::new(&shared));
        Hub(shared)
    }

    pub(crate) fn has_engine(&self) -> bool {
        self.0.engine.is_some()
    }

    /// Returns the topic with this key if its family grants the client access.
    ///
    /// # Errors
    ///
    /// Returns the problem of [`TopicFamily::authorize`], and a 400 for a key of more than 512 bytes.
    pub async fn authorize<F: TopicFamily>(&self, client: &F::Client, key: &str) -> Result<Topic<F>, Problem> {
        let access = F::authorize(client, key).await?;
        Ok(Topic::new(self.clone(), key, access)?)
    }

    /// Returns the topic with this key for the application itself, such as a job that publishes, without a check.
    ///
    /// # Errors
    ///
    /// Returns an error if the key has more than 512 bytes.
    pub fn trusted<F: TopicFamily>(&self, key: &str) -> Result<Topic<F>, HubError> {
        Topic::new(self.clone(), key, Access::PublishAndSubscribe)
    }

    /// The number of topics with a subscriber, a member or a message in this process.
    pub fn topics(&self) -> usize {
        self.0.topics()
    }
}

impl Default for Hub {
    fn default() -> Self {
        Hub::new()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("topics", &self.topics())
            .finish_non_exhaustive()
    }
}

/// The error of an operation on a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, conduit_macros::Problem)]
#[non_exhaustive]
pub enum HubError {
    /// The family has permitted the client to subscribe only.
    #[problem(status = 403, title = "Not permitted", detail = "this client may not publish here")]
    NotPermitted,
    /// The key of the topic or the name of a member is too long.
    #[problem(
        status = 400,
        title = "The key is too long",
        detail = "the key of a topic has at most {limit_bytes} bytes"
    )]
    LongKey {
        /// The limit.
        limit_bytes: usize,
    },
    /// The message is longer than [`HubConfig::message_bytes`].
    #[problem(
        status = 413,
        title = "The message is too long",
        detail = "a message has at most {limit_bytes} bytes"
    )]
    LongMessage {
        /// The limit.
        limit_bytes: usize,
    },
    /// The message cannot be written as JSON, such as a map with keys that are not strings.
    #[problem(status = 500, title = "The message is not JSON")]
    NotJson,
    /// The engine of the hub did not respond in time. The message may have been published.
    #[problem(
        status = 503,
        title = "Messages cannot be delivered",
        detail = "the connection between the servers is interrupted; try again later"
    )]
    Unavailable,
    /// A bound of [`HubConfig`] or of the engine is reached.
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
            HubError::LongKey { limit_bytes } => write!(f, "the key of a topic is longer than {limit_bytes} bytes"),
            HubError::LongMessage { limit_bytes } => {
                write!(
                    f,
                    "a message is longer than {limit_bytes} bytes, which HubConfig::message_bytes sets"
                )
            }
            HubError::NotJson => f.write_str("a message cannot be written as JSON"),
            HubError::Unavailable => f.write_str("the engine of the hub does not respond"),
            HubError::Full { what } => write!(
                f,
                "the hub has reached its limit of {what}, which its configuration sets"
            ),
        }
    }
}
