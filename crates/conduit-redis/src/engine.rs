//! The engine of a hub.

use std::fmt;
use std::sync::Arc;

use conduit::hub::remote::{RemoteEngine, RemoteEngineConfig, SessionError, TopicServer};
use conduit::hub::{EngineFuture, HubConfig, HubEngine, Position, Replica};
use redis::{Client, IntoConnectionInfo, RedisResult};

use crate::config::RedisEngineConfig;
use crate::session::{Names, Session};

/// Carries the messages and members of a hub between processes, through one stream of Redis for each topic. The engine has
/// a thread with two connections for all topics and workers of the process.
///
/// # Guarantees
///
/// - **Order**: all subscribers of a topic, in all processes, receive its messages in the same order, that of the stream.
/// - **At most once**: a subscriber receives no message twice. A publisher whose connection is lost repeats the message with
///   the same token, and the server keeps one copy. A hub without a history cannot recognise a repetition: its publishers
///   receive [`HubError::Unavailable`](conduit::hub::HubError::Unavailable).
/// - **Reconnects**: after the connection or the server was lost, subscribers continue without a gap as long as the stream has
///   the messages that they lack. Otherwise they receive [`Update::Missed`](conduit::hub::Update::Missed).
/// - **History**: at least [`history_messages`](conduit::hub::HubConfig::history_messages) and about a hundred more per topic
///   in the server, of which a replay has those within the bounds of the hub. A topic that no process follows is removed after
///   twice the `history_time`, and at least a minute.
/// - **Durability**: that of the server. Without `appendonly`, its end loses the histories: subscribers receive `Missed`, and
///   continue with new messages. A server that recovers an older state, such as a replica after a failover, loses the
///   messages since then; subscribers notice it unless others have taken the same positions before the reconnect.
/// - **Presence**: the members of a process that ends without notice leave after the [lease](RedisEngineConfig::lease).
/// - **Bounds**: besides the messages of the settings, 32,768 new subscribers and members wait; further ones fail with
///   [`HubError::Full`](conduit::hub::HubError::Full). Up to 64 MiB of received messages wait for the thread; with more, the engine
///   reconnects and reads the topics again.
/// - **Errors of the server**: a request that the server refuses, for example because it is full, fails with
///   [`HubError::Unavailable`](conduit::hub::HubError::Unavailable), and a key of another type ends the requests of its topic;
///   others continue.
/// - **Readiness**: [`readyz`](fn@conduit::health::readyz) responds with 503 while the engine has no connection.
pub struct RedisEngine {
    remote: RemoteEngine<Server>,
    config: RedisEngineConfig,
}

/// The server, and the prefix of the keys.
struct Server {
    client: Client,
    prefix: String,
}

impl TopicServer for Server {
    type Session = Session;

    const NAME: &'static str = "Redis";
    const NOT_CONNECTED: &'static str = "no connection to Redis";

    fn open(
        &self,
        hub: &HubConfig,
        engine: &RemoteEngineConfig,
    ) -> impl Future<Output = Result<Session, SessionError>> + 'static {
        let (client, time) = (self.client.clone(), engine.response_timeout);
        let names = Names::new(&self.prefix, hub);
        Session::open(client, names, time)
    }
}

impl RedisEngine {
    /// Creates an engine for the server at this URL, such as `redis://127.0.0.1:6379/0` or `redis+unix:///run/redis.sock`, with the
    /// default settings.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is malformed. The engine connects later.
    pub fn new(url: impl IntoConnectionInfo) -> RedisResult<Self> {
        RedisEngine::with(url, RedisEngineConfig::default())
    }

    /// Creates an engine as [`new`](Self::new) does, with these settings.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is malformed.
    pub fn with(url: impl IntoConnectionInfo, config: RedisEngineConfig) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        #[cfg(feature = "tls")]
        crate::tls::prepare(&info);
        Ok(RedisEngine::of(Client::open(info)?, config))
    }

    pub(crate) fn of(client: Client, config: RedisEngineConfig) -> Self {
        let server = Server {
            client,
            prefix: config.prefix.clone(),
        };
        let remote = RemoteEngineConfig {
            queue_timeout: config.queue_timeout,
            waiting_messages: config.waiting_messages,
            waiting_bytes: config.waiting_bytes,
            lease: config.lease,
            response_timeout: config.response_timeout,
        };
        RedisEngine {
            remote: RemoteEngine::new(server, remote),
            config,
        }
    }
}

impl HubEngine for RedisEngine {
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

impl fmt::Debug for RedisEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisEngine")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
