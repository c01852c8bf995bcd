//! The requests of a publication, as Redis counts them; `--ignored` prints its rate.

#[path = "../../conduit/tests/support/redis.rs"]
mod redis_server;
mod server;
#[path = "../../conduit/tests/support/topic_cost.rs"]
mod topic_cost;
#[path = "../../conduit/tests/support/topic_server.rs"]
#[allow(dead_code, reason = "the rows of topics use the rest")]
mod topic_server;

use redis::aio::MultiplexedConnection;
use redis_server::RedisServer;
use server::connection;
use topic_cost::{MESSAGES, print_rates, publish_one_by_one, two_processes};
use topic_server::{publish_at_once, run};

async fn reset(connection: &mut MultiplexedConnection) {
    let mut reset = redis::cmd("CONFIG");
    let () = reset
        .arg("RESETSTAT")
        .query_async(connection)
        .await
        .expect("it is reset");
}

/// The calls of commands since the last reset.
async fn calls<const N: usize>(connection: &mut MultiplexedConnection, commands: [&str; N]) -> [u32; N] {
    let mut info = redis::cmd("INFO");
    let info: String = info.arg("commandstats").query_async(connection).await.expect("text");
    commands.map(|command| {
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        let count = line.and_then(|rest| rest.split(',').next());
        count.map_or(0, |count| count.parse().expect("a number"))
    })
}

#[test]
fn publication_is_one_request_which_concurrent_ones_share() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let mut control = connection(&server).await;
        let (one, mut updates) = two_processes(&server).await;
        publish_one_by_one(&one, &mut updates, 1).await;
        reset(&mut control).await;
        publish_one_by_one(&one, &mut updates, MESSAGES).await;
        let [scripts, added, sent] = calls(&mut control, ["evalsha", "xadd", "publish"]).await;
        assert_eq!((added, sent), (MESSAGES, MESSAGES));
        // Both processes may refresh new topics once within the time of the test.
        assert!((MESSAGES..=MESSAGES + 4).contains(&scripts), "{scripts}");

        // Scripts wait during the pause.
        let mut pause = redis::cmd("CLIENT");
        let pause = pause.arg("PAUSE").arg(100_000).arg("WRITE");
        let () = pause.query_async(&mut control).await.expect("it pauses");
        reset(&mut control).await;
        let release = async {
            let mut end = redis::cmd("CLIENT");
            let () = end
                .arg("UNPAUSE")
                .query_async(&mut control)
                .await
                .expect("it continues");
        };
        publish_at_once(&one, &mut updates, MESSAGES, release).await;
        let [scripts, added] = calls(&mut connection(&server).await, ["evalsha", "xadd"]).await;
        assert_eq!(added, MESSAGES);
        assert!(scripts <= 2 + 4, "{scripts}");
    });
}

#[test]
#[ignore = "prints the rate of publications"]
fn rate() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async { print_rates(&server).await });
}
