//! A service on PostgreSQL is stopped and restarted without a failed request, with a pool for each worker and with a pool
//! that all workers share.
#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

use conduit::prelude::*;
use conduit::{Shutdown, health};
use rustix::process::Signal;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use support::postgresql::PostgreSql;
use support::program::{
    Client, Directory, IS_PROGRAM, OnDrop, Program, connect, has_ended, limit_life, program, use_it, wait_for,
};
use tokio::sync::Barrier;

/// Set where all workers share one pool.
const SHARES: &str = "CONDUIT_TEST_SHARES_POOL";
const URL: &str = "CONDUIT_TEST_URL";
const WORKERS: usize = 4;
/// The number of connections of a pool, and of requests that hold one at SIGTERM.
const CONNECTIONS: usize = 4;
/// The number of statements that each of them executes after it.
const STATEMENTS: i64 = 20;

#[derive(Clone, FromRef)]
struct Service {
    pool: PgPool,
    waiting: Arc<AtomicUsize>,
    all_workers: Arc<Barrier>,
}

async fn open_pool() -> Result<PgPool, sqlx::Error> {
    let url = std::env::var(URL).expect("the test sets it");
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS as u32)
        .connect(&url)
        .await?;
    let mut transaction = pool.begin().await?;
    // Processes that start at the same time wait for each other.
    sqlx::query("SELECT pg_advisory_xact_lock(1)")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, text text NOT NULL)")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(pool)
}

#[get("/process")]
async fn process() -> String {
    std::process::id().to_string()
}

#[get("/worker")]
async fn worker() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

#[get("/waiting")]
async fn waiting(waiting: State<Arc<AtomicUsize>>) -> String {
    waiting.load(SeqCst).to_string()
}

/// Holds a connection of the pool until a handler on each worker does.
#[get("/hold")]
async fn hold(service: State<Service>) -> Result<String, Problem> {
    let mut connection = service.pool.acquire().await?;
    service.all_workers.wait().await;
    Ok(sqlx::query_scalar("SELECT 'held'").fetch_one(&mut *connection).await?)
}

/// Writes a note in a transaction and reads it.
#[get("/notes/{id}")]
async fn note(id: Path<i64>, pool: State<PgPool>) -> Result<String, Problem> {
    let mut transaction = pool.begin().await?;
    sqlx::query("INSERT INTO notes VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET text = excluded.text")
        .bind(*id)
        .bind(format!("note {}", *id))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let text: String = sqlx::query_scalar("SELECT text FROM notes WHERE id = $1")
        .bind(*id)
        .fetch_one(&*pool)
        .await?;
    Ok(text)
}

/// Takes a connection from the pool, waits until the server stops, and then uses the connection.
#[get("/late")]
async fn late(service: State<Service>, shutdown: Shutdown) -> Result<String, Problem> {
    let mut sum = 0;
    let mut connection = service.pool.acquire().await?;
    service.waiting.fetch_add(1, SeqCst);
    shutdown.requested().await;
    for _ in 0..STATEMENTS {
        let one: i64 = sqlx::query_scalar("SELECT 1::bigint FROM pg_sleep(0.005)")
            .fetch_one(&mut *connection)
            .await?;
        sum += one;
    }
    Ok(sum.to_string())
}

const ROUTES: Routes<Service> = routes![process, worker, waiting, hold, note, late, health::readyz];

/// Not a test: the program that the tests start.
#[test]
fn the_program() {
    if std::env::var_os(IS_PROGRAM).is_none() {
        return;
    }
    limit_life();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let (waiting, all_workers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(WORKERS)));
    let open = move || {
        let (waiting, all_workers) = (Arc::clone(&waiting), Arc::clone(&all_workers));
        async move {
            let pool = open_pool().await?;
            Ok::<_, sqlx::Error>(Service {
                pool,
                waiting,
                all_workers,
            })
        }
    };
    let app = match std::env::var_os(SHARES) {
        Some(_) => App::open(open()).expect("no runtime runs"),
        None => App::open_per_worker(open),
    };
    let ended = app.routes(ROUTES).run();
    if let Err(error) = &ended {
        tracing::error!(%error, "ended");
    }
    std::process::exit(i32::from(ended.is_err()));
}

fn start(directory: &Directory, database: &PostgreSql, shares: bool) -> Program {
    let mut command = program(directory);
    command
        .env(URL, &database.url)
        .env("CONDUIT_WORKERS", WORKERS.to_string());
    if shares {
        command.env(SHARES, "1");
    }
    Program::start(&mut command, 1)
}

/// A connection to the same worker as the first one.
fn connect_to(program: &Program, worker: &str) -> Client<std::net::TcpStream> {
    // The kernel spreads connections by a hash of their ports.
    let same = || {
        let mut client = program.connect();
        (client.get("/worker") == worker).then_some(client)
    };
    wait_for(same, || format!("a connection to {worker}"))
}

/// Each worker opens a connection of the pool, of a shared one, too.
fn open_connections_on_all_workers(program: &Program) {
    let mut clients = BTreeMap::new();
    let each_worker = || {
        let mut client = program.connect();
        clients.insert(client.get("/worker"), client);
        (clients.len() == WORKERS).then_some(())
    };
    wait_for(each_worker, || {
        format!("a connection to each worker: {}", program.log())
    });
    std::thread::scope(|scope| {
        for client in clients.values_mut() {
            scope.spawn(|| assert_eq!(client.get("/hold"), "held"));
        }
    });
}

fn requests_in_progress_are_finished(name: &str, shares: bool) {
    let Some(database) = PostgreSql::shared() else { return };
    let directory = Directory::new(name);
    let mut program = start(&directory, database, shares);
    open_connections_on_all_workers(&program);
    let mut first = program.connect();
    let worker = first.get("/worker");
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| connect_to(&program, &worker)).collect();
    let expected = STATEMENTS.to_string();
    std::thread::scope(|scope| {
        for mut client in clients {
            let expected = &expected;
            scope.spawn(move || {
                assert_eq!(client.get("/late"), *expected);
                assert!(client.closes);
            });
        }
        let in_progress = CONNECTIONS.to_string();
        let all_wait = || (first.get("/waiting") == in_progress).then_some(());
        wait_for(all_wait, || {
            format!("{in_progress} requests in progress: {}", program.log())
        });
        program.signal(program.child.id(), Signal::TERM);
    });
    assert_eq!(
        program.child.wait().expect("it ends").code(),
        Some(0),
        "{}",
        program.log()
    );
}

#[test]
fn stop_finishes_requests_that_use_a_pool_of_their_worker() {
    requests_in_progress_are_finished("pool", false);
}

#[test]
fn stop_finishes_requests_that_use_a_shared_pool() {
    requests_in_progress_are_finished("shared-pool", true);
}

fn check_note<T: std::io::Read + std::io::Write>(client: &mut Client<T>, turn: u64) {
    assert_eq!(client.get(&format!("/notes/{turn}")), format!("note {turn}"));
}

fn restarts_fail_no_request(name: &str, shares: bool) {
    const CLIENTS: usize = 8;
    const RESTARTS: usize = 3;
    let Some(database) = PostgreSql::shared() else { return };
    let directory = Directory::new(name);
    let program = start(&directory, database, shares);
    let address = program.tcp();
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut processes = vec![program.process()];
    std::thread::scope(|scope| {
        let _stop = OnDrop(&stop);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (stop, answered) = (&stop, &answered);
                scope.spawn(move || use_it(|| connect(address), check_note, client % 2 == 0, stop, answered))
            })
            .collect();
        for _ in 0..RESTARTS {
            let before = answered.load(SeqCst);
            processes.push(program.replace(processes[processes.len() - 1]));
            let enough = || (answered.load(SeqCst) >= before + 10 * CLIENTS as u64).then_some(());
            assert!(!clients.iter().any(|client| client.is_finished()), "{}", program.log());
            wait_for(enough, || format!("responses: {}", program.log()));
        }
    });
    let last = processes.pop().expect("there is one");
    program.signal(last, Signal::TERM);
    processes.push(last);
    for process in processes {
        let ended = || has_ended(process).then_some(());
        wait_for(ended, || format!("an end of {process}: {}", program.log()));
    }
}

#[test]
fn restart_fails_no_request_that_uses_a_pool_of_its_worker() {
    restarts_fail_no_request("restart-pool", false);
}

#[test]
fn restart_fails_no_request_that_uses_a_shared_pool() {
    restarts_fail_no_request("restart-shared-pool", true);
}
