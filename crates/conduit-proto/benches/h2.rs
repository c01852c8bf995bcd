//! The cost of one request in the HTTP/2 engine, in nanoseconds of one core.
//!
//! `cargo bench -p conduit-proto --bench h2`. Each figure is the best of many batches of 100 requests, each on a new
//! stream of one connection: parsing the request, and writing a response of four fields and 13 bytes.
#![expect(clippy::print_stdout, reason = "the program's purpose is to print figures")]
#![forbid(unsafe_code)]

#[path = "../tests/small_requests/mod.rs"]
mod small_requests;

use std::hint::black_box;
use std::time::{Duration, Instant};

use conduit_proto::h1::Head;
use conduit_proto::h2::{Http2Connection, Http2Limits};
use http::HeaderName;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, SERVER};
use small_requests::{OPENING, push, serve};

/// The number of requests that arrive together.
const BATCH: u32 = 100;

fn main() {
    let pseudo = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/plaintext"),
        (":authority", "server:8080"),
    ];
    let short = [&pseudo[..], &[("user-agent", "h2load nghttp2/1.64.0")]].concat();
    let browser = [
        &pseudo[..],
        &[
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0",
            ),
            (
                "accept",
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            ),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
            ("sec-fetch-site", "none"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("cookie", "session=4f1c2d9b8a7e6f5d4c3b2a190807060504030201"),
            ("priority", "u=0, i"),
        ],
    ]
    .concat();
    for (name, fields) in [("h2load, 5 fields", &short), ("browser, 13 fields", &browser)] {
        println!("{:44} {:9.1} ns", format!("indexed: {name}"), measure(fields, true));
        println!("{:44} {:9.1} ns", format!("literals: {name}"), measure(fields, false));
    }
}

/// The nanoseconds of a request and its response.
fn measure(fields: &[(&str, &str)], is_indexed: bool) -> f64 {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(SERVER, HeaderValue::from_static("conduit"));
    headers.insert(HeaderName::from_static("x-app"), HeaderValue::from_static("a"));
    let (mut head, mut out) = (Head::new(), Vec::new());
    let mut connection = Http2Connection::new(&Http2Limits::default(), &mut out);
    // The first request fills the table.
    let mut first = OPENING.to_vec();
    push(&mut first, 1, 5, 1, &literals(fields, 0x40));
    // The connection's window is large enough for all responses.
    first.extend(b"\0\0\x04\x08\0\0\0\0\0\x7f\0\0\0");
    serve(&mut connection, &first, &mut head, &mut out, &headers, b"Hello, world!");
    let block = match is_indexed {
        true => (0..fields.len() as u8)
            .rev()
            .map(|position| 0x80 | (62 + position))
            .collect(),
        false => literals(fields, 0),
    };

    let (mut best, mut stream) = (Duration::MAX, 3);
    for _ in 0..3000 {
        let mut input = Vec::new();
        for _ in 0..BATCH {
            push(&mut input, 1, 5, stream, &block);
            stream += 2;
        }
        out.clear();
        let start = Instant::now();
        serve(
            &mut connection,
            black_box(&input),
            &mut head,
            &mut out,
            &headers,
            b"Hello, world!",
        );
        best = best.min(start.elapsed());
        black_box(&out);
    }
    best.as_nanos() as f64 / f64::from(BATCH)
}

/// Fields as uncompressed literals with this representation.
fn literals(fields: &[(&str, &str)], first: u8) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(first);
        for string in [name, value] {
            // Each string is shorter than the maximum of the prefix.
            block.push(string.len() as u8);
            block.extend(string.bytes());
        }
    }
    block
}
