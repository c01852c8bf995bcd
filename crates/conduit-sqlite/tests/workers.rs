//! Layers and sessions with a store in SQLite: workers that share the file, restarts, files that cannot be opened, and a store that
//! another runtime has opened.

#[path = "../../conduit/tests/support/visits.rs"]
mod visits;

use std::path::Path as FilePath;
use std::time::Duration;

use conduit::layer::{Budget, Idempotency, RateLimit, Store};
use conduit::prelude::*;
use conduit::session::Sessions;
use conduit::testing::TestClient;
use conduit_sqlite::SqliteStore;
use visits::{visit, visit_again, visit_both};

const LONG: Duration = Duration::from_secs(3600);

#[get("/")]
async fn home() -> &'static str {
    "home"
}

/// A client of a worker with a limit of five requests.
fn limited(store: &SqliteStore) -> TestClient {
    let limit = RateLimit::new(5, LONG).store(store.clone());
    TestClient::new(App::new(()).routes(routes![home]).layer(limit))
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

#[test]
fn workers_share_the_budgets_of_a_store_per_worker() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::per_worker(directory.path().join("store.db"));
    let workers = [limited(&store), limited(&store)];
    for request in 0..5 {
        workers[request % 2].get("/").send().assert_text("home");
    }
    for worker in &workers {
        worker.get("/").send().assert_status(429);
    }
}

/// The runtime kept the only connection for writing: each request waited for 30 s, and was accepted.
#[test]
fn store_that_an_idle_runtime_has_opened_limits_requests() {
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = runtime();
    let opened = runtime.block_on(SqliteStore::open(directory.path().join("store.db")));
    let client = limited(&opened.expect("the file is open"));
    for _ in 0..5 {
        client.get("/").send().assert_text("home");
    }
    client.get("/").send().assert_status(429);
    drop(runtime);
    client.get("/").send().assert_status(429);
}

/// The same service in another process.
fn process(path: &FilePath) -> TestClient {
    let store = SqliteStore::per_worker(path);
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
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.db");
    let (one, two) = (process(&path), process(&path));
    let cookie = visit_both(&one, &two);
    drop((one, two));
    let three = process(&path);
    visit_again(&three, &cookie, "b").assert_text("3");
    visit_again(&three, &cookie, "b").assert_header("idempotency-replayed", "true");
    visit_again(&three, &cookie, "c").assert_status(429);
}

#[tokio::test]
async fn concurrent_first_requests_of_a_worker_take_the_whole_budget() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::per_worker(directory.path().join("store.db"));
    let budget = Budget {
        requests: 60,
        period: LONG,
    };
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..80 {
        let store = store.clone();
        tasks.spawn(async move { store.take(b"hot", budget).await });
    }
    let taken = tasks
        .join_all()
        .await
        .into_iter()
        .map(|taken| taken.expect("the file is open"));
    assert_eq!(taken.filter(|taken| taken.is_accepted).count(), 60);
}

#[test]
fn file_that_cannot_be_opened_fails_at_the_start_or_at_each_request_until_it_can() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("missing");
    let store = SqliteStore::per_worker(missing.join("store.db"));
    let created = runtime().block_on(store.create_table());
    let error = created.expect_err("the directory is missing").to_string();
    assert!(error.contains("unable to open database file"), "{error}");

    let limit = RateLimit::new(1, LONG).store(store.clone());
    let keys = Idempotency::new().store(store.clone());
    let app = App::new(Sessions::new(store)).routes(routes![home, visit]);
    let client = TestClient::new(app.layer(keys).layer(limit).development(false));
    for _ in 0..2 {
        client.get("/").send().assert_text("home");
    }
    client.post("/visit").send().assert_status(503);
    client
        .post("/visit")
        .header("idempotency-key", "a")
        .send()
        .assert_status(503);

    std::fs::create_dir(&missing).expect("a directory");
    client.get("/").send().assert_text("home");
    client.get("/").send().assert_status(429);
}

#[test]
fn requests_to_a_locked_file_pass_the_limit() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.db");
    let runtime = runtime();
    let lock = runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let pool = sqlx::SqlitePool::connect_with(options.create_if_missing(true)).await?;
        pool.begin_with("BEGIN EXCLUSIVE").await
    });
    let lock = lock.expect("the file is new");
    let client = limited(&SqliteStore::per_worker(&path));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                client.get("/").send().assert_text("home");
            });
        }
    });
    runtime.block_on(lock.rollback()).expect("the lock was held");
    for _ in 0..5 {
        client.get("/").send().assert_text("home");
    }
    client.get("/").send().assert_status(429);
}
