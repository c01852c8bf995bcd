//! `memory`: the resident memory of a server before, at the peak of, and after each attack on its memory, as a table.
//!
//! Each attack has a fresh server, which is this program run again as `memory serve`. The peak is the high-water mark of the
//! process (`VmHWM`); the memory after an attack is read two seconds after its connections have closed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::layer::{Compression, Decompression, Idempotency};
use conduit::prelude::*;
use conduit::{AccessLog, log};
use futures_core::Stream;

/// The time between the end of an attack and the reading of the memory.
const AFTERMATH: Duration = Duration::from_secs(2);
/// The time that a client waits for bytes.
const PATIENCE: Duration = Duration::from_secs(60);
const BODY_BYTES: usize = 2 * 1024 * 1024;

/// A piece, and then nothing.
struct Quiet(bool);

impl Stream for Quiet {
    type Item = Result<&'static [u8], Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match std::mem::replace(&mut self.0, true) {
            false => Poll::Ready(Some(Ok(b"piece"))),
            true => Poll::Pending,
        }
    }
}

#[get("/")]
fn home() -> &'static str {
    "home"
}

#[get("/events")]
fn events() -> ([(HeaderName, HeaderValue); 1], Body) {
    let headers = [(
        HeaderName::from_static("content-type"),
        HeaderValue::from_static("text/event-stream"),
    )];
    (headers, Body::from_stream(Quiet(false)))
}

#[post("/length")]
async fn length(body: Bytes) -> String {
    body.len().to_string()
}

#[post("/number")]
async fn number(number: Json<u8>) -> String {
    number.to_string()
}

#[post("/form")]
async fn form(form: Form<BTreeMap<String, String>>) -> String {
    form.len().to_string()
}

#[post("/pay")]
async fn pay(_order: Bytes) -> String {
    "x".repeat(4096)
}

fn serve() -> conduit::Result {
    log::set_panic_hook();
    App::new(())
        .routes(routes![
            home,
            events,
            length,
            number,
            form,
            #[layer(Idempotency::new())]
            pay
        ])
        .layer(Compression::new())
        .layer(Decompression::new())
        .access_log(AccessLog::Combined)
        .workers(2)
        .peer_connection_limit(10_000)
        .listen("127.0.0.1:0")?
        .run()
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg("serve")
            .stdout(Stdio::piped())
            // It is never read: the log must not depend on a reader.
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        output.read_line(&mut line).expect("a line");
        let address = line.trim().rsplit('/').next().and_then(|address| address.parse().ok());
        Server {
            child,
            address: address.expect("an address"),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream
    }

    /// A value of its status in MiB.
    fn mebibytes(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes: f64 = line
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .expect("a number");
        kibibytes / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn post(path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\n{fields}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Sends a request, and reads the first bytes of its answer.
fn ask(stream: &mut TcpStream, request: &[u8]) {
    // A server that refuses the request may close before all of it is sent.
    let _ = stream.write_all(request);
    let _ = stream.read(&mut [0; 64 * 1024]);
}

/// Sends so many requests, one connection each, and keeps the connections.
fn held(server: &Server, count: usize, request: impl Fn(usize) -> Vec<u8>) -> Vec<TcpStream> {
    let open = |number| {
        let mut stream = server.connect();
        ask(&mut stream, &request(number));
        stream
    };
    (0..count).map(open).collect()
}

struct Attack {
    name: &'static str,
    /// Returns the connections that stay open while the peak is read.
    run: fn(&Server) -> Vec<TcpStream>,
}

fn brotli_bomb(window: i32) -> Vec<u8> {
    let mut params = brotli::enc::BrotliEncoderParams::default();
    (params.large_window, params.lgwin, params.quality) = (window > 24, window, 1);
    let mut body = Vec::new();
    brotli::BrotliCompress(&mut &vec![0; 64 << 20][..], &mut body, &params).expect("memory");
    post("/length", "content-encoding: br\r\n", &body)
}

fn json(body: &str) -> Vec<u8> {
    post("/number", "content-type: application/json\r\n", body.as_bytes())
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "9,000 quiet streams, each reset by its client",
        run: |server| {
            let request = b"GET /events HTTP/1.1\r\nhost: test\r\n\r\n";
            for _ in 0..9000 {
                let mut stream = server.connect();
                stream.write_all(request).expect("the server reads");
                // Bytes that are not read make the close a reset.
                stream.read_exact(&mut [0; 8]).expect("a response");
            }
            Vec::new()
        },
    },
    Attack {
        name: "64 bodies of brotli with a large window",
        run: |server| {
            let request = brotli_bomb(30);
            held(server, 64, |_| request.clone())
        },
    },
    Attack {
        name: "64 bodies of brotli that become 64 MiB",
        run: |server| {
            let request = brotli_bomb(24);
            held(server, 64, |_| request.clone())
        },
    },
    Attack {
        name: "10,000 idempotency keys with answers of 4 KiB",
        run: |server| {
            let mut stream = server.connect();
            for number in 0..10_000 {
                ask(
                    &mut stream,
                    &post("/pay", &format!("idempotency-key: {number}\r\n"), b""),
                );
            }
            Vec::new()
        },
    },
    Attack {
        name: "50,000 requests while the reader of the log stalls",
        run: |server| {
            let mut stream = server.connect();
            let batch = "GET / HTTP/1.1\r\nhost: test\r\n\r\n".repeat(50);
            let agent = "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
            for _ in 0..1000 {
                ask(&mut stream, batch.as_bytes());
            }
            let _ = stream.write_all(agent.as_bytes());
            let _ = stream.read_to_end(&mut Vec::new());
            Vec::new()
        },
    },
    Attack {
        name: "20 texts of 1.9 MB in the place of a number",
        run: |server| {
            let request = json(&format!("\"{}\"", "\\u0001".repeat(316_000)));
            held(server, 20, |_| request.clone())
        },
    },
    Attack {
        name: "20 forms with a name of 1.9 MB in brackets",
        run: |server| {
            let body = format!("a{}=1", "[b]".repeat(630_000));
            let request = post(
                "/form",
                "content-type: application/x-www-form-urlencoded\r\n",
                body.as_bytes(),
            );
            held(server, 20, |_| request.clone())
        },
    },
    Attack {
        name: "20 forms of 1.9 MB with many names in brackets",
        run: |server| {
            let body: String = (0..150_000).map(|number| format!("a[{number:x}]=&")).collect();
            let request = post(
                "/form",
                "content-type: application/x-www-form-urlencoded\r\n",
                body.as_bytes(),
            );
            held(server, 20, |_| request.clone())
        },
    },
    Attack {
        name: "1,000 unfinished bodies of 2 MiB",
        run: |server| {
            let request = post("/length", "", &vec![b'x'; BODY_BYTES]);
            let open = |_| {
                let mut stream = server.connect();
                let _ = stream.write_all(&request[..request.len() - 1]);
                stream
            };
            (0..1000).map(open).collect()
        },
    },
    Attack {
        name: "3,000 compressed streams",
        run: |server| {
            held(server, 3000, |number| {
                let coding = ["zstd", "br", "gzip"][number % 3];
                format!("GET /events HTTP/1.1\r\nhost: test\r\naccept-encoding: {coding}\r\n\r\n").into_bytes()
            })
        },
    },
];

#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
fn main() -> conduit::Result {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(log::stderr)
            .init();
        return serve();
    }
    let _ = conduit_conformance::process::descriptor_limit();
    println!("| attack | MiB before | MiB at the peak | MiB after |");
    println!("| --- | --- | --- | --- |");
    for attack in ATTACKS {
        let server = Server::start();
        ask(&mut server.connect(), b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        let before = server.mebibytes("VmRSS:");
        let connections = (attack.run)(&server);
        let peak = server.mebibytes("VmHWM:");
        drop(connections);
        std::thread::sleep(AFTERMATH);
        let after = server.mebibytes("VmRSS:");
        println!("| {} | {before:.0} | {peak:.0} | {after:.0} |", attack.name);
    }
    Ok(())
}
