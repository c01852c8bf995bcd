//! The cost of a publication with a server: the requests of a message, as the server counts them, and messages per second.

use std::time::{Duration, Instant};

use conduit::hub::remote::RemoteEngineConfig;
use conduit::hub::{HubConfig, StartFrom, Subscription, Topic};

use crate::topic_server::{Numbers, TestServer, hub_with, next_number, patient, publish_at_once, subscribe, topic};

/// The number of messages that are published one after the other, and at once: fewer than a batch.
pub(crate) const MESSAGES: u32 = 100;

/// Two processes whose periodic requests do not occur during a test: one publishes, and the other has a subscriber.
pub(crate) async fn two_processes(server: &impl TestServer) -> (Topic<Numbers>, Subscription<Numbers>) {
    let engine = RemoteEngineConfig {
        lease: Duration::from_secs(3600),
        response_timeout: Duration::from_secs(120),
        ..patient()
    };
    let config = HubConfig {
        lag_messages: 100_000,
        ..HubConfig::default()
    };
    let process = || topic(&hub_with(server, config.clone(), engine.clone()));
    let updates = subscribe(&process(), StartFrom::Now).await;
    (process(), updates)
}

/// Publishes messages, each after the delivery of the one before.
pub(crate) async fn publish_one_by_one(one: &Topic<Numbers>, updates: &mut Subscription<Numbers>, count: u32) {
    for number in 0..count {
        one.publish(&number).await.expect("it is published");
        assert_eq!(next_number(updates).await, Some(number));
    }
}

/// Prints the messages per second of a publisher that waits for each, and of one with 100 in flight, until their delivery at
/// another process.
pub(crate) async fn print_rates(server: &impl TestServer) {
    let (one, mut updates) = two_processes(server).await;
    publish_one_by_one(&one, &mut updates, MESSAGES).await;
    let begin = Instant::now();
    publish_one_by_one(&one, &mut updates, 20 * MESSAGES).await;
    let alone = f64::from(20 * MESSAGES) / begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    for _ in 0..100 {
        publish_at_once(&one, &mut updates, MESSAGES, std::future::ready(())).await;
    }
    let together = f64::from(100 * MESSAGES) / begin.elapsed().as_secs_f64();
    eprintln!(
        "one after the other: {alone:.0} messages a second; {MESSAGES} in flight: {together:.0} messages a second"
    );
}
