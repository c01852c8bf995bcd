//! A shutdown notifies handlers, and handlers of disconnected clients are finished too, within the deadline.

mod support;

use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use conduit::prelude::*;
use conduit::{ServerHandle, Shutdown, Tasks};
use support::handler_counts::HandlerCounts;
use support::{Running, pass_deadlines, start, wait_for};

/// The shutdown timeout: no test waits for it in real time.
const LIMIT: Duration = Duration::from_secs(3600);

/// Stops the server, and lets handlers and tasks finish once it no longer listens.
fn stop(running: &Running, counts: &HandlerCounts) {
    running.handle().stop();
    wait_for(|| TcpStream::connect(running.address).is_err());
    assert_eq!(counts.finished.load(SeqCst), 0);
    counts.go.add_permits(1);
}

#[get("/notified")]
async fn notified(shutdown: Shutdown, counts: State<HandlerCounts>) -> String {
    let before = shutdown.is_requested();
    counts.started.fetch_add(1, SeqCst);
    shutdown.requested().await;
    counts.go.acquire().await.expect("it stays open").forget();
    counts.finished.fetch_add(1, SeqCst);
    format!("{before} {}", shutdown.is_requested())
}

/// Does not end. At the shutdown it advances the clock of its worker beyond the deadline.
#[get("/endless")]
async fn endless(shutdown: Shutdown, counts: State<HandlerCounts>) {
    counts.started.fetch_add(1, SeqCst);
    shutdown.requested().await;
    pass_deadlines().await
}

/// Responds at once; its task continues until the server stops, and for a while after that.
#[get("/spawns")]
async fn spawns(tasks: Tasks, shutdown: Shutdown, counts: State<HandlerCounts>) {
    let counts = counts.0;
    tasks.spawn("a mail", async move {
        counts.started.fetch_add(1, SeqCst);
        shutdown.requested().await;
        counts.go.acquire().await.expect("it stays open").forget();
        counts.finished.fetch_add(1, SeqCst);
    });
}

/// Spawns a task that does not end. At the shutdown it advances the clock of its worker beyond the deadline.
#[get("/spawns-endless")]
async fn spawns_endless(tasks: Tasks, shutdown: Shutdown, counts: State<HandlerCounts>) {
    let guard = CountOnDrop(counts.0);
    tasks.spawn("an endless task", async move {
        guard.0.started.fetch_add(1, SeqCst);
        shutdown.requested().await;
        pass_deadlines().await
    });
}

struct CountOnDrop(HandlerCounts);

impl Drop for CountOnDrop {
    fn drop(&mut self) {
        self.0.finished.fetch_add(1, SeqCst);
    }
}

fn serve(counts: &HandlerCounts) -> (Running, ServerHandle) {
    let app = App::new(counts.clone())
        .routes(routes![notified, endless, spawns, spawns_endless])
        .workers(1)
        .shutdown_timeout(LIMIT);
    let running = start(app.listen("127.0.0.1:0").expect("it listens"));
    let handle = running.handle();
    (running, handle)
}

#[test]
fn handler_receives_the_shutdown_and_its_response_is_the_last() {
    let counts = HandlerCounts::default();
    let (running, handle) = serve(&counts);
    let mut client = running.connect();
    client.send("GET /notified HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| counts.started.load(SeqCst) == 1);
    assert!(!handle.is_stopping());
    stop(&running, &counts);
    assert!(handle.is_stopping());
    let response = client.response();
    assert_eq!(response.text(), "false true");
    assert_eq!(response.header("connection"), Some("close"));
    running.wait().expect("it ends well");
}

#[test]
fn a_handler_of_a_disconnected_client_is_finished() {
    let counts = HandlerCounts::default();
    let (running, _) = serve(&counts);
    let mut client = running.connect();
    client.send("GET /notified HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| counts.started.load(SeqCst) == 1);
    drop(client);
    stop(&running, &counts);
    running.wait().expect("it ends well");
    assert_eq!(counts.finished.load(SeqCst), 1);
}

#[test]
fn a_handler_that_does_not_end_does_not_hold_the_server() {
    let counts = HandlerCounts::default();
    let (running, handle) = serve(&counts);
    let mut stays = running.connect();
    stays.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut goes = running.connect();
    goes.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| counts.started.load(SeqCst) == 2);
    drop(goes);
    handle.stop();
    running.wait().expect("it ends well");
    assert!(stays.is_closed());
}

#[test]
fn task_of_a_handler_is_finished_after_the_response() {
    let counts = HandlerCounts::default();
    let (running, _) = serve(&counts);
    assert_eq!(running.get("/spawns").status, 200);
    wait_for(|| counts.started.load(SeqCst) == 1);
    stop(&running, &counts);
    running.wait().expect("it ends well");
    assert_eq!(counts.finished.load(SeqCst), 1);
}

#[test]
fn task_that_does_not_end_is_cut_off() {
    let counts = HandlerCounts::default();
    let (running, handle) = serve(&counts);
    assert_eq!(running.get("/spawns-endless").status, 200);
    wait_for(|| counts.started.load(SeqCst) == 1);
    handle.stop();
    running.wait().expect("it ends well");
    assert_eq!(counts.finished.load(SeqCst), 1, "the task is dropped");
}

#[test]
fn a_server_with_a_delay_continues_to_serve_and_is_no_longer_ready() {
    let app = App::new(()).routes(routes![conduit::health::readyz]).workers(1);
    let delayed = app.stop_delay(Duration::from_secs(3600));
    let running = start(delayed.listen("127.0.0.1:0").expect("it listens"));
    let mut client = running.connect();
    let ready = "GET /readyz HTTP/1.1\r\nhost: test\r\n\r\n";
    client.send(ready);
    assert_eq!(client.response().status, 200);
    running.handle().stop();
    assert!(!running.handle().is_ready() && !running.handle().is_stopping());
    client.send(ready);
    let response = client.response();
    assert_eq!((response.status, response.header("connection")), (503, None));
    assert_eq!(running.get("/readyz").status, 503, "it still accepts");
    running.handle().close();
    running.wait().expect("it ends well");
}

#[test]
fn a_server_stops_when_its_delay_is_over() {
    let app = App::new(()).routes(routes![conduit::health::readyz]).workers(1);
    // Real time: the delay passes on the thread that calls `serve`, whose clock no test advances.
    let delayed = app.stop_delay(Duration::from_millis(20));
    let running = start(delayed.listen("127.0.0.1:0").expect("it listens"));
    running.handle().stop();
    running.wait().expect("it ends well");
}

/// Blocks its worker until the test lets it continue.
#[get("/block")]
async fn block(barrier: State<Arc<Barrier>>) -> &'static str {
    barrier.wait();
    barrier.wait();
    "blocked"
}

#[get("/")]
async fn home() -> &'static str {
    "home"
}

/// A stop reset the connections that the worker had not accepted yet, and those whose next request it had not read.
#[test]
fn requests_that_were_sent_before_the_stop_are_served() {
    const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
    let barrier = Arc::new(Barrier::new(2));
    let running = support::serve(App::new(Arc::clone(&barrier)).routes(routes![block, home]));
    let mut idle = running.connect();
    idle.send(GET);
    assert_eq!(idle.response().text(), "home");
    let mut blocks = running.connect();
    blocks.send("GET /block HTTP/1.1\r\nhost: test\r\n\r\n");
    barrier.wait();
    idle.send(GET);
    let mut waiting: Vec<_> = (0..100).map(|_| running.connect()).collect();
    for client in &mut waiting {
        client.send(GET);
    }
    running.handle().stop();
    barrier.wait();
    for client in [&mut idle, &mut blocks].into_iter().chain(&mut waiting) {
        assert_eq!(client.response().status, 200);
        assert!(client.is_closed());
    }
    drop((idle, blocks, waiting));
    running.wait().expect("it ends well");
}
