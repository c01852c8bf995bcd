//! The store in SQLite: the contract of `Store`, and sessions that survive a restart.

#[path = "../../conduit/tests/support/budgets.rs"]
mod budgets;

use std::time::Duration;

use budgets::check_extreme_budgets;
use conduit::layer::{Budget, Store, Value};
use conduit::prelude::*;
use conduit::session::{Session, Sessions};
use conduit::testing::TestClient;
use conduit_sqlite::SqliteStore;

const LONG: Duration = Duration::from_secs(3600);

fn value(bytes: &[u8], lifetime: Duration) -> Option<Value<'_>> {
    Some(Value {
        bytes,
        lifetime,
        account: "",
        is_pinned: false,
    })
}

#[tokio::test]
async fn value_is_replaced_only_if_it_is_the_expected_one() -> sqlx::Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(directory.path().join("store.db")).await?;
    assert_eq!(store.get(b"k").await?, None);
    assert!(store.replace(b"k", None, None).await?);
    assert!(!store.replace(b"k", Some(b"1"), value(b"2", LONG)).await?);
    assert!(store.replace(b"k", None, value(b"1", LONG)).await?);
    assert!(!store.replace(b"k", None, value(b"2", LONG)).await?);
    assert!(!store.replace(b"k", None, None).await?);
    assert!(!store.replace(b"k", Some(b"0"), value(b"2", LONG)).await?);
    assert!(!store.replace(b"k", Some(b"0"), None).await?);
    assert_eq!(store.get(b"k").await?.as_deref(), Some(&b"1"[..]));
    assert!(store.replace(b"k", Some(b"1"), value(b"2", LONG)).await?);
    assert!(store.replace(b"k", Some(b"2"), None).await?);
    assert_eq!(store.get(b"k").await?, None);
    Ok(())
}

#[tokio::test]
async fn expired_value_is_absent_and_is_replaced() -> sqlx::Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(directory.path().join("store.db")).await?;
    assert!(store.replace(b"k", None, value(b"1", Duration::ZERO)).await?);
    assert_eq!(store.get(b"k").await?, None);
    assert!(!store.replace(b"k", Some(b"1"), value(b"2", LONG)).await?);
    assert!(!store.replace(b"k", Some(b"1"), None).await?);
    assert!(store.replace(b"k", None, value(b"3", Duration::MAX)).await?);
    assert_eq!(store.get(b"k").await?.as_deref(), Some(&b"3"[..]));
    Ok(())
}

#[tokio::test]
async fn value_is_stored_although_expired_ones_cannot_be_removed() -> sqlx::Result<()> {
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect("sqlite::memory:").await?;
    let store = SqliteStore::new(pool.clone()).await?;
    let trigger = "CREATE TRIGGER keep BEFORE DELETE ON conduit_store BEGIN SELECT RAISE(ABORT, 'rows stay'); END";
    sqlx::raw_sql(trigger).execute(&pool).await?;
    assert!(store.replace(b"ended", None, value(b"1", Duration::ZERO)).await?);
    assert!(store.replace(b"k", None, value(b"2", LONG)).await?);
    assert_eq!(store.get(b"k").await?.as_deref(), Some(&b"2"[..]));
    Ok(())
}

#[tokio::test]
async fn read_does_not_wait_for_a_write() -> sqlx::Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).await?;
    assert!(store.replace(b"k", None, value(b"1", LONG)).await?);
    let other = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let other = sqlx::SqlitePool::connect_with(other).await?;
    let lock = other.begin_with("BEGIN IMMEDIATE").await?;
    tokio::select! {
        biased;
        written = store.replace(b"k", Some(b"1"), value(b"2", LONG)) => panic!("the lock was ignored: {written:?}"),
        found = store.get(b"k") => assert_eq!(found?.as_deref(), Some(&b"1"[..])),
    }
    lock.rollback().await
}

#[test]
fn workers_open_a_new_file_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    for round in 0..100 {
        let path = directory.path().join(format!("{round}.db"));
        let start = std::sync::Barrier::new(8);
        let open = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime");
            start.wait();
            runtime.block_on(SqliteStore::open(&path)).map(drop)
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            for worker in workers {
                worker.join().expect("no panic").expect("the store is open");
            }
        });
    }
}

#[tokio::test]
async fn one_of_two_connections_replaces_a_value() -> sqlx::Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.db");
    let (one, other) = (SqliteStore::open(&path).await?, SqliteStore::open(&path).await?);
    assert!(one.replace(b"k", None, value(b"0", LONG)).await?);
    for round in 0..20_u8 {
        let (expected, next) = ([round], [round + 1]);
        let expected = if round == 0 { &b"0"[..] } else { &expected[..] };
        let (first, second) = tokio::join!(
            one.replace(b"k", Some(expected), value(&next, LONG)),
            other.replace(b"k", Some(expected), value(&next, LONG)),
        );
        assert!(first? != second?, "round {round}");
    }
    Ok(())
}

/// Of concurrent requests of a client, some lost each attempt and were rejected.
#[tokio::test]
async fn concurrent_requests_take_the_whole_budget() -> sqlx::Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.db");
    let stores = [SqliteStore::open(&path).await?, SqliteStore::open(&path).await?];
    let budget = Budget {
        requests: 60,
        period: LONG,
    };
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..80 {
        let store = stores[task % 2].clone();
        tasks.spawn(async move { store.take(b"hot", budget).await });
    }
    let mut left = Vec::new();
    for taken in tasks.join_all().await {
        let taken = taken?;
        assert!(!taken.wait.is_zero() && taken.wait <= budget.interval(), "{taken:?}");
        left.extend(taken.is_accepted.then_some(taken.left));
    }
    left.sort_unstable();
    assert!(left.iter().copied().eq(0..60), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn budget_refills_and_has_any_size() -> sqlx::Result<()> {
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect("sqlite::memory:").await?;
    let store = SqliteStore::new(pool.clone()).await?;
    let budget = |requests, period| Budget { requests, period };
    // Adds this number of seconds to all arrival times.
    let shift = async |seconds: i64| {
        let shift =
            "UPDATE conduit_store SET value = CAST(CAST(CAST(CAST(value AS TEXT) AS INTEGER) + ?1 AS TEXT) AS BLOB),
            until_millis = until_millis + ?1 / 1000";
        sqlx::query(shift).bind(seconds * 1_000_000).execute(&pool).await
    };
    let two = budget(2, LONG);
    for accepted in [true, true, false] {
        assert_eq!(store.take(b"k", two).await?.is_accepted, accepted);
    }
    shift(-1801).await?;
    for accepted in [true, false, false] {
        assert_eq!(store.take(b"k", two).await?.is_accepted, accepted);
    }
    // The clock was set back.
    shift(50).await?;
    let refused = store.take(b"k", two).await?;
    assert!(!refused.is_accepted && refused.wait.as_secs() >= 1800, "{refused:?}");
    shift(24 * 3600).await?;
    for accepted in [true, false] {
        let taken = store.take(b"k", two).await?;
        assert!(taken.is_accepted == accepted && taken.wait <= LONG / 2, "{taken:?}");
    }
    check_extreme_budgets(&store).await
}

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Visitor {
    visits: u32,
}

#[post("/")]
async fn visit(mut session: Session<Visitor>) -> Result<String, Problem> {
    session.update(|visitor| visitor.visits += 1).await?;
    Ok(session.visits.to_string())
}

#[test]
fn session_survives_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions.db");
    let start = || {
        let path = path.clone();
        let open = move || {
            let path = path.clone();
            async move { Ok::<_, sqlx::Error>(Sessions::new(SqliteStore::open(path).await?)) }
        };
        TestClient::new(App::open_per_worker(open).routes(routes![visit]).development(false))
    };
    let client = start();
    client.post("/").send().assert_text("1");
    client.post("/").send().assert_text("2");
    let id = client.cookie("__Host-session").expect("a cookie");
    drop(client);
    let client = start();
    client.set_cookie("__Host-session", &id);
    client.post("/").send().assert_text("3");

    let bytes = std::fs::read(&path).expect("the file");
    let log = std::fs::read(path.with_extension("db-wal")).unwrap_or_default();
    let has_id = |bytes: &[u8]| bytes.windows(id.len()).any(|window| window == id.as_bytes());
    assert!(
        !has_id(&bytes) && !has_id(&log),
        "the file has no id that a request could use"
    );
}
