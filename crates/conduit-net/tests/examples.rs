//! Runs the examples as programs.

#[cfg(all(target_os = "linux", not(conduit_portable)))]
#[path = "support/descriptors.rs"]
mod descriptors;

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A program that is killed at the end of the test, also after a panic.
struct Program {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Program {
        let mut child = Command::new(path(name))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Program { child, output }
    }

    fn line(&mut self) -> String {
        self.output.next().unwrap().unwrap()
    }

    /// The address after the last "on " of its banner.
    fn address(&mut self) -> String {
        let line = self.line();
        line.rsplit_once(" on ")
            .unwrap()
            .1
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `cargo test` builds the examples before the tests; `cargo test --test examples` alone does not.
fn path(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    let path = path.with_file_name("examples").join(name);
    assert!(
        path.exists(),
        "{} is not built: run cargo build --examples with the features of this test",
        path.display()
    );
    path
}

fn scratch(name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path.to_str().unwrap().to_owned()
}

#[test]
fn echo_returns_a_line() {
    let mut server = Program::start("echo", &["--bind", "127.0.0.1:0"]);
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.write_all(b"Hello Conduit\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    client.read_to_string(&mut back).unwrap();
    assert_eq!(back, "Hello Conduit\n");
}

#[test]
fn echo_serves_1000_clients_and_slow_ones() {
    let mut server = Program::start("echo", &["--bind", "localhost:0"]);
    let address = server.address();
    let clients: Vec<_> = (0..1000).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let text: Vec<u8> = (0..3_000_000u32).map(|number| (number % 249) as u8).collect();
    std::thread::scope(|scope| {
        let (mut writer, mut reader) = (&clients[0], &clients[0]);
        let text = &text;
        scope.spawn(move || {
            writer.write_all(text).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        for (number, mut client) in clients.iter().enumerate().skip(1) {
            writeln!(client, "client {number}").unwrap();
        }
        for (number, client) in clients.iter().enumerate().skip(1) {
            let mut line = String::new();
            BufReader::new(client).read_line(&mut line).unwrap();
            assert_eq!(line, format!("client {number}\n"));
        }
        // The large response is read only now.
        let mut back = Vec::new();
        reader.read_to_end(&mut back).unwrap();
        assert!(back == *text);
    });
}

#[test]
fn echo_serves_udp_and_unix() {
    let mut server = Program::start("echo", &["--udp", "--bind", "127.0.0.1:0"]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.address()).unwrap();
    client.send(b"a datagram").unwrap();
    let mut bytes = [0; 64];
    assert_eq!(client.recv(&mut bytes).unwrap(), 10);

    let path = scratch("echo.sock");
    let mut server = Program::start("echo", &["--unix", &path]);
    assert_eq!(server.address(), path);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"by path").unwrap();
    client.read_exact(&mut bytes[..7]).unwrap();
    assert_eq!(&bytes[..7], b"by path");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn echo_reports_invalid_arguments() {
    for (arguments, expected) in [
        (vec!["--bind"], "--bind needs HOST:PORT; usage: echo"),
        (vec!["--color"], "unknown argument --color; usage: echo"),
        (
            vec!["--bind", "192.0.2.1:80"],
            "cannot bind 192.0.2.1:80: address not available (EADDRNOTAVAIL)",
        ),
    ] {
        let output = Command::new(path("echo")).args(&arguments).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && message.contains(expected),
            "{arguments:?}: {message}"
        );
    }
}

#[test]
#[cfg(all(feature = "tls", target_os = "linux"))]
fn echo_serves_tls() {
    use conduit_net::tls::{TlsClient, TlsStream};
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificates, private) = (scratch("certificates.pem"), scratch("key.pem"));
    std::fs::write(&certificates, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let mut server = Program::start("echo", &["--bind", "127.0.0.1:0", "--tls", &certificates, &private]);
    let stream = TcpStream::connect(server.address()).unwrap();
    let client = TlsClient::builder()
        .trust_pem_file(&certificates)
        .unwrap()
        .build()
        .unwrap();
    let mut stream = TlsStream::connect(&client, "localhost", stream).unwrap();
    let text = "secret ".repeat(40_000);
    stream.write_all(text.as_bytes()).unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    assert!(back == text.as_bytes());
    // Without close_notify the end would be an error.
    stream.finish().unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
}

/// No connection closes, so only time ends the pause.
#[test]
#[cfg(all(target_os = "linux", not(conduit_portable)))]
fn echo_without_connections_accepts_after_running_out_of_descriptors() {
    let mut server = Program::start("echo", &["--bind", "127.0.0.1:0"]);
    let address = server.address();
    descriptors::serves_after_running_out_of_descriptors(server.child.id(), &address, b"x");
}

#[test]
#[cfg(all(target_os = "linux", not(conduit_portable)))]
fn server_of_a_handover_accepts_after_running_out_of_descriptors() {
    let path = scratch("descriptors.sock");
    let mut server = Program::start("pass_fd", &["serve", &path]);
    let address = server.address();
    descriptors::serves_after_running_out_of_descriptors(server.child.id(), &address, b"who are you?\n");
    std::fs::remove_file(path).unwrap();
}

/// A successor that closes its connection leaves the clients to the server.
#[test]
fn failed_handover_does_not_end_the_server() {
    let path = scratch("no-handover.sock");
    let mut server = Program::start("pass_fd", &["serve", &path]);
    let address = server.address();
    drop(UnixStream::connect(&path).unwrap());
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"who are you?\n").unwrap();
    client.read_exact(&mut [0]).unwrap();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn listener_handover_keeps_clients_connected() {
    let path = scratch("handover.sock");
    let mut old = Program::start("pass_fd", &["serve", &path]);
    let address = old.address();
    let ask = |client: &TcpStream| {
        let mut client = client;
        client.write_all(b"who are you?\n").unwrap();
        let mut answer = String::new();
        BufReader::new(client).read_line(&mut answer).unwrap();
        answer.trim().parse::<u32>().unwrap()
    };
    let early = TcpStream::connect(&address).unwrap();
    assert_eq!(ask(&early), old.child.id());
    let mut new = Program::start("pass_fd", &["take", &path]);
    assert_eq!(new.address(), address);
    let late = TcpStream::connect(&address).unwrap();
    assert_eq!(ask(&late), new.child.id());
    assert_eq!(ask(&early), old.child.id());
    drop(early);
    assert_eq!(
        old.line(),
        format!("process {} has served its last client", old.child.id())
    );
    assert!(old.child.wait().unwrap().success());
    std::fs::remove_file(path).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn file_is_sent_with_segmentation_offload() {
    let file = scratch("gso.bin");
    std::fs::write(
        &file,
        (0..2_000_000u32).map(|number| (number % 241) as u8).collect::<Vec<_>>(),
    )
    .unwrap();
    let output = Command::new(path("udp_gso")).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("1667 calls") && said.contains("34 calls") && said.contains("saved: 98.0 %"),
        "{said}"
    );
    std::fs::remove_file(file).unwrap();
}
