//! A program that replaces itself at SIGUSR2 while clients use it: over TCP, TLS and a Unix socket; and a successor that fails.
#![cfg(all(feature = "tls", target_os = "linux"))]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use conduit::prelude::*;
use conduit::{Shutdown, Tls, health};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::program::{
    Directory, OnDrop, Program, ProgramClient, TIMEOUT, begin_program, connect, has_ended, program, use_it, wait_for,
};
use support::wake_from_other_threads;

#[get("/process")]
async fn process() -> String {
    std::process::id().to_string()
}

#[post("/echo")]
async fn echo(body: Bytes) -> Bytes {
    body
}

#[get("/later/{value}")]
async fn later(value: Path<String>) -> String {
    wake_from_other_threads(30).await;
    value.0
}

const LARGE: usize = 2 << 20;

/// Responds when the process stops or is replaced.
#[get("/large")]
async fn large(shutdown: Shutdown) -> Vec<u8> {
    writeln!(std::io::stderr(), "waits for the shutdown").expect("the test reads");
    shutdown.requested().await;
    vec![b'l'; LARGE]
}

/// Not a test: the program that the tests start, which is this file run again.
#[test]
#[ignore = "a program of the tests"]
fn the_program() {
    let directory = begin_program();
    let broken = directory.join("broken");
    let open = move || {
        let is_broken = broken.exists();
        async move {
            match is_broken {
                true => Err(std::io::Error::other("no database")),
                false => Ok(()),
            }
        }
    };
    let mut app = App::open_per_worker(open).routes(routes![process, echo, later, large, health::readyz]);
    if directory.join("key.pem").exists() {
        app = app.tls(Tls::files(directory.join("chain.pem"), directory.join("key.pem")));
    }
    let ended = app.run();
    if let Err(error) = &ended {
        tracing::error!(%error, "ended");
    }
    std::process::exit(i32::from(ended.is_err()));
}

/// Sends one of three requests, and checks its response.
fn ask_and_check<T: Read + Write>(client: &mut ProgramClient<T>, turn: u64) {
    let value = format!("{turn}");
    let body = match turn % 3 {
        0 => client.get(&format!("/later/{value}")),
        1 => client.ask(&format!(
            "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{value}",
            value.len()
        )),
        _ => {
            let process = client.get("/process");
            assert!(process.parse::<u32>().is_ok(), "{process}");
            return;
        }
    };
    assert_eq!(body, value);
}

/// A certificate for `localhost` in the test's directory, and a client that trusts it.
fn certificate(directory: &Directory) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let chain = made.cert.pem();
    fs::write(directory.path("chain.pem"), &chain).expect("a file");
    fs::write(directory.path("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM"))
        .expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn connect_tls(address: SocketAddr, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::clone(config), name).expect("a client");
    StreamOwned::new(client, connect(address))
}

fn connect_unix(path: &path::Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("no connection is refused");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    stream
}

/// A number from the environment, for a larger run.
fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |value| value.parse().expect("a number"))
}

#[test]
fn clients_see_no_refused_connection_and_no_broken_response_while_the_server_is_replaced() {
    let directory = Directory::new("clients");
    let config = certificate(&directory);
    let path = directory.path("socket");
    let addresses = format!("http://127.0.0.1:0,https://127.0.0.1:0,unix:{}", path.display());
    let program = Program::start(program(&directory).env("CONDUIT_ADDR", addresses), 3);
    let (plain, secure) = (program.tcp(), program.address("https://").parse().expect("an address"));
    let (clients, restarts) = (number("RESTART_CLIENTS", 12), number("RESTART_TIMES", 5));
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut processes = vec![program.process()];
    std::thread::scope(|scope| {
        // After a failure in this scope the clients must stop.
        let _stop = OnDrop(&stop);
        let mut all = Vec::new();
        for client in 0..clients {
            let (stop, answered, config, path) = (&stop, &answered, &config, &path);
            let keeps = client % 2 == 0;
            all.push(scope.spawn(move || match client % 12 {
                0 | 1 => use_it(|| connect_tls(secure, config), ask_and_check, keeps, stop, answered),
                2 | 3 => use_it(|| connect_unix(path), ask_and_check, keeps, stop, answered),
                _ => use_it(|| connect(plain), ask_and_check, keeps, stop, answered),
            }));
        }
        for _ in 0..restarts {
            let before = answered.load(SeqCst);
            processes.push(program.replace(*processes.last().expect("there is one")));
            // Each process serves requests before it is replaced.
            let enough = || (answered.load(SeqCst) >= before + 3 * clients as u64).then_some(());
            let failed = all.iter().any(|client| client.is_finished());
            assert!(!failed, "a client has failed: {}", program.log());
            wait_for(enough, || format!("an answer: {}", program.log()));
        }
        stop.store(true, SeqCst);
    });
    let different: BTreeSet<u32> = processes.iter().copied().collect();
    assert_eq!(different.len(), restarts + 1, "{processes:?}");
    let (last, gone) = processes.split_last().expect("there is one");
    for &process in gone {
        wait_for(
            || has_ended(process).then_some(()),
            || format!("an end of {process}: {}", program.log()),
        );
    }
    let answered = answered.load(SeqCst);
    // Printed with `--nocapture`.
    let _ = writeln!(
        std::io::stdout(),
        "{answered} answers of {restarts} successors to {clients} clients, all whole"
    );
    // The file of the Unix socket belongs to the last process, which removes it.
    assert!(path.exists());
    program.signal(*last, Signal::TERM);
    wait_for(
        || (!path.exists()).then_some(()),
        || "an end of the socket's file".to_owned(),
    );
}

#[test]
fn a_connection_that_waits_is_answered_by_the_old_process_and_sent_to_the_new_one() {
    let directory = Directory::new("waits");
    let mut program = Program::start(&mut program(&directory), 1);
    let (mut early, mut silent) = (program.connect(), program.connect());
    let old: u32 = early.get("/process").parse().expect("a number");
    assert_eq!(old, program.child.id());
    let new = program.replace(old);
    assert_ne!(new, old);
    // Neither connection has been closed, and neither counts as idle for the end of the server.
    assert_eq!(early.get("/readyz"), "ready\n");
    assert!(early.closes, "the next request is for the new process");
    let answer = silent.get("/process");
    assert!(silent.closes);
    // Either of the two may have accepted it.
    assert!(answer == old.to_string() || answer == new.to_string());
    program.assert_ends_well();
    assert_eq!(program.process(), new);
}

/// The response at a handover closes its connection, and bytes that arrive after it must not reset it.
#[test]
fn a_response_at_a_handover_arrives_whole_although_the_client_sends_more() {
    let directory = Directory::new("large");
    let mut program = Program::start(&mut program(&directory), 1);
    let mores = ["\r\n", "GET /process HTTP/1.1\r\nhost: test\r\n\r\n"];
    let mut clients = mores.map(|_| program.connect().stream);
    for client in &mut clients {
        client
            .write_all(b"GET /large HTTP/1.1\r\nhost: test\r\n\r\n")
            .expect("taken");
    }
    program.wait_for_log("two requests in progress", |log| {
        log.matches("waits for the shutdown").count() == clients.len()
    });
    program.replace(program.child.id());
    for (client, more) in clients.iter_mut().zip(mores) {
        let mut received = vec![0; 16];
        client.read_exact(&mut received).expect("the response has begun");
        client.write_all(more.as_bytes()).expect("taken");
        client.read_to_end(&mut received).expect("no reset");
        let head = received.windows(4).position(|window| window == b"\r\n\r\n");
        let head = head.expect("a head") + 4;
        assert!(String::from_utf8_lossy(&received[..head]).contains("\r\nconnection: close\r\n"));
        assert_eq!(received.len() - head, LARGE);
    }
    program.assert_ends_well();
}

#[test]
fn old_process_ends_at_its_shutdown_timeout_with_an_idle_client() {
    let directory = Directory::new("ends");
    let mut program = Program::start(program(&directory).env("CONDUIT_SHUTDOWN_TIMEOUT", "1s"), 1);
    let mut idle = program.connect();
    let old = idle.get("/process").parse().expect("a number");
    program.replace(old);
    program.assert_ends_well();
    assert_eq!(idle.stream.read(&mut [0]).expect("it is closed well"), 0);
    assert!(!program.log().contains("closed at the shutdown"), "{}", program.log());
}

#[test]
fn a_signal_to_stop_ends_an_old_process_that_only_waits() {
    let directory = Directory::new("stops");
    let mut program = Program::start(&mut program(&directory), 1);
    let mut idle = program.connect();
    let old = idle.get("/process").parse().expect("a number");
    let new = program.replace(old);
    program.signal(old, Signal::TERM);
    assert_eq!(idle.stream.read(&mut [0]).expect("it is closed well"), 0);
    program.assert_ends_well();
    assert_eq!(program.process(), new);
}

#[test]
fn a_successor_that_ends_at_once_changes_nothing_and_is_named() {
    let directory = Directory::new("fails");
    let program = Program::start(&mut program(&directory), 1);
    let old = program.process();
    let mut open = program.connect();
    open.get("/process");
    directory.install_script("exit 7");
    program.signal(old, Signal::USR2);
    program.wait_for_log("a word of it", |log| {
        log.contains("restart failed; this process continues to serve")
    });
    let log = program.log();
    assert!(
        log.contains("exited before it was ready") && log.contains("exit status: 7"),
        "{log}"
    );
    assert_eq!(program.process(), old);
    assert_eq!(open.get("/readyz"), "ready\n");
    assert!(!open.closes);
    // A missing file is another failure.
    fs::remove_file(directory.path("app")).expect("it is there");
    program.signal(old, Signal::USR2);
    program.wait_for_log("a word of it", |log| log.contains("cannot start"));
    assert_eq!(program.process(), old);
    // The next successor is valid: it is started by its name, so it is the current file.
    directory.install();
    assert_ne!(program.replace(old), old);
}

#[test]
fn a_successor_that_cannot_open_its_state_is_named() {
    let directory = Directory::new("state");
    let program = Program::start(&mut program(&directory), 1);
    let old = program.process();
    fs::write(directory.path("broken"), "").expect("a file");
    program.signal(old, Signal::USR2);
    program.wait_for_log("an error", |log| log.contains("continues to serve"));
    let log = program.log();
    assert!(log.contains("cannot open the state of worker"), "{log}");
    assert!(log.contains("no database"), "{log}");
    assert_eq!(program.process(), old);
    fs::remove_file(directory.path("broken")).expect("it is there");
    assert_ne!(program.replace(old), old);
}

#[test]
fn a_certificate_whose_file_blocks_does_not_keep_the_server_from_stopping() {
    let directory = Directory::new("fifo");
    certificate(&directory);
    let mut program = Program::start(&mut program(&directory), 1);
    let chain = directory.path("chain.pem");
    fs::remove_file(&chain).expect("it is there");
    let made = std::process::Command::new("mkfifo").arg(&chain).status();
    assert!(made.expect("mkfifo is there").success());
    let process = program.child.id();
    program.signal(process, Signal::HUP);
    program.signal(process, Signal::TERM);
    program.assert_ends_well();
}

#[test]
fn a_successor_that_takes_too_long_is_ended() {
    let directory = Directory::new("late");
    let program = Program::start(program(&directory).env("CONDUIT_RESTART_TIMEOUT", "200ms"), 1);
    let old = program.process();
    directory.install_script("exec sleep 600");
    program.signal(old, Signal::USR2);
    program.wait_for_log("a word of it", |log| log.contains("continues to serve"));
    let log = program.log();
    assert!(
        log.contains("was not ready within 200ms") && log.contains("signal: 9"),
        "{log}"
    );
    assert_eq!(program.process(), old);
}

#[test]
fn a_stop_while_a_successor_starts_ends_both() {
    let directory = Directory::new("both");
    let mut program = Program::start(&mut program(&directory), 1);
    let old = program.process();
    let written = directory.path("process");
    directory.install_script(&format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600",
        written.display()
    ));
    program.signal(old, Signal::USR2);
    let successor = || fs::read_to_string(&written).ok()?.trim().parse::<u32>().ok();
    let successor = wait_for(successor, || format!("a successor: {}", program.log()));
    program.signal(old, Signal::TERM);
    program.assert_ends_well();
    assert!(has_ended(successor), "no process is left");
}

#[test]
fn manager_receives_the_id_of_the_new_process() {
    let directory = Directory::new("manager");
    let place = directory.path("notify");
    let manager = UnixDatagram::bind(&place).expect("a socket");
    manager.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    let hear = || {
        let mut message = [0; 200];
        let length = manager.recv(&mut message).expect("the manager is notified");
        let message = str::from_utf8(&message[..length]).expect("text");
        let fields = message.lines().filter_map(|line| line.split_once('='));
        fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let mut program = Program::start(program(&directory).env("NOTIFY_SOCKET", &place), 1);
    assert_eq!(hear()["READY"], "1");
    let new = program.replace(program.process());
    let reloading = hear();
    assert_eq!(reloading["RELOADING"], "1");
    assert!(reloading["MONOTONIC_USEC"].parse::<u64>().is_ok(), "{reloading:?}");
    let ready = hear();
    assert_eq!((ready["MAINPID"].parse(), ready["READY"].as_str()), (Ok(new), "1"));
    program.assert_ends_well();
    // The old process has sent no further notification.
    program.signal(new, Signal::TERM);
    assert_eq!(hear(), BTreeMap::from([("STOPPING".to_owned(), "1".to_owned())]));
}
