//! The store: the contract of `Store`, hot keys of several tasks and pools, expired rows, a lost connection, a transaction of
//! the caller; layers and sessions of two processes.

#[path = "../../conduit/tests/support/budgets.rs"]
mod budgets;
#[path = "../../conduit/tests/support/service.rs"]
mod service;
#[path = "../../conduit/tests/support/visits.rs"]
mod visits;

use std::collections::BTreeSet;
use std::time::Duration;

use budgets::check_extreme_budgets;
use conduit::layer::{Budget, Idempotency, RateLimit, Store, StoreTransaction as _, Value};
use conduit::prelude::*;
use conduit::session::Sessions;
use conduit::testing::TestClient;
use conduit_postgres::PostgresStore;
use service::Service;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::task::JoinSet;
use visits::{visit, visit_again, visit_both};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(100 * 3600);
const TASKS: usize = 8;

fn value(bytes: &[u8], lifetime: Duration) -> Value<'_> {
    Value {
        bytes,
        lifetime,
        account: "",
        is_pinned: false,
    }
}

fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(60))
}

/// Creates a schema, and returns the options of connections that use it. `None` where PostgreSQL is not installed.
async fn schema(name: &'static str) -> sqlx::Result<Option<PgConnectOptions>> {
    let Some(server) = Service::postgresql() else {
        return Ok(None);
    };
    let options: PgConnectOptions = server.url.parse()?;
    let pool = pool_options().connect_with(options.clone()).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}")))
        .execute(&pool)
        .await?;
    Ok(Some(options.options([("search_path", name)])))
}

/// Two pools with a new table.
async fn pools(schema_name: &'static str) -> sqlx::Result<Option<[PgPool; 2]>> {
    let Some(options) = schema(schema_name).await? else {
        return Ok(None);
    };
    let pools = [options.clone(), options].map(|options| pool_options().connect_lazy_with(options));
    PostgresStore::new(pools[0].clone()).create_table().await?;
    Ok(Some(pools))
}

/// Two stores with one new table and separate pools.
async fn stores(schema_name: &'static str) -> sqlx::Result<Option<[PostgresStore; 2]>> {
    Ok(pools(schema_name).await?.map(|pools| pools.map(PostgresStore::new)))
}

#[tokio::test]
async fn value_is_replaced_only_if_it_is_the_expected_one() -> sqlx::Result<()> {
    let Some([store, other]) = stores("replaced").await? else {
        return Ok(());
    };
    assert_eq!(store.get(b"k").await?, None);
    assert!(store.replace(b"k", None, None).await?);
    assert!(!store.replace(b"k", Some(b"1"), Some(value(b"2", LONG))).await?);
    assert!(!store.replace(b"k", Some(b"1"), None).await?);
    assert!(store.replace(b"k", None, Some(value(b"\0\xff", LONG))).await?);
    assert!(!other.replace(b"k", None, Some(value(b"2", LONG))).await?);
    assert!(!other.replace(b"k", None, None).await?);
    assert!(!other.replace(b"k", Some(b"0"), Some(value(b"2", LONG))).await?);
    assert!(!other.replace(b"k", Some(b"0"), None).await?);
    assert_eq!(other.get(b"k").await?.as_deref(), Some(&b"\0\xff"[..]));
    let longest = Some(value(b"2", Duration::MAX));
    assert!(other.replace(b"k", Some(b"\0\xff"), longest).await?);
    assert_eq!(store.insert(b"k", value(b"3", LONG)).await?.as_deref(), Some(&b"2"[..]));
    assert!(store.replace(b"k", Some(b"2"), None).await?);
    assert_eq!(other.get(b"k").await?, None);
    assert_eq!(other.insert(b"k", value(b"", LONG)).await?, None);
    assert_eq!(store.get(b"k").await?.as_deref(), Some(&b""[..]));
    Ok(())
}

#[tokio::test]
async fn expired_value_is_absent_and_is_replaced() -> sqlx::Result<()> {
    let Some([store, _]) = stores("ended").await? else {
        return Ok(());
    };
    assert!(store.replace(b"k", None, Some(value(b"1", Duration::ZERO))).await?);
    assert_eq!(store.get(b"k").await?, None);
    assert!(store.replace(b"k", None, None).await?);
    assert!(!store.replace(b"k", Some(b"1"), Some(value(b"2", LONG))).await?);
    assert!(!store.replace(b"k", Some(b"1"), None).await?);
    assert!(store.replace(b"k", None, Some(value(b"3", Duration::ZERO))).await?);
    assert_eq!(store.insert(b"k", value(b"4", Duration::ZERO)).await?, None);
    assert_eq!(store.insert(b"k", value(b"5", LONG)).await?, None);
    assert_eq!(store.get(b"k").await?.as_deref(), Some(&b"5"[..]));
    Ok(())
}

#[tokio::test]
async fn budget_of_a_hot_key_is_shared_by_all_tasks_and_pools() -> sqlx::Result<()> {
    let Some(stores) = stores("budget").await? else {
        return Ok(());
    };
    let budget = Budget {
        requests: 100,
        period: LONG,
    };
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = stores[task % 2].clone();
        tasks.spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..20 {
                taken.push(store.take(b"hot", budget).await?);
            }
            Ok::<_, sqlx::Error>(taken)
        });
    }
    let mut left = BTreeSet::new();
    while let Some(taken) = tasks.join_next().await {
        for taken in taken.expect("no panic")? {
            assert!(!taken.wait.is_zero() && taken.wait <= budget.interval(), "{taken:?}");
            assert!(!taken.is_accepted || left.insert(taken.left), "{taken:?} again");
        }
    }
    assert!(left.into_iter().eq(0..100));
    Ok(())
}

#[tokio::test]
async fn budget_refills_and_has_any_size() -> sqlx::Result<()> {
    let Some([pool, _]) = pools("budgets").await? else {
        return Ok(());
    };
    let store = PostgresStore::new(pool.clone());
    let budget = |requests, period| Budget { requests, period };
    let two = budget(2, LONG);
    for accepted in [true, true, false] {
        assert_eq!(store.take(b"k", two).await?.is_accepted, accepted);
    }
    sqlx::query("UPDATE conduit_store SET expires_at = expires_at - interval '51 hours'")
        .execute(&pool)
        .await?;
    for accepted in [true, false] {
        assert_eq!(store.take(b"k", two).await?.is_accepted, accepted);
    }
    // The arrival time is 99 hours ahead, and the interval of this limit is 10 hours.
    let refused = store.take(b"k", budget(10, LONG)).await?;
    assert!(
        !refused.is_accepted && refused.wait.as_secs().div_ceil(3600) == 9,
        "{refused:?}"
    );
    // The clock of the server was set back.
    sqlx::query("UPDATE conduit_store SET expires_at = expires_at + interval '1 day'")
        .execute(&pool)
        .await?;
    for accepted in [true, false] {
        let taken = store.take(b"k", two).await?;
        assert!(taken.is_accepted == accepted && taken.wait <= LONG / 2, "{taken:?}");
    }
    check_extreme_budgets(&store).await
}

#[tokio::test]
async fn request_to_an_exhausted_budget_writes_nothing() -> sqlx::Result<()> {
    let Some([pool, _]) = pools("exhausted").await? else {
        return Ok(());
    };
    let store = PostgresStore::new(pool.clone());
    let budget = Budget {
        requests: 1,
        period: LONG,
    };
    assert!(store.take(b"k", budget).await?.is_accepted);
    let row = || {
        let row = "SELECT concat_ws(' ', ctid, xmin, xmax, expires_at) FROM conduit_store";
        sqlx::query_scalar::<_, String>(row).fetch_one(&pool)
    };
    let before = row().await?;
    assert!(!store.take(b"k", budget).await?.is_accepted);
    assert_eq!(row().await?, before);
    Ok(())
}

#[tokio::test]
async fn one_task_inserts_a_hot_key_and_the_others_find_its_value() -> sqlx::Result<()> {
    let Some(stores) = stores("inserted").await? else {
        return Ok(());
    };
    for key in 0..20_u8 {
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let store = stores[task % 2].clone();
            tasks.spawn(async move {
                let bytes = [task as u8];
                let found = store.insert(&[key], value(&bytes, LONG)).await?;
                Ok::<_, sqlx::Error>((bytes, found))
            });
        }
        let (mut inserted, mut found) = (Vec::new(), Vec::new());
        while let Some(result) = tasks.join_next().await {
            match result.expect("no panic")? {
                (bytes, None) => inserted.push(bytes),
                (_, Some(bytes)) => found.push(bytes),
            }
        }
        assert_eq!(inserted.len(), 1, "key {key}");
        assert!(found.iter().all(|bytes| bytes[..] == inserted[0]), "key {key}");
    }
    Ok(())
}

#[tokio::test]
async fn concurrent_changes_of_a_hot_key_lose_none() -> sqlx::Result<()> {
    const CHANGES: u32 = 10;
    let Some(stores) = stores("changed").await? else {
        return Ok(());
    };
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = stores[task % 2].clone();
        tasks.spawn(async move {
            for _ in 0..CHANGES {
                loop {
                    let found = store.get(b"count").await?;
                    let count = found
                        .as_deref()
                        .map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().expect("four bytes")));
                    let next = (count + 1).to_be_bytes();
                    if store
                        .replace(b"count", found.as_deref(), Some(value(&next, LONG)))
                        .await?
                    {
                        break;
                    }
                }
            }
            Ok::<_, sqlx::Error>(())
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.expect("no panic")?;
    }
    let count = (TASKS as u32 * CHANGES).to_be_bytes();
    assert_eq!(stores[0].get(b"count").await?.as_deref(), Some(&count[..]));
    Ok(())
}

#[tokio::test]
async fn expired_rows_are_removed_in_batches_except_locked_ones() -> sqlx::Result<()> {
    let Some([pool, other]) = pools("removed").await? else {
        return Ok(());
    };
    let rows =
        "INSERT INTO conduit_store SELECT int4send(n), '', now() - interval '2 hours' FROM generate_series(1, 2500) n";
    sqlx::query(rows).execute(&pool).await?;
    let mut locked = other.begin().await?;
    sqlx::query("SELECT FROM conduit_store WHERE key = int4send(1) FOR UPDATE")
        .execute(&mut *locked)
        .await?;
    let store = PostgresStore::new(pool.clone());
    // The last one is too early for another removal.
    for (round, expected) in [1500, 500, 1, 1].into_iter().enumerate() {
        assert_eq!(
            store
                .insert(format!("new {round}").as_bytes(), value(b"", LONG))
                .await?,
            None
        );
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM conduit_store WHERE expires_at < now()")
            .fetch_one(&pool)
            .await?;
        assert_eq!(left, expected, "round {round}");
    }
    locked.rollback().await?;
    let new: i64 = sqlx::query_scalar("SELECT count(*) FROM conduit_store WHERE expires_at > now()")
        .fetch_one(&pool)
        .await?;
    assert_eq!(new, 4);
    Ok(())
}

#[tokio::test]
async fn value_is_stored_although_expired_rows_cannot_be_removed() -> sqlx::Result<()> {
    let Some([pool, _]) = pools("kept").await? else {
        return Ok(());
    };
    let trigger = "INSERT INTO conduit_store VALUES ('old', '', now() - interval '2 hours');
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'rows stay'; END $$;
        CREATE TRIGGER keep BEFORE DELETE ON conduit_store FOR EACH ROW EXECUTE FUNCTION refuse()";
    sqlx::raw_sql(trigger).execute(&pool).await?;
    let store = PostgresStore::new(pool);
    assert!(store.replace(b"k", None, Some(value(b"1", LONG))).await?);
    assert_eq!(store.get(b"k").await?.as_deref(), Some(&b"1"[..]));
    Ok(())
}

#[tokio::test]
async fn table_is_created_by_several_processes_at_once() -> sqlx::Result<()> {
    let Some(options) = schema("created").await? else {
        return Ok(());
    };
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = PostgresStore::new(pool_options().connect_lazy_with(options.clone()));
        tasks.spawn(async move { store.create_table().await });
    }
    while let Some(created) = tasks.join_next().await {
        created.expect("no panic")?;
    }
    Ok(())
}

#[tokio::test]
async fn request_after_the_loss_of_all_connections_succeeds() -> sqlx::Result<()> {
    let Some([pool, other]) = pools("lost").await? else {
        return Ok(());
    };
    let store = PostgresStore::new(pool.clone());
    store.insert(b"k", value(b"1", LONG)).await?;
    let process: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await?;
    sqlx::query("SELECT pg_terminate_backend($1, 60000)")
        .bind(process)
        .execute(&other)
        .await?;
    assert_eq!(store.get(b"k").await?.as_deref(), Some(&b"1"[..]));
    Ok(())
}

#[tokio::test]
async fn creation_of_a_table_that_exists_waits_for_no_transaction() -> sqlx::Result<()> {
    let Some([pool, other]) = pools("creation").await? else {
        return Ok(());
    };
    let mut transaction = pool.begin().await?;
    PostgresStore::insert_in(&mut transaction, b"k", value(b"1", LONG)).await?;
    let store = PostgresStore::new(other);
    let created = tokio::time::timeout(Duration::from_secs(20), store.create_table());
    created.await.expect("it waits for no lock")?;
    transaction.rollback().await
}

#[tokio::test]
async fn key_of_a_transaction_is_set_when_it_commits() -> sqlx::Result<()> {
    let Some([pool, other]) = pools("transaction").await? else {
        return Ok(());
    };
    let store = PostgresStore::new(other.clone());
    let mut transaction = pool.begin().await?;
    assert_eq!(
        PostgresStore::insert_in(&mut transaction, b"k", value(b"1", LONG)).await?,
        None
    );
    assert_eq!(store.get(b"k").await?, None);
    transaction.rollback().await?;
    assert_eq!(store.get(b"k").await?, None);

    let mut transaction = pool.begin().await?;
    let process: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut *transaction)
        .await?;
    assert_eq!(
        PostgresStore::insert_in(&mut transaction, b"k", value(b"2", LONG)).await?,
        None
    );
    let again = tokio::spawn(async move {
        let mut transaction = other.begin().await?;
        PostgresStore::insert_in(&mut transaction, b"k", value(b"3", LONG)).await
    });
    // It waits for the end of the first one.
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))";
    while !sqlx::query_scalar(waits).bind(process).fetch_one(&pool).await? {}
    transaction.commit().await?;
    assert_eq!(again.await.expect("no panic")?.as_deref(), Some(&b"2"[..]));
    assert_eq!(store.get(b"k").await?.as_deref(), Some(&b"2"[..]));
    Ok(())
}

/// The same service in another process.
fn process(options: &PgConnectOptions) -> TestClient {
    let store = PostgresStore::per_worker(pool_options(), options.clone());
    let limit = RateLimit::new(5, LONG).store(store.clone());
    let keys = Idempotency::new().store(store.clone());
    let open = move || {
        let store = store.clone();
        async move {
            store.create_table().await?;
            Ok::<_, sqlx::Error>(Sessions::new(store))
        }
    };
    let app = App::open_per_worker(open).routes(routes![visit]);
    TestClient::new(app.layer(keys).layer(limit).development(false))
}

#[test]
fn sessions_keys_and_budgets_are_shared_by_processes_and_survive_them() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let created = runtime.expect("a runtime").block_on(schema("processes"));
    let Some(options) = created.expect("a schema") else {
        return;
    };
    let (one, two) = (process(&options), process(&options));
    let cookie = visit_both(&one, &two);
    drop((one, two));
    let three = process(&options);
    visit_again(&three, &cookie, "b").assert_text("3");
    visit_again(&three, &cookie, "b").assert_header("idempotency-replayed", "true");
    visit_again(&three, &cookie, "c").assert_status(429);
}

#[get("/")]
async fn home() -> &'static str {
    "home"
}

#[test]
fn request_without_the_server_passes_the_limit_and_fails_with_a_key_or_a_session() {
    let missing = PgConnectOptions::new_without_pgpass().socket("/nonexistent/conduit");
    let store = PostgresStore::per_worker(pool_options(), missing);
    let limit = RateLimit::new(1, LONG).store(store.clone());
    let keys = Idempotency::new().store(store.clone());
    let app = App::new(Sessions::new(store)).routes(routes![home, visit]);
    let client = TestClient::new(app.layer(keys).layer(limit).development(false));
    for _ in 0..3 {
        client.get("/").send().assert_text("home");
    }
    client.post("/visit").send().assert_status(503);
    let request = client.post("/visit").header("idempotency-key", "a");
    request.send().assert_status(503);
}

/// Without a bound, a handler with two transactions would deadlock.
#[tokio::test]
async fn change_in_a_second_transaction_waits_for_the_first_one_for_a_bounded_time() -> sqlx::Result<()> {
    let Some([pool, _]) = pools("locked").await? else {
        return Ok(());
    };
    let store = PostgresStore::new(pool.clone());
    store.insert(b"key", value(b"0", LONG)).await?;
    let mut first = pool.begin().await?;
    let mut within = PostgresStore::within(&mut first);
    assert!(within.replace(b"key", Some(b"0"), Some(value(b"1", LONG))).await?);
    // The later statements of the transaction have the setting of its connection.
    let setting = sqlx::query_scalar("SELECT current_setting('lock_timeout')");
    assert_eq!(
        setting.fetch_one(&mut *first).await.map(|setting: String| setting)?,
        "0"
    );
    for own in [None, Some("SET LOCAL lock_timeout = '20ms'")] {
        let mut second = pool.begin().await?;
        if let Some(own) = own {
            sqlx::raw_sql(own).execute(&mut *second).await?;
        }
        let change = PostgresStore::within(&mut second)
            .replace(b"key", Some(b"0"), Some(value(b"2", LONG)))
            .await;
        let error = change.expect_err("it is locked").to_string();
        assert!(error.contains("did not end within `lock_timeout`"), "{error}");
    }
    first.commit().await?;
    let mut third = pool.begin().await?;
    let mut within = PostgresStore::within(&mut third);
    assert!(within.replace(b"key", Some(b"1"), Some(value(b"3", LONG))).await?);
    third.commit().await?;
    assert_eq!(store.get(b"key").await?.as_deref(), Some(&b"3"[..]));
    Ok(())
}
