//! Trailers of requests and responses pass through each layer that replaces a body.

use conduit::layer::{ConcurrencyLimit, Idempotency};
use conduit::prelude::*;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::support::{Running, serve};

const ROWS: &str = "x-rows";

fn fields(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
}

/// A stream of this number of lines, with a trailer.
fn text(lines: usize) -> impl IntoResponse {
    let body = Body::from("a,b\n".repeat(lines)).with_trailers(std::future::ready(fields(ROWS, "1000")));
    ([("content-type", "text/csv")], body)
}

#[get("/rows")]
fn rows() -> impl IntoResponse {
    text(1000)
}

#[post("/rows/{lines}")]
fn make_rows(lines: Path<usize>) -> impl IntoResponse {
    text(*lines)
}

#[get("/both")]
fn both() -> Body {
    Body::from("text")
        .with_trailers(std::future::ready(fields("x-inner", "1")))
        .with_trailers(std::future::ready(fields(ROWS, "2")))
}

/// The trailer of the request.
#[post("/read")]
async fn read(mut body: Body) -> String {
    use futures_core::Stream as _;
    while let Some(piece) = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_next(context)).await {
        piece.expect("the body is whole");
    }
    let trailers = body.trailers().unwrap_or_default();
    format!("{:?}", trailers.get(ROWS))
}

/// The bytes of the response to a request, until the server closes.
fn exchange(server: &Running, request: &str, body: &[u8]) -> String {
    let mut client = server.connect();
    client.send([request.as_bytes(), body].concat());
    String::from_utf8_lossy(&client.rest()).into_owned()
}

#[track_caller]
fn assert_trailer(response: &str) {
    assert!(response.starts_with("HTTP/1.1 200"), "{response:.200}");
    assert!(response.ends_with("\r\n0\r\nx-rows: 1000\r\n\r\n"), "{response}");
}

#[test]
fn a_concurrency_limit_keeps_the_trailers() {
    let server = serve(App::new(()).routes(routes![
        #[layer(ConcurrencyLimit::new(1))]
        rows
    ]));
    assert_trailer(&exchange(
        &server,
        "GET /rows HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        b"",
    ));
}

#[test]
fn a_stored_response_keeps_its_trailers() {
    let server = serve(App::new(()).routes(routes![make_rows]).layer(Idempotency::new()));
    // Stored and replayed; and too long to be stored.
    for lines in [1000, 1_000_000] {
        let request = format!(
            "POST /rows/{lines} HTTP/1.1\r\nhost: a\r\nidempotency-key: k{lines}\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n"
        );
        assert_trailer(&exchange(&server, &request, b""));
        let again = exchange(&server, &request, b"");
        if lines == 1000 {
            assert_trailer(&again);
            assert!(again.contains("idempotency-replayed: true"), "{again}");
        } else {
            assert!(again.starts_with("HTTP/1.1 409"), "{again}");
        }
    }
}

#[test]
fn a_request_with_a_key_keeps_its_trailers() {
    let server = serve(App::new(()).routes(routes![read]).layer(Idempotency::new()));
    let response = exchange(
        &server,
        "POST /read HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nidempotency-key: 1\r\nconnection: close\r\n\r\n",
        b"3\r\na,b\r\n0\r\nx-rows: 3\r\n\r\n",
    );
    assert!(response.ends_with("Some(\"3\")"), "{response}");
}

#[test]
fn both_trailers_of_a_nested_body_are_sent() {
    let server = serve(App::new(()).routes(routes![both]));
    let response = exchange(
        &server,
        "GET /both HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        b"",
    );
    assert!(
        response.contains("x-inner: 1\r\n") && response.contains("x-rows: 2\r\n"),
        "{response}"
    );
}

#[cfg(feature = "compression")]
#[test]
fn a_coding_keeps_the_trailers() {
    use conduit::layer::{Compression, Decompression};
    use std::io::Write as _;

    let app = App::new(())
        .routes(routes![rows, read])
        .layer(Compression::new())
        .layer(Decompression::new());
    let server = serve(app);
    for coding in ["gzip", "br", "zstd"] {
        let request =
            format!("GET /rows HTTP/1.1\r\nhost: a\r\naccept-encoding: {coding}\r\nconnection: close\r\n\r\n");
        let response = exchange(&server, &request, b"");
        assert!(
            response.contains(&format!("content-encoding: {coding}\r\n")),
            "{response:.500}"
        );
        assert_trailer(&response);
    }
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    coder.write_all(b"a body").expect("memory");
    let coded = coder.finish().expect("memory");
    let body = [
        format!("{:x}\r\n", coded.len()).as_bytes(),
        &coded,
        b"\r\n0\r\nx-rows: 3\r\n\r\n",
    ]
    .concat();
    let response = exchange(
        &server,
        "POST /read HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n",
        &body,
    );
    assert!(response.ends_with("Some(\"3\")"), "{response}");
}
