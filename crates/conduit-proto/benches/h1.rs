//! The cost of one request in the engine, in nanoseconds of one core.
//!
//! `cargo bench -p conduit-proto`. Each figure is the best of many batches, because other load only adds time. The
//! input is hidden from the compiler, and the output is used. For comparison, it prints the time of httparse for the
//! same bytes, which does less: no copy, no framing, no check of the target.
#![expect(clippy::print_stdout, reason = "the program's purpose is to print figures")]
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use conduit_proto::h1::{Connection, Event, Head, Limits};
use conduit_proto::http_date;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, SERVER};
use http::{HeaderName, StatusCode};

const PLAINTEXT: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n";

const TECHEMPOWER: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: server\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20130501 Firefox/30.0 AppleWebKit/600.00 Chrome/30.0.0000.0 Trident/10.0 Safari/600.00\r\n\
    Cookie: uid=12345678901234567890; __utma=1.1234567890.1234567890.1234567890.1234567890.12; wd=2560x1600\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\nConnection: keep-alive\r\n\r\n";

const BROWSER: &[u8] = b"GET /repos/rust-lang/rust/issues?state=open&per_page=50 HTTP/1.1\r\n\
    Host: api.example.org\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Google Chrome\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n\
    Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=4f1c2d9b8a7e6f5d4c3b2a190807060504030201; theme=dark; consent=yes\r\n\r\n";

fn main() {
    println!("{:44} {:>9} {:>9}", "", "ns", "httparse");
    for (name, request) in [
        ("plaintext, 1 field", PLAINTEXT),
        ("TechEmpower, 6 fields", TECHEMPOWER),
        ("browser, 16 fields", BROWSER),
    ] {
        let parse = parse_and_answer(request, false);
        let reference = best(|| {
            let mut fields = [const { MaybeUninit::uninit() }; 16];
            let mut parsed = httparse::Request::new(&mut []);
            let status = parsed.parse_with_uninit_headers(black_box(request), &mut fields);
            black_box((status.is_ok(), parsed.headers.len()));
        });
        let whole = parse_and_answer(request, true);
        println!("{:44} {parse:9.1} {reference:9.1}", format!("parse: {name}"));
        println!("{:44} {whole:9.1}", format!("parse and answer: {name}"));
    }
    println!(
        "{:44} {:9.1}",
        "Date, once a second",
        best(|| {
            black_box(http_date(black_box(784_111_777)));
        })
    );
}

/// Parses one request, and optionally writes a response of three fields and 13 bytes.
fn parse_and_answer(request: &[u8], answer: bool) -> f64 {
    let mut headers = HeaderMap::new();
    if answer {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(SERVER, HeaderValue::from_static("conduit"));
        let name = HeaderName::from_static("x-request-id");
        headers.insert(name, HeaderValue::from_static("0123456789abcdef"));
    }
    let limits = Limits::default();
    let date = http_date(784_111_777);
    let (mut connection, mut head, mut output) = (Connection::new(), Head::new(), Vec::new());
    best(|| {
        let input = black_box(request);
        let found = connection.handle_input(input, &mut head, &limits);
        assert!(matches!(found, Ok((_, Event::Request))));
        black_box(&head);
        if answer {
            let body = black_box(&b"Hello, World!"[..]);
            connection.write_response(&mut output, StatusCode::OK, &headers, body, &date);
            black_box(&output);
            output.clear();
        } else {
            connection = Connection::new();
        }
    })
}

/// The time of one call in the fastest batch.
fn best(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 1_000;
    let mut best = Duration::MAX;
    for _ in 0..500 {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        best = best.min(start.elapsed());
    }
    best.as_nanos() as f64 / f64::from(CALLS)
}
