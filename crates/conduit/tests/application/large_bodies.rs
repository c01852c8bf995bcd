//! Bodies that are sent without a copy: large byte strings, pieces of streams, files.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use conduit::prelude::*;
use futures_core::Stream;

use crate::support::{Running, serve};

/// More bytes than the buffers of a socket hold; each eight bytes encode their position.
fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| if place % 8 == 0 { (place / 8 % 251) as u8 } else { b'-' })
        .collect()
}

/// A file that is removed with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(content: &[u8]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "conduit-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The joined pieces.
fn pieces(pieces: Vec<Vec<u8>>) -> impl Stream<Item = Result<Bytes, io::Error>> {
    struct BytePieces(std::vec::IntoIter<Vec<u8>>);
    impl Stream for BytePieces {
        type Item = Result<Bytes, io::Error>;
        fn poll_next(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Ready(self.get_mut().0.next().map(|piece| Ok(Bytes::from(piece))))
        }
    }
    BytePieces(pieces.into_iter())
}

#[get("/vec/{length}")]
async fn vec(length: Path<usize>) -> Vec<u8> {
    bytes(*length)
}

#[get("/bytes/{length}")]
async fn shared(length: Path<usize>) -> Bytes {
    Bytes::from(bytes(*length))
}

/// A stream of pieces of this length, a hundred in all.
#[get("/stream/{length}")]
async fn stream(length: Path<usize>) -> Body {
    Body::from_stream(pieces(vec![bytes(*length); 100]))
}

/// A stream of a hundred pieces of 10,000 bytes that declares `length`.
#[get("/sized/{length}")]
async fn sized(length: Path<u64>) -> Body {
    Body::from_sized_stream(pieces(vec![bytes(10_000); 100]), *length)
}

#[derive(serde::Deserialize)]
struct Part {
    path: PathBuf,
    start: u64,
    end: u64,
}

#[get("/file")]
async fn file(part: Query<Part>) -> Result<Body, Problem> {
    Ok(Body::from_file(File::open(&part.path)?, part.start..part.end))
}

/// A file that the handler reads by itself.
#[get("/collected")]
async fn collected(part: Query<Part>) -> Result<Bytes, Problem> {
    let body = Body::from_file(File::open(&part.path)?, part.start..part.end);
    Ok(body.collect().await?)
}

#[get("/end")]
async fn end() -> &'static str {
    "end"
}

fn server() -> Running {
    serve(App::new(()).routes(routes![vec, shared, stream, sized, file, collected, end]))
}

/// All received bytes for these requests; the last one closes the connection.
fn answers(server: &Running, requests: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).expect("the server accepts");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout can be set");
    stream.write_all(requests.as_bytes()).expect("the server takes it");
    let mut all = Vec::new();
    // An aborted response may end in a reset.
    let _ = stream.read_to_end(&mut all);
    all
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n")
}

fn last(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
}

/// The body after the first head.
fn body(answer: &[u8]) -> &[u8] {
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
    &answer[head + 4..]
}

/// The data of a chunked body.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let line = body.windows(2).position(|end| end == b"\r\n").expect("a size");
        let size = usize::from_str_radix(str::from_utf8(&body[..line]).expect("text"), 16).expect("a number");
        body = &body[line + 2..];
        data.extend_from_slice(&body[..size]);
        assert_eq!(&body[size..size + 2], b"\r\n");
        body = &body[size + 2..];
        if size == 0 {
            return data;
        }
    }
}

#[test]
fn bytes_of_any_length_arrive_complete_and_in_order() {
    let server = server();
    for length in [8 * 1024 - 1, 8 * 1024, 100_000, 9_000_000] {
        for kind in ["vec", "bytes"] {
            let answer = answers(&server, &last(&format!("/{kind}/{length}")));
            assert!(body(&answer) == bytes(length), "{kind} {length}");
        }
    }
}

#[test]
fn requests_after_a_large_response_are_served_after_it() {
    let server = server();
    let requests = [get("/vec/9000000"), get("/end"), get("/bytes/20000"), last("/end")].concat();
    let answer = answers(&server, &requests);
    let mut rest = body(&answer);
    assert!(rest[..9_000_000] == bytes(9_000_000));
    rest = body(&rest[9_000_000..]);
    assert_eq!(&rest[..3], b"end");
    rest = body(&rest[3..]);
    assert!(rest[..20_000] == bytes(20_000));
    assert_eq!(body(&rest[20_000..]), b"end");
}

#[test]
fn head_of_a_large_answer_has_its_length_and_no_body() {
    let server = server();
    let request = "HEAD /vec/100000 HTTP/1.1\r\nhost: test\r\n\r\n".to_owned() + &last("/end");
    let answer = answers(&server, &request);
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(
        String::from_utf8_lossy(&answer).contains("content-length: 100000\r\n"),
        "{answer:?}"
    );
    assert!(body(&answer).starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(answer.ends_with(b"\r\n\r\nend"));
}

#[test]
fn pieces_of_a_stream_are_chunks_of_any_length() {
    let server = server();
    for length in [1, 8 * 1024, 100_000] {
        let answer = answers(&server, &last(&format!("/stream/{length}")));
        assert!(unchunked(body(&answer)) == bytes(length).repeat(100), "{length}");
    }
    // HTTP/1.0 has no chunks: the body ends with the connection.
    let answer = answers(&server, "GET /stream/20000 HTTP/1.0\r\n\r\n");
    assert!(body(&answer) == bytes(20_000).repeat(100));
}

#[test]
fn a_sized_stream_has_a_length_and_is_aborted_if_it_differs() {
    let server = server();
    let answer = answers(&server, &last("/sized/1000000"));
    assert!(String::from_utf8_lossy(&answer[..300]).contains("content-length: 1000000\r\n"));
    assert!(body(&answer) == bytes(10_000).repeat(100));
    // Without `connection: close`: the server closes, and never sends more than it declared.
    let answer = answers(&server, &get("/sized/1000001"));
    assert_eq!(body(&answer).len(), 1_000_000);
    let answer = answers(&server, &get("/sized/15000"));
    assert!(body(&answer).len() < 15_000);
}

#[test]
fn a_file_is_sent_completely_in_part_and_after_another() {
    let server = server();
    let content = bytes(9_000_000);
    let temporary = Temporary::new(&content);
    let path = temporary.0.display();
    for (start, end) in [
        (0, 9_000_000),
        (0, 1),
        (5, 4096),
        (0, 65_536),
        (0, 65_537),
        (1_000_001, 8_999_999),
        (7, 7),
    ] {
        let target = format!("/file?path={path}&start={start}&end={end}");
        let answer = answers(&server, &[get(&target), last("/end")].concat());
        let length = end - start;
        assert!(
            String::from_utf8_lossy(&answer[..200.min(answer.len())])
                .contains(&format!("content-length: {length}\r\n"))
        );
        assert!(body(&answer)[..length] == content[start..end], "{start}..{end}");
        assert_eq!(body(&body(&answer)[length..]), b"end");
    }
    let target = format!("/collected?path={path}&start=3&end=900000");
    assert!(body(&answers(&server, &last(&target))) == &content[3..900_000]);
}

#[test]
fn a_file_that_is_shorter_than_declared_aborts_the_connection() {
    let server = server();
    for (content, end) in [(0, 10), (10, 20), (70_000, 80_000), (3_000_000, 9_000_000)] {
        let temporary = Temporary::new(&bytes(content));
        let target = format!("/file?path={}&start=0&end={end}", temporary.0.display());
        let answer = answers(&server, &[get(&target), get("/end")].concat());
        let body = body(&answer);
        assert!(
            body.len() <= content && body == &bytes(content)[..body.len()],
            "{content}"
        );
    }
    // The others are served.
    assert_eq!(server.get("/end").text(), "end");
}

#[test]
fn a_client_that_disconnects_in_the_middle_does_not_affect_others() {
    let server = server();
    let temporary = Temporary::new(&bytes(9_000_000));
    let target = format!("/file?path={}&start=0&end=9000000", temporary.0.display());
    for target in [target.as_str(), "/vec/9000000", "/stream/100000"] {
        let mut stream = TcpStream::connect(server.address).expect("the server accepts");
        stream.write_all(get(target).as_bytes()).expect("the server takes it");
        stream.read_exact(&mut [0; 1000]).expect("it answers");
        drop(stream);
        assert_eq!(server.get("/end").text(), "end");
    }
}
