//! The engine of a hub that keeps the topics in a server.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::driver::Driver;
use super::engine::{EngineFuture, HubEngine, Replica};
use super::error::HubError;
use super::message::Position;
use super::request::{Membership, Pending, Permit, PublishRequest, Request, WaitingRequests};
use super::topic_server::{LONGEST_TIME, RemoteEngineConfig, TopicServer};
use crate::health::Dependency;

/// An engine that keeps the topics in a server. It runs one thread for all topics and workers of the process.
pub struct RemoteEngine<S> {
    sender: mpsc::UnboundedSender<Request>,
    numbers: AtomicU64,
    waiting: Arc<WaitingRequests>,
    /// The new subscribers and members that wait for a response.
    entering: Arc<WaitingRequests>,
    config: RemoteEngineConfig,
    /// The parts that the thread takes at its start.
    parts: Mutex<Option<(S, mpsc::UnboundedReceiver<Request>)>>,
}

impl<S: TopicServer> RemoteEngine<S> {
    /// Creates an engine with the topics of this server.
    pub fn new(server: S, config: RemoteEngineConfig) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let config = RemoteEngineConfig {
            queue_timeout: config.queue_timeout.min(LONGEST_TIME),
            lease: config.lease.min(LONGEST_TIME),
            ..config
        };
        RemoteEngine {
            sender,
            numbers: AtomicU64::new(0),
            waiting: Arc::default(),
            entering: Arc::default(),
            config,
            parts: Mutex::new(Some((server, receiver))),
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
        // Sending fails after a panic of the thread, and drops the reply.
        let _ = self.sender.send(request);
    }
}

impl<S: TopicServer> HubEngine for RemoteEngine<S> {
    fn start(&self, replica: Replica) {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((server, receiver)) = parts else { return };
        let dependency = Dependency::new(S::NOT_CONNECTED);
        dependency.set_available(false);
        // Random for each process and engine; positive as a signed number.
        let process = RandomState::new().hash_one(std::process::id()) >> 1;
        let driver = Driver::new(server, self.config.clone(), replica, receiver, dependency, process);
        let thread = std::thread::Builder::new().name("conduit-hub".to_owned());
        let started = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(driver.run()),
                Err(error) => tracing::error!(%error, "the runtime of the engine in {} cannot be created", S::NAME),
            }
        });
        if let Err(error) = started {
            tracing::error!(%error, "cannot start the thread of the engine in {}; its topics are unavailable", S::NAME);
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

impl<S> fmt::Debug for RemoteEngine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEngine")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
