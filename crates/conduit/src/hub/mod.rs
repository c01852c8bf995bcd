//! Topics: messages that reach the event streams and WebSockets of all clients that subscribe.
//!
//! A [`Hub`] is a part of the application's state. A [`TopicFamily`] declares topics of one kind: the type of their
//! messages, and the one function that decides which client may use which topic. [`Hub::authorize`] calls it, and returns
//! the [`Topic`]. Requires the feature `hub`.
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

mod config;
mod driver;
mod engine;
mod error;
mod family;
mod local;
mod message;
mod reconnect;
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

pub use self::config::HubConfig;
pub use self::engine::{EngineFuture, EngineMessage, HubEngine, Replica, TopicSnapshot};
pub use self::error::HubError;
pub use self::family::{Access, TopicFamily};
pub use self::message::{InvalidPosition, Position, Published, StartFrom};
use self::shared::SharedTopics;
pub(crate) use self::subscription::encoded;
pub use self::subscription::{LagPolicy, Subscription, Update};
pub use self::topic::{Presence, Topic};
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
/// - **Bounds**: [`HubConfig`] limits topics, subscriptions, members and bytes. [`LagPolicy`] selects the effect on a slow
///   subscriber.
///
/// A hub serves one process. [`with_engine`](Self::with_engine) connects the hubs of several processes with the same
/// guarantees, except for the limitations that the documentation of the engine lists.
#[derive(Clone)]
pub struct Hub(Arc<SharedTopics>);

impl Hub {
    /// Creates a hub with the default bounds.
    pub fn new() -> Self {
        Hub::with(HubConfig::default())
    }

    /// Creates a hub with these bounds.
    pub fn with(config: HubConfig) -> Self {
        Hub(Arc::new(SharedTopics::new(config, None)))
    }

    /// Creates a hub with these bounds that shares its topics with the hubs of other processes. All of them must have the
    /// same bounds.
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
        Ok(Topic::new(Arc::clone(&self.0), key, access)?)
    }

    /// Returns the topic with this key without an authorization check, for code of the application such as a job that
    /// publishes.
    ///
    /// # Errors
    ///
    /// Returns an error if the key has more than 512 bytes.
    pub fn trusted<F: TopicFamily>(&self, key: &str) -> Result<Topic<F>, HubError> {
        Topic::new(Arc::clone(&self.0), key, Access::PublishAndSubscribe)
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
