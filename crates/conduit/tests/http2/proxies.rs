//! nginx and nghttpx in front of the server, on Unix sockets, which forward requests over HTTP/2 and HTTP/1.1.
//!
//! A proxy that is not installed is skipped, but never in CI.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::real::{run, serve, tool};
use crate::{LARGE, pattern};

/// A proxy, which ends with the test.
struct Proxy {
    child: Child,
    directory: TempDir,
}

impl Proxy {
    /// Starts a program that listens on the sockets with these names in its directory.
    fn start(mut command: Command, directory: TempDir, sockets: &[&str]) -> Self {
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the proxy starts");
        let proxy = Proxy { child, directory };
        let deadline = Instant::now() + Duration::from_secs(30);
        for socket in sockets {
            while UnixStream::connect(proxy.socket(socket)).is_err() {
                assert!(Instant::now() < deadline, "the proxy does not listen on {socket}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        proxy
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // SIGTERM lets nginx end its workers.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
    }
}

/// Sends requests of each kind through a proxy: small and large ones, streams in both directions, many at once by h2load.
/// (curl 7.88 has a fault in HTTP/2 with prior knowledge if transfers share a new connection.)
fn assert_serves(socket: &Path, version: &str) {
    let upload = socket.with_extension("upload");
    std::fs::write(&upload, pattern(LARGE)).expect("the file is written");
    let upload = format!("@{}", upload.display());
    let targets: [(&str, Option<&str>, Vec<u8>); 6] = [
        ("/", None, b"hello".to_vec()),
        ("/large", None, pattern(LARGE)),
        ("/file", None, pattern(LARGE)[10..].to_vec()),
        ("/stream/100", None, vec![b'p'; 1_000_000]),
        ("/echo", Some(&upload), pattern(LARGE)),
        ("/length", Some(&upload), format!("{LARGE} bytes").into_bytes()),
    ];
    for (target, upload, expected) in &targets {
        let Some(mut command) = tool("curl") else { return };
        command
            .args(["--silent", "--show-error", "--fail", version, "--unix-socket"])
            .arg(socket);
        command.args(upload.iter().flat_map(|upload| ["--data-binary", upload]));
        let output = run(command.arg(format!("http://proxy{target}")));
        assert!(output.stdout == *expected, "{target}: {} bytes", output.stdout.len());
    }
    let Some(mut command) = tool("h2load") else { return };
    if version == "--http1.1" {
        command.arg("--h1");
    }
    command.args(["--clients=4", "--max-concurrent-streams=20", "--requests=400"]);
    command.arg(format!("--base-uri=unix:{}", socket.display()));
    let output = run(command.args(["http://proxy/", "http://proxy/stream/3"]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("status codes: 400 2xx"), "{text}");
}

/// A response that comes before the end of the request's body ends the stream without an error (RFC 9113, section 8.1).
fn assert_early_responses(socket: &Path) {
    let upload = socket.with_extension("upload");
    let Some(mut command) = tool("h2load") else { return };
    command
        .args(["--clients=2", "--requests=20"])
        .arg(format!("--data={}", upload.display()));
    command.arg(format!("--base-uri=unix:{}", socket.display()));
    let output = run(command.arg("http://proxy/missing"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("20 4xx"), "{text}");
}

#[test]
fn nginx() {
    if tool("nginx").is_none() {
        return;
    }
    let server = serve();
    let backend = server.plain;
    let directory = TempDir::new().expect("a directory");
    let at = directory.path().display();
    let configuration = format!(
        "daemon off; pid {at}/pid; error_log stderr; worker_processes 1;
        events {{ worker_connections 1000; }}
        http {{
            access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; client_max_body_size 8m;
            fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
            upstream conduit {{ server {backend}; keepalive 4; }}
            server {{
                listen unix:{at}/http1;
                location / {{ proxy_pass http://conduit; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
            }}
            server {{
                listen unix:{at}/http2 http2;
                location / {{ grpc_pass grpc://conduit; }}
            }}
        }}"
    );
    let file = directory.path().join("nginx.conf");
    std::fs::write(&file, configuration).expect("the file is written");
    let mut command = Command::new("nginx");
    command.arg("-c").arg(file);
    let proxy = Proxy::start(command, directory, &["http1", "http2"]);
    for (socket, version) in [("http1", "--http1.1"), ("http2", "--http2-prior-knowledge")] {
        assert_serves(&proxy.socket(socket), version);
    }
    assert_early_responses(&proxy.socket("http2"));
}

/// Replaces a text that occurs once.
#[track_caller]
fn replace_once(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} in: {text}");
    text.replace(from, to)
}

/// The certificate and the address of the guide exist on no other machine: a test has its own.
#[test]
fn nginx_accepts_the_configuration_of_the_guide() {
    let Some(mut command) = tool("nginx") else { return };
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/proxies.md");
    let page = std::fs::read_to_string(page).expect("the guide");
    let (_, rest) = page
        .split_once("A configuration of nginx, inside of `http { … }`:\n\n```text\n")
        .expect("the guide has a configuration of nginx");
    let (configuration, _) = rest.split_once("```\n").expect("the configuration ends");
    let directory = TempDir::new().expect("a directory");
    let at = directory.path();
    let certificate = rcgen::generate_simple_self_signed(["example.com".to_owned()]).expect("a certificate");
    std::fs::write(at.join("chain.pem"), certificate.cert.pem()).expect("the file is written");
    std::fs::write(at.join("key.pem"), certificate.signing_key.serialize_pem()).expect("the file is written");
    let at = at.display();
    let mut configuration = configuration.to_owned();
    for (from, to) in [
        ("listen 443 ssl;", format!("listen unix:{at}/front ssl;")),
        ("/etc/nginx/chain.pem", format!("{at}/chain.pem")),
        ("/etc/nginx/key.pem", format!("{at}/key.pem")),
    ] {
        configuration = replace_once(&configuration, from, &to);
    }
    let whole = format!(
        "pid {at}/pid; error_log stderr;
        events {{ worker_connections 1000; }}
        http {{
            access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
            fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
            {configuration}
        }}"
    );
    let file = directory.path().join("nginx.conf");
    std::fs::write(&file, whole).expect("the file is written");
    let output = run(command.args(["-t", "-e", "stderr", "-c"]).arg(file));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(
        messages.contains("test is successful") && !messages.contains("[warn]"),
        "{messages}"
    );
}

fn nghttpx_with(backend: std::net::SocketAddr) -> Option<Proxy> {
    let command = tool("nghttpx")?;
    let directory = TempDir::new().expect("a directory");
    let mut command = command;
    command
        .arg("--conf=/dev/null")
        .arg("--workers=1")
        .arg(format!("--frontend=unix:{}/front;no-tls", directory.path().display()))
        .arg(format!("--backend={},{};;proto=h2", backend.ip(), backend.port()));
    Some(Proxy::start(command, directory, &["front"]))
}

#[test]
fn nghttpx() {
    let server = serve();
    let Some(proxy) = nghttpx_with(server.plain) else {
        return;
    };
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        assert_serves(&proxy.socket("front"), version);
    }
    assert_early_responses(&proxy.socket("front"));
}

/// A proxy that opens WebSockets of HTTP/1.1 clients as streams of its HTTP/2 connection to the server (RFC 8441).
#[cfg(feature = "websocket")]
#[test]
fn nghttpx_opens_websockets_as_streams() {
    use crate::ws_frames;

    let server = serve();
    let Some(proxy) = nghttpx_with(server.plain) else {
        return;
    };
    // The proxy offers WebSockets once it has received the settings of the server.
    let Some(mut command) = tool("curl") else { return };
    run(command
        .args(["--silent", "--unix-socket"])
        .arg(proxy.socket("front"))
        .arg("http://proxy/"));
    let mut sockets: Vec<UnixStream> = (0..3)
        .map(|_| {
            let mut stream = UnixStream::connect(proxy.socket("front")).expect("the proxy accepts");
            stream
                .set_read_timeout(Some(Duration::from_secs(30)))
                .expect("a time-out");
            stream
                .write_all(
                    b"GET /websocket HTTP/1.1\r\nhost: proxy\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                      sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                )
                .expect("the proxy reads");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a response");
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            assert!(
                head.starts_with("HTTP/1.1 101") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                "{head}"
            );
            stream
        })
        .collect();
    for message in [&b"h"[..], &pattern(100_000)] {
        for stream in &mut sockets {
            stream.write_all(&ws_frames::binary(message)).expect("the proxy reads");
        }
        let length = message.len();
        let header = if length < 126 { 2 } else { 10 };
        for stream in &mut sockets {
            let mut received = vec![0; header + length];
            stream.read_exact(&mut received).expect("the echo");
            assert!(received[0] == 0x82 && received[header..] == *message);
        }
    }
    for stream in &mut sockets {
        stream.write_all(&ws_frames::close(1000, b"")).expect("the proxy reads");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("the end");
        assert_eq!(rest, [0x88, 2, 3, 0xe8]);
    }
}
