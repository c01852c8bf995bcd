//! Malicious clients, and others that must be served meanwhile. No test depends on time: each counts responses, and afterwards the
//! descriptors of this process, which contains both the server and its clients.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conduit_conformance::client::Client;
use conduit_conformance::process::{Target, descriptor_limit};
use conduit_conformance::server::{Running, Wire};

/// Serializes the attacks, because they count the descriptors of the process.
static ALONE: Mutex<()> = Mutex::new(());

/// The number of checks for released descriptors before a test fails.
const LOOKS: usize = 2000;

/// Descriptors that a test may need in addition to those of its connections.
const SPARE_DESCRIPTORS: usize = 200;

/// A server under attack, and the number of descriptors that the process had before.
struct Attacked {
    server: Running,
    bystander: Client,
    before: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Attacked {
    fn start() -> Self {
        Self::start_on(Wire::Tcp)
    }

    fn start_on(wire: Wire) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let server = Running::start_on(wire);
        let mut bystander = server.connect();
        bystander.probe();
        Self {
            server,
            bystander,
            before: descriptors(),
            _alone: alone,
        }
    }

    /// An attacker; over TLS, before its handshake.
    fn connect(&self) -> Client {
        Client::connect(self.server.address())
    }

    /// An existing client and a new client both receive responses; over TLS, after a handshake.
    fn others_are_answered(&mut self) {
        self.bystander.probe();
        self.server.connect().probe();
    }

    /// Checks after the attack that the server responds, and that no descriptor of the attack remains.
    fn is_as_before(&mut self) {
        for _ in 0..LOOKS {
            self.others_are_answered();
            if descriptors() <= self.before {
                return;
            }
            // The server notices the close of a client in a later turn.
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{} descriptors before, {} now", self.before, descriptors());
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}

/// The number of connections for a test that requests `wanted`, each with a number of descriptors here. Prints a message if it is lower.
fn affordable(wanted: usize, each: usize) -> usize {
    let limit = descriptor_limit();
    let possible = limit.saturating_sub(SPARE_DESCRIPTORS) / each;
    if possible < wanted {
        eprintln!("the limit of {limit} descriptors allows {possible} connections in place of {wanted}");
    } else {
        eprintln!("the limit of {limit} descriptors allows all {wanted} connections");
    }
    possible.min(wanted)
}

#[test]
fn a_thousand_clients_that_send_a_head_byte_by_byte() {
    let mut attacked = Attacked::start();
    let head = b"GET /seen/slow HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut clients: Vec<Client> = (0..affordable(1000, 2)).map(|_| attacked.connect()).collect();
    for byte in head {
        for client in &mut clients {
            assert!(client.send(&[*byte]));
        }
        attacked.others_are_answered();
    }
    for client in &mut clients {
        client
            .read_until(b"GET /seen/slow")
            .expect("each gets a response in the end");
    }
    drop(clients);
    attacked.is_as_before();
}

/// The server is a separate process: both ends of each connection would exceed the descriptor limit of one process.
#[test]
fn ten_thousand_silent_connections() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let count = affordable(10_000, 1);
    let server = Target::start(&[]);
    let mut bystander = Client::connect(server.address());
    let mut others_are_answered = || {
        bystander.probe();
        Client::connect(server.address()).probe();
    };
    others_are_answered();
    let before = server.descriptors();
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        clients.push(Client::connect(server.address()));
        if clients.len() % 100 == 0 {
            others_are_answered();
        }
    }
    // The server holds all of them at the same time.
    wait_for("all are accepted", || server.descriptors() >= count);
    for client in clients.iter_mut().step_by(50) {
        client.probe();
        others_are_answered();
    }
    drop(clients);
    wait_for("all are released", || {
        others_are_answered();
        // A worker may not have started yet at the first count.
        server.descriptors() <= before + SPARE_DESCRIPTORS
    });
}

fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let mut looks = 0..LOOKS;
    while !so() {
        assert!(looks.next().is_some(), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_thousand_handshakes_that_stall() {
    let mut attacked = Attacked::start_on(Wire::Tls);
    let hello = attacked.server.client_hello();
    // Nothing; a part of the record's head, and all of it; half of the message; all but a byte; and all of it, after which the
    // server has generated its keys and waits.
    let lengths = [0, 1, 5, hello.len() / 2, hello.len() - 1, hello.len()];
    let mut clients = Vec::new();
    for (number, length) in (0..affordable(1000, 2)).zip(lengths.into_iter().cycle()) {
        let mut client = attacked.connect();
        assert!(client.send(&hello[..length]));
        clients.push(client);
        if number % 20 == 0 {
            attacked.others_are_answered();
        }
    }
    drop(clients);
    attacked.is_as_before();
}

#[test]
fn two_hundred_handshakes_byte_by_byte() {
    let mut attacked = Attacked::start_on(Wire::Tls);
    let hello = attacked.server.client_hello();
    let mut clients: Vec<Client> = (0..200).map(|_| attacked.connect()).collect();
    for (place, byte) in hello.iter().enumerate() {
        for client in &mut clients {
            assert!(client.send(&[*byte]));
        }
        if place % 16 == 0 {
            attacked.others_are_answered();
        }
    }
    for client in &mut clients {
        // The ServerHello: a TLS record of type 22 that contains a message of type 2.
        client.read_until(&[22, 3, 3]).expect("each gets a response in the end");
    }
    drop(clients);
    attacked.is_as_before();
}

#[test]
fn a_message_of_the_handshake_without_end() {
    let mut attacked = Attacked::start_on(Wire::Tls);
    let mut clients: Vec<Client> = (0..100).map(|_| attacked.connect()).collect();
    // A hello of 16 MiB, in records of a KiB.
    let mut record = [&[22, 3, 1, 4, 0, 1, 255, 255, 255], &[0; 1020][..]].concat();
    for _ in 0..100 {
        for client in &mut clients {
            // The server stops reading at some point.
            client.send(&record);
        }
        attacked.others_are_answered();
        record.truncate(5);
        record.extend([0; 1024]);
    }
    for client in &mut clients {
        client.end();
        let answer = client.rest().expect("the server closes");
        // An alert (21), if a reset did not come before it.
        assert!(matches!(answer.first(), None | Some(21)), "{answer:?}");
    }
    drop(clients);
    attacked.is_as_before();
}

/// Sends requests until the server accepts no more on any connection, because it must not buffer without bound. Returns the number
/// of bytes that it accepted on each.
fn send_until_full(attacked: &mut Attacked, clients: &[Client], request: &[u8]) -> Vec<usize> {
    let requests = request.repeat(512);
    for client in clients {
        client
            .stream()
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
    }
    let mut taken = vec![0_usize; clients.len()];
    let mut open: Vec<usize> = (0..clients.len()).collect();
    while !open.is_empty() {
        open.retain(|&index| {
            // A request that was taken in part continues where it stopped.
            let rest = &requests[taken[index] % request.len()..];
            match clients[index].stream().write(rest) {
                Ok(count) => {
                    taken[index] += count;
                    assert!(taken[index] < 256 << 20, "the server accepts requests without bound");
                    true
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Err(error) => panic!("{error}"),
            }
        });
        attacked.others_are_answered();
    }
    taken
}

#[test]
fn two_hundred_pipelines_with_unread_responses() {
    let mut attacked = Attacked::start();
    let clients: Vec<Client> = (0..200).map(|_| attacked.connect()).collect();
    send_until_full(&mut attacked, &clients, b"GET /large/16 HTTP/1.1\r\nHost: a\r\n\r\n");
    drop(clients);
    attacked.is_as_before();
}

#[test]
fn pipelines_that_are_read_late_have_all_their_responses() {
    const REQUEST: &[u8] = b"GET /seen/x HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut attacked = Attacked::start();
    let mut clients: Vec<Client> = (0..3).map(|_| attacked.connect()).collect();
    let taken = send_until_full(&mut attacked, &clients, REQUEST);
    for (client, taken) in clients.iter_mut().zip(taken) {
        client
            .stream()
            .set_nonblocking(false)
            .expect("a socket can be blocking");
        client.end();
        let answers = client.rest().expect("the server closes");
        let count = answers.windows(11).filter(|window| window == b"GET /seen/x").count();
        assert_eq!(count, taken / REQUEST.len());
    }
    drop(clients);
    attacked.is_as_before();
}

/// Sends a beginning and then repeats a piece until the server closes.
fn send_without_end(beginning: &[u8], piece: &[u8], status: &str) {
    let mut attacked = Attacked::start();
    let mut clients: Vec<Client> = (0..100).map(|_| attacked.connect()).collect();
    for client in &mut clients {
        client.send(beginning);
    }
    for _ in 0..100 {
        for client in &mut clients {
            // The server stops reading at some point.
            client.send(piece);
        }
        attacked.others_are_answered();
    }
    for client in &mut clients {
        client.end();
        let answer = String::from_utf8(client.rest().expect("the server closes")).expect("answers are text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
    drop(clients);
    attacked.is_as_before();
}

const CHUNKED: &str = "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn chunk_extensions_without_end() {
    send_without_end(format!("{CHUNKED}1;").as_bytes(), &[b'e'; 997], "400");
}

#[test]
fn chunks_of_a_byte_with_extensions_without_end() {
    send_without_end(CHUNKED.as_bytes(), &b"1;eeeeeeeeee\r\na\r\n".repeat(10), "400");
}

#[test]
fn trailers_without_end() {
    send_without_end(format!("{CHUNKED}0\r\n").as_bytes(), &b"X: y\r\n".repeat(10), "431");
}

#[test]
fn fields_without_end() {
    send_without_end(b"GET / HTTP/1.1\r\nHost: a\r\n", &b"X: y\r\n".repeat(10), "431");
}

#[test]
fn a_value_without_end() {
    send_without_end(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", &[b'v'; 997], "431");
}

#[test]
fn a_target_without_end() {
    send_without_end(b"GET /", &[b'a'; 997], "414");
}

#[test]
fn a_body_without_end() {
    send_without_end(CHUNKED.as_bytes(), &b"5\r\nabcde\r\n".repeat(100), "413");
}

#[test]
fn clients_that_reset_in_every_state() {
    let mut attacked = Attacked::start();
    let states: [&[u8]; 14] = [
        b"",
        b"\r\n",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /large/1000 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
        b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\nabc",
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for _ in 0..10 {
        for state in states {
            // Before the server has read it, and after.
            for seen in [false, true] {
                let mut client = attacked.connect();
                client.send(state);
                if seen {
                    attacked.others_are_answered();
                }
                let linger = Some(Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(client.stream(), linger).expect("lingering can be set");
                drop(client);
                attacked.bystander.probe();
            }
        }
    }
    attacked.is_as_before();
}

#[test]
fn clients_that_read_a_large_response_by_single_bytes() {
    let mut attacked = Attacked::start();
    let mut clients: Vec<Client> = (0..50).map(|_| attacked.connect()).collect();
    for client in &mut clients {
        client.send(b"GET /large/1000 HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for _ in 0..1000 {
        for client in &clients {
            let count = client.stream().read(&mut [0]).expect("the response continues");
            assert_eq!(count, 1);
        }
    }
    attacked.others_are_answered();
    drop(clients);
    attacked.is_as_before();

    // The response is the same as in one piece.
    let client = attacked.connect();
    let mut stream = client.stream();
    let mut sender = attacked.connect();
    assert!(sender.send(b"GET /large/4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    let body = sender.rest().expect("the server closes");
    assert!(body.ends_with(b"\r\n0\r\n\r\n"));
    std::io::Write::write_all(
        &mut stream,
        b"GET /large/4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .expect("taken");
    let mut single = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).expect("the response continues") == 1 {
        single.push(byte[0]);
    }
    assert_eq!(single.len(), body.len());
    drop((client, sender));
    attacked.is_as_before();
}
