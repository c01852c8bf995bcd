//! A Redis server of a test with engines.

use std::time::Duration;

use conduit::hub::HubEngine;
use conduit::hub::remote::RemoteEngineConfig;
use conduit_redis::{RedisEngine, RedisEngineConfig};
use rustix::process::Signal;

use crate::redis_server::RedisServer;
use crate::topic_server::TestServer;

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
            response_timeout: config.response_timeout,
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

pub(crate) async fn connection(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("a connection")
}
