//! The heap cost of a request and of an idle connection, as counted by the allocator.
//!
//! The allocator counts the allocations of one thread at a time: that of the worker, which the first request to `/count` selects.
//! The client and the other tests of this file are not counted.

#[path = "memory_of/idle.rs"]
mod idle;
#[path = "support/stream_sender.rs"]
mod stream_sender;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::{Duration, Instant};

use conduit::layer::{BodyLimit, ConcurrencyLimit, Cors, MethodOverride, SecurityHeaders, Timeout, TrailingSlash};
use conduit::prelude::*;
use idle::idle_connections;
use stream_sender::StreamSender;
use support::{Running, serve};

/// The number of requests of one count.
const BATCH: usize = 1_000;
/// The number of counted batches. An event that occurs once a second, such as a new date, may allocate in one of them.
const BATCHES: usize = 9;
/// The number of batches that warm up pools and buffers.
const WARM_UP: usize = 3;

/// The allocations of one worker.
#[derive(Default)]
struct Count {
    /// The number of allocations and reallocations.
    allocations: AtomicU64,
    /// The bytes that are allocated and not freed.
    live_bytes: AtomicI64,
    /// The maximum of `live_bytes` since this was last reset.
    peak_bytes: AtomicI64,
    /// The number of further allocations for which a backtrace is printed.
    shown: AtomicU64,
}

thread_local! {
    /// The counter of this thread.
    static COUNT: Cell<Option<&'static Count>> = const { Cell::new(None) };
}

/// The poller's allocations in a turn: nothing on epoll; an iterator on the portable backend, which boxes it.
const POLLER_ALLOCATIONS: u64 = if cfg!(conduit_portable) { 1 } else { 0 };

struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn note(allocated: usize, freed: usize) {
    // A thread may free memory after the destruction of its thread-locals.
    let Some(count) = COUNT.try_with(Cell::get).ok().flatten() else {
        return;
    };
    let change = allocated as i64 - freed as i64;
    let live = count.live_bytes.fetch_add(change, Relaxed) + change;
    count.peak_bytes.fetch_max(live, Relaxed);
    if allocated == 0 {
        return;
    }
    count.allocations.fetch_add(1, Relaxed);
    if count
        .shown
        .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
        .is_ok()
    {
        // Printing the backtrace allocates, too.
        COUNT.set(None);
        eprintln!("{allocated} bytes allocated at\n{}", Backtrace::force_capture());
        COUNT.set(Some(count));
    }
}

// SAFETY: every call is forwarded unchanged to the system's allocator, which upholds the contract; counting does not access the
// memory, does not unwind, and does not allocate.
#[expect(unsafe_code, reason = "an allocator that counts is an unsafe implementation")]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller upholds the contract that `System` requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller upholds the contract that `System` requires.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: `System` has allocated every block of this allocator; the caller upholds the rest of the contract.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: `System` has allocated every block of this allocator; the caller upholds the rest of the contract.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Starts to count the allocations of the worker's thread.
#[get("/count")]
fn count(count: State<&'static Count>) {
    COUNT.set(Some(count.0));
}

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Message {
    message: u64,
}

#[get("/json")]
async fn json() -> Json<Message> {
    Json(Message { message: 1 })
}

#[post("/json")]
async fn json_echo(message: Json<Message>) -> Json<Message> {
    message
}

#[get("/query")]
async fn query(message: Query<Message>) -> Json<u64> {
    Json(message.message)
}

#[post("/form")]
async fn form(message: Form<Message>) -> Json<u64> {
    Json(message.message)
}

#[get("/users/{id}")]
async fn user(id: Path<u64>) -> String {
    format!("user {id}")
}

#[get("/users/{id}/number")]
async fn number(id: Path<u64>) -> Json<u64> {
    Json(*id)
}

#[get("/nothing")]
async fn nothing() {}

#[get("/header")]
async fn header(request: Request) -> StatusCode {
    match request.header("accept") {
        Some(b"*/*") => StatusCode::NO_CONTENT,
        _ => StatusCode::NOT_ACCEPTABLE,
    }
}

/// A response that is not ready at once.
#[get("/later")]
async fn later() -> &'static str {
    tokio::task::yield_now().await;
    "later"
}

/// A layer that does nothing.
async fn nothing_more(request: Request, next: Next) -> Response {
    next.run(request).await
}

/// The same layer as a type.
#[derive(Clone)]
struct Empty;

impl Layer for Empty {
    async fn call(&self, request: Request, next: Next) -> Response {
        next.run(request).await
    }
}

#[get("/layered")]
async fn layered() -> &'static str {
    "Hello, World!"
}

/// A layer that provides a value.
async fn numbered(request: Request, next: NextWith<u64>) -> Response {
    next.run(request, 7).await
}

#[get("/provided")]
async fn provided(number: Provided<u64>) -> Json<u64> {
    Json(number.0)
}

/// More than any socket buffers.
static LARGE: [u8; 32 << 20] = [b'x'; 32 << 20];

#[get("/large")]
async fn large() -> &'static [u8] {
    &LARGE
}

#[post("/echo")]
async fn echo(body: Body) -> Body {
    body
}

type Application = App<&'static Count, Routes<&'static Count>>;

const ROUTES: Routes<&'static Count> = routes![
    "/idle" => idle::ROUTES,
    count,
    large,
    plaintext,
    json,
    json_echo,
    query,
    form,
    user,
    number,
    nothing,
    header,
    later,
    echo,
    #[layer(nothing_more, Empty)]
    layered,
    #[layer(numbered, nothing_more)]
    provided,
];

/// A server that counts the allocations of its worker.
fn counted() -> (Running, &'static Count) {
    counted_as(|app| app)
}

/// The same with a modified application.
fn counted_as(change: impl FnOnce(Application) -> Application) -> (Running, &'static Count) {
    let count: &'static Count = Box::leak(Box::default());
    let server = serve(change(App::new(count).routes(ROUTES).development(false)));
    assert_eq!(server.get("/count").status, 200);
    (server, count)
}

/// One connection that sends the same bytes repeatedly, and allocates nothing.
struct Sender {
    stream: TcpStream,
    requests: Vec<u8>,
    responses: Vec<u8>,
}

impl Sender {
    /// Sends `request` this many times at once. The first response determines the length that all responses must have.
    fn new(server: &Running, request: &str, pipelined: usize) -> Self {
        let mut client = server.connect();
        client.send(request);
        assert!(client.response().status < 300, "{request}");
        client.send(request.replacen("host: test", "host: test\r\nconnection: close", 1));
        let length = client.rest().len() - "connection: close\r\n".len();
        let stream = TcpStream::connect(server.address).expect("the server accepts");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        Sender {
            stream,
            requests: request.repeat(pipelined).into_bytes(),
            responses: vec![0; length * pipelined],
        }
    }

    fn exchange(&mut self) {
        self.stream
            .write_all(&self.requests)
            .expect("the server accepts the requests");
        self.stream
            .read_exact(&mut self.responses)
            .expect("all responses have the same length");
    }
}

/// The worker's allocations for a thousand of these requests: the minimum and the median of the batches.
fn allocations_per_thousand(request: &str, pipelined: usize) -> (u64, u64) {
    allocations_of(counted(), request, pipelined)
}

/// The same for another application.
fn allocations_of((server, count): (Running, &'static Count), request: &str, pipelined: usize) -> (u64, u64) {
    let mut sender = Sender::new(&server, request, pipelined);
    let mut batches = [0; BATCHES];
    for round in 0..WARM_UP + BATCHES {
        let before = count.allocations.load(SeqCst);
        for _ in 0..BATCH / pipelined {
            sender.exchange();
        }
        if round >= WARM_UP {
            let pollers = POLLER_ALLOCATIONS * (BATCH / pipelined) as u64;
            batches[round - WARM_UP] = (count.allocations.load(SeqCst) - before).saturating_sub(pollers);
        }
    }
    assert!(
        sender.responses.starts_with(b"HTTP/1.1 20"),
        "the last response equals the first"
    );
    batches.sort_unstable();
    let line = request.lines().next().unwrap_or_default();
    eprintln!("{line}, {pipelined} at a time: allocations per {BATCH} requests in {BATCHES} batches: {batches:?}");
    if batches[BATCHES / 2] > 0 {
        // Prints the backtraces, to explain a failure.
        count.shown.store(batches[BATCHES / 2].div_ceil(BATCH as u64), SeqCst);
        sender.exchange();
    }
    (batches[0], batches[BATCHES / 2])
}

const PLAINTEXT: &str = "GET /plaintext HTTP/1.1\r\nhost: test\r\n\r\n";

#[test]
fn plaintext_allocates_nothing() {
    assert_eq!(allocations_per_thousand(PLAINTEXT, 1), (0, 0));
}

#[test]
fn pipelined_plaintext_allocates_nothing() {
    assert_eq!(allocations_per_thousand(PLAINTEXT, 16), (0, 0));
}

#[test]
fn a_browsers_header_fields_allocate_nothing() {
    let request = "GET /header HTTP/1.1\r\nhost: test\r\nconnection: keep-alive\r\naccept: */*\r\n\
        user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
        accept-language: en-US,en;q=0.5\r\naccept-encoding: gzip, deflate, br\r\ncookie: session=0123456789abcdef\r\n\r\n";
    assert_eq!(allocations_per_thousand(request, 1), (0, 0));
}

#[test]
fn an_empty_answer_allocates_nothing() {
    assert_eq!(
        allocations_per_thousand("GET /nothing HTTP/1.1\r\nhost: test\r\n\r\n", 1),
        (0, 0)
    );
}

#[test]
fn json_out_allocates_nothing() {
    assert_eq!(
        allocations_per_thousand("GET /json HTTP/1.1\r\nhost: test\r\n\r\n", 1),
        (0, 0)
    );
    assert_eq!(
        allocations_per_thousand("GET /json HTTP/1.1\r\nhost: test\r\n\r\n", 16),
        (0, 0)
    );
}

#[test]
fn json_in_and_out_allocates_nothing() {
    let request = "POST /json HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"message\":7}";
    assert_eq!(allocations_per_thousand(request, 1), (0, 0));
}

#[test]
fn a_path_parameter_allocates_nothing() {
    assert_eq!(
        allocations_per_thousand("GET /users/42/number HTTP/1.1\r\nhost: test\r\n\r\n", 1),
        (0, 0)
    );
}

#[test]
fn query_of_scalars_allocates_its_list_of_pairs() {
    let thousand = BATCH as u64;
    let request = "GET /query?other=x&message=7 HTTP/1.1\r\nhost: test\r\n\r\n";
    assert_eq!(allocations_per_thousand(request, 1), (thousand, thousand));
}

/// A form costs its text, which grows by doubling, and a bounded list of pairs.
#[test]
fn form_of_any_shape_costs_little_more_memory_than_its_text() {
    let bodies = [
        "a[b][c]=x&".repeat(190_000),
        format!("a{}=x", "[b]".repeat(600_000)),
        format!("{}=x", "a[b]".repeat(450_000)),
        "a&".repeat(950_000),
        "&".repeat(1_900_000),
        "%41[%42]=%43&".repeat(9_900),
        (0..9_999)
            .map(|index| format!("a[{index}][{}]=x&", "n".repeat(170)))
            .collect(),
        (0..9_999)
            .map(|index| format!("{}{index}=x&", "n".repeat(170)))
            .collect(),
        format!("message={}", "7".repeat(1_900_000)),
    ];
    for body in bodies {
        let (server, count) = counted();
        let mut client = server.connect();
        let before = count.live_bytes.load(SeqCst);
        count.peak_bytes.store(before, SeqCst);
        client.send(format!(
            "POST /form HTTP/1.1\r\nhost: test\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert!(client.response().status >= 400);
        let cost = count.peak_bytes.load(SeqCst) - before;
        let shown = &body[..body.len().min(40)];
        eprintln!("{cost} bytes for a form of {} that begins with {shown}", body.len());
        assert!(cost < 4 * body.len() as i64 + (1 << 20), "{cost} bytes for {shown}");
    }
}

#[test]
fn an_empty_layer_allocates_nothing() {
    let request = "GET /layered HTTP/1.1\r\nhost: test\r\n\r\n";
    assert_eq!(allocations_per_thousand(request, 1), (0, 0));
    let counted = counted_as(|app| app.layer(nothing_more).layer(Empty));
    assert_eq!(allocations_of(counted, request, 1), (0, 0));
}

#[test]
fn a_provided_value_allocates_nothing() {
    let request = "GET /provided HTTP/1.1\r\nhost: test\r\n\r\n";
    assert_eq!(allocations_per_thousand(request, 1), (0, 0));
    assert_eq!(allocations_per_thousand(request, 16), (0, 0));
}

#[test]
fn layers_without_data_allocate_nothing() {
    let at_once = std::time::Duration::from_secs(5);
    let counted = counted_as(|app| {
        app.layer(BodyLimit::new(1 << 20))
            .layer(Timeout::new(at_once))
            .layer(ConcurrencyLimit::new(64))
            .layer(TrailingSlash::redirect())
            .layer(MethodOverride::new())
            .layer(SecurityHeaders::new())
            .layer(Cors::new().allow_origin("https://app.example.com"))
    });
    let request = "GET /plaintext HTTP/1.1\r\nhost: test\r\norigin: https://app.example.com\r\n\r\n";
    assert_eq!(allocations_of(counted, request, 1), (0, 0));
}

#[test]
fn only_the_string_of_the_handler_is_allocated() {
    let request = "GET /users/42 HTTP/1.1\r\nhost: test\r\n\r\n";
    let thousand = BATCH as u64;
    assert_eq!(allocations_per_thousand(request, 1), (thousand, thousand));
}

#[test]
fn a_request_of_any_kind_leaks_nothing() {
    let chunked = "transfer-encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\nx: y\r\n\r\n";
    let requests = [
        "GET /later HTTP/1.1\r\nhost: test\r\n\r\n".to_owned(),
        "GET /nowhere HTTP/1.1\r\nhost: test\r\n\r\n".to_owned(),
        "GET /users/x HTTP/1.1\r\nhost: test\r\n\r\n".to_owned(),
        format!("POST /echo HTTP/1.1\r\nhost: test\r\n{chunked}"),
        format!("POST /json HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{chunked}"),
        format!("POST /plaintext HTTP/1.1\r\nhost: test\r\n{chunked}"),
    ];
    for request in requests {
        let (server, count) = counted();
        let mut client = server.connect();
        let mut live_after_a_thousand = || {
            for _ in 0..BATCH {
                client.send(&request);
                client.response();
            }
            count.live_bytes.load(SeqCst)
        };
        let before = live_after_a_thousand();
        let after = (0..3).map(|_| live_after_a_thousand()).last().expect("three rounds");
        // A leak is at least one byte for each of the three thousand requests.
        assert!(
            after - before < BATCH as i64,
            "{before} bytes became {after}: {request}"
        );
    }
}

/// Unread bytes stay in place and are not copied.
#[test]
fn a_large_response_that_is_not_read_costs_no_memory() {
    let (server, count) = counted();
    let before = count.live_bytes.load(SeqCst);
    let mut stream = TcpStream::connect(server.address).expect("the server accepts");
    stream
        .write_all(b"GET /large HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .expect("the server accepts the request");
    let mut first = [0; 9];
    stream.read_exact(&mut first).expect("the server answers");
    // When the worker responds to another connection, it has also polled this one.
    for _ in 0..3 {
        assert_eq!(server.get("/plaintext").status, 200);
    }
    let held = count.live_bytes.load(SeqCst) - before;
    eprintln!("{held} bytes of heap for a waiting response of {} bytes", LARGE.len());
    assert!(held < 64 * 1024, "{held} bytes are held");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the rest comes");
    let head = rest.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
    assert_eq!(rest.len() - head - 4, LARGE.len());
}

#[test]
fn closed_connections_leave_only_reusable_slots() {
    let count: &'static Count = Box::leak(Box::default());
    // A registered deadline remains registered until it has passed.
    let server = serve(
        App::new(count)
            .routes(ROUTES)
            .development(false)
            .idle_timeout(Duration::from_secs(2)),
    );
    assert_eq!(server.get("/count").status, 200);
    let connections = idle_connections(&server, PLAINTEXT);
    let peak = count.live_bytes.load(SeqCst);
    drop(connections);
    for _ in 0..4 {
        drop(idle_connections(&server, PLAINTEXT));
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut client = server.connect();
    while count.live_bytes.load(SeqCst) > peak {
        let live = count.live_bytes.load(SeqCst);
        assert!(
            Instant::now() < deadline,
            "{live} bytes are kept, and {peak} were enough for the first connections"
        );
        // Lets the worker run.
        client.send(PLAINTEXT);
        assert_eq!(client.response().status, 200);
    }
}

/// The worker's allocations for a thousand of these requests over HTTP/2: the minimum and the median of the batches.
fn allocations_of_streams(path: &str, body: &[u8], together: usize) -> (u64, u64) {
    let (server, count) = counted();
    let mut sender = StreamSender::new(&server, path, body);
    let mut batches = [0; BATCHES];
    for round in 0..WARM_UP + BATCHES {
        let before = count.allocations.load(SeqCst);
        for _ in 0..BATCH / together {
            sender.exchange(together);
        }
        if round >= WARM_UP {
            let pollers = POLLER_ALLOCATIONS * 2 * (BATCH / together) as u64;
            batches[round - WARM_UP] = (count.allocations.load(SeqCst) - before).saturating_sub(pollers);
        }
    }
    batches.sort_unstable();
    eprintln!("HTTP/2 {path}, {together} at a time: allocations per {BATCH} requests: {batches:?}");
    if batches[BATCHES / 2] > 0 {
        // Prints the backtraces, to explain a failure.
        count.shown.store(batches[BATCHES / 2].div_ceil(BATCH as u64), SeqCst);
        sender.exchange(together);
    }
    (batches[0], batches[BATCHES / 2])
}

#[test]
fn small_requests_of_http_2_allocate_nothing() {
    for together in [1, 100] {
        for (path, body) in [
            ("/plaintext", &b""[..]),
            ("/json", b""),
            ("/users/42/number", b""),
            ("/nothing", b""),
            ("/json", b"{\"message\":7}"),
        ] {
            assert_eq!(
                allocations_of_streams(path, body, together),
                (0, 0),
                "{path} {together}"
            );
        }
    }
}
