//! Compressed responses and requests, checked with independent coders.

use std::io::{Read, Write};
use std::sync::Arc;

use conduit::layer::{BodyLimit, Compression, Conditional, Decompression, Preconditions};
use conduit::prelude::*;
use conduit::problem::ErrorContext;
use tokio::sync::Notify;

use crate::request;
use crate::support::{Response as Received, Running, serve};

const TEXT: &str = "All animals are equal, but some animals are more equal than others. ";

#[get("/text")]
async fn text() -> String {
    TEXT.repeat(100)
}

#[get("/large")]
async fn large() -> String {
    TEXT.repeat(20_000)
}

#[get("/small")]
async fn small() -> &'static str {
    TEXT
}

#[get("/image")]
async fn image() -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "image/png")], TEXT.repeat(100))
}

#[get("/untouched")]
async fn untouched() -> ([(&'static str, &'static str); 1], String) {
    ([("cache-control", "private, No-Transform")], TEXT.repeat(100))
}

#[get("/empty")]
async fn empty() {}

#[get("/stream")]
async fn stream(release: State<Arc<Notify>>) -> ([(&'static str, &'static str); 1], Body) {
    let events = Events {
        release: release.0,
        next: 0,
        wait: None,
    };
    ([("content-type", "text/event-stream")], Body::from_stream(events))
}

/// Events, each of which waits until it is released.
struct Events {
    release: Arc<Notify>,
    next: usize,
    wait: Option<std::pin::Pin<Box<dyn Future<Output = ()>>>>,
}

impl futures_core::Stream for Events {
    type Item = Result<String, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if self.next == 3 {
            return std::task::Poll::Ready(None);
        }
        let release = Arc::clone(&self.release);
        let wait = self
            .wait
            .get_or_insert_with(|| Box::pin(async move { release.notified().await }));
        std::task::ready!(wait.as_mut().poll(context));
        self.wait = None;
        self.next += 1;
        std::task::Poll::Ready(Some(Ok(format!("data: {}\n\n", self.next))))
    }
}

fn server() -> (Running, Arc<Notify>) {
    let release = Arc::new(Notify::new());
    let routes = routes![text, large, small, image, untouched, empty, stream];
    let app = App::new(Arc::clone(&release))
        .routes(routes)
        .layer(Conditional::new())
        .layer(Compression::new())
        // In development an error varies by `accept`, which is added after all layers.
        .development(false);
    (serve(app), release)
}

fn get(server: &Running, target: &str, accepted: &str) -> Received {
    server.request(request("GET", target, &[("accept-encoding", accepted)]))
}

fn plain(answer: &Received) -> Vec<u8> {
    let mut plain = Vec::new();
    let body = &answer.body[..];
    match answer.header("content-encoding") {
        None => return answer.body.clone(),
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
        Some("zstd") => zstd::stream::read::Decoder::new(body)
            .expect("a decoder")
            .read_to_end(&mut plain),
        Some(other) => panic!("{other}"),
    }
    .expect("the body is in its coding");
    plain
}

#[test]
fn a_response_is_compressed_as_the_client_prefers() {
    let (server, _) = server();
    for (accepted, coding) in [("gzip", "gzip"), ("br, gzip", "br"), ("gzip, br, zstd", "zstd")] {
        for (target, length) in [("/text", 100), ("/large", 20_000)] {
            let answer = get(&server, target, accepted);
            assert_eq!(answer.header("content-encoding"), Some(coding));
            assert_eq!(answer.header("vary"), Some("accept-encoding"));
            assert!(
                answer.body.len() < TEXT.len() * length / 10,
                "{} bytes",
                answer.body.len()
            );
            assert!(plain(&answer) == TEXT.repeat(length).as_bytes(), "{coding} {target}");
        }
    }
    let answer = server.get("/text");
    assert_eq!(
        (answer.header("content-encoding"), answer.header("vary")),
        (None, Some("accept-encoding"))
    );
    assert!(answer.body == TEXT.repeat(100).as_bytes());
}

#[test]
fn codings_of_all_lines_are_considered() {
    let (server, _) = server();
    for (lines, coding) in [
        (["*", "zstd;q=0"], Some("br")),
        (["zstd;q=0", "*"], Some("br")),
        (["deflate", "gzip"], Some("gzip")),
        (["gzip;q=0.5", "identity"], None),
    ] {
        let fields = lines.map(|line| ("accept-encoding", line));
        let answer = server.request(request("GET", "/text", &fields));
        assert_eq!(answer.header("content-encoding"), coding, "{lines:?}");
    }
}

#[test]
fn content_that_would_not_shrink_is_not_compressed() {
    let (server, _) = server();
    for target in ["/small", "/image", "/untouched", "/empty", "/nowhere"] {
        let answer = get(&server, target, "gzip, br, zstd");
        assert_eq!(answer.header("content-encoding"), None, "{target}");
        // Another response to the same target may be compressed.
        assert_eq!(answer.header("vary"), Some("accept-encoding"), "{target}");
    }
}

#[test]
fn each_coding_has_a_strong_tag_that_matches_for_it_alone() {
    let (server, _) = server();
    let plain = get(&server, "/text", "identity")
        .header("etag")
        .expect("a tag")
        .to_owned();
    for (coding, other) in [("gzip", "br"), ("br", "zstd"), ("zstd", "gzip")] {
        for target in ["/text", "/large"] {
            let tag = get(&server, target, coding).header("etag").expect("a tag").to_owned();
            assert!(tag.starts_with('"') && tag.ends_with(&format!(";{coding}\"")), "{tag}");
            let ask = |method: &str, accepted: &str, name: &str, value: &str| {
                let mut client = server.connect();
                client.send(request(method, target, &[("accept-encoding", accepted), (name, value)]));
                client.response_to(method)
            };
            for method in ["GET", "HEAD"] {
                for known in [tag.clone(), format!("\"else\", {tag}"), format!("W/{tag}")] {
                    let again = ask(method, coding, "if-none-match", &known);
                    assert_eq!((again.status, again.header("etag")), (304, Some(&*tag)), "{known}");
                }
            }
            // A client that does not accept the coding cannot use its stored response.
            assert_eq!(ask("GET", other, "if-none-match", &tag).status, 200);
            assert_eq!(ask("GET", "identity", "if-none-match", &tag).status, 200);
            // The version is the same in each coding.
            for accepted in [coding, other, "identity"] {
                assert_eq!(ask("GET", accepted, "if-match", &tag).status, 200);
            }
            assert_eq!(ask("GET", coding, "if-match", "\"else;gzip\"").status, 412);
        }
        let known = [("accept-encoding", coding), ("if-none-match", &*plain)];
        let unchanged = server.request(request("GET", "/text", &known));
        assert_eq!((unchanged.status, unchanged.header("etag")), (304, Some(&*plain)));
    }
}

#[test]
fn client_updates_a_version_that_it_read_compressed() {
    const VERSION: &str = "\"v7\"";

    #[get("/page")]
    async fn page() -> ([(&'static str, &'static str); 1], String) {
        ([("etag", VERSION)], TEXT.repeat(100))
    }

    #[put("/page")]
    async fn save(conditions: Preconditions, _text: String) -> Result<StatusCode, Problem> {
        conditions.check(Some(VERSION), None)?;
        Ok(StatusCode::NO_CONTENT)
    }

    let server = serve(App::new(()).routes(routes![page, save]).layer(Compression::new()));
    let save = |tag: &str| {
        let fields = [("if-match", tag), ("content-length", "0")];
        server.request(request("PUT", "/page", &fields)).status
    };
    for coding in ["gzip", "br", "zstd", "identity"] {
        let tag = get(&server, "/page", coding).header("etag").expect("a tag").to_owned();
        assert_eq!(save(&tag), 204, "{tag}");
    }
    assert_eq!(save("\"v6;gzip\""), 412);
    assert_eq!(save("W/\"v7\""), 412);
    assert_eq!(save("\"v7;deflate\""), 412);
}

/// The bytes of a compressed stream depend on the times at which its pieces arrive.
#[test]
fn a_compressed_stream_has_a_weak_tag() {
    #[get("/tagged")]
    async fn tagged() -> ([(&'static str, &'static str); 2], Body) {
        let headers = [("etag", "\"v7\""), ("content-type", "text/plain")];
        (headers, Body::from_stream(Body::from(TEXT)))
    }
    let server = serve(App::new(()).routes(routes![tagged]).layer(Compression::new()));
    let answer = get(&server, "/tagged", "gzip");
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("etag"), Some("W/\"v7\""));
}

#[test]
fn head_has_the_header_fields_of_get() {
    let (server, _) = server();
    let mut client = server.connect();
    client.send(request("HEAD", "/text", &[("accept-encoding", "gzip")]));
    let head = client.response_to("HEAD");
    let answer = get(&server, "/text", "gzip");
    assert_eq!(head.header("content-length"), answer.header("content-length"));
    assert_eq!(head.header("content-encoding"), Some("gzip"));
}

/// The stream of a connection, without its head and chunk sizes, as received.
#[test]
fn each_event_of_a_stream_can_be_read_before_the_next_is_created() {
    for coding in ["gzip", "br", "zstd"] {
        let (server, release) = server();
        let mut stream = std::net::TcpStream::connect(server.address).expect("the server accepts");
        stream
            .set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .expect("a timeout can be set");
        let asked = request("GET", "/stream", &[("accept-encoding", coding)]);
        stream
            .write_all(asked.as_bytes())
            .expect("the server accepts the request");
        let mut received = Vec::new();
        for number in 1..=3 {
            release.notify_one();
            let wanted = format!("data: {number}\n\n");
            while !decoded_so_far(coding, &received).ends_with(wanted.as_bytes()) {
                let mut buffer = [0; 4096];
                let count = stream.read(&mut buffer).expect("the event comes");
                assert!(count > 0, "the server closed");
                received.extend_from_slice(&buffer[..count]);
            }
        }
    }
}

/// The readable part of an incomplete response.
fn decoded_so_far(coding: &str, received: &[u8]) -> Vec<u8> {
    let Some(place) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Vec::new();
    };
    let mut rest = &received[place + 4..];
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = str::from_utf8(&rest[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else {
            break;
        };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    let mut plain = Vec::new();
    // An error only means that the end has not arrived yet.
    let _ = match coding {
        "gzip" => {
            let mut decoder = flate2::write::GzDecoder::new(&mut plain);
            decoder.write_all(&body).and_then(|()| decoder.flush())
        }
        "br" => {
            let mut decoder = brotli::DecompressorWriter::new(&mut plain, 4096);
            decoder.write_all(&body).and_then(|()| decoder.flush())
        }
        _ => {
            let mut decoder = zstd::stream::write::Decoder::new(&mut plain).expect("a decoder");
            decoder.write_all(&body).and_then(|()| decoder.flush())
        }
    };
    plain
}

#[post("/length")]
async fn length(headers: HeaderMap, body: Bytes) -> String {
    assert!(!headers.contains_key("content-encoding"));
    body.len().to_string()
}

#[post("/longer")]
async fn longer(body: String) -> String {
    body.len().to_string()
}

fn coded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    match coding {
        "gzip" => flate2::read::GzEncoder::new(bytes, flate2::Compression::best()).read_to_end(&mut coded),
        "deflate" => flate2::read::ZlibEncoder::new(bytes, flate2::Compression::best()).read_to_end(&mut coded),
        "br" => brotli::CompressorReader::new(bytes, 4096, 5, 20).read_to_end(&mut coded),
        "zstd" => zstd::stream::read::Encoder::new(bytes, 3)
            .expect("an encoder")
            .read_to_end(&mut coded),
        _ => return bytes.to_vec(),
    }
    .expect("it can be coded");
    coded
}

fn upload(server: &Running, target: &str, coding: &str, body: &[u8]) -> Received {
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n"
    );
    server.request([head.as_bytes(), body].concat())
}

#[test]
fn a_compressed_request_is_read_only_up_to_the_limit() {
    let routes = routes![
        length,
        #[layer(BodyLimit::new(300_000))]
        longer
    ];
    let app = App::new(()).routes(routes).body_limit(100_000);
    let server = serve(app.layer(Decompression::new()));
    for coding in ["gzip", "deflate", "br", "zstd", "GZIP", "identity"] {
        let text = TEXT.repeat(1_000);
        let body = coded(&coding.to_ascii_lowercase(), text.as_bytes());
        if coding != "identity" {
            assert_eq!(upload(&server, "/length", coding, &body).text(), "68000", "{coding}");
            assert_eq!(upload(&server, "/longer", coding, &body).text(), "68000", "{coding}");
        }
        let body = coded(&coding.to_ascii_lowercase(), &vec![b'x'; 200_000]);
        assert_eq!(upload(&server, "/length", coding, &body).status, 413, "{coding}");
        assert_eq!(upload(&server, "/longer", coding, &body).text(), "200000", "{coding}");
    }
    // 100 MiB in 100 KiB: refused when the limit is reached.
    let bomb = coded("gzip", &vec![0; 90 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    let answer = upload(&server, "/length", "gzip", &bomb);
    assert_eq!(answer.status, 413);
    assert_eq!(
        answer.problem()["detail"],
        "the body is longer than the limit of 100000 bytes"
    );
}

#[test]
fn a_body_that_is_not_in_its_coding_is_a_client_error() {
    let server = serve(App::new(()).routes(routes![length]).layer(Decompression::new()));
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let whole = coded(coding, TEXT.as_bytes());
        for body in [&b"no such thing"[..], &whole[..whole.len() - 5], b""] {
            let answer = upload(&server, "/length", coding, body);
            assert_eq!(answer.status, 400, "{coding} {body:?}");
        }
    }
    for coding in ["compress", "gzip, br", "gzip, gzip"] {
        let answer = upload(&server, "/length", coding, b"x");
        assert_eq!(answer.status, 415, "{coding}");
        assert_eq!(answer.header("accept-encoding"), Some("gzip, deflate, br, zstd"));
    }
}

#[get("/invalid/{lines}")]
async fn invalid(lines: Path<usize>) -> Problem {
    Problem::unprocessable(TEXT.repeat(*lines))
}

/// The layer replaced the body of a long problem by an empty one.
#[test]
fn a_problem_is_complete_and_keeps_the_form_of_the_application() {
    fn page(problem: Problem, _: &ErrorContext<'_>) -> Response {
        let detail = problem.detail().unwrap_or_default().to_owned();
        (problem.status(), Html(detail)).into_response()
    }
    let app = || App::new(()).routes(routes![invalid]).development(false);
    let (plain, coded) = (serve(app()), serve(app().layer(Compression::new())));
    let (plain_page, coded_page) = (
        serve(app().errors(page)),
        serve(app().errors(page).layer(Compression::new())),
    );
    // Bodies that would be encoded at once, and as a stream.
    for lines in [30, 2000] {
        let target = format!("/invalid/{lines}");
        for (plain, coded) in [(&plain, &coded), (&plain_page, &coded_page)] {
            let (expected, answer) = (plain.get(&target), get(coded, &target, "gzip"));
            assert_eq!((answer.status, answer.header("content-encoding")), (422, None));
            assert_eq!(answer.header("content-type"), expected.header("content-type"));
            assert!(expected.body.len() >= TEXT.len() * lines);
            assert!(answer.body == expected.body, "{} bytes", answer.body.len());
        }
    }
}
