//! Runs with Redis: the test rows of all engines, and those specific to this server.

#[path = "../../conduit/tests/support/program.rs"]
#[allow(dead_code, reason = "the test needs some of it")]
mod program;
#[path = "../../conduit/tests/support/redis.rs"]
mod redis_server;
#[path = "../../conduit/tests/support/run_rows.rs"]
mod run_rows;
mod server;
#[path = "../../conduit/tests/support/topic_server.rs"]
#[allow(dead_code, reason = "the rows of topics use the rest")]
mod topic_server;

use conduit::runs::RunsConfig;
use conduit_redis::{Engines, RedisEngine};
use redis_server::RedisServer;
use run_rows::{next, open, process, process_of, run_rows, start_at};
use topic_server::TestServer;

run_rows!(RedisServer, "CONDUIT_TEST_SERVER", RedisServer::url, |url: &str| {
    RedisEngine::new(url).expect("a URL")
});

#[test]
fn engines_with_another_prefix_do_not_have_the_run() {
    let Some(server) = RedisServer::volatile() else { return };
    let engines = Engines::at(server.url()).expect("a URL");
    assert!(engines.are_shared());
    let [one, two, other] = ["shop", "shop", "blog"].map(|prefix| {
        let runs = engines.clone().prefix(prefix).runs(RunsConfig::default());
        process_of(runs, "ada")
    });
    let location = start_at(&one, "at_once");
    let mut there = open(&two, &location, "");
    assert_eq!(next(&mut there).0, r#"{"state":"running","progress":1}"#);
    other.get(&location).send().assert_status(404);
    process(&server).get(&location).send().assert_status(404);
}
