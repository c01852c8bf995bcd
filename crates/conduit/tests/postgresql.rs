//! A service on PostgreSQL is stopped and restarted without a failed request, with a pool for each worker and with a pool
//! that all workers share.
#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

use conduit::prelude::*;
use conduit::{Shutdown, health};
use rustix::process::Signal;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use support::program::{
    Directory, OnDrop, Program, ProgramClient, TIMEOUT, begin_program, connect, has_ended, program, use_it, wait_for,
};
use support::service::Service as Database;
use tokio::sync::Barrier;

/// Set where all workers share one pool.
const SHARES: &str = "CONDUIT_TEST_SHARES_POOL";
const URL: &str = "CONDUIT_TEST_URL";
const WORKERS: usize = 4;
/// The number of connections of a pool, and of requests that hold one at SIGTERM.
const CONNECTIONS: usize = 4;
/// The number of statements that each of them executes after it.
const STATEMENTS: i64 = 20;
/// The first id of the notes that are written during a stop.
const FIRST_ID: i64 = 1 << 40;

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
#[ignore = "a program of the tests"]
fn the_program() {
    begin_program();
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

fn start(directory: &Directory, database: &Database, shares: bool) -> Program {
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
fn connect_to(program: &Program, worker: &str) -> ProgramClient<TcpStream> {
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
    let Some(database) = Database::postgresql() else { return };
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
    program.assert_ends_well();
}

#[test]
fn stop_finishes_requests_that_use_a_pool_of_their_worker() {
    requests_in_progress_are_finished("pool", false);
}

#[test]
fn stop_finishes_requests_that_use_a_shared_pool() {
    requests_in_progress_are_finished("shared-pool", true);
}

/// The results of the requests of all clients, by the id of each note.
#[derive(Default)]
struct Requests {
    answered: Vec<i64>,
    /// Their connections ended before the first byte of a response.
    unanswered: Vec<i64>,
}

/// Sends one request after the other until the server no longer listens. Each has another id.
fn write_until_refused(address: SocketAddr, client: usize, answered: &AtomicU64) -> Requests {
    let mut requests = Requests::default();
    let mut ids = FIRST_ID + (client as i64) * 1_000_000..;
    while let Ok(stream) = TcpStream::connect(address) {
        stream.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
        let mut client_connection = ProgramClient::new(stream);
        while !client_connection.closes {
            let id = ids.next().expect("there are many");
            match client_connection.try_get(&format!("/notes/{id}")) {
                Some(text) => {
                    assert_eq!(text, format!("note {id}"));
                    requests.answered.push(id);
                    answered.fetch_add(1, SeqCst);
                }
                None => {
                    requests.unanswered.push(id);
                    break;
                }
            }
            // Every second client opens a connection for each request.
            if client % 2 == 1 {
                break;
            }
        }
    }
    requests
}

/// The notes with these ids.
fn stored(database: &Database, ids: &[i64]) -> Vec<i64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let pool = PgPool::connect(&database.url).await.expect("the database accepts");
        sqlx::query_scalar("SELECT id FROM notes WHERE id = ANY($1) ORDER BY id")
            .bind(ids)
            .fetch_all(&pool)
            .await
            .expect("rows")
    })
}

/// A request that the server has read has a whole response, and any other has no effect.
fn stop_under_load_loses_nothing(name: &str, shares: bool) {
    const CLIENTS: usize = 8;
    let Some(database) = Database::postgresql() else { return };
    let directory = Directory::new(name);
    let mut program = start(&directory, database, shares);
    open_connections_on_all_workers(&program);
    let (address, answered) = (program.tcp(), AtomicU64::new(0));
    let all: Vec<Requests> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let answered = &answered;
                // The clients of another test have other ids.
                let client = client + usize::from(shares) * CLIENTS;
                scope.spawn(move || write_until_refused(address, client, answered))
            })
            .collect();
        let enough = || (answered.load(SeqCst) >= 20 * CLIENTS as u64).then_some(());
        wait_for(enough, || format!("responses: {}", program.log()));
        program.signal(program.child.id(), Signal::TERM);
        clients
            .into_iter()
            .map(|client| client.join().expect("each response is whole"))
            .collect()
    });
    let code = program.child.wait().expect("it ends").code();
    assert_eq!(code, Some(0), "{}", program.log());
    program.wait_for_log("the end", |log| {
        log.contains("stopped cut_connections=0 cut_handlers=0")
    });
    let mut answered: Vec<i64> = all.iter().flat_map(|requests| requests.answered.clone()).collect();
    let unanswered: Vec<i64> = all.iter().flat_map(|requests| requests.unanswered.clone()).collect();
    answered.sort_unstable();
    assert_eq!(stored(database, &answered), answered);
    assert_eq!(
        stored(database, &unanswered),
        [0; 0],
        "requests without a response were carried out"
    );
}

#[test]
fn stop_under_load_loses_no_request_that_uses_a_pool_of_its_worker() {
    stop_under_load_loses_nothing("load-pool", false);
}

#[test]
fn stop_under_load_loses_no_request_that_uses_a_shared_pool() {
    stop_under_load_loses_nothing("load-shared-pool", true);
}

fn check_note<T: std::io::Read + std::io::Write>(client: &mut ProgramClient<T>, turn: u64) {
    assert_eq!(client.get(&format!("/notes/{turn}")), format!("note {turn}"));
}

fn restarts_fail_no_request(name: &str, shares: bool) {
    const CLIENTS: usize = 8;
    const RESTARTS: usize = 3;
    let Some(database) = Database::postgresql() else { return };
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
