//! The application that responds, and a server that runs it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use conduit::ServerHandle;
use conduit::prelude::*;
use futures_core::Stream;
use rustls::ClientConfig;

use crate::certificate::Certificate;
use crate::client::Client;
use crate::stream::client_hello;

/// The deadlines for clients, so long that no test depends on time, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(3600);

/// The limit of a head in bytes, small so that tests can exceed it at every byte.
pub const HEAD_LIMIT: usize = 1024;

/// The limit of the number of fields.
pub const FIELD_LIMIT: usize = 20;

/// The limit of a body in bytes.
pub const BODY_LIMIT: u64 = 1000;

/// The body of the response to the request that follows each case.
pub const PROBE: &str = "probed";

/// The pieces of the stream at `/large/{pieces}`.
const PIECE: &[u8] = &[b'x'; 16 * 1024];

#[get("/")]
fn root() -> &'static str {
    "root"
}

#[get("/probe")]
fn probe() -> &'static str {
    PROBE
}

/// The parsed request line.
fn describe(request: &Request) -> String {
    let query = request.query().map(|query| format!(" query={query}"));
    format!("{} {}{}", request.method(), request.path(), query.unwrap_or_default())
}

#[get("/seen/{*rest}")]
fn seen(rest: Path<String>, request: Request) -> String {
    let _ = rest;
    describe(&request)
}

#[put("/seen/{*rest}")]
fn seen_put(rest: Path<String>, request: Request) -> String {
    let _ = rest;
    describe(&request)
}

#[route(PURGE, "/seen/{*rest}")]
fn seen_purge(rest: Path<String>, request: Request) -> String {
    let _ = rest;
    describe(&request)
}

#[get("/decoded/{name}")]
fn decoded(name: Path<String>) -> String {
    format!("<{name}>")
}

#[get("/uri")]
fn uri(request: Request) -> String {
    request.uri().to_string()
}

/// The fields whose names start with `x-`, in order, bytes above 0x7f as Latin-1.
#[get("/fields")]
fn fields(headers: HeaderMap) -> String {
    let wanted = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-"));
    wanted
        .map(|(name, value)| {
            let value: String = value.as_bytes().iter().copied().map(char::from).collect();
            format!("[{name}={value}]")
        })
        .collect()
}

#[post("/body")]
async fn body(body: Bytes) -> Bytes {
    body
}

/// The body, and after a `|` its trailers.
#[post("/trailers")]
async fn trailers(mut body: Body) -> Result<String, Problem> {
    let mut text = String::new();
    while let Some(piece) = poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
        text += &String::from_utf8_lossy(&piece?);
    }
    text += "|";
    for (name, value) in &body.trailers().unwrap_or_default() {
        text += &format!("[{name}={}]", String::from_utf8_lossy(value.as_bytes()));
    }
    Ok(text)
}

#[post("/ignore")]
async fn ignore() -> &'static str {
    "ignored"
}

/// Responds in a later turn, so that the following requests wait.
#[get("/later")]
async fn later() -> &'static str {
    tokio::task::yield_now().await;
    "later"
}

#[get("/no-content")]
fn no_content() -> StatusCode {
    StatusCode::NO_CONTENT
}

#[get("/not-modified")]
fn not_modified() -> (StatusCode, &'static str) {
    (StatusCode::NOT_MODIFIED, "omitted")
}

#[get("/reset-content")]
fn reset_content() -> (StatusCode, &'static str) {
    (StatusCode::RESET_CONTENT, "omitted")
}

#[get("/closing")]
fn closing() -> ([(&'static str, &'static str); 1], &'static str) {
    ([("connection", "close")], "closing")
}

/// A body of unknown length.
#[get("/stream")]
fn stream() -> Body {
    Body::from_stream(Pieces(vec![b"ed", b"stream"]))
}

struct Pieces(Vec<&'static [u8]>);

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop().map(|piece| Ok(Bytes::from_static(piece))))
    }
}

/// A body of this number of pieces of 16 KiB.
#[get("/large/{pieces}")]
fn large(pieces: Path<usize>) -> Body {
    Body::from_stream(Pieces(vec![PIECE; *pieces]))
}

const ROUTES: Routes = routes![
    root,
    probe,
    seen,
    seen_put,
    seen_purge,
    decoded,
    uri,
    fields,
    body,
    trailers,
    ignore,
    later,
    no_content,
    not_modified,
    reset_content,
    closing,
    stream,
    large
];

/// The transport between a server and its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// TCP on loopback.
    Tcp,
    /// TLS 1.3 over TCP on loopback; the certificate is made for the server, and its clients check it.
    Tls,
    /// A Unix socket.
    Unix,
}

/// The address of a server, and the parameters that a client needs.
enum Endpoint {
    Tcp(SocketAddr),
    Tls(SocketAddr, Arc<ClientConfig>),
    Unix(PathBuf),
}

/// A server of one worker on a free port or path, stopped when dropped.
pub struct Running {
    endpoint: Endpoint,
    handle: ServerHandle,
    thread: Option<JoinHandle<conduit::Result>>,
}

impl Running {
    /// Listens on TCP and serves, with the limits of this module.
    ///
    /// # Panics
    ///
    /// Panics if loopback has no free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(Wire::Tcp)
    }

    /// Starts a server as [`start`](Self::start) does, on this transport.
    ///
    /// # Panics
    ///
    /// Panics if the address is unavailable.
    #[must_use]
    pub fn start_on(wire: Wire) -> Self {
        static SOCKETS: AtomicUsize = AtomicUsize::new(0);
        let app = App::new(())
            .routes(ROUTES)
            .head_limit(HEAD_LIMIT)
            .header_limit(FIELD_LIMIT)
            .body_limit(BODY_LIMIT)
            .handshake_timeout(DEADLINE)
            .head_timeout(DEADLINE)
            .idle_timeout(DEADLINE)
            .minimum_rate(1024, DEADLINE)
            .workers(1);
        let local = "127.0.0.1:0";
        let (server, endpoint) = match wire {
            Wire::Tcp => {
                let server = app.listen(local).expect("a port of loopback can be listened on");
                let endpoint = Endpoint::Tcp(server.address());
                (server, endpoint)
            }
            Wire::Tls => {
                let certificate = Certificate::make();
                let server = app
                    .tls(certificate.tls())
                    .listen(local)
                    .expect("a port of loopback can be listened on");
                let endpoint = Endpoint::Tls(server.address(), Arc::clone(certificate.clients()));
                (server, endpoint)
            }
            Wire::Unix => {
                let number = SOCKETS.fetch_add(1, Ordering::Relaxed);
                let name = format!("conduit-conformance-{}-{number}", std::process::id());
                let path = std::env::temp_dir().join(name);
                let server = app.listen(format!("unix:{}", path.display()));
                (server.expect("a path can be listened on"), Endpoint::Unix(path))
            }
        };
        Self {
            endpoint,
            handle: server.handle(),
            thread: Some(std::thread::spawn(move || server.serve())),
        }
    }

    /// Returns the address of its listener.
    ///
    /// # Panics
    ///
    /// Panics for a server without a port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match &self.endpoint {
            Endpoint::Tcp(address) | Endpoint::Tls(address, _) => *address,
            Endpoint::Unix(path) => panic!("{} has no port", path.display()),
        }
    }

    /// Returns the first message of the handshake of a client.
    ///
    /// # Panics
    ///
    /// Panics for a server without TLS.
    #[must_use]
    pub fn client_hello(&self) -> Vec<u8> {
        match &self.endpoint {
            Endpoint::Tls(_, config) => client_hello(config),
            Endpoint::Tcp(_) | Endpoint::Unix(_) => panic!("the server has no TLS"),
        }
    }

    /// Connects a client; over TLS, its handshake is complete.
    ///
    /// # Panics
    ///
    /// When the server does not accept.
    #[must_use]
    pub fn connect(&self) -> Client {
        match &self.endpoint {
            Endpoint::Tcp(address) => Client::connect(*address),
            Endpoint::Tls(address, config) => Client::connect_tls(*address, config),
            Endpoint::Unix(path) => Client::connect_unix(path),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.handle.close();
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the server does not panic").expect("the server ends well");
            }
        }
    }
}
