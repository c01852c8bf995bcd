//! The engine of a hub.

use std::fmt;
use std::sync::Arc;

use conduit::hub::remote::{RemoteEngine, RemoteEngineConfig, SessionError, TopicServer};
use conduit::hub::{EngineFuture, HubConfig, HubEngine, Position, Replica};
use sqlx::postgres::PgConnectOptions;

use crate::session::Session;

/// Carries the messages and members of a hub between processes, through [tables](crate::CREATE_TOPIC_TABLES) of a PostgreSQL
/// database. The engine has a thread with two connections for all topics and workers of the process. It creates the tables if
/// they are missing; a role that cannot create tables needs a migration with their SQL. Services that share a database use a
/// schema each, by the `search_path` of the connections.
///
/// A publisher inserts messages that are published at the same time in one transaction, which takes their numbers from the row of
/// the topic; the lock of the row makes them visible in order. One `NOTIFY` after the commit names the topics that have changed,
/// and each process reads those that it follows. A `NOTIFY` that is lost delays messages until a process checks its topics, with
/// each third of the lease; one that the server refuses is repeated then. `LISTEN` needs a direct connection to the server, or a
/// pooler in session mode.
///
/// # Guarantees
///
/// - **Order**: all subscribers of a topic, in all processes, receive its messages in the same order, that of their numbers.
/// - **At most once**: a subscriber receives no message twice. A publisher whose connection is lost repeats the message with
///   the same token, which the table has once. The publishers of a hub without a history receive
///   [`HubError::Unavailable`](conduit::hub::HubError::Unavailable) instead.
/// - **Reconnects**: after the connection or the server was lost, subscribers continue without a gap as long as the table has
///   the messages that they lack. Otherwise they receive [`Update::Missed`](conduit::hub::Update::Missed).
/// - **History**: [`history_messages`](conduit::hub::HubConfig::history_messages) and about a thousand more per topic in the
///   table, which slow processes read, besides those of the last half minute; a replay has those within the bounds of the hub.
///   A message is removed after twice the `history_time` of its publisher, and at least a minute, as is a topic that no process
///   follows.
/// - **Durability**: that of the commit. With `synchronous_commit` off, a crash of the server loses the most recent commits.
///   Subscribers notice a server with an older state, such as a replica after a failover, unless others have taken the same
///   positions before the reconnect.
/// - **Presence**: the members of a process that ends without notice leave after the [lease](RemoteEngineConfig::lease).
/// - **Bounds**: besides the messages of the settings, 32,768 new subscribers and members wait; further ones fail with
///   [`HubError::Full`](conduit::hub::HubError::Full).
/// - **Errors of the server**: a request that it refuses, such as on a full disk, ends with
///   [`HubError::Unavailable`](conduit::hub::HubError::Unavailable); others continue.
/// - **Readiness**: [`readyz`](fn@conduit::health::readyz) responds with 503 while the engine has no connection.
///
/// # Example
///
/// ```
/// use conduit::hub::{Hub, HubConfig};
/// use conduit_postgres::PostgresEngine;
///
/// # fn main() -> conduit::Result {
/// let engine = PostgresEngine::at("postgres://app@localhost/app")?;
/// let hub = Hub::with_engine(HubConfig::default(), engine);
/// # Ok(())
/// # }
/// ```
pub struct PostgresEngine {
    remote: RemoteEngine<Database>,
}

struct Database(Box<PgConnectOptions>);

impl TopicServer for Database {
    type Session = Session;

    const NAME: &'static str = "PostgreSQL";
    const NOT_CONNECTED: &'static str = "no connection to PostgreSQL";

    fn open(
        &self,
        hub: &HubConfig,
        engine: &RemoteEngineConfig,
    ) -> impl Future<Output = Result<Session, SessionError>> + 'static {
        let (database, hub, engine) = ((*self.0).clone(), hub.clone(), engine.clone());
        async move { Session::open(database, hub, &engine).await }
    }
}

impl PostgresEngine {
    /// Creates an engine for the database at this URL, such as `postgres://app@localhost/app`, with the default settings.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is malformed. The engine connects later.
    pub fn at(url: &str) -> sqlx::Result<Self> {
        Ok(PostgresEngine::new(url.parse()?))
    }

    /// Creates an engine with these connection options and the default settings. The engine connects later.
    pub fn new(database: PgConnectOptions) -> Self {
        PostgresEngine::with(database, RemoteEngineConfig::default())
    }

    /// Creates an engine as [`new`](Self::new) does, with these settings.
    pub fn with(database: PgConnectOptions, config: RemoteEngineConfig) -> Self {
        PostgresEngine {
            remote: RemoteEngine::new(Database(Box::new(database)), config),
        }
    }
}

impl HubEngine for PostgresEngine {
    fn start(&self, replica: Replica) {
        self.remote.start(replica);
    }

    fn publish(&self, topic: Arc<str>, json: Arc<str>) -> EngineFuture<Position> {
        self.remote.publish(topic, json)
    }

    fn follow(&self, topic: Arc<str>) -> EngineFuture<()> {
        self.remote.follow(topic)
    }

    fn unfollow(&self, topic: &Arc<str>) {
        self.remote.unfollow(topic);
    }

    fn join(&self, topic: Arc<str>, member: Arc<str>) -> EngineFuture<()> {
        self.remote.join(topic, member)
    }

    fn leave(&self, topic: &Arc<str>, member: &Arc<str>) {
        self.remote.leave(topic, member);
    }
}

impl fmt::Debug for PostgresEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options of the connections contain a password.
        self.remote.fmt(f)
    }
}
