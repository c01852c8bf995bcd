//! Libraries for tokio work in a handler: timers, sockets, databases, tasks, channels, all on one worker together with its
//! connections.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::support::{Client, Running, serve};
use conduit::prelude::*;
use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Barrier, Mutex, Semaphore, oneshot};

/// The number of concurrent pending requests.
const CONNECTIONS: usize = 200;

/// A gate at which handlers wait until the test opens it.
#[derive(Clone)]
struct Gate(Arc<GateState>);

struct GateState {
    waiting: AtomicUsize,
    passes: Semaphore,
}

impl Gate {
    fn new() -> Self {
        Gate(Arc::new(GateState {
            waiting: AtomicUsize::new(0),
            passes: Semaphore::new(0),
        }))
    }

    async fn pass(&self) {
        self.0.waiting.fetch_add(1, SeqCst);
        self.0.passes.acquire().await.expect("a gate is never closed").forget();
    }

    /// Lets this number of handlers pass, now or when they arrive.
    fn open(&self, count: usize) {
        self.0.passes.add_permits(count);
    }
}

/// The number of handlers at the gate: a response that depends only on the worker.
#[get("/waiting")]
fn waiting(gate: State<Gate>) -> String {
    gate.0.0.waiting.load(SeqCst).to_string()
}

/// A connection for each of the hanging requests, `/target/number`.
fn hang(server: &Running, target: &str, count: usize) -> Vec<Client> {
    let ask = |number| {
        let mut client = server.connect();
        client.send(format!("GET {target}/{number} HTTP/1.1\r\nhost: test\r\n\r\n"));
        client
    };
    (0..count).map(ask).collect()
}

/// Sends requests until this number of handlers wait, which shows that the worker serves others meanwhile.
fn wait_until_waiting(server: &Running, count: usize) {
    let mut client = server.connect();
    for _ in 0..1_000_000 {
        client.send("GET /waiting HTTP/1.1\r\nhost: test\r\n\r\n");
        if client.response().text() == count.to_string() {
            return;
        }
    }
    panic!("never {count} handlers wait together");
}

fn assert_answers(clients: &mut [Client], expected: impl Fn(usize) -> String) {
    for (number, client) in clients.iter_mut().enumerate() {
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, &*expected(number)));
    }
}

#[derive(Clone, FromRef)]
struct Timers {
    gate: Gate,
    barrier: Arc<Barrier>,
}

/// Waits for timers of the runtime: the worker's poller has to wake it for them. The test depends on no time.
#[get("/timer/{number}")]
async fn timer(number: Path<usize>, gate: State<Gate>, barrier: State<Arc<Barrier>>) -> String {
    gate.0.0.waiting.fetch_add(1, SeqCst);
    barrier.wait().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let late = tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
    format!("{number} {}", late.is_err())
}

#[test]
fn timers_of_all_connections_run_together_while_others_are_answered() {
    let gate = Gate::new();
    let barrier = Arc::new(Barrier::new(CONNECTIONS));
    let server = serve(App::new(Timers { gate, barrier }).routes(routes![waiting, timer]));
    // No handler continues before the last one has arrived.
    let mut clients = hang(&server, "/timer", CONNECTIONS - 1);
    wait_until_waiting(&server, CONNECTIONS - 1);
    let mut last = server.connect();
    last.send("GET /timer/last HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(last.response().status, 400, "not a number: its handler does not run");
    last.send(format!("GET /timer/{} HTTP/1.1\r\nhost: test\r\n\r\n", CONNECTIONS - 1));
    clients.push(last);
    assert_answers(&mut clients, |number| format!("{number} true"));
}

#[derive(Clone, FromRef)]
struct Upstream {
    gate: Gate,
    address: SocketAddr,
}

#[get("/upstream/{number}")]
async fn upstream(number: Path<usize>, gate: State<Gate>, address: State<SocketAddr>) -> Result<String, Problem> {
    let mut stream = tokio::net::TcpStream::connect(*address).await?;
    stream.write_all(format!("{number}\n").as_bytes()).await?;
    gate.0.0.waiting.fetch_add(1, SeqCst);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// An echo server that responds only once all waiting clients have sent a request and the test has opened it.
fn start_upstream(answer: mpsc::Receiver<()>) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    let thread = std::thread::spawn(move || {
        let mut asked = Vec::new();
        while asked.len() < CONNECTIONS {
            let (mut stream, _) = listener.accept().expect("the worker connects");
            let mut question = Vec::new();
            while question.last() != Some(&b'\n') {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("the worker asks");
                question.push(byte[0]);
            }
            asked.push((stream, question));
        }
        answer.recv().expect("the test sends it");
        for (mut stream, question) in asked {
            stream.write_all(&question).expect("the worker reads");
        }
    });
    (address, thread)
}

#[test]
fn tokios_sockets_wait_for_an_upstream_while_others_are_answered() {
    let (answer, may_answer) = mpsc::channel();
    let (address, thread) = start_upstream(may_answer);
    let gate = Gate::new();
    let server = serve(App::new(Upstream { gate, address }).routes(routes![waiting, upstream]));
    let mut clients = hang(&server, "/upstream", CONNECTIONS);
    wait_until_waiting(&server, CONNECTIONS);
    answer.send(()).expect("the upstream waits");
    assert_answers(&mut clients, |number| format!("{number}\n"));
    thread.join().expect("the upstream ends well");
}

#[derive(Clone, FromRef)]
struct Database {
    gate: Gate,
    pool: SqlitePool,
}

#[get("/query/{number}")]
async fn query(number: Path<i64>, gate: State<Gate>, pool: State<SqlitePool>) -> Result<String, Problem> {
    let name: String = sqlx::query_scalar("SELECT name FROM users WHERE id = ?")
        .bind(*number)
        .fetch_one(&*pool)
        .await?;
    gate.pass().await;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
        .fetch_one(&*pool)
        .await?;
    Ok(format!("{name} of {count}"))
}

/// Creates a user for each connection.
#[post("/users")]
async fn fill(pool: State<SqlitePool>) -> Result<(), Problem> {
    let mut transaction = pool.begin().await?;
    sqlx::query("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        .execute(&mut *transaction)
        .await?;
    for number in 0..CONNECTIONS as i64 {
        sqlx::query("INSERT INTO users (id, name) VALUES (?, ?)")
            .bind(number)
            .bind(format!("user {number}"))
            .execute(&mut *transaction)
            .await?;
    }
    Ok(transaction.commit().await?)
}

#[test]
fn a_database_is_queried_by_all_connections_while_others_are_answered() {
    // A database in memory belongs to one connection, which serves all requests one after the other.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy("sqlite::memory:")
        .expect("the address is one of SQLite's");
    let gate = Gate::new();
    let state = Database {
        gate: gate.clone(),
        pool,
    };
    let app = App::new(state).routes(routes![waiting, fill, query]);
    let server = serve(app.development(false));
    let filled = server.request("POST /users HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(filled.status, 200, "{filled:?}");
    let mut clients = hang(&server, "/query", CONNECTIONS);
    wait_until_waiting(&server, CONNECTIONS);
    gate.open(CONNECTIONS);
    assert_answers(&mut clients, |number| format!("user {number} of {CONNECTIONS}"));
    let response = server.get("/query/1000");
    assert_eq!(response.status, 500, "no row is an error");
    assert!(
        !response.text().contains("row"),
        "the error's text is hidden: {}",
        response.text()
    );
}

#[get("/local-task/{number}")]
async fn local_task(number: Path<usize>, gate: State<Gate>) -> Result<String, Problem> {
    // Neither the task nor the handler is `Send`.
    let number = Rc::new(*number);
    let task = tokio::task::spawn_local({
        let number = Rc::clone(&number);
        async move {
            gate.pass().await;
            *number + 1
        }
    });
    Ok(format!("{} and {}", number, task.await?))
}

#[test]
fn a_handler_waits_for_its_local_tasks() {
    let gate = Gate::new();
    let server = serve(App::new(gate.clone()).routes(routes![waiting, local_task]));
    let mut clients = hang(&server, "/local-task", CONNECTIONS);
    wait_until_waiting(&server, CONNECTIONS);
    gate.open(CONNECTIONS);
    assert_answers(&mut clients, |number| format!("{number} and {}", number + 1));
}

#[get("/blocking/{number}")]
async fn blocking(number: Path<usize>, gate: State<Gate>) -> Result<String, Problem> {
    let worker = std::thread::current().id();
    let gate = gate.0;
    // The thread of the pool blocks in a way that would stop the worker.
    let elsewhere = tokio::task::spawn_blocking(move || {
        gate.0.waiting.fetch_add(1, SeqCst);
        while gate.0.passes.try_acquire().map(|pass| pass.forget()).is_err() {
            std::thread::yield_now();
        }
        std::thread::current().id() != worker
    });
    Ok(format!("{number} {}", elsewhere.await?))
}

#[test]
fn blocking_work_runs_next_to_the_worker() {
    const THREADS: usize = 8;
    let gate = Gate::new();
    let server = serve(App::new(gate.clone()).routes(routes![waiting, blocking]));
    let mut clients = hang(&server, "/blocking", THREADS);
    wait_until_waiting(&server, THREADS);
    gate.open(THREADS);
    assert_answers(&mut clients, |number| format!("{number} true"));
}

/// Handlers that wait for a value from another thread, in the order in which they came.
#[derive(Clone, FromRef)]
struct Elsewhere {
    questions: mpsc::Sender<(usize, oneshot::Sender<usize>)>,
    news: tokio::sync::watch::Receiver<usize>,
}

#[get("/answer/{number}")]
async fn answer_from_elsewhere(
    number: Path<usize>,
    questions: State<mpsc::Sender<(usize, oneshot::Sender<usize>)>>,
) -> Result<String, Problem> {
    let (answer, answered) = oneshot::channel();
    questions.send((*number, answer))?;
    Ok(format!("{number} {}", answered.await?))
}

#[get("/news/{number}")]
async fn news(number: Path<usize>, mut news: State<tokio::sync::watch::Receiver<usize>>) -> Result<String, Problem> {
    let version = *news.wait_for(|version| *version > 0).await?;
    Ok(format!("{number} {version}"))
}

#[test]
fn a_wake_up_from_another_thread_reaches_a_waiting_handler() {
    let (questions, asked) = mpsc::channel();
    let (publish, news_receiver) = tokio::sync::watch::channel(0);
    let state = Elsewhere {
        questions,
        news: news_receiver,
    };
    let server = serve(App::new(state).routes(routes![answer_from_elsewhere, news]));
    let mut clients = hang(&server, "/answer", CONNECTIONS);
    let waiting: Vec<_> = asked.iter().take(CONNECTIONS).collect();
    let mut readers = hang(&server, "/news", CONNECTIONS);
    // The last to come is the first to be answered.
    for (number, answer) in waiting.into_iter().rev() {
        answer.send(number * 2).expect("the handler waits");
    }
    assert_answers(&mut clients, |number| format!("{number} {}", number * 2));
    publish.send(7).expect("a receiver exists");
    assert_answers(&mut readers, |number| format!("{number} 7"));
}

#[get("/locks")]
async fn locks(total: State<Arc<Mutex<u64>>>) -> String {
    for _ in 0..8 {
        *total.lock().await += 1;
    }
    let (sender, mut receiver) = tokio::sync::mpsc::channel(8);
    for number in 0..8 {
        sender.send(number).await.expect("the receiver is here");
    }
    drop(sender);
    let mut sum = 0;
    while let Some(number) = receiver.recv().await {
        sum += number;
    }
    sum.to_string()
}

/// Tokio lets a task do 128 operations in a row before it has to yield; the driver of the connections is one task.
#[test]
fn any_number_of_ready_operations_in_one_turn_causes_no_stall() {
    const REQUESTS: usize = 512;
    let total = Arc::new(Mutex::new(0));
    let server = serve(App::new(Arc::clone(&total)).routes(routes![locks]));
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET /locks HTTP/1.1\r\nhost: test\r\n\r\n".repeat(REQUESTS));
    }
    for client in &mut clients {
        for _ in 0..REQUESTS {
            assert_eq!(client.response().text(), "28");
        }
    }
    assert_eq!(*total.blocking_lock(), (clients.len() * REQUESTS * 8) as u64);
}

#[get("/first/{number}")]
async fn first(number: Path<usize>, gate: State<Gate>) -> String {
    let gate = gate.0;
    tokio::select! {
        () = gate.pass() => format!("{number} passed"),
        () = tokio::time::sleep(Duration::from_secs(3600)) => format!("{number} is late"),
    }
}

#[test]
fn disconnect_during_a_pending_handler_affects_no_other_client() {
    let gate = Gate::new();
    let server = serve(App::new(gate.clone()).routes(routes![waiting, first]));
    let mut clients = hang(&server, "/first", CONNECTIONS);
    wait_until_waiting(&server, CONNECTIONS);
    let mut kept = clients.split_off(CONNECTIONS / 2);
    drop(clients);
    gate.open(CONNECTIONS);
    assert_answers(&mut kept, |number| format!("{} passed", number + CONNECTIONS / 2));
}
