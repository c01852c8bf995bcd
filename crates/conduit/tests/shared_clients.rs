//! Clients that one worker has opened and all workers use, such as a shared pool: they work until all workers have finished. A
//! worker without connections is idle at a stop, but its runtime drives the shared clients.
#![cfg(target_os = "linux")]

#[path = "support/redis.rs"]
mod redis_server;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use conduit::Shutdown;
use conduit::prelude::*;
use redis::aio::MultiplexedConnection;
use redis_server::RedisServer;
use support::wait_for;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc, oneshot};

/// The number of exchanges after the begin of the shutdown.
const EXCHANGES: usize = 50;

/// The clients, each opened at its first use.
#[derive(Clone, Default, FromRef)]
struct Clients {
    /// The URL or the address of the other side.
    upstream: String,
    /// A socket is registered with the runtime that opened it.
    socket: Arc<Mutex<Option<tokio::net::TcpStream>>>,
    /// Uses a task on the runtime that spawned it.
    task: Arc<Mutex<Option<Task>>>,
    /// A pool of connections, each driven by such a task.
    http: reqwest::Client,
    /// One connection for all, driven by such a task.
    redis: Arc<Mutex<Option<MultiplexedConnection>>>,
    waiting: Arc<AtomicUsize>,
}

type Task = mpsc::Sender<oneshot::Sender<String>>;

impl Clients {
    /// One exchange with the other side; the result is "pong".
    async fn exchange(&self, client: &str) -> Result<String, Problem> {
        match client {
            "socket" => self.exchange_on_socket().await,
            "task" => self.exchange_by_task().await,
            "http" => Ok(self.http.get(&self.upstream).send().await?.text().await?),
            "redis" => self.exchange_with_redis().await,
            other => Err(Problem::not_found(other.to_owned())),
        }
    }

    async fn exchange_on_socket(&self) -> Result<String, Problem> {
        let mut socket = self.socket.lock().await;
        if socket.is_none() {
            *socket = Some(tokio::net::TcpStream::connect(&self.upstream).await?);
        }
        let socket = socket.as_mut().expect("it was opened");
        socket.write_all(b"pong").await?;
        let mut echo = [0; 4];
        socket.read_exact(&mut echo).await?;
        Ok(String::from_utf8_lossy(&echo).into_owned())
    }

    async fn exchange_by_task(&self) -> Result<String, Problem> {
        let mut task = self.task.lock().await;
        if task.is_none() {
            let (sender, mut questions) = mpsc::channel::<oneshot::Sender<String>>(1);
            tokio::spawn(async move {
                while let Some(question) = questions.recv().await {
                    // A timer belongs to the runtime, too.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    let _ = question.send("pong".to_owned());
                }
            });
            *task = Some(sender);
        }
        let (ask, answer) = oneshot::channel();
        task.as_ref().expect("it was opened").send(ask).await?;
        Ok(answer.await?)
    }

    async fn exchange_with_redis(&self) -> Result<String, Problem> {
        let mut connection = self.redis.lock().await;
        if connection.is_none() {
            let client = redis::Client::open(&*self.upstream)?;
            *connection = Some(client.get_multiplexed_async_connection().await?);
        }
        let mut connection = connection.as_ref().expect("it was opened").clone();
        let echo = redis::cmd("ECHO").arg("pong").query_async(&mut connection).await?;
        Ok(echo)
    }
}

#[get("/thread")]
async fn thread() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

#[post("/open/{client}")]
async fn open(client: Path<String>, clients: State<Clients>) -> Result<String, Problem> {
    clients.exchange(&client).await
}

/// Uses the client after the server has begun to stop.
#[get("/use/{client}")]
async fn use_later(client: Path<String>, clients: State<Clients>, shutdown: Shutdown) -> Result<String, Problem> {
    clients.waiting.fetch_add(1, SeqCst);
    shutdown.requested().await;
    let mut done = 0;
    for _ in 0..EXCHANGES {
        done += usize::from(clients.exchange(&client).await? == "pong");
    }
    Ok(done.to_string())
}

#[get("/waiting")]
async fn waiting(waiting: State<Arc<AtomicUsize>>) -> String {
    waiting.load(SeqCst).to_string()
}

/// One worker opens the client and has no connection at the stop, when another worker uses the client.
fn works_until_all_workers_have_finished(client: &str, upstream: String) {
    let state = Clients {
        upstream,
        ..Clients::default()
    };
    let app = App::new(state)
        .routes(routes![thread, open, use_later, waiting])
        .workers(2);
    let server = support::start(app.listen("127.0.0.1:0").expect("it listens"));
    let connect = |avoided: &str| {
        for _ in 0..10_000 {
            // The kernel spreads connections by a hash of their ports.
            let mut client = server.connect();
            client.send("GET /thread HTTP/1.1\r\nhost: test\r\n\r\n");
            let thread = client.response().text().to_owned();
            if thread != avoided {
                return (client, thread);
            }
        }
        panic!("only {avoided} serves");
    };
    let (mut idle, thread) = connect("");
    let (mut busy, _) = connect(&thread);
    idle.send(format!(
        "POST /open/{client} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n"
    ));
    assert_eq!(idle.response().text(), "pong");
    drop(idle);
    busy.send(format!("GET /use/{client} HTTP/1.1\r\nhost: test\r\n\r\n"));
    wait_for(|| server.get("/waiting").text() == "1");
    server.handle().stop();
    let response = busy.response();
    assert_eq!((response.status, response.text()), (200, &*EXCHANGES.to_string()));
    server.wait().expect("it ends well");
}

/// Serves each connection on a thread, until it ends. Returns the address and the number of exchanges on the first connection.
fn start_upstream(serve: fn(TcpStream, &AtomicUsize)) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    let on_first = Arc::new(AtomicUsize::new(0));
    let mut count = Arc::clone(&on_first);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let count = std::mem::take(&mut count);
            std::thread::spawn(move || serve(stream.expect("a connection"), &count));
        }
    });
    (address, on_first)
}

fn echo(mut stream: TcpStream, exchanges: &AtomicUsize) {
    let mut bytes = [0; 4];
    // The thread ends with the server.
    while stream.read_exact(&mut bytes).is_ok() && stream.write_all(&bytes).is_ok() {
        exchanges.fetch_add(1, SeqCst);
    }
}

/// Responds to requests without bodies.
fn pong(stream: TcpStream, exchanges: &AtomicUsize) {
    let mut writer = stream.try_clone().expect("a descriptor");
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if line.is_empty() {
            exchanges.fetch_add(1, SeqCst);
            let response = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npong";
            writer.write_all(response).expect("the client reads");
        }
    }
}

#[test]
fn socket_of_an_idle_worker_works_until_all_workers_have_finished() {
    let (address, exchanges) = start_upstream(echo);
    works_until_all_workers_have_finished("socket", address.to_string());
    assert_eq!(exchanges.load(SeqCst), 1 + EXCHANGES);
}

#[test]
fn task_of_an_idle_worker_works_until_all_workers_have_finished() {
    works_until_all_workers_have_finished("task", String::new());
}

#[test]
fn pooled_http_connection_of_an_idle_worker_works_until_all_workers_have_finished() {
    let (address, exchanges) = start_upstream(pong);
    works_until_all_workers_have_finished("http", format!("http://{address}/"));
    // If a request follows another one very quickly, the pool opens another connection.
    assert!(
        exchanges.load(SeqCst) > 1,
        "the pool has used the connection of the idle worker"
    );
}

#[test]
fn redis_connection_of_an_idle_worker_works_until_all_workers_have_finished() {
    let Some(redis) = RedisServer::volatile() else { return };
    works_until_all_workers_have_finished("redis", redis.url());
}
