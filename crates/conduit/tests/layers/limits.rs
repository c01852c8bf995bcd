//! Limits on time, on concurrent requests, and on bodies.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use conduit::layer::{BodyLimit, ConcurrencyLimit, Idempotency, Timeout};
use conduit::prelude::*;
use conduit::testing::TestClient;
use tokio::sync::Notify;

use crate::request;
use crate::support::serve;

#[get("/never")]
async fn never() {
    std::future::pending().await
}

#[get("/gateway")]
async fn gateway() {
    std::future::pending().await
}

#[get("/now")]
async fn now() -> &'static str {
    "now"
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_handler_that_does_not_respond_in_time_is_dropped_and_gets_a_problem() {
    let app = App::new(()).routes(routes![
        #[layer(Timeout::new(HOUR))]
        [never, now],
        #[layer(Timeout::new(HOUR).status(StatusCode::GATEWAY_TIMEOUT))]
        gateway,
    ]);
    let client = TestClient::new(app).skip_waiting();
    let answer = client.get("/never").send();
    answer.assert_status(503);
    assert!(answer.text().contains("no response within 3600s"), "{}", answer.text());
    client.get("/gateway").send().assert_status(504);
    client.get("/now").send().assert_text("now");
}

/// Handlers that wait until they are released, and report their start.
#[derive(Clone)]
struct Gate {
    release: Arc<Notify>,
    inside: mpsc::Sender<()>,
}

#[get("/held")]
async fn held(gate: State<Gate>) -> &'static str {
    gate.inside.send(()).expect("the test listens");
    gate.release.notified().await;
    "released"
}

fn gate() -> (Gate, mpsc::Receiver<()>) {
    let (inside, comes_in) = mpsc::channel();
    let release = Arc::default();
    (Gate { release, inside }, comes_in)
}

const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn a_request_above_the_limit_of_concurrent_ones_is_refused() {
    let (gate, comes_in) = gate();
    let routes = routes![
        #[layer(ConcurrencyLimit::new(2))]
        held,
        now
    ];
    let server = serve(App::new(gate.clone()).routes(routes));
    let mut waiting = [server.connect(), server.connect()];
    for client in &mut waiting {
        client.send(request("GET", "/held", &[]));
        comes_in.recv_timeout(TIMEOUT).expect("it is let in");
    }
    // Both requests are in their handlers.
    let mut third = server.connect();
    third.send(request("GET", "/held", &[]));
    let refused = third.response();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(server.get("/now").status, 200);
    gate.release.notify_waiters();
    for client in &mut waiting {
        assert_eq!(client.response().text(), "released");
    }
}

#[test]
fn a_request_waits_for_its_turn_if_the_layer_has_a_queue() {
    let (gate, comes_in) = gate();
    let routes = routes![
        #[layer(ConcurrencyLimit::new(1).wait(Duration::from_secs(60)))]
        held
    ];
    let server = serve(App::new(gate.clone()).routes(routes));
    let mut clients = [server.connect(), server.connect(), server.connect()];
    for client in &mut clients {
        client.send(request("GET", "/held", &[]));
    }
    // A request enters when the one before has been released; their order is unspecified.
    for _ in &clients {
        comes_in.recv_timeout(TIMEOUT).expect("one is let in");
        gate.release.notify_one();
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "released");
    }
}

#[post("/small")]
async fn small(body: Bytes) -> String {
    body.len().to_string()
}

#[post("/large")]
async fn large(body: Bytes) -> String {
    body.len().to_string()
}

#[test]
fn body_limit_applies_to_the_routes_inside_of_it() {
    let server = serve(
        App::new(())
            .routes(routes![
                #[layer(BodyLimit::new(4))]
                small,
                #[layer(BodyLimit::new(100))]
                large
            ])
            .body_limit(10),
    );
    let exact = |target: &str, length: usize| {
        let body = "x".repeat(length);
        server.request(format!(
            "POST {target} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    assert_eq!(exact("/small", 4).text(), "4");
    assert_eq!(exact("/small", 5).status, 413);
    assert_eq!(exact("/large", 100).text(), "100");
    assert_eq!(exact("/large", 101).status, 413);
    let chunked = |target: &str| {
        server.request(format!(
            "POST {target} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n"
        ))
    };
    assert_eq!(chunked("/small").status, 413);
    assert_eq!(chunked("/large").text(), "5");
}

/// Reads a body and sets it again, as a stream without a length for requests with the query `stream`.
async fn set_again(mut request: Request, next: Next) -> Result<Response, Problem> {
    let body = request.take_body().collect().await?;
    let body = Body::from(body);
    request.set_body(match request.query() {
        Some("stream") => Body::from_stream(body),
        _ => body,
    });
    Ok(next.run(request).await)
}

#[test]
fn body_limit_applies_to_a_body_that_an_outer_layer_has_set() {
    let app = App::new(()).routes(routes![
        #[layer(BodyLimit::new(4))]
        small,
        large
    ]);
    let server = serve(app.layer(set_again).layer(Idempotency::new()));
    for query in ["", "?stream"] {
        for (body, status) in [("1234", 200), ("12345", 413)] {
            let target = format!("/small{query}");
            let length = body.len();
            for (framing, body) in [
                (format!("content-length: {length}"), body.to_owned()),
                (
                    "transfer-encoding: chunked".to_owned(),
                    format!("{length}\r\n{body}\r\n0\r\n\r\n"),
                ),
            ] {
                let key = format!("idempotency-key: {length}{query}{}\r\n", &framing[..1]);
                for key in ["", &key] {
                    let response = server.request(format!(
                        "POST {target} HTTP/1.1\r\nhost: test\r\n{key}{framing}\r\n\r\n{body}"
                    ));
                    assert_eq!(response.status, status, "{target} {framing} {key} {}", response.text());
                }
            }
        }
    }
    let without_limit = server.request("POST /large HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\n12345");
    assert_eq!(without_limit.text(), "5");
}

/// The body was sent with the chunked coding.
#[test]
fn length_of_a_streamed_response_passes_a_concurrency_limit_and_keys() {
    const BYTES: usize = 2 * 1024 * 1024;

    #[get("/stream")]
    async fn stream() -> Body {
        let text: Result<_, std::convert::Infallible> = Ok("a".repeat(BYTES));
        Body::from_sized_stream(Pieces(Some(text)), BYTES as u64)
    }

    #[post("/stream")]
    async fn make_stream() -> Body {
        let text: Result<_, std::convert::Infallible> = Ok("a".repeat(BYTES));
        Body::from_sized_stream(Pieces(Some(text)), BYTES as u64)
    }

    struct Pieces<T>(Option<T>);

    impl<T: Unpin> futures_core::Stream for Pieces<T> {
        type Item = T;

        fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<T>> {
            std::task::Poll::Ready(self.0.take())
        }
    }

    let app = App::new(()).routes(routes![stream, make_stream]);
    let server = serve(app.layer(ConcurrencyLimit::new(1)).layer(Idempotency::new()));
    let length = BYTES.to_string();
    for _ in 0..2 {
        let answer = server.get("/stream");
        assert_eq!(
            (answer.header("content-length"), answer.body.len()),
            (Some(&*length), BYTES)
        );
    }
    // Longer than the limit of a stored response.
    let answer = server.request(request(
        "POST",
        "/stream",
        &[("idempotency-key", "1"), ("content-length", "0")],
    ));
    assert_eq!(
        (answer.header("content-length"), answer.body.len()),
        (Some(&*length), BYTES)
    );
}

#[cfg(feature = "multipart")]
#[test]
fn total_of_a_form_with_files_applies_to_a_body_that_an_outer_layer_has_set() {
    use conduit::{Multipart, MultipartLimits};

    #[post("/form")]
    async fn form(mut form: Multipart) -> Result<String, Problem> {
        let mut count = 0;
        while form.next_field().await?.is_some() {
            count += 1;
        }
        Ok(count.to_string())
    }

    let routes = routes![
        #[layer(MultipartLimits::new().total_bytes(200))]
        form
    ];
    let server = serve(App::new(()).routes(routes).layer(Idempotency::new()));
    let post = |key: &str, text: &str| {
        let body = format!("--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n{text}\r\n--b--\r\n");
        server.request(format!(
            "POST /form HTTP/1.1\r\nhost: test\r\n{key}content-type: multipart/form-data; boundary=b\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    for key in ["", "idempotency-key: 7f9c\r\n"] {
        assert_eq!(post(key, "short").text(), "1");
    }
    for key in ["", "idempotency-key: 7f9d\r\n"] {
        assert_eq!(post(key, &"long".repeat(100)).status, 413, "{key}");
    }
}
