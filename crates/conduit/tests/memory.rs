//! The memory that a client can make the server use: compressed bodies, unfinished bodies, compressed streams, and answers
//! that quote their input.

#[cfg(all(feature = "http2", feature = "websocket"))]
#[path = "memory_of/connections.rs"]
mod connections;
#[cfg(feature = "multipart")]
#[path = "memory_of/forms.rs"]
mod forms;
#[cfg(all(feature = "http2", feature = "websocket"))]
#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../conduit-proto/tests/h2/frames.rs"]
mod frames;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use conduit::prelude::*;
use conduit::{Limit, health};
use futures_core::Stream;
use support::{Running, serve, wait_for};

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);
/// Serializes the tests that measure memory.
static ALONE: Mutex<()> = Mutex::new(());

struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn allocated(bytes: usize) {
    let live = LIVE_BYTES.fetch_add(bytes, Relaxed) + bytes;
    PEAK_BYTES.fetch_max(live, Relaxed);
}

// SAFETY: each method forwards its arguments to the system's allocator.
#[expect(unsafe_code, reason = "an allocator that counts is an unsafe implementation")]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller upholds the contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The peak of the memory that a call allocates.
fn peak_of<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE_BYTES.load(Relaxed);
    PEAK_BYTES.store(before, Relaxed);
    let value = call();
    (value, PEAK_BYTES.load(Relaxed).saturating_sub(before))
}

fn post(path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\n{fields}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[post("/length")]
async fn length(body: Bytes) -> String {
    body.len().to_string()
}

#[cfg(feature = "compression")]
mod coded {
    use std::io::Read;

    use conduit::http::header::CONTENT_TYPE;
    use conduit::layer::{Compression, Decompression};

    use super::*;

    fn refused(coding: &str, body: &[u8]) -> (u16, usize) {
        let server = serve(App::new(()).routes(routes![length]).layer(Decompression::new()));
        let mut client = server.connect();
        client.send(post("/length", "", b"x"));
        assert_eq!(client.response().status, 200);
        let request = post("/length", &format!("content-encoding: {coding}\r\n"), body);
        let (response, peak) = peak_of(|| {
            client.send(&request);
            client.response()
        });
        (response.status, peak)
    }

    #[test]
    fn brotli_body_with_a_large_window_allocates_little() {
        let _alone = alone();
        let mut params = brotli::enc::BrotliEncoderParams::default();
        (params.large_window, params.lgwin, params.quality) = (true, 30, 5);
        let mut body = Vec::new();
        brotli::BrotliCompress(&mut &vec![0; 64 << 20][..], &mut body, &params).expect("memory");
        let (status, peak) = refused("br", &body);
        assert_eq!(status, 400);
        assert!(peak < 1 << 20, "{peak} bytes");
    }

    #[test]
    fn body_that_decompresses_to_many_bytes_allocates_at_most_a_few_times_the_limit() {
        let _alone = alone();
        let plain = vec![0; 256 << 20];
        let mut brotli = Vec::new();
        let params = brotli::enc::BrotliEncoderParams {
            quality: 1,
            lgwin: 24,
            ..Default::default()
        };
        brotli::BrotliCompress(&mut &plain[..], &mut brotli, &params).expect("memory");
        let mut gzip = Vec::new();
        flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast())
            .read_to_end(&mut gzip)
            .expect("memory");
        let zstd = zstd::encode_all(&plain[..], 1).expect("memory");
        drop(plain);
        for (coding, body) in [("br", brotli), ("gzip", gzip), ("zstd", zstd)] {
            let (status, peak) = refused(coding, &body);
            assert_eq!(status, 413, "{coding}");
            // The window and the output, both of twice the limit at most, and tables.
            assert!(peak < 12 << 20, "{coding}: {peak} bytes");
        }
    }

    /// A piece, and then nothing or the end.
    struct Piece {
        has_come: bool,
        ends: bool,
    }

    impl Stream for Piece {
        type Item = io::Result<Bytes>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
            match std::mem::replace(&mut self.has_come, true) {
                false => Poll::Ready(Some(Ok(Bytes::from_static(b"piece")))),
                true if self.ends => Poll::Ready(None),
                true => Poll::Pending,
            }
        }
    }

    type Events = ([(HeaderName, HeaderValue); 1], Body);

    fn piece(ends: bool) -> Events {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))];
        let stream = Piece { has_come: false, ends };
        (headers, Body::from_stream(stream))
    }

    #[get("/events")]
    fn events() -> Events {
        piece(false)
    }

    #[get("/short")]
    fn short() -> Events {
        piece(true)
    }

    fn streaming(memory: u64) -> Running {
        let app = App::new(())
            .routes(routes![events, short])
            .workers(1)
            .body_memory(memory);
        serve(app.layer(Compression::new()))
    }

    /// Opens a stream; returns its connection, and whether it is compressed.
    fn open(server: &Running, coding: &str) -> (support::Client, bool) {
        let mut client = server.connect();
        client.send(format!(
            "GET /events HTTP/1.1\r\nhost: test\r\naccept-encoding: {coding}\r\n\r\n"
        ));
        let is_compressed = client.head().contains(&format!("content-encoding: {coding}\r\n"));
        (client, is_compressed)
    }

    #[test]
    fn encoders_of_streams_are_bounded_and_further_streams_are_not_compressed() {
        let _alone = alone();
        // A quarter of the memory is for encoders, of 384 KiB each.
        let server = streaming(4 << 20);
        // A stream that ends returns its memory.
        for _ in 0..5 {
            let mut client = server.connect();
            client.send("GET /short HTTP/1.1\r\nhost: test\r\naccept-encoding: zstd\r\n\r\n");
            assert_eq!(client.response().header("content-encoding"), Some("zstd"));
        }
        let streams: Vec<_> = (0..4).map(|_| open(&server, "zstd")).collect();
        let compressed: Vec<_> = streams.iter().map(|(_, is_compressed)| *is_compressed).collect();
        assert_eq!(compressed, [true, true, false, false]);
        assert_eq!(server.handle().statistics().limit_hits(Limit::CompressionMemory), 2);
    }

    #[test]
    fn encoder_of_a_stream_uses_no_more_memory_than_its_charge() {
        let _alone = alone();
        let server = streaming(1 << 30);
        for (coding, most) in [("gzip", 384 << 10), ("br", 1 << 20)] {
            let _first = open(&server, coding);
            let before = LIVE_BYTES.load(Relaxed);
            let streams: Vec<_> = (0..8).map(|_| open(&server, coding)).collect();
            let each = (LIVE_BYTES.load(Relaxed) - before) / streams.len();
            assert!(streams.iter().all(|(_, is_compressed)| *is_compressed));
            assert!(each <= most, "{coding}: {each} bytes");
        }
    }
}

#[test]
fn body_beyond_the_memory_for_bodies_is_refused_and_the_server_is_not_ready() {
    let _alone = alone();
    let app = App::new(()).routes(routes![length, health::readyz]).workers(1);
    let server = serve(app.body_memory(1 << 20));
    let mut unfinished = server.connect();
    let part = &post("/length", "", &[b'x'; 1_048_000])[..1_000_000];
    unfinished.send(part);
    wait_for(|| server.handle().statistics().received_bytes >= part.len() as u64);
    let length = |bytes: usize| server.request(post("/length", "", &vec![b'x'; bytes]));
    let refused = length(200_000);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(server.handle().statistics().limit_hits(Limit::BodyMemory), 1);
    assert_eq!(server.get("/readyz").status, 503);
    // A small body needs no memory of the budget.
    assert_eq!(length(1000).text(), "1000");
    drop(unfinished);
    while server.get("/readyz").status != 200 {}
    assert_eq!(length(200_000).text(), "200000");
    // The memory of earlier bodies is free again: many consecutive bodies fit.
    for _ in 0..20 {
        assert_eq!(length(900_000).text(), "900000");
    }
}

#[test]
fn client_that_still_sends_a_refused_body_receives_the_503_and_an_orderly_close() {
    let _alone = alone();
    let app = App::new(()).routes(routes![length]).workers(1);
    let server = serve(app.body_memory(1 << 20).body_limit(u64::MAX));
    let unfinished = &post("/length", "", &[b'x'; 1_048_000])[..1_000_000];
    let mut holder = server.connect();
    holder.send(unfinished);
    while server.handle().statistics().received_bytes < unfinished.len() as u64 {
        std::thread::yield_now();
    }
    // More than the kernel's buffers hold, so that the client still sends when the response arrives.
    let body = vec![b'x'; 32 << 20];
    let length = format!("content-length: {}\r\n\r\n", body.len());
    // The end of the chunked body may be near: the server reads a little before it closes.
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len());
    for (framing, connection) in [(length, Some("close")), (chunked, None)] {
        let mut client = server.connect();
        let mut half = client.duplicate();
        client.send(format!("POST /length HTTP/1.1\r\nhost: test\r\n{framing}"));
        std::thread::scope(|scope| {
            // The server stops reading at the limit for a closing connection, so the client may not be able to send everything.
            scope.spawn(|| io::Write::write_all(&mut half, &body));
            let refused = client.response();
            assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
            assert_eq!(refused.header("connection"), connection, "{framing}");
            assert!(client.is_closed());
        });
    }
}

mod quoted {
    use conduit::layer::{Idempotency, MethodOverride};
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[serde(default)]
        _number: Option<u8>,
        #[serde(default)]
        _colour: Option<Colour>,
        #[serde(default)]
        _flags: Vec<bool>,
    }

    /// A field of each type that does not accept a string.
    #[derive(Deserialize)]
    struct Scalars {
        #[serde(default)]
        _float: Option<f64>,
        #[serde(default)]
        _large: Option<u128>,
        #[serde(default)]
        _pair: Option<(u8, u8)>,
        #[serde(default)]
        _object: Option<Order>,
    }

    #[post("/scalars")]
    async fn scalars(_scalars: Json<Scalars>) {}

    #[test]
    fn rejection_of_a_long_text_builds_no_long_message() {
        let _alone = alone();
        let server = serve(App::new(()).routes(routes![json, scalars]));
        let as_json = "content-type: application/json\r\n";
        let long = "\u{7f}".repeat(1_900_000);
        for (path, field) in [
            ("/json", "_number"),
            ("/json", "_colour"),
            ("/json", "_flags"),
            ("/scalars", "_float"),
            ("/scalars", "_pair"),
            ("/scalars", "_object"),
            ("/scalars", "_large"),
        ] {
            let request = post(path, as_json, format!("{{\"{field}\":\"{long}\"}}").as_bytes());
            let (response, peak) = peak_of(|| server.request(&request));
            assert_eq!(response.status, 422, "{field}");
            // The body alone, whose buffer grows by doubling.
            assert!(peak < 2 * request.len(), "{field}: {peak} bytes");
        }
    }

    #[cfg(feature = "validate")]
    #[test]
    fn problem_about_many_values_of_a_long_name_repeats_only_an_excerpt() {
        use std::collections::HashMap;

        use conduit::Valid;
        use garde::Validate;

        #[derive(Deserialize, Validate)]
        struct Line {
            #[garde(range(min = 1))]
            count: u32,
        }

        #[derive(Deserialize, Validate)]
        struct Lines {
            #[garde(dive)]
            by_name: HashMap<String, Vec<Line>>,
        }

        #[post("/lines")]
        async fn lines(_lines: Valid<Json<Lines>>) {}

        #[post("/fields")]
        async fn fields(_lines: Valid<Form<Lines>>) {}

        let _alone = alone();
        let server = serve(App::new(()).routes(routes![lines, fields]));
        let long = "n".repeat(1_000_000);
        let json = format!(
            "{{\"by_name\":{{\"{long}\":[{}{{\"count\":0}}]}}}}",
            "{\"count\":0},".repeat(99)
        );
        let form = format!("by_name[{long}][0][count]=0&by_name[{long}][1][count]=0");
        for (path, media_type, body) in [
            ("/lines", "application/json", json),
            ("/fields", "application/x-www-form-urlencoded", form),
        ] {
            let request = post(path, &format!("content-type: {media_type}\r\n"), body.as_bytes());
            let (response, peak) = peak_of(|| server.request(&request));
            assert_eq!(response.status, 422, "{path}");
            // The body, its values, and a few copies of the name in turn.
            assert!(peak < 12 * request.len(), "{path}: {peak} bytes for {}", request.len());
        }
    }

    #[derive(Deserialize)]
    enum Colour {
        Red,
    }

    #[test]
    fn form_with_too_many_fields_is_refused_before_its_values_are_built() {
        let _alone = alone();
        let server = serve(App::new(()).routes(routes![submitted]));
        let as_form = "content-type: application/x-www-form-urlencoded\r\n";
        let request = post("/submitted", as_form, "a&".repeat(900_000).as_bytes());
        let (response, peak) = peak_of(|| server.request(&request));
        assert_eq!(response.status, 413);
        // The body and the copy that the form reads, both charged.
        assert!(peak < 3 * request.len(), "{peak} bytes");
    }

    #[cfg(feature = "sessions")]
    #[test]
    fn search_for_the_token_of_a_form_builds_no_list_of_its_fields() {
        let _alone = alone();
        let sessions = conduit::session::Sessions::in_memory();
        let server = serve(App::new(sessions).routes(routes![
            #[layer(conduit::session::require_token)]
            guarded
        ]));
        let as_form = "content-type: application/x-www-form-urlencoded\r\n";
        let request = post("/guarded", as_form, "&".repeat(1_900_000).as_bytes());
        let (response, peak) = peak_of(|| server.request(&request));
        assert_eq!(response.status, 403);
        assert!(peak < 3 * request.len(), "{peak} bytes");
    }

    #[cfg(feature = "sessions")]
    #[post("/guarded")]
    async fn guarded() {}

    #[post("/submitted")]
    async fn submitted(_order: conduit::extract::Submission<Form<Order>>) {}

    #[post("/json")]
    async fn json(_order: Json<Order>) {}

    #[post("/form")]
    async fn form(_order: Form<Order>) {}

    #[get("/query")]
    async fn query(_order: Query<Order>) {}

    #[get("/path/{number}")]
    async fn path(number: Path<u8>) -> String {
        number.to_string()
    }

    #[get("/header")]
    async fn header(_order: Header<Order>) {}

    #[cfg(feature = "multipart")]
    #[post("/multipart")]
    async fn multipart(_order: conduit::MultipartForm<Order>) {}

    #[cfg(feature = "multipart")]
    const FORMS: Routes<()> = routes![multipart];
    #[cfg(not(feature = "multipart"))]
    const FORMS: Routes<()> = routes![];

    fn server() -> Running {
        let routes = routes![json, form, query, path, header, "/forms" => FORMS];
        let app = App::new(()).routes(routes);
        serve(app.layer(Idempotency::new()).layer(MethodOverride::new()))
    }

    /// The longest response that quotes its input: a few KiB, twice in an escaped page.
    const LONGEST_BYTES: usize = 16 * 1024;

    fn is_short(server: &Running, name: &str, request: &[u8]) {
        let response = server.request(request);
        assert!((400..502).contains(&response.status), "{name}: {}", response.status);
        let length = response.body.len();
        assert!(length < LONGEST_BYTES, "{name}: {length} bytes");
        let page = String::from_utf8_lossy(request).replacen("\r\n", "\r\naccept: text/html\r\n", 1);
        let length = server.request(page).body.len();
        assert!(length < 2 * LONGEST_BYTES, "{name}: a page of {length} bytes");
    }

    #[test]
    fn response_to_long_invalid_input_is_short() {
        let _alone = alone();
        let server = server();
        let as_json = "content-type: application/json\r\n";
        let as_form = "content-type: application/x-www-form-urlencoded\r\n";
        for long in ["x".repeat(1_900_000), "é".repeat(950_000), "\\u0001".repeat(316_000)] {
            for (name, body) in [
                ("a text for a number", format!("{{\"_number\":\"{long}\"}}")),
                ("an unknown field", format!("{{\"{long}\":1}}")),
                ("an unknown variant", format!("{{\"_colour\":\"{long}\"}}")),
                ("a text in a list", format!("{{\"_flags\":[true,\"{long}\"]}}")),
                ("a text for an object", format!("\"{long}\"")),
                ("no JSON", long.clone()),
            ] {
                is_short(&server, name, &post("/json", as_json, body.as_bytes()));
            }
        }
        let digits = "9".repeat(1_900_000);
        is_short(
            &server,
            "a long number",
            &post("/json", as_json, format!("{{\"_number\":{digits}}}").as_bytes()),
        );
        for long in ["x".repeat(1_900_000), "%01".repeat(633_000)] {
            for (name, body) in [
                ("a text for a number", format!("_number={long}")),
                ("an unknown field", format!("{long}=1")),
                ("an unknown variant", format!("_colour={long}")),
                ("a name in brackets", format!("_flags[{long}]=1")),
                ("a text in a list", format!("_flags=true&_flags={long}")),
            ] {
                is_short(&server, name, &post("/form", as_form, body.as_bytes()));
            }
        }
        #[cfg(feature = "multipart")]
        {
            let as_multipart = "content-type: multipart/form-data; boundary=b\r\n";
            let part = |name: &str, value: &str| {
                format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--b--\r\n")
            };
            let long = "x".repeat(900_000);
            for (name, body) in [
                ("a text for a number", part("_number", &long)),
                ("an unknown field", part(&long[..10_000], "1")),
                ("a long head", part(&long, "1")),
            ] {
                is_short(&server, name, &post("/forms/multipart", as_multipart, body.as_bytes()));
            }
        }
        let long = "x".repeat(15_000);
        for (name, request) in [
            (
                "a query",
                format!("GET /query?_number={long} HTTP/1.1\r\nhost: test\r\n\r\n"),
            ),
            (
                "the name of a query's field",
                format!("GET /query?{long}=1 HTTP/1.1\r\nhost: test\r\n\r\n"),
            ),
            (
                "a parameter of the path",
                format!("GET /path/{long} HTTP/1.1\r\nhost: test\r\n\r\n"),
            ),
            ("no route", format!("GET /{long} HTTP/1.1\r\nhost: test\r\n\r\n")),
            (
                "no route for the method",
                format!("PUT /path/{long} HTTP/1.1\r\nhost: test\r\n\r\n"),
            ),
            (
                "a header field",
                format!("GET /header HTTP/1.1\r\nhost: test\r\n-number: {long}\r\n\r\n"),
            ),
            (
                "an idempotency key",
                format!("POST /json HTTP/1.1\r\nhost: test\r\nidempotency-key: {long}\r\n\r\n"),
            ),
            (
                "a method",
                format!("POST /json HTTP/1.1\r\nhost: test\r\nx-http-method-override: {long}\r\n\r\n"),
            ),
            (
                "a content type",
                format!("POST /json HTTP/1.1\r\nhost: test\r\ncontent-type: {long}\r\n\r\n"),
            ),
        ] {
            let response = server.request(&request);
            assert!((400..502).contains(&response.status), "{name}: {}", response.status);
            assert!(
                response.body.len() < LONGEST_BYTES,
                "{name}: {} bytes",
                response.body.len()
            );
        }
    }
}
