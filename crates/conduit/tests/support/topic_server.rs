//! Servers of engines in tests, and hubs with them.

use std::time::{Duration, Instant};

use conduit::hub::remote::RemoteEngineConfig;
use conduit::hub::{Access, Hub, HubConfig, HubEngine, Position, StartFrom, Subscription, Topic, TopicFamily, Update};
use conduit::prelude::*;
use tokio::task::LocalSet;

/// A server of a test, which can be stopped and started again.
pub(crate) trait TestServer: Sized {
    /// Starts a server whose end by `kill` loses its data. `None` where it is not installed.
    fn volatile() -> Option<Self>;

    /// Starts a server that keeps its data.
    fn durable() -> Option<Self>;

    /// The engine of a process.
    fn engine(&self, config: RemoteEngineConfig) -> impl HubEngine;

    /// An engine whose server does not exist.
    fn without_server() -> impl HubEngine;

    fn stop(&mut self);

    fn kill(&mut self);

    fn start(&mut self);

    /// Closes the connections of all engines.
    async fn close_connections(&self);

    /// Makes members present in a topic for a process that has no further activity. Its lease begins now, or has never begun.
    async fn join_elsewhere(&self, topic: &str, process: u32, members: &[&str], lease: Option<Duration>);

    /// Ends the lease of this process.
    async fn end_lease(&self, process: u32);
}

pub(crate) struct Numbers;

impl TopicFamily for Numbers {
    const NAME: &'static str = "numbers";
    type Message = u32;
    type Client = ();

    async fn authorize(_: &(), _: &str) -> Result<Access, Problem> {
        Ok(Access::PublishAndSubscribe)
    }
}

/// Requests wait for as long as a server may take to start on a machine under load.
pub(crate) fn patient() -> RemoteEngineConfig {
    RemoteEngineConfig {
        queue_timeout: Duration::from_secs(120),
        ..RemoteEngineConfig::default()
    }
}

/// The hub of a process.
pub(crate) fn hub_with(server: &impl TestServer, config: HubConfig, engine: RemoteEngineConfig) -> Hub {
    Hub::with_engine(config, server.engine(engine))
}

pub(crate) fn topic(hub: &Hub) -> Topic<Numbers> {
    hub.trusted("all").expect("a short key")
}

pub(crate) fn process(server: &impl TestServer) -> Topic<Numbers> {
    topic(&hub_with(server, HubConfig::default(), patient()))
}

/// A process with a lease of this length.
pub(crate) fn process_with_lease(server: &impl TestServer, lease: Duration) -> Topic<Numbers> {
    let engine = RemoteEngineConfig { lease, ..patient() };
    topic(&hub_with(server, HubConfig::default(), engine))
}

pub(crate) async fn subscribe(topic: &Topic<Numbers>, from: StartFrom) -> Subscription<Numbers> {
    topic.subscribe(from).await.expect("a subscription")
}

/// The next message; `None` if messages are missing before it.
pub(crate) async fn next(updates: &mut Subscription<Numbers>) -> Option<(Position, u32)> {
    match updates.next().await.expect("the subscription continues") {
        Update::Message(message) => Some((message.position(), message.value().expect("a number"))),
        Update::Missed => None,
        other => panic!("unexpected: {other:?}"),
    }
}

/// The number of the next message; `None` if messages are missing before it.
pub(crate) async fn next_number(updates: &mut Subscription<Numbers>) -> Option<u32> {
    next(updates).await.map(|(_, number)| number)
}

/// Publishes messages at once. `release` ends a delay of the requests of the engine after all have begun.
#[allow(dead_code, reason = "not each test file uses all of these")]
pub(crate) async fn publish_at_once(
    one: &Topic<Numbers>,
    updates: &mut Subscription<Numbers>,
    count: u32,
    release: impl Future<Output = ()>,
) {
    let publish = |number| {
        let one = one.clone();
        tokio::task::spawn_local(async move { one.publish(&number).await.expect("it is published") })
    };
    let published: Vec<_> = (0..count).map(publish).collect();
    // The tasks of this thread run before it continues.
    tokio::task::yield_now().await;
    release.await;
    for number in 0..count {
        assert_eq!(next_number(updates).await, Some(number));
    }
    for task in published {
        task.await.expect("no panic");
    }
}

/// Waits until a condition holds, for at most a time that suffices on a machine under load.
pub(crate) async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < Duration::from_secs(120), "no end of the wait: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs a test as a worker does.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, test);
}
