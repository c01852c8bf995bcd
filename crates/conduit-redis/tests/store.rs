//! The store: the contract of `Store`, hot keys, layers and sessions of two processes, losses of the server.

#[path = "../../conduit/tests/support/redis.rs"]
mod redis_server;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use conduit::layer::{Budget, Idempotency, RateLimit, Store, Value};
use conduit::prelude::*;
use conduit::session::{Session, Sessions};
use conduit::testing::TestClient;
use conduit_redis::{Engines, RedisStore};
use redis_server::RedisServer;
use rustix::process::Signal;

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
async fn budget_of_a_hot_key_has_its_requests_for_all_processes() -> redis::RedisResult<()> {
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
    Ok(())
}

/// A counter that answers each request with its number.
#[derive(Clone, FromRef)]
struct Shop {
    sessions: Sessions,
}

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Visitor {
    visits: u32,
}

#[post("/visit")]
async fn visit(mut session: Session<Visitor>) -> Result<String, Problem> {
    let visits = session.update(|visitor| {
        visitor.visits += 1;
        visitor.visits
    });
    Ok(visits.await?.to_string())
}

/// The same service in another process.
fn process(server: &RedisServer) -> TestClient {
    let store = store(server);
    let limit = RateLimit::new(5, LONG).store(store.clone());
    let sessions = Sessions::new(store.clone());
    let layered = App::new(Shop { sessions }).routes(routes![visit]);
    TestClient::new(layered.layer(Idempotency::new().store(store)).layer(limit))
}

#[test]
fn sessions_keys_and_budgets_are_shared_by_processes_and_survive_the_server() {
    let Some(mut server) = RedisServer::durable() else {
        return;
    };
    let (one, two) = (process(&server), process(&server));
    let first = one.post("/visit").send();
    first.assert_text("1");
    let cookie = first.header("set-cookie").and_then(|cookie| cookie.split(';').next());
    let cookie = cookie.expect("a cookie").to_owned();
    // Both send the cookie in each request; the client for tests has its own.
    let (one, two) = (one.another(), two.another());
    let again = |client: &TestClient, key: &str| {
        let request = client.post("/visit").header("cookie", &cookie);
        request.header("idempotency-key", key).send()
    };
    again(&two, "a").assert_text("2");
    let replayed = again(&one, "a");
    replayed.assert_text("2").assert_header("idempotency-replayed", "true");
    server.stop(Signal::TERM);
    // The rate limit accepts requests without its store, and a session needs it.
    one.post("/visit").header("cookie", &cookie).send().assert_status(503);
    server.start();
    // The store makes no attempt to connect for 500 ms after a failed one.
    std::thread::sleep(Duration::from_millis(600));
    again(&one, "b").assert_text("3");
    again(&two, "b").assert_header("idempotency-replayed", "true");
    again(&two, "c").assert_status(429);
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
    let started = Instant::now();
    for _ in 0..50 {
        let (read, taken, other) = tokio::join!(store.get(b"k"), store.take(b"k", budget), store.get(b"l"));
        assert!(read.is_err() && taken.is_err() && other.is_err());
    }
    let attempts = 1 + started.elapsed().as_millis() / 500;
    let accepted = accepted.load(Ordering::SeqCst);
    assert!(
        u128::from(accepted) <= attempts,
        "{accepted} attempts instead of {attempts}"
    );
}
