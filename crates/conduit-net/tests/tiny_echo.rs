//! Builds the server without std, and checks its size and its behaviour.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(conduit_portable)))]

#[path = "support/descriptors.rs"]
mod descriptors;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program that is killed at the end of the test, also after a panic.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn server_of_at_most_16_kb_echoes_for_many_clients() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tiny_echo/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tiny_echo");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let binary = target.join("release/tiny_echo");
    let bytes = std::fs::metadata(&binary).unwrap().len();
    eprintln!("tiny_echo: {bytes} bytes");
    assert!(bytes <= 16 * 1024, "{bytes} bytes");

    let refused = Command::new(&binary).arg("no port").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let mut server = Server(Command::new(&binary).arg("0").stdout(Stdio::piped()).spawn().unwrap());
    let mut banner = String::new();
    BufReader::new(server.0.stdout.take().unwrap())
        .read_line(&mut banner)
        .unwrap();
    let port: u16 = banner
        .trim()
        .strip_prefix("tiny_echo listens on 0.0.0.0:")
        .unwrap()
        .parse()
        .unwrap();
    let taken = Command::new(&binary).arg(port.to_string()).output().unwrap();
    assert!(String::from_utf8_lossy(&taken.stdout).contains("another program listens"));

    descriptors::serves_after_running_out_of_descriptors(server.0.id(), &format!("127.0.0.1:{port}"), b"x");

    let clients: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    for (number, mut client) in clients.iter().enumerate() {
        writeln!(client, "Hello Conduit from {number}").unwrap();
    }
    for (number, client) in clients.iter().enumerate() {
        let mut line = String::new();
        BufReader::new(client).read_line(&mut line).unwrap();
        assert_eq!(line, format!("Hello Conduit from {number}\n"));
    }

    // More than the buffers have room for, to a client that reads late: the server must wait and lose nothing.
    let text: Vec<u8> = (0..4_000_000u32)
        .flat_map(|number| (number % 251).to_le_bytes())
        .collect();
    let client = &clients[0];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = client;
            writer.write_all(&text).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        let mut reader = client;
        reader.read_to_end(&mut back).unwrap();
        assert!(back == text);
    });
}
