//! The life of connections and of the server: deadlines, limits, stops, addresses.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use conduit::Limit;
use conduit::prelude::*;
use conduit::testing::TestClient;

use super::{GET, ROUTES, TestState, server};
use crate::support::{self, serve, wait_for};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_head_that_does_not_end_in_time_is_408() {
    let client = TestClient::new(App::new(TestState::default()).routes(ROUTES).head_timeout(MINUTE));
    let mut slow = client.connect();
    assert!(slow.send("GET / HTTP/1.1\r\nhos"));
    client.advance(MINUTE / 2);
    assert_eq!(slow.received(), b"");
    client.advance(MINUTE);
    let response = String::from_utf8(slow.rest()).expect("ASCII");
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(
        response.contains("the head of the request did not arrive in time"),
        "{response}"
    );
}

#[test]
fn late_head_request_is_a_408_without_content() {
    let app = App::new(TestState::default()).routes(ROUTES);
    let client = TestClient::new(app.head_timeout(MINUTE).minimum_rate(1024, MINUTE));
    for request in [
        "HEAD ",
        "HEAD / HTTP/1.1\r\nhos",
        "HEAD / HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc",
        "HEAD /slow HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc",
    ] {
        let mut slow = client.connect();
        assert!(slow.send(request));
        client.advance(MINUTE / 2);
        client.advance(MINUTE);
        let response = String::from_utf8(slow.rest()).expect("ASCII");
        // A response to the first bytes of a body precedes its deadline.
        let is_late = !request.starts_with("HEAD / HTTP/1.1\r\nhost: ");
        assert_eq!(response.starts_with("HTTP/1.1 408 "), is_late, "{request}: {response}");
        assert!(response.ends_with("\r\n\r\n"), "{request}: {response}");
    }
}

#[test]
fn a_body_that_comes_too_slowly_is_408() {
    let app = App::new(TestState::default()).routes(ROUTES).minimum_rate(1024, MINUTE);
    let client = TestClient::new(app);
    let mut slow = client.connect();
    assert!(slow.send("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc"));
    client.advance(MINUTE / 2);
    assert_eq!(slow.received(), b"");
    client.advance(MINUTE);
    assert!(slow.rest().starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn a_connection_without_a_request_is_closed_after_the_idle_time() {
    let client = TestClient::new(App::new(TestState::default()).routes(ROUTES).idle_timeout(MINUTE));
    let (mut silent, mut served) = (client.connect(), client.connect());
    assert!(served.send(GET));
    client.advance(MINUTE / 2);
    assert!(served.received().ends_with(b"Hello, World!"));
    assert!(!silent.is_closed() && !served.is_closed());
    client.advance(MINUTE);
    assert!(silent.is_closed() && served.is_closed());
}

#[test]
fn a_client_that_never_reads_its_response_is_disconnected() {
    let state = TestState::default();
    let app = App::new(state.clone())
        .routes(ROUTES)
        .minimum_rate(1 << 30, Duration::from_secs(1));
    let server = serve(app);
    let mut client = server.connect();
    client.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| server.handle().statistics().limit_hits(Limit::WriteRate) == 1);
    wait_for(|| server.handle().statistics().open_connections == 0);
    let asked = state.asked.load(Relaxed);
    client.rest();
    assert_eq!(
        state.asked.load(Relaxed),
        asked,
        "the stream is dropped with its connection"
    );
}

#[test]
fn more_connections_than_the_limit_wait_and_are_served_later() {
    let server = serve(App::new(TestState::default()).routes(ROUTES).connection_limit(2));
    let mut first = server.connect();
    let mut second = server.connect();
    for client in [&mut first, &mut second] {
        client.send(GET);
        assert_eq!(client.response().status, 200);
    }
    let mut third = server.connect();
    third.send(GET);
    drop(first);
    assert_eq!(third.response().status, 200);
}

#[test]
fn shutdown_finishes_requests_and_closes_idle_connections() {
    let state = TestState::default();
    let server = serve(App::new(state.clone()).routes(ROUTES));
    let mut idle = server.connect();
    idle.send(GET);
    assert_eq!(idle.response().status, 200);
    let mut busy = server.connect();
    busy.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| server.handle().statistics().requests == 2);
    server.handle().stop();
    assert!(idle.is_closed());
    state.gate.0.notify_one();
    let response = busy.response();
    assert_eq!(
        (response.text(), response.header("connection")),
        ("slow", Some("close"))
    );
    assert!(busy.is_closed());
    let address = server.address;
    server.wait().expect("the server ends well");
    assert!(std::net::TcpStream::connect(address).is_err(), "no listener is left");
}

#[test]
fn a_shutdown_has_a_deadline() {
    /// Advances the clock of its worker beyond the deadline.
    #[get("/pass-deadlines")]
    async fn pass_deadlines(shutdown: conduit::Shutdown) {
        shutdown.requested().await;
        support::pass_deadlines().await
    }

    let state = TestState::default();
    let app = App::new(state.clone())
        .routes(routes![ROUTES, pass_deadlines])
        .shutdown_timeout(60 * MINUTE);
    let server = serve(app);
    let mut client = server.connect();
    client.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| state.asked.load(Relaxed) > 0);
    let mut clock = server.connect();
    clock.send("GET /pass-deadlines HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| server.handle().statistics().requests == 2);
    server.handle().stop();
    server.wait().expect("the server ends although a response does not");
}

#[test]
fn several_workers_serve_on_one_address() {
    #[get("/worker")]
    fn worker() -> String {
        format!("{:?}", std::thread::current().id())
    }

    let app = App::new(()).routes(routes![worker]).workers(4);
    let server = support::start(app.listen("127.0.0.1:0").expect("listening"));
    let mut workers = BTreeSet::new();
    // The kernel distributes connections by a hash of their ports: a worker that gets none of a thousand does not serve.
    let connections = (0..1000).take_while(|_| {
        workers.insert(server.get("/worker").text().to_owned());
        workers.len() < 4
    });
    connections.for_each(drop);
    assert_eq!(workers.len(), 4, "{workers:?}");
}

#[test]
fn ipv6_is_served() {
    let server = App::new(TestState::default())
        .routes(ROUTES)
        .listen("[::1]:0")
        .expect("listening on ::1");
    let server = support::start(server);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named_with_a_remedy() {
    let taken = server();
    let error = App::new(TestState::default())
        .routes(ROUTES)
        .listen(taken.address)
        .err()
        .expect("the port is taken");
    let text = error.to_string();
    assert!(text.contains(&taken.address.to_string()), "{text}");
    assert!(text.contains("in use"), "{text}");
    let error = App::new(TestState::default())
        .routes(ROUTES)
        .listen("nonsense")
        .err()
        .expect("no address");
    let text = error.to_string();
    assert!(
        text.contains("\"nonsense\"") && text.contains("such as 127.0.0.1:8080"),
        "{text}"
    );
}

#[test]
fn tasks_of_a_state_run_while_the_server_serves() {
    use tokio::sync::{mpsc, oneshot};

    #[derive(Clone)]
    struct CounterTask(mpsc::Sender<oneshot::Sender<u64>>);

    async fn start() -> Result<CounterTask, std::io::Error> {
        let (sender, mut receiver) = mpsc::channel::<oneshot::Sender<u64>>(1);
        tokio::spawn(async move {
            let mut count = 0;
            while let Some(answer) = receiver.recv().await {
                count += 1;
                let _ = answer.send(count);
            }
        });
        Ok(CounterTask(sender))
    }

    #[get("/count")]
    async fn count(counter: State<CounterTask>) -> Result<String, Problem> {
        let (sender, receiver) = oneshot::channel();
        counter.0.0.send(sender).await?;
        Ok(receiver.await?.to_string())
    }

    let server = serve(App::open(start()).expect("the state is made").routes(routes![count]));
    for expected in ["1", "2", "3"] {
        assert_eq!(server.get("/count").text(), expected);
    }
}

/// Other systems have no flag for it.
#[cfg(target_os = "linux")]
#[test]
fn the_end_of_a_connection_is_in_the_packet_of_its_last_response() {
    use std::io::{Read, Write};

    use conduit_net::{Options, option};

    let server = server();
    // An acknowledgement may have its own packet: the least of several connections has none.
    let least_packets = |connection: &str| {
        let packets = |_| {
            let mut stream = std::net::TcpStream::connect(server.address).expect("the server accepts");
            let request = GET.replace("\r\n\r\n", &format!("\r\nconnection: {connection}\r\n\r\n"));
            stream.write_all(request.as_bytes()).expect("the server reads");
            let mut received = Vec::new();
            while !received.ends_with(b"Hello, World!") {
                let mut buffer = [0; 1024];
                let bytes = stream.read(&mut buffer).expect("a response arrives");
                received.extend_from_slice(&buffer[..bytes]);
            }
            if connection == "close" {
                assert_eq!(stream.read(&mut [0]).expect("the end arrives"), 0);
            }
            stream.option(option::TCP_INFO).expect("Linux has it").segments_received
        };
        (0..50).map(packets).min()
    };
    assert_eq!(least_packets("close"), least_packets("keep-alive"));
}
