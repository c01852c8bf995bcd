//! The readiness of a process whose engine has no connection. All engines of a process count, so this is the only test.

#[path = "../../conduit/tests/support/redis.rs"]
mod redis_server;

use std::time::{Duration, Instant};

use conduit::health;
use conduit::hub::{Hub, HubConfig};
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit_redis::RedisEngine;
use redis_server::RedisServer;
use rustix::process::Signal;

#[test]
fn process_is_ready_while_its_engine_has_a_connection() {
    let Some(mut server) = RedisServer::volatile() else {
        return;
    };
    let engine = RedisEngine::new(server.url()).expect("a URL");
    let hub = Hub::with_engine(HubConfig::default(), engine);
    let client = TestClient::new(App::new(hub).routes(routes![health::healthz, health::readyz]));
    let wait_for = |status: u16| {
        let start = Instant::now();
        while client.get("/readyz").undocumented().send().status() != status {
            assert!(start.elapsed() < Duration::from_secs(120), "no response with {status}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for(200);
    server.stop(Signal::TERM);
    wait_for(503);
    client
        .get("/readyz")
        .undocumented()
        .send()
        .assert_text("no connection to Redis\n");
    client.get("/healthz").send().assert_status(200);
    server.start();
    wait_for(200);
    // A failover of a managed Redis keeps the connections to the old primary.
    server.execute("REPLICAOF 127.0.0.1 1");
    wait_for(503);
    server.execute("REPLICAOF NO ONE");
    wait_for(200);
}
