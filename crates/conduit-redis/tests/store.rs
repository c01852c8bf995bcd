//! The store: the contract of `Store`, hot keys, layers and sessions of two processes, losses of the server.

#[path = "../../conduit/tests/support/redis.rs"]
mod redis_server;
#[path = "../../conduit/tests/support/visits.rs"]
mod visits;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use conduit::layer::{Budget, Idempotency, RateLimit, Store, Value};
use conduit::prelude::*;
use conduit::session::Sessions;
use conduit::testing::TestClient;
use conduit_redis::{Engines, RedisStore};
use redis_server::RedisServer;
use rustix::process::{Pid, Signal};
use visits::{visit, visit_again, visit_both};

const LONG: Duration = Duration::from_secs(3600);

fn value(bytes: &[u8], lifetime: Duration) -> Value<'_> {
    Value {
        bytes,
        lifetime,
        account: "",
        is_pinned: false,
    }
}

fn store(server: &RedisServer) -> RedisStore {
    RedisStore::new(server.url()).expect("a URL")
}

#[tokio::test]
async fn value_is_replaced_only_if_it_is_the_expected_one() -> redis::RedisResult<()> {
    let Some(server) = RedisServer::volatile() else {
        return Ok(());
    };
    let store = store(&server);
    assert_eq!(store.get(b"k").await?, None);
    assert!(store.replace(b"k", None, None).await?);
    assert!(!store.replace(b"k", Some(b"1"), Some(value(b"2", LONG))).await?);
    assert!(store.replace(b"k", None, Some(value(b"\0\xff", LONG))).await?);
    assert!(!store.replace(b"k", None, Some(value(b"2", LONG))).await?);
    assert!(!store.replace(b"k", None, None).await?);
    assert!(!store.replace(b"k", Some(b"0"), None).await?);
    assert_eq!(store.get(b"k").await?.as_deref(), Some(&b"\0\xff"[..]));
    assert!(
        store
            .replace(b"k", Some(b"\0\xff"), Some(value(b"2", Duration::MAX)))
            .await?
    );
    assert_eq!(store.insert(b"k", value(b"3", LONG)).await?.as_deref(), Some(&b"2"[..]));
    assert_eq!(store.clone().prefix("other").get(b"k").await?, None);
    assert!(store.replace(b"k", Some(b"2"), None).await?);
    assert_eq!(store.insert(b"k", value(b"3", Duration::ZERO)).await?, None);
    while store.get(b"k").await?.is_some() {}
    assert_eq!(store.insert(b"k", value(b"4", LONG)).await?, None);
    Ok(())
}

#[tokio::test]
async fn stores_of_engines_share_the_values_of_their_prefix() {
    let Some(server) = RedisServer::volatile() else { return };
    let engines = Engines::at(server.url()).expect("a URL");
    let shop = engines.clone().prefix("shop");
    assert_eq!(
        shop.store().insert(b"k", value(b"1", LONG)).await.expect("it responds"),
        None
    );
    assert_eq!(
        shop.store().get(b"k").await.expect("it responds").as_deref(),
        Some(&b"1"[..])
    );
    assert_eq!(engines.store().get(b"k").await.expect("it responds"), None);
}

#[tokio::test]
async fn budget_of_a_hot_key_is_shared_by_all_processes() -> redis::RedisResult<()> {
    let Some(server) = RedisServer::volatile() else {
        return Ok(());
    };
    let stores = [store(&server), store(&server)];
    let budget = Budget {
        requests: 100,
        period: LONG,
    };
    let mut accepted = 0;
    let mut left = Vec::new();
    for _ in 0..60 {
        let (one, two) = tokio::join!(stores[0].take(b"hot", budget), stores[1].take(b"hot", budget));
        for taken in [one?, two?] {
            accepted += u32::from(taken.is_accepted);
            left.push(taken.left);
            assert!(taken.wait > Duration::ZERO && taken.wait <= LONG);
        }
    }
    assert_eq!(accepted, 100);
    assert_eq!((left[0].max(left[1]), left[119]), (99, 0));
    // The clock of the server was set back.
    let client = redis::Client::open(server.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let arrival: u64 = redis::cmd("GET")
        .arg("conduit:hot")
        .query_async(&mut connection)
        .await?;
    let mut set = redis::cmd("SET");
    set.arg("conduit:hot").arg(arrival + 24 * 3600 * 1_000_000);
    let () = set.query_async(&mut connection).await?;
    for accepted in [true, false] {
        let taken = stores[0].take(b"hot", budget).await?;
        assert!(
            taken.is_accepted == accepted && taken.wait <= budget.interval(),
            "{taken:?}"
        );
    }
    Ok(())
}

/// The same service in another process.
fn process(server: &RedisServer) -> TestClient {
    let store = store(server);
    let limit = RateLimit::new(5, LONG).store(store.clone());
    let keys = Idempotency::new().store(store.clone());
    let app = App::new(Sessions::new(store)).routes(routes![visit]);
    TestClient::new(app.layer(keys).layer(limit))
}

#[test]
fn sessions_keys_and_budgets_are_shared_by_processes_and_survive_the_server() {
    let Some(mut server) = RedisServer::durable() else {
        return;
    };
    let (one, two) = (process(&server), process(&server));
    let cookie = visit_both(&one, &two);
    server.stop(Signal::TERM);
    // The rate limit accepts requests without its store, and a session needs it.
    let without_key = one.another().post("/visit").header("cookie", &cookie);
    without_key.send().assert_status(503);
    server.start();
    // The store makes no attempt to connect for 500 ms after a failed one.
    one.advance(Duration::from_secs(1));
    two.advance(Duration::from_secs(1));
    visit_again(&one, &cookie, "b").assert_text("3");
    visit_again(&two, &cookie, "b").assert_header("idempotency-replayed", "true");
    visit_again(&two, &cookie, "c").assert_status(429);
}

fn wait_for(condition: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the condition is still false"
        );
        std::thread::yield_now();
    }
}

/// A server that closes each connection at once, and the number of those that it has accepted.
fn failing_server() -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let accepted = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&accepted);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
    (format!("redis://{address}/"), accepted)
}

#[tokio::test]
async fn requests_share_one_attempt_to_connect_and_its_failure() {
    let (url, accepted) = failing_server();
    let store = RedisStore::new(url).expect("a URL");
    let budget = Budget {
        requests: 100,
        period: LONG,
    };
    let requests = async || {
        for _ in 0..50 {
            let (read, taken, other) = tokio::join!(store.get(b"k"), store.take(b"k", budget), store.get(b"l"));
            assert!(read.is_err() && taken.is_err() && other.is_err());
        }
    };
    // Only the test advances the clock, except during an attempt, which may time out before the server closes the connection.
    tokio::time::pause();
    requests().await;
    tokio::time::advance(Duration::from_millis(499)).await;
    requests().await;
    wait_for(|| accepted.load(Ordering::SeqCst) >= 1);
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    requests().await;
    wait_for(|| accepted.load(Ordering::SeqCst) >= 2);
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

/// The results of requests that are dropped after 2 s: `None` of one that was dropped, and otherwise whether it succeeded.
async fn dropped_requests<const N: usize>(store: &RedisStore) -> [Option<bool>; N] {
    let mut results = [None; N];
    for result in &mut results {
        let read = tokio::time::timeout(Duration::from_secs(2), store.get(b"k")).await;
        *result = read.ok().map(|read| read.is_ok());
    }
    results
}

/// A layer `Timeout` that ended each request first had the store connect repeatedly, and its requests never failed.
#[tokio::test]
async fn attempt_to_connect_continues_although_its_request_is_dropped() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let store = RedisStore::new(format!("redis://{}/", silent.local_addr().expect("an address"))).expect("a URL");
    tokio::time::pause();
    assert_eq!(dropped_requests(&store).await, [None, None, Some(false), Some(false)]);
    tokio::time::advance(Duration::from_millis(500)).await;
    // One request makes the next attempt, and the others do not wait for it.
    assert_eq!(dropped_requests(&store).await, [None, Some(false), Some(false)]);
}

#[tokio::test]
async fn connection_without_a_response_is_lost_although_its_requests_are_dropped() -> redis::RedisResult<()> {
    let Some(server) = RedisServer::volatile() else {
        return Ok(());
    };
    let client = redis::Client::open(server.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let process = info.lines().find_map(|line| line.strip_prefix("process_id:"));
    let process = process
        .and_then(|number| Pid::from_raw(number.trim().parse().ok()?))
        .expect("a process");
    let store = store(&server);
    assert_eq!(dropped_requests(&store).await, [Some(true)]);
    rustix::process::kill_process(process, Signal::STOP).expect("it runs");
    tokio::time::pause();
    // The first three find the connection, whose loss the fourth one notices; the next attempt fails after 5 s.
    assert_eq!(
        dropped_requests(&store).await,
        [None, None, None, None, None, Some(false)]
    );
    rustix::process::kill_process(process, Signal::CONT).expect("it runs");
    tokio::time::resume();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(dropped_requests(&store).await, [Some(true)]);
    Ok(())
}

/// The number of connections that the server has accepted.
async fn accepted_connections(other: &mut redis::aio::MultiplexedConnection) -> redis::RedisResult<u64> {
    let info: String = redis::cmd("INFO").arg("stats").query_async(other).await?;
    let number = info
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    Ok(number
        .and_then(|number| number.trim().parse().ok())
        .expect("a number of connections"))
}

/// A store with the value 1 of `k`, which was connected before the server became a replica, and another connection.
async fn connected_to_replica(
    server: &RedisServer,
) -> redis::RedisResult<(RedisStore, redis::aio::MultiplexedConnection)> {
    let client = redis::Client::open(server.url())?;
    let other = client.get_multiplexed_async_connection().await?;
    let store = store(server);
    store.insert(b"k", value(b"1", LONG)).await?;
    server.execute("REPLICAOF 127.0.0.1 1");
    Ok((store, other))
}

/// Each write made one or two connections while the URL led to a replica.
#[tokio::test]
async fn connections_to_a_replica_are_replaced_after_pauses() -> redis::RedisResult<()> {
    let Some(server) = RedisServer::volatile() else {
        return Ok(());
    };
    let (store, mut other) = connected_to_replica(&server).await?;
    let begun = std::time::Instant::now();
    let before = accepted_connections(&mut other).await?;
    let budget = Budget {
        requests: 100,
        period: LONG,
    };
    for _ in 0..50 {
        assert!(store.insert(b"l", value(b"2", LONG)).await.is_err());
        assert!(store.take(b"m", budget).await.is_err());
        assert_eq!(store.get(b"k").await?.as_deref(), Some(&b"1"[..]));
    }
    let made = accepted_connections(&mut other).await? - before;
    let pauses = u64::try_from(begun.elapsed().as_millis() / 500).unwrap_or(u64::MAX);
    // The first one replaces the connection from before, and each further one follows a pause.
    assert!(
        (1..=pauses + 1).contains(&made),
        "{made} connections in {pauses} pauses"
    );
    server.execute("REPLICAOF NO ONE");
    assert_eq!(store.insert(b"l", value(b"2", LONG)).await?, None);
    Ok(())
}

#[tokio::test]
async fn connection_to_a_server_that_has_become_a_replica_is_replaced() -> redis::RedisResult<()> {
    let Some(server) = RedisServer::volatile() else {
        return Ok(());
    };
    let (store, mut other) = connected_to_replica(&server).await?;
    let before = accepted_connections(&mut other).await?;
    assert!(store.replace(b"k", Some(b"1"), Some(value(b"2", LONG))).await.is_err());
    assert!(store.insert(b"l", value(b"2", LONG)).await.is_err());
    assert_eq!(store.get(b"k").await?.as_deref(), Some(&b"1"[..]));
    assert!(accepted_connections(&mut other).await? > before);
    server.execute("REPLICAOF NO ONE");
    assert!(store.replace(b"k", Some(b"1"), Some(value(b"2", LONG))).await?);
    Ok(())
}
