//! The engine of a hub.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use conduit::health::Dependency;
use conduit::hub::{EngineFuture, HubEngine, HubError, Position, Replica};
use redis::{Client, IntoConnectionInfo, RedisResult};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::config::RedisEngineConfig;
use crate::driver::Driver;
use crate::request::{Membership, Pending, Permit, PublishRequest, Request, Waiting};

/// Carries the messages and members of a hub between processes, through one stream of Redis for each topic. The engine has
/// a thread with two connections for all topics and workers of the process.
///
/// # Guarantees
///
/// - **Order**: all subscribers of a topic, in all processes, receive its messages in the same order, that of the stream.
/// - **At most once**: a subscriber receives no message twice. A publisher whose connection is lost repeats the message with
///   the same token, and the server keeps one of both. A hub without a history cannot recognise a repetition: its publishers
///   receive [`HubError::Unavailable`].
/// - **Reconnects**: after the connection or the server was lost, subscribers continue without a gap as long as the stream has
///   the messages that they lack. Otherwise they receive [`Update::Missed`](conduit::hub::Update::Missed).
/// - **History**: at least [`history_messages`](conduit::hub::HubConfig::history_messages) and about a hundred more per topic
///   in the server, of which a replay has those within the bounds of the hub. A topic that no process follows is removed after
///   twice the `history_time`, and at least a minute.
/// - **Durability**: that of the server. Without `appendonly`, its end loses the histories: subscribers receive `Missed`, and
///   continue with new messages. A server that recovers an older state, such as a replica after a failover, loses the
///   messages since then; subscribers notice it unless others have taken the same positions before the reconnect.
/// - **Presence**: the members of a process that ends without notice leave after the [lease](RedisEngineConfig::lease).
/// - **Bounds**: besides the messages of the settings, 32,768 new subscribers and members wait; a further one is
///   [`HubError::Full`].
/// - **Errors of the server**: one that is full or that refuses a request ends this request with [`HubError::Unavailable`], and a
///   key of another type ends the requests of its topic; others continue.
/// - **Readiness**: [`readyz`](fn@conduit::health::readyz) responds with 503 while the engine has no connection.
pub struct RedisEngine {
    sender: mpsc::UnboundedSender<Request>,
    numbers: AtomicU64,
    waiting: Arc<Waiting>,
    /// The new subscribers and members that wait.
    entering: Arc<Waiting>,
    config: RedisEngineConfig,
    /// The parts that the thread takes at its start.
    parts: Mutex<Option<(Client, mpsc::UnboundedReceiver<Request>)>>,
}

impl RedisEngine {
    /// An engine at this URL, such as `redis://127.0.0.1:6379/0` or `redis+unix:///run/redis.sock`, with the default settings.
    ///
    /// # Errors
    ///
    /// When the URL is malformed. The connection is made later.
    pub fn new(url: impl IntoConnectionInfo) -> RedisResult<Self> {
        RedisEngine::with(url, RedisEngineConfig::default())
    }

    /// As [`new`](Self::new), with these settings.
    ///
    /// # Errors
    ///
    /// When the URL is malformed.
    pub fn with(url: impl IntoConnectionInfo, config: RedisEngineConfig) -> RedisResult<Self> {
        Ok(RedisEngine::of(Client::open(url)?, config))
    }

    pub(crate) fn of(client: Client, config: RedisEngineConfig) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        RedisEngine {
            sender,
            numbers: AtomicU64::new(0),
            waiting: Arc::default(),
            entering: Arc::default(),
            config,
            parts: Mutex::new(Some((client, receiver))),
        }
    }

    /// Queues a request whose caller waits.
    fn request<T: Send + 'static>(&self, request: impl FnOnce(Pending<T>) -> Request) -> EngineFuture<T> {
        let (reply, result) = oneshot::channel();
        let deadline = Instant::now() + self.config.queue_timeout;
        self.send(request(Pending::new(reply, deadline)));
        Box::pin(async move { result.await.unwrap_or(Err(HubError::Unavailable)) })
    }

    /// Queues a request of a subscriber or a member.
    fn enter(&self, request: impl FnOnce(Pending<()>, Permit) -> Request) -> EngineFuture<()> {
        match self.entering.enter_topic() {
            Ok(permit) => self.request(|pending| request(pending, permit)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn send(&self, request: Request) {
        // It fails after a panic of the thread, and drops the reply.
        let _ = self.sender.send(request);
    }
}

impl HubEngine for RedisEngine {
    fn start(&self, replica: Replica) {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((client, receiver)) = parts else { return };
        let dependency = Dependency::new("no connection to Redis");
        dependency.set_available(false);
        // Random for each process and engine.
        let process = RandomState::new().hash_one(std::process::id());
        let driver = Driver::new(client, self.config.clone(), replica, receiver, dependency, process);
        let thread = std::thread::Builder::new().name("conduit-redis".to_owned());
        let started = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(driver.run()),
                Err(error) => tracing::error!(%error, "the thread of the engine in Redis has no runtime"),
            }
        });
        if let Err(error) = started {
            tracing::error!(%error, "the thread of the engine in Redis cannot be started");
        }
    }

    fn publish(&self, topic: Arc<str>, json: Arc<str>) -> EngineFuture<Position> {
        let permit = match self.waiting.enter(json.len(), &self.config) {
            Ok(permit) => permit,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.request(|pending| {
            Request::Publish(PublishRequest {
                topic,
                json,
                number,
                was_sent: false,
                pending,
                _permit: permit,
            })
        })
    }

    fn follow(&self, topic: Arc<str>) -> EngineFuture<()> {
        self.enter(|pending, permit| Request::Follow(topic, pending, permit))
    }

    fn unfollow(&self, topic: &Arc<str>) {
        self.send(Request::Unfollow(Arc::clone(topic)));
    }

    fn join(&self, topic: Arc<str>, member: Arc<str>) -> EngineFuture<()> {
        self.enter(|pending, permit| Request::Join(Membership { topic, member }, pending, permit))
    }

    fn leave(&self, topic: &Arc<str>, member: &Arc<str>) {
        self.send(Request::Leave(Membership {
            topic: Arc::clone(topic),
            member: Arc::clone(member),
        }));
    }
}

impl fmt::Debug for RedisEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisEngine")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
