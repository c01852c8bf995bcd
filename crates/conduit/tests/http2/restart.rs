//! A program that is replaced at SIGUSR2, and stopped by SIGTERM, while clients of HTTP/2 have streams open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use conduit::prelude::*;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use rustix::process::Signal;

use crate::support::program::{Directory, Program, begin_program, has_ended, program, wait_for};
use crate::support::wake_from_other_threads;

const CLIENTS: usize = 6;
/// The number of concurrent streams of a client.
const STREAMS: usize = 8;
const RESTARTS: usize = 3;

#[get("/process")]
async fn process() -> String {
    std::process::id().to_string()
}

#[get("/later/{value}")]
async fn later(value: Path<String>) -> String {
    wake_from_other_threads(30).await;
    value.0
}

#[post("/echo")]
async fn echo(body: Bytes) -> Bytes {
    body
}

/// The program that the test starts: this file run again.
pub(crate) fn run_program() {
    begin_program();
    let ended = App::new(())
        .routes(routes![process, later, echo, crate::websocket_echo])
        .run();
    std::process::exit(i32::from(ended.is_err()));
}

/// The clients' view of the server.
#[derive(Default)]
struct Progress {
    /// The server was stopped: a refused connection is expected.
    is_stopped: AtomicBool,
    responses: AtomicU64,
}

async fn connect(address: SocketAddr) -> Option<SendRequest<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let (client, connection) = h2::client::handshake(stream).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// One request; an error is a failed stream.
async fn exchange(mut client: SendRequest<Bytes>, number: u64) -> Result<(), h2::Error> {
    let body = Bytes::from(vec![b'e'; number as usize % 3000]);
    let is_echo = number.is_multiple_of(2);
    let request = match is_echo {
        true => http::Request::post("http://a/echo").body(()),
        false => http::Request::get(format!("http://a/later/{number}")).body(()),
    };
    let (response, mut sending) = client.send_request(request.expect("a request"), !is_echo)?;
    if is_echo {
        sending.send_data(body.clone(), true)?;
    }
    let (head, mut received) = response.await?.into_parts();
    assert_eq!(head.status, StatusCode::OK);
    let mut bytes = Vec::new();
    while let Some(piece) = received.data().await {
        let piece = piece?;
        let _ = received.flow_control().release_capacity(piece.len());
        bytes.extend(piece);
    }
    match is_echo {
        true => assert!(bytes == body),
        false => assert_eq!(bytes, number.to_string().into_bytes()),
    }
    Ok(())
}

/// Sends requests, on a new connection after the server has announced the end of one, until the server is stopped.
async fn use_server(address: SocketAddr, progress: Arc<Progress>) {
    let mut number = 0;
    loop {
        let Some(client) = connect(address).await else {
            assert!(progress.is_stopped.load(Ordering::SeqCst), "a connection is refused");
            return;
        };
        let mut on_connection = 0;
        // An error means that the connection takes no more requests.
        while let Ok(ready) = client.clone().ready().await {
            let mut streams = tokio::task::JoinSet::new();
            for _ in 0..STREAMS {
                number += 1;
                streams.spawn(exchange(ready.clone(), number));
            }
            while let Some(ended) = streams.join_next().await {
                match ended.expect("a whole response") {
                    Ok(()) => {
                        on_connection += 1;
                        progress.responses.fetch_add(1, Ordering::SeqCst);
                    }
                    // The crate received GOAWAY between `ready` and the request, and did not send the request.
                    Err(error) if error.is_go_away() && error.is_remote() => {}
                    // The kernel has accepted the connection, but the stopping server has not.
                    Err(error) if error.is_io() && on_connection == 0 && progress.is_stopped.load(Ordering::SeqCst) => {
                    }
                    Err(error) => assert!(
                        !error.is_reset() && !error.is_io(),
                        "a stream has failed after {on_connection} responses: {error:?}"
                    ),
                }
            }
        }
    }
}

fn run_clients(address: SocketAddr, progress: &Arc<Progress>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(use_server(address, Arc::clone(progress)));
        }
        while let Some(ended) = clients.join_next().await {
            ended.expect("no stream fails");
        }
    });
}

#[test]
fn a_restart_and_a_stop_fail_no_stream() {
    let directory = Directory::new("http2");
    let mut program = Program::start(&mut program(&directory), 1);
    let progress = Arc::new(Progress::default());
    let (address, of_clients) = (program.tcp(), Arc::clone(&progress));
    let clients = std::thread::spawn(move || run_clients(address, &of_clients));
    let mut processes = vec![program.child.id()];
    for _ in 0..RESTARTS {
        let before = progress.responses.load(Ordering::SeqCst);
        assert!(!clients.is_finished(), "a client has failed: {}", program.log());
        let enough = || (progress.responses.load(Ordering::SeqCst) >= before + 300).then_some(());
        wait_for(enough, || format!("responses: {}", program.log()));
        processes.push(program.replace(*processes.last().expect("there is one")));
    }
    progress.is_stopped.store(true, Ordering::SeqCst);
    let (last, gone) = processes.split_last().expect("there is one");
    program.signal(*last, Signal::TERM);
    clients.join().expect("no stream fails");
    program.assert_ends_well();
    for &process in gone {
        wait_for(
            || has_ended(process).then_some(()),
            || format!("an end: {}", program.log()),
        );
    }
}

/// A WebSocket on a stream of HTTP/2.
struct Socket {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    received: Vec<u8>,
}

impl Socket {
    /// Opens one on a new connection, and exchanges a message.
    async fn open(address: SocketAddr) -> Self {
        let client = connect(address).await.expect("no connection is refused");
        // After a response the client has the settings of the server.
        exchange(client.clone(), 1).await.expect("a response");
        assert!(client.is_extended_connect_protocol_enabled());
        let request = http::Request::connect("http://a/websocket")
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(());
        let mut client = client.ready().await.expect("the connection is open");
        let (response, sending) = client
            .send_request(request.expect("a request"), false)
            .expect("it is sent");
        let response = response.await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        let mut socket = Socket {
            sending,
            receiving: response.into_body(),
            received: Vec::new(),
        };
        socket.send(b"\x81\x85\0\0\0\0hello", false);
        assert_eq!(socket.read(7).await, b"\x81\x05hello");
        socket
    }

    fn send(&mut self, bytes: &[u8], is_last: bool) {
        let sent = self.sending.send_data(Bytes::copy_from_slice(bytes), is_last);
        sent.expect("the stream is open");
    }

    async fn read(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length {
            let piece = self.receiving.data().await.expect("more bytes").expect("no reset");
            let _ = self.receiving.flow_control().release_capacity(piece.len());
            self.received.extend(piece);
        }
        self.received.drain(..length).collect()
    }

    /// Reads Close, responds, and reads the end of the stream. Returns the code.
    async fn close(mut self) -> u16 {
        let head = self.read(4).await;
        assert_eq!(head[0], 0x88);
        self.read(usize::from(head[1]) - 2).await;
        self.send(&[b"\x88\x82\0\0\0\0", &head[2..]].concat(), true);
        while let Some(piece) = self.receiving.data().await {
            self.received.extend(piece.expect("no reset"));
        }
        assert_eq!(self.received, b"", "Close is the last frame");
        u16::from_be_bytes([head[2], head[3]])
    }
}

#[test]
fn a_restart_closes_a_websocket_with_1012_and_a_stop_with_1001() {
    let directory = Directory::new("http2-websocket");
    let mut program = Program::start(&mut program(&directory), 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let old = runtime.block_on(Socket::open(program.tcp()));
    let successor = program.replace(program.child.id());
    assert_eq!(runtime.block_on(old.close()), 1012);
    program.assert_ends_well();
    let new = runtime.block_on(Socket::open(program.tcp()));
    program.signal(successor, Signal::TERM);
    assert_eq!(runtime.block_on(new.close()), 1001);
}
