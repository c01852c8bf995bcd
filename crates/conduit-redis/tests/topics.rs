//! Topics in Redis: the rows of all engines, and those of this server.

#[path = "../../conduit/tests/support/redis.rs"]
mod redis_server;
#[path = "../../conduit/tests/support/topic_rows.rs"]
mod topic_rows;

use std::time::Duration;

use conduit::hub::remote::RemoteEngineConfig;
use conduit::hub::{HubConfig, HubEngine, HubError, StartFrom, Topic};
use conduit_redis::{RedisEngine, RedisEngineConfig};
use redis_server::RedisServer;
use rustix::process::Signal;
use topic_rows::{Numbers, TestServer, hub_with, next, patient, process, run, subscribe, topic, topic_rows};

topic_rows!(RedisServer);

impl TestServer for RedisServer {
    fn volatile() -> Option<Self> {
        RedisServer::volatile()
    }

    fn durable() -> Option<Self> {
        RedisServer::durable()
    }

    fn engine(&self, config: RemoteEngineConfig) -> impl HubEngine {
        let config = RedisEngineConfig {
            queue_timeout: config.queue_timeout,
            waiting_messages: config.waiting_messages,
            lease: config.lease,
            ..RedisEngineConfig::default()
        };
        RedisEngine::with(self.url(), config).expect("a URL")
    }

    fn without_server() -> impl HubEngine {
        RedisEngine::new("redis://127.0.0.1:1/").expect("a URL")
    }

    fn stop(&mut self) {
        RedisServer::stop(self, Signal::TERM);
    }

    fn kill(&mut self) {
        RedisServer::stop(self, Signal::KILL);
    }

    fn start(&mut self) {
        RedisServer::start(self);
    }

    async fn close_connections(&self) {
        let mut control = connection(self).await;
        for kind in ["normal", "pubsub"] {
            let mut kill = redis::cmd("CLIENT");
            kill.arg("KILL").arg("TYPE").arg(kind).arg("SKIPME").arg("yes");
            let _: i64 = kill.query_async(&mut control).await.expect("connections are closed");
        }
    }

    async fn join_elsewhere(&self, topic: &str, process: u32, members: &[&str], lease: Option<Duration>) {
        let mut other = connection(self).await;
        let now: (u64, u64) = redis::cmd("TIME").query_async(&mut other).await.expect("the time");
        let mut script = redis::pipe();
        if let Some(lease) = lease {
            let until = u128::from(now.0 * 1000 + now.1 / 1000) + lease.as_millis();
            let leases = script.cmd("ZADD").arg("conduit:processes");
            leases.arg(until.to_string()).arg(process).ignore();
        }
        for member in members {
            let member = format!("{process} {member}");
            let names = script.cmd("SADD").arg(format!("conduit:members:{topic}"));
            names.arg(&member).ignore();
            let channel = script.cmd("PUBLISH").arg(format!("conduit:hub:{topic}"));
            channel.arg(format!("+{member}")).ignore();
        }
        let () = script.query_async(&mut other).await.expect("the members join");
    }

    async fn end_lease(&self, process: u32) {
        let mut end = redis::cmd("ZADD");
        end.arg("conduit:processes").arg(1).arg(process);
        let ended = end.query_async(&mut connection(self).await).await;
        let _: i64 = ended.expect("the lease ends");
    }
}

async fn connection(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("a connection")
}

#[test]
fn stream_of_a_topic_without_history_is_empty() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let config = HubConfig {
            history_messages: 0,
            ..HubConfig::default()
        };
        let one = topic(&hub_with(&server, config, patient()));
        one.publish(&1).await.expect("it is published");
        let mut length = redis::cmd("XLEN");
        length.arg("conduit:hub:numbers\0all");
        let length: u64 = length
            .query_async(&mut connection(&server).await)
            .await
            .expect("a stream");
        assert_eq!(length, 0);
    });
}

#[test]
fn invented_topic_is_short_lived() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let hub = hub_with(&server, HubConfig::default(), patient());
        // The engine refreshes the topics that it follows at its beginning.
        for number in 0..100 {
            let topic: Topic<Numbers> = hub.trusted(&number.to_string()).expect("a short key");
            drop(subscribe(&topic, StartFrom::History).await);
        }
        let mut ttl = redis::cmd("PTTL");
        ttl.arg("conduit:hub:numbers\x0099");
        let left: i64 = ttl.query_async(&mut connection(&server).await).await.expect("a time");
        assert!(0 < left && left <= 60_000, "{left} ms");
    });
}

#[test]
fn key_of_another_type_ends_the_requests_of_its_topic_and_no_others() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let mut other = connection(&server).await;
        for key in ["hub:numbers\0foreign", "members:numbers\0members"] {
            let mut set = redis::cmd("SET");
            let () = set
                .arg(format!("conduit:{key}"))
                .arg("text")
                .query_async(&mut other)
                .await
                .expect("it is set");
        }
        let hub = hub_with(&server, HubConfig::default(), patient());
        let good = topic(&hub);
        let mut updates = subscribe(&good, StartFrom::Now).await;
        let foreign: Topic<Numbers> = hub.trusted("foreign").expect("a short key");
        let members: Topic<Numbers> = hub.trusted("members").expect("a short key");
        let (failed, first) = tokio::join!(foreign.publish(&1), good.publish(&1));
        assert_eq!((failed, first.is_ok()), (Err(HubError::Unavailable), true));
        assert_eq!(
            foreign.subscribe(StartFrom::Now).await.err(),
            Some(HubError::Unavailable)
        );
        assert_eq!(members.join("ada").await.err(), Some(HubError::Unavailable));
        good.publish(&2).await.expect("it is published");
        assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(1));
        assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(2));
    });
}

#[test]
fn full_server_refuses_messages_and_continues_when_it_has_memory() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let one = process(&server);
        let mut updates = subscribe(&one, StartFrom::Now).await;
        one.publish(&1).await.expect("it is published");
        let mut other = connection(&server).await;
        let mut limit = async |bytes: &str| {
            let mut set = redis::cmd("CONFIG");
            set.arg("SET").arg("maxmemory").arg(bytes);
            let () = set.query_async(&mut other).await.expect("it is set");
        };
        limit("1").await;
        assert_eq!(one.publish(&2).await, Err(HubError::Unavailable));
        assert_eq!(one.join("ada").await.err(), Some(HubError::Unavailable));
        limit("0").await;
        one.publish(&3).await.expect("it is published");
        assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(1));
        assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(3));
    });
}
