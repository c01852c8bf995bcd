//! The rows of the engine's table against a live server: at once, byte by byte, and split at each byte; over TCP and TLS.
//!
//! The table has more expectations than a client can observe: events of the engine are left to its own tests. The application
//! responds as the server of those tests does.

#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../../crates/conduit-proto/tests/h2/cases/mod.rs"]
mod cases;
#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../../crates/conduit-proto/tests/h2/drive.rs"]
mod drive;
#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../../crates/conduit-proto/tests/h2/frames.rs"]
mod frames;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use conduit::prelude::*;
use conduit::{Disconnect, ServerHandle};
use conduit_conformance::certificate::Certificate;
use conduit_conformance::stream::Door;
use conduit_proto::h2::ErrorCode;
use conduit_proto::h2::hpack::Decoder;

use self::cases::{Case, Expect};
use self::frames::{PREFACE, Received, get, opening, parse, ping};

/// The number of concurrent rows.
const THREADS: usize = 4;
/// A client waits for this long before it fails; no row depends on time.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The stream of the request that checks that a connection still works.
const LAST: u32 = 0x7fff_fff1;
/// The maximum number of positions at which a row is split in two over TCP.
const MOST_CUTS: usize = 800;
/// The distance of the splits of one connection over TLS, where each connection needs a handshake.
const DISTANCE: usize = 16;

/// The requests that have reached an application, by the address of their client. Each server has a separate map, because
/// connections to two servers can have the same address.
#[derive(Clone, Default)]
struct Requests(Arc<Mutex<HashMap<SocketAddr, Vec<drive::Request>>>>);

impl Requests {
    /// The lock stays usable after a row has failed.
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Vec<drive::Request>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Responds like the server of the engine's tests.
async fn respond(mut request: Request, requests: State<Requests>) -> String {
    let seen = drive::Request::of(request.head());
    let path = seen.path.clone();
    let text = format!("{} {}", seen.method, seen.target);
    requests.lock().entry(request.peer_address()).or_default().push(seen);
    if path.contains("/hold") || path.contains("/unread") {
        std::future::pending::<()>().await;
    }
    if !path.contains("/early") {
        // A reset stream has no response.
        let _ = request.take_body().collect().await;
    }
    text
}

#[get("/unused")]
fn unused() {}

struct Server {
    doors: [(&'static str, Door); 2],
    requests: Requests,
    handle: ServerHandle,
    thread: Option<JoinHandle<conduit::Result>>,
}

impl Server {
    fn start() -> Self {
        let certificate = Certificate::make();
        let hour = Duration::from_secs(3600);
        let requests = Requests::default();
        let server = App::new(requests.clone())
            .routes(routes![unused])
            .fallback(respond)
            .disconnect(Disconnect::Abort)
            .tls(certificate.tls())
            .head_timeout(hour)
            .idle_timeout(hour)
            .handshake_timeout(hour)
            .minimum_rate(1, hour)
            .shutdown_timeout(Duration::ZERO)
            .workers(1)
            .listen(["127.0.0.1:0", "http://127.0.0.1:0"])
            .expect("ports of loopback can be listened on");
        let addresses: Vec<SocketAddr> = server.addresses().collect();
        let mut clients = (**certificate.clients()).clone();
        clients.alpn_protocols = vec![b"h2".to_vec()];
        Server {
            doors: [
                ("TLS", Door::Https(addresses[0], Arc::new(clients))),
                ("TCP", Door::Http(addresses[1])),
            ],
            requests,
            handle: server.handle(),
            thread: Some(std::thread::spawn(move || server.serve())),
        }
    }

    fn door(&self, wire: &str) -> &Door {
        let (_, door) = self.doors.iter().find(|(name, _)| *name == wire).expect("a wire");
        door
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the server does not panic").expect("the server ends well");
            }
        }
    }
}

fn stream_of(case: &Case) -> Vec<u8> {
    let start = if case.is_bare { Vec::new() } else { opening() };
    [start, case.input.clone(), ping(), get(LAST, "/last")].concat()
}

/// Sends a row and reads until its expectation holds, the server closes, or it is silent for too long.
fn run<'a>(server: &Server, wire: &str, case: &Case, pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), String> {
    let mut stream = server.door(wire).connect(TIMEOUT).expect("the server accepts");
    let address = stream.socket().local_addr().expect("an address");
    for piece in pieces {
        // A server that has closed after an error does not read the rest.
        if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
            break;
        }
    }
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        // An error is the end, too: the server may reset a connection with unread output.
        let count = stream.read(&mut buffer).unwrap_or(0);
        bytes.extend_from_slice(&buffer[..count]);
        let received = parse(&bytes[..whole(&bytes)], &mut Decoder::new());
        let mut seen = server.requests.lock();
        let requests = seen.get(&address).map_or(&[][..], Vec::as_slice);
        match check(case, &received, requests) {
            Err(what) if count == 0 => return Err(format!("{what}: {received:?}, {requests:?}")),
            Err(_) => {}
            Ok(()) => {
                seen.remove(&address);
                return Ok(());
            }
        }
    }
}

/// The length of the complete frames at the beginning.
fn whole(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some([a, b, c]) = bytes.get(end..end + 9).and_then(<[u8]>::first_chunk) {
        let next = end + 9 + u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if next > bytes.len() {
            break;
        }
        end = next;
    }
    end
}

/// Checks the part of an expectation that a client can observe.
fn check(case: &Case, received: &[Received], requests: &[drive::Request]) -> Result<(), &'static str> {
    let go_away = received.iter().find_map(|frame| match frame {
        Received::GoAway(_, code) => Some(*code),
        _ => None,
    });
    if let Expect::Connection(code) = case.expect {
        return match go_away == Some(code) {
            true => Ok(()),
            false => Err("no GOAWAY with the code"),
        };
    }
    if go_away.is_some() {
        return Err("the connection ends");
    }
    if !received.contains(&Received::Pong(b"pingping".to_vec())) {
        return Err("PING is not answered");
    }
    if !received.iter().any(|frame| frame.status() == Some((LAST, "200"))) {
        return Err("a later request is not served");
    }
    let resets: Vec<(u32, ErrorCode)> = received
        .iter()
        .filter_map(|frame| match frame {
            Received::Reset(stream, code) if *code != ErrorCode::NO_ERROR => Some((*stream, *code)),
            _ => None,
        })
        .collect();
    match &case.expect {
        Expect::Connection(_) | Expect::Seen(_) => Ok(()),
        Expect::Sent(check) if check(received) => Ok(()),
        Expect::Sent(_) => Err("other frames"),
        Expect::Stream(stream, code) if resets != [(*stream, *code)] => Err("no RST_STREAM with the code"),
        Expect::Stream(..) => Ok(()),
        Expect::Status(expected) => {
            // Responses are ready in any order; 100 depends on the timing of reads.
            let final_statuses = received.iter().filter_map(Received::status);
            let mut statuses: Vec<_> = final_statuses
                .filter(|(stream, status)| *stream != LAST && *status != "100")
                .collect();
            let mut expected: Vec<_> = expected
                .iter()
                .filter(|(_, status)| *status != "100")
                .copied()
                .collect();
            statuses.sort_unstable();
            expected.sort_unstable();
            if statuses == expected && resets.is_empty() {
                Ok(())
            } else {
                Err("other responses")
            }
        }
        Expect::Request(_, check) if requests.iter().any(|request| is_expected(request, *check)) => Ok(()),
        Expect::Request(..) => Err("no such request"),
    }
}

/// The server adds `host` to requests without it.
fn is_expected(request: &drive::Request, check: fn(&drive::Request) -> bool) -> bool {
    let mut without_host = request.clone();
    if without_host.headers.first().is_some_and(|(name, _)| name == "host") {
        without_host.headers.remove(0);
    }
    check(request) || check(&without_host)
}

/// The rows of the engine alone. The server responds to CONNECT and `OPTIONS *` by itself, without TLS it uses HTTP/1.1 before the
/// preface, it closes a connection without streams after a GOAWAY of the client, and the others depend on a response or a read
/// between two frames.
const OF_THE_ENGINE: [&str; 14] = [
    "GOAWAY",
    "GOAWAY with debug data",
    "GOAWAY with an unknown code",
    "HTTP/1.1",
    "no preface",
    "a consumed body far beyond the first window",
    "a response before the end of the request",
    "DATA after an early response",
    "RST_STREAM after an early response",
    "trailers after an early response",
    "a connected stream",
    "trailers before the connection",
    "empty DATA in an empty window",
    "OPTIONS of the server",
];

fn is_of_the_engine(case: &Case) -> bool {
    let is_connect = case.name.contains("CONNECT") && matches!(case.expect, Expect::Request(..) | Expect::Status(_));
    is_connect || OF_THE_ENGINE.contains(&&case.name[..])
}

/// Runs all rows, each by all deliveries, and reports all differences.
fn check_all(wire: &str, deliveries: impl Fn(&[u8]) -> Vec<Vec<&[u8]>> + Sync) {
    let server = Server::start();
    let mut cases = cases::all();
    for name in OF_THE_ENGINE {
        assert!(
            cases.iter().any(|case| case.name == name),
            "the table has no row '{name}'"
        );
    }
    cases.retain(|case| !is_of_the_engine(case));
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Relaxed)) {
                    let stream = stream_of(case);
                    for pieces in deliveries(&stream) {
                        let first = pieces.first().map_or(0, |piece| piece.len());
                        if let Err(what) = run(&server, wire, case, pieces.into_iter()) {
                            let text = format!("{} {}, cut at {first}: {what}", case.section, case.name);
                            failures.lock().expect("no thread panics").push(format!("{text:.1000}"));
                            break;
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics");
    assert!(
        failures.is_empty(),
        "{} rows fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(cases.len() >= 250, "{} rows", cases.len());
}

/// The row in two pieces, for each position after the preface; at most [`MOST_CUTS`] of them.
fn halves(stream: &[u8]) -> Vec<Vec<&[u8]>> {
    let start = PREFACE.len().min(stream.len());
    let step = (stream.len() - start).div_ceil(MOST_CUTS).max(1);
    let cuts = (start..stream.len()).step_by(step);
    cuts.map(|at| vec![&stream[..at], &stream[at..]]).collect()
}

/// The row in pieces of [`DISTANCE`] bytes, with each possible length of the first one: each byte begins a piece once.
fn combs(stream: &[u8]) -> Vec<Vec<&[u8]>> {
    let firsts = 0..DISTANCE.min(stream.len());
    firsts
        .map(|first| {
            let (first, rest) = stream.split_at(first);
            std::iter::once(first).chain(rest.chunks(DISTANCE)).collect()
        })
        .collect()
}

/// The row byte by byte; a long one in pieces that are a little longer.
fn bytes(stream: &[u8]) -> Vec<&[u8]> {
    stream.chunks(1 + stream.len() / 2000).collect()
}

#[test]
fn each_row_holds_over_tcp() {
    check_all("TCP", |stream| vec![vec![stream], bytes(stream)]);
}

#[test]
fn each_row_holds_over_tcp_split_in_two() {
    check_all("TCP", halves);
}

#[test]
fn each_row_holds_over_tls() {
    check_all("TLS", |stream| vec![vec![stream], bytes(stream)]);
}

#[test]
fn each_row_holds_over_tls_split_at_each_byte() {
    check_all("TLS", combs);
}
