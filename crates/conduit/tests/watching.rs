//! Observability: spans, the access log, warnings about blocking handlers, metrics, and health.

#[path = "support/log.rs"]
mod log;
mod support;

use std::io::Write as _;
use std::time::Duration;

use conduit::prelude::*;
use conduit::{AccessLog, health, metrics};
use log::line;
use serde_json::Value;
use support::{Running, serve, wait_for};

#[get("/users/{id}")]
async fn user(id: Path<u64>) -> Result<String, Problem> {
    match *id {
        0 => Err(Problem::not_found("no user has the id 0")),
        id => Ok(format!("user {id}")),
    }
}

#[get("/waits")]
async fn waits() -> &'static str {
    tokio::task::yield_now().await;
    tracing::info!("logged by the handler");
    "waited"
}

#[get("/never")]
async fn never() -> &'static str {
    std::future::pending().await
}

#[get("/streamed")]
fn streamed() -> Body {
    struct Pieces(u8);

    impl futures_core::Stream for Pieces {
        type Item = Result<Bytes, conduit::BoxError>;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            self.0 += 1;
            std::task::Poll::Ready((self.0 <= 3).then(|| Ok(Bytes::from_static(b"four"))))
        }
    }

    Body::from_stream(Pieces(0))
}

/// Blocks its worker until the log names it.
#[get("/blocks")]
fn blocks() -> &'static str {
    line(|line| is_blocked(line, "/blocks"));
    "done"
}

/// Returns whether the line reports that a handler of this route blocks its worker.
fn is_blocked(line: &Value, route: &str) -> bool {
    let fields = &line["fields"];
    let text = fields["message"].as_str().unwrap_or_default();
    fields["route"] == route && text.contains("blocks its worker")
}

#[test]
fn requests_are_counted_by_route_and_class_of_status() {
    let server = serve(App::new(()).routes(routes![user, streamed, waits, metrics::page]));
    for target in [
        "/users/1",
        "/users/2",
        "/users/0",
        "/users/x",
        "/nowhere",
        "/streamed",
        "/waits",
    ] {
        server.get(target);
    }
    let page = server.get("/metrics");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = page.text();
    for expected in [
        "conduit_requests_total{method=\"GET\",route=\"/users/{id}\",status=\"2xx\"} 2\n",
        "conduit_requests_total{method=\"GET\",route=\"/users/{id}\",status=\"4xx\"} 2\n",
        "conduit_requests_total{method=\"GET\",route=\"/streamed\",status=\"2xx\"} 1\n",
        "conduit_requests_total{method=\"GET\",route=\"/waits\",status=\"2xx\"} 1\n",
        "conduit_requests_total{method=\"\",route=\"\",status=\"4xx\"} 1\n",
        "conduit_request_duration_seconds_count{method=\"GET\",route=\"/users/{id}\"} 4\n",
        "conduit_request_duration_seconds_bucket{method=\"GET\",route=\"/users/{id}\",le=\"+Inf\"} 4\n",
        "conduit_connections_accepted_total 8\n",
        "conduit_limit_hits_total{limit=\"head_time\"} 0\n",
        "conduit_loop_lag_seconds{worker=\"0\"} ",
        "# TYPE conduit_request_duration_seconds histogram\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(
        !text.contains("route=\"/metrics\""),
        "its own request has not ended yet\n{text}"
    );
}

#[cfg(feature = "metrics")]
#[test]
fn counters_of_the_program_are_on_the_metrics_page() {
    #[get("/order")]
    fn order() -> &'static str {
        ::metrics::counter!("orders_total", "kind" => "test").increment(1);
        "ordered"
    }

    let server = serve(App::new(()).routes(routes![order, metrics::page]));
    server.get("/order");
    let page = server.get("/metrics");
    assert!(
        page.text().contains("orders_total{kind=\"test\"} 1\n"),
        "{}",
        page.text()
    );
}

#[test]
fn health_stays_and_readiness_ends_at_the_shutdown() {
    #[get("/after-the-stop")]
    async fn after_the_stop(shutdown: conduit::Shutdown) -> impl IntoResponse {
        shutdown.requested().await;
        assert!(!health::is_ready());
        health::readyz()
    }

    let server = serve(App::new(()).routes(routes![health::healthz, health::readyz, after_the_stop]));
    assert_eq!(server.get("/healthz").text(), "alive\n");
    let ready = server.get("/readyz");
    assert_eq!((ready.status, ready.text()), (200, "ready\n"));
    let mut client = server.connect();
    client.send("GET /after-the-stop HTTP/1.1\r\nhost: test\r\n\r\n");
    let handle = server.handle();
    wait_for(|| handle.statistics().requests == 3);
    handle.stop();
    let stopping = client.response();
    assert_eq!((stopping.status, stopping.text()), (503, "stopping\n"));
}

#[test]
fn the_access_log_has_the_fields_of_a_request() {
    log::listen();
    let server = serve(App::new(()).routes(routes![user]).access_log(AccessLog::Fields));
    server.request(
        "GET /users/7?fields=all HTTP/1.1\r\nhost: test\r\nuser-agent: a \"b\"\x7f\r\nreferer: http://a/\r\n\r\n"
            .replace('\x7f', "\u{e4}"),
    );
    let line = line(|line| line["fields"]["target"] == "/users/7?fields=all");
    assert_eq!(line["target"], "conduit::access");
    let fields = &line["fields"];
    assert_eq!(fields["method"], "GET");
    assert_eq!(fields["route"], "/users/{id}");
    assert_eq!(fields["version"], "HTTP/1.1");
    assert_eq!(fields["status"], 200);
    assert_eq!(fields["bytes"], 6);
    assert_eq!(
        (&fields["client"], &fields["peer"]),
        (&"127.0.0.1".into(), &"127.0.0.1".into())
    );
    assert_eq!(fields["referer"], "http://a/");
    assert_eq!(fields["user_agent"], "a \\x22b\\x22\\xC3\\xA4");
    assert_eq!(fields["complete"], true);
    assert!(fields["duration_us"].is_u64());
}

#[test]
fn long_input_is_cut_in_the_access_log_and_in_spans() {
    log::listen();
    for form in [AccessLog::Fields, AccessLog::Combined] {
        let server = serve(App::new(()).routes(routes![user]).access_log(form));
        let path = format!("/cut-in-{form:?}/{}", "x".repeat(3000));
        let (long, method) = ("é".repeat(1500), "M".repeat(3000));
        server.request(format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nuser-agent: {long}\r\nreferer: {long}\r\n\r\n"
        ));
        let is_it = |line: &Value| line.to_string().contains(&path[..20]);
        let logged = line(|line| line["target"] == "conduit::access" && is_it(line));
        // Four texts of 1 KiB, two of them with four characters for each byte, whose backslash JSON escapes.
        assert!(logged.to_string().len() < 14 * 1024, "{logged}");
        let text = logged["fields"].to_string();
        assert_eq!(text.matches('…').count(), 4, "{logged}");
        let closed = line(|line| line["fields"]["message"] == "close" && is_it(line));
        for name in ["method", "path"] {
            let text = closed["span"][name].as_str().expect("a text");
            assert!(text.len() == 1024 && text.ends_with('…'), "{closed}");
        }
    }
}

#[test]
fn the_access_log_has_lines_in_the_combined_format() {
    log::listen();
    let server = serve(App::new(()).routes(routes![streamed]).access_log(AccessLog::Combined));
    server.request("GET /streamed?combined HTTP/1.1\r\nhost: test\r\n\r\n");
    let message = |line: &Value| line["fields"]["message"].as_str().unwrap_or_default().to_owned();
    let line = line(|line| message(line).contains("/streamed?combined"));
    let text = message(&line);
    assert!(text.starts_with("127.0.0.1 - - ["), "{text}");
    assert!(
        text.contains(" +0000] \"GET /streamed?combined HTTP/1.1\" 200 12 \"-\" \"-\" "),
        "{text}"
    );
}

#[test]
fn behind_a_proxy_the_access_log_has_the_client() {
    log::listen();
    let behind = |log| {
        serve(
            App::new(())
                .routes(routes![user])
                .access_log(log)
                .trusted_proxies(["127.0.0.1"]),
        )
    };
    let ask = |server: &Running, query: &str, client: &str| {
        server.request(format!(
            "GET /users/7?{query} HTTP/1.1\r\nhost: test\r\nx-forwarded-for: {client}\r\n\r\n"
        ))
    };
    let server = behind(AccessLog::Fields);
    ask(&server, "proxied", "203.0.113.1");
    let fields = line(|line| line["fields"]["target"] == "/users/7?proxied")["fields"].clone();
    assert_eq!(
        (&fields["client"], &fields["peer"]),
        (&"203.0.113.1".into(), &"127.0.0.1".into())
    );
    ask(&server, "hidden", "unknown");
    let fields = line(|line| line["fields"]["target"] == "/users/7?hidden")["fields"].clone();
    assert_eq!((&fields["client"], &fields["peer"]), (&"".into(), &"127.0.0.1".into()));

    let server = behind(AccessLog::Combined);
    ask(&server, "proxied-line", "203.0.113.1");
    ask(&server, "hidden-line", "unknown");
    let message = |line: &Value| line["fields"]["message"].as_str().unwrap_or_default().to_owned();
    for (query, address) in [("?proxied-line", "203.0.113.1"), ("?hidden-line", "-")] {
        let text = message(&line(|line| message(line).contains(query)));
        assert!(text.starts_with(&format!("{address} - - [")), "{text}");
    }
}

#[test]
fn access_log_contains_invalid_requests() {
    log::listen();
    let server = serve(App::new(()).routes(routes![user]).access_log(AccessLog::Fields));
    server.request("GET /users/7 HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n");
    let fields = line(|line| line["target"] == "conduit::access" && line["fields"]["status"] == 400)["fields"].clone();
    assert_eq!((&fields["peer"], &fields["method"]), (&"127.0.0.1".into(), &"".into()));
    assert_eq!(fields["client"], "127.0.0.1");
    assert!(fields["bytes"].as_u64() > Some(0));
    let mut client = server.connect();
    client.send("HEAD /users/7 HTTP/2.0\r\nhost: test\r\n\r\n");
    assert_eq!(client.response_to("HEAD").status, 505);
    let fields = line(|line| line["target"] == "conduit::access" && line["fields"]["status"] == 505)["fields"].clone();
    assert_eq!(fields["bytes"], 0, "the response to HEAD has no content");

    let server = serve(App::new(()).routes(routes![user]).access_log(AccessLog::Combined));
    server.request("GET /users/7 HTTP/2.0\r\nhost: test\r\n\r\n");
    let message = |line: &Value| line["fields"]["message"].as_str().unwrap_or_default().to_owned();
    let line = line(|line| message(line).contains("+0000] \"-\" 505 "));
    assert!(message(&line).starts_with("127.0.0.1 - - ["), "{line}");
}

#[test]
fn a_disconnect_before_the_response_is_logged_as_incomplete() {
    log::listen();
    let server = serve(App::new(()).routes(routes![never]).access_log(AccessLog::Fields));
    let mut client = server.connect();
    client.send("GET /never?gone HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| server.handle().statistics().requests == 1);
    server.handle().close();
    let line = line(|line| line["fields"]["target"] == "/never?gone");
    assert_eq!(line["fields"]["status"], 499);
    assert_eq!(line["fields"]["complete"], false);
}

#[test]
fn a_span_is_around_the_handler_and_has_the_answer_when_it_closes() {
    log::listen();
    let server = serve(App::new(()).routes(routes![waits]));
    server.get("/waits");
    let inside = line(|line| line["fields"]["message"] == "logged by the handler");
    assert_eq!(inside["span"]["name"], "request");
    assert_eq!(inside["span"]["route"], "/waits");
    assert_eq!(inside["span"]["method"], "GET");
    let closed = line(|line| line["fields"]["message"] == "close" && line["span"]["path"] == "/waits");
    assert_eq!(closed["span"]["status"], 200);
    assert_eq!(closed["span"]["bytes"], 6);
    assert!(
        closed["span"]["peer"]
            .as_str()
            .expect("an address")
            .starts_with("127.0.0.1:")
    );
}

#[test]
fn a_handler_that_blocks_its_worker_is_named_while_it_does_and_when_it_ends() {
    log::listen();
    let server = serve(
        App::new(())
            .routes(routes![blocks])
            .blocked_after(Duration::from_millis(20)),
    );
    let mut client = server.connect();
    client.send("GET /blocks HTTP/1.1\r\nhost: test\r\n\r\n");
    let is_about_it = |line: &Value, message: &str| {
        let fields = &line["fields"];
        fields["route"] == "/blocks" && fields["message"].as_str().is_some_and(|text| text.contains(message))
    };
    let named = line(|line| is_about_it(line, "a handler blocks its worker"));
    assert_eq!(named["level"], "WARN");
    assert_eq!(named["fields"]["method"], "GET");
    assert_eq!(named["fields"]["handler"], "watching::blocks");
    let ended = line(|line| is_about_it(line, "no longer blocks its worker"));
    assert!(ended["fields"]["blocked_ms"].as_u64() >= named["fields"]["blocked_ms"].as_u64());
    assert_eq!(client.response().text(), "done");
}

/// More than the buffers of a kernel hold.
const LARGE_BYTES: usize = 32 << 20;

#[get("/large/{how}")]
fn large(how: Path<String>) -> Body {
    struct Piece(Option<Bytes>);

    impl futures_core::Stream for Piece {
        type Item = Result<Bytes, conduit::BoxError>;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Ready(self.0.take().map(Ok))
        }
    }

    match how.as_str() {
        "file" => {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(&vec![b'x'; LARGE_BYTES]).expect("it is written");
            Body::from_file(file, 0..LARGE_BYTES as u64)
        }
        "stream" => Body::from_stream(Piece(Some(vec![b'x'; LARGE_BYTES].into()))),
        _ => Body::from(vec![b'x'; LARGE_BYTES]),
    }
}

#[test]
fn a_large_answer_is_complete_when_its_last_byte_is_sent_and_has_the_bytes_that_were() {
    log::listen();
    let app = App::new(()).routes(routes![large]).access_log(AccessLog::Fields);
    let server = serve(app.minimum_rate(1, Duration::from_secs(60)));
    let logged = |target: &str| line(|line| line["fields"]["target"] == *target)["fields"].clone();
    for how in ["bytes", "file", "stream"] {
        let target = format!("/large/{how}?whole");
        assert_eq!(server.get(&target).body.len(), LARGE_BYTES);
        let fields = logged(&target);
        assert_eq!(
            (&fields["bytes"], &fields["complete"]),
            (&LARGE_BYTES.into(), &true.into()),
            "{how}"
        );

        let target = format!("/large/{how}?head");
        let head = format!("HEAD {target} HTTP/1.1\r\nhost: test\r\n\r\n");
        let mut client = server.connect();
        client.send(&head);
        client.response_to("HEAD");
        let fields = logged(&target);
        assert_eq!(
            (&fields["bytes"], &fields["complete"]),
            (&0.into(), &true.into()),
            "{how}"
        );

        let target = format!("/large/{how}?gone");
        let mut client = server.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
        let mut stream = client.duplicate();
        std::io::Read::read_exact(&mut stream, &mut [0; 1024]).expect("the beginning");
        drop((stream, client));
        let fields = logged(&target);
        assert_eq!(
            (&fields["status"], &fields["complete"]),
            (&200.into(), &false.into()),
            "{how}"
        );
        let bytes = fields["bytes"].as_u64().expect("a number");
        assert!((800..LARGE_BYTES as u64).contains(&bytes), "{how}: {bytes}");
    }
}

#[test]
fn stream_runs_in_the_span_of_its_request_and_is_named_when_it_blocks() {
    #[get("/blocking-stream")]
    fn blocking_stream() -> Body {
        struct Blocks(bool);

        impl futures_core::Stream for Blocks {
            type Item = Result<Bytes, conduit::BoxError>;

            fn poll_next(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Self::Item>> {
                if std::mem::replace(&mut self.0, true) {
                    return std::task::Poll::Ready(None);
                }
                tracing::info!("logged by the stream");
                line(|line| is_blocked(line, "/blocking-stream"));
                std::task::Poll::Ready(Some(Ok(Bytes::from_static(b"piece"))))
            }
        }

        Body::from_stream(Blocks(false))
    }

    log::listen();
    let app = App::new(()).routes(routes![blocking_stream]);
    let server = serve(app.blocked_after(Duration::from_millis(20)));
    assert_eq!(server.get("/blocking-stream").text(), "piece");
    let inside = line(|line| line["fields"]["message"] == "logged by the stream");
    assert_eq!(inside["span"]["route"], "/blocking-stream");
    let named = line(|line| is_blocked(line, "/blocking-stream"));
    assert_eq!(named["fields"]["handler"], "watching::blocking_stream");
    let closed = line(|line| line["fields"]["message"] == "close" && line["span"]["route"] == "/blocking-stream");
    assert_eq!(
        (&closed["span"]["status"], &closed["span"]["bytes"]),
        (&200.into(), &5.into())
    );
}

#[cfg(feature = "tls")]
#[test]
fn redirects_to_https_are_counted_and_logged() {
    log::listen();
    let app = App::new(())
        .routes(routes![user, metrics::page])
        .access_log(AccessLog::Fields);
    let app = app.tls(conduit::Tls::self_signed().redirect_http()).workers(1);
    let server = app.listen(["http://127.0.0.1:0", "127.0.0.1:0"]).expect("both");
    let server = support::start(server);
    assert_eq!(server.get("/users/7?redirected").status, 308);
    let fields = line(|line| line["fields"]["target"] == "/users/7?redirected")["fields"].clone();
    assert_eq!((&fields["status"], &fields["route"]), (&308.into(), &"".into()));
    assert_eq!((&fields["bytes"], &fields["complete"]), (&0.into(), &true.into()));
    line(|line| line["fields"]["message"] == "close" && line["span"]["status"] == 308);
}

#[test]
fn the_access_log_has_the_id_of_a_request() {
    log::listen();
    for (form, target) in [
        (AccessLog::Fields, "/users/7?id-in-fields"),
        (AccessLog::Combined, "/users/7?id-in-a-line"),
    ] {
        let app = App::new(())
            .routes(routes![user])
            .layer(conduit::layer::RequestIds::new());
        let server = serve(app.access_log(form));
        server.request(format!(
            "GET {target} HTTP/1.1\r\nhost: test\r\nx-request-id: own-1\r\n\r\n"
        ));
        let message = |line: &Value| line["fields"]["message"].as_str().unwrap_or_default().to_owned();
        let line = line(|line| line["fields"]["target"] == target || message(line).contains(target));
        match form {
            AccessLog::Fields => assert_eq!(line["fields"]["request_id"], "own-1"),
            _ => assert!(message(&line).ends_with(" own-1"), "{line}"),
        }
    }
}

#[post("/mirror")]
async fn mirror(body: Body) -> Body {
    body
}

#[get("/informational")]
async fn informational() -> StatusCode {
    StatusCode::EARLY_HINTS
}

#[test]
fn the_access_log_has_the_id_of_a_request_whose_response_is_replaced() {
    log::listen();
    let app = App::new(())
        .routes(routes![mirror, informational])
        .layer(conduit::layer::RequestIds::new())
        .body_limit(10);
    let server = serve(app.access_log(AccessLog::Fields));
    let mirrored =
        "POST /mirror?replaced HTTP/1.1\r\nhost: test\r\nx-request-id: own-2\r\ncontent-length: 11\r\n\r\nhello world";
    assert_eq!(server.request(mirrored).status, 413);
    let informational = "GET /informational?replaced HTTP/1.1\r\nhost: test\r\nx-request-id: own-3\r\n\r\n";
    assert_eq!(server.request(informational).status, 500);
    for (target, status, id) in [
        ("/mirror?replaced", 413, "own-2"),
        ("/informational?replaced", 500, "own-3"),
    ] {
        let line = line(|line| line["fields"]["target"] == target);
        assert_eq!(
            (&line["fields"]["status"], &line["fields"]["request_id"]),
            (&status.into(), &id.into())
        );
    }
}

#[cfg(feature = "websocket")]
mod live {
    use conduit::WebSocketUpgrade;
    use conduit::websocket::CloseCode;

    use super::*;

    #[get("/socket")]
    async fn socket(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(message) = socket.recv().await {
                socket.send(message).await?;
            }
            Ok::<_, conduit::websocket::WebSocketClosed>(())
        })
    }

    #[get("/events")]
    async fn events() -> conduit::Events<u32> {
        conduit::Events::generate(async |events| {
            for number in 1..=3 {
                events.send(number).await?;
            }
            Ok::<_, conduit::BoxError>(())
        })
    }

    #[test]
    fn access_log_has_one_event_for_each_websocket_with_its_bytes_duration_and_close_code() {
        log::listen();
        let app = App::new(()).routes(routes![socket]).access_log(AccessLog::Fields);
        let client = conduit::testing::TestClient::new(app);
        let mut open = client.websocket("/socket?closes").open();
        open.send("1234567");
        assert_eq!(open.recv().as_text(), Some("1234567"));
        open.close(CloseCode(4001), "enough");
        let closed = line(|line| line["fields"]["target"] == "/socket?closes");
        let fields = &closed["fields"];
        assert_eq!((&fields["route"], &fields["status"]), (&"/socket".into(), &101.into()));
        // A header of two bytes and the text.
        assert_eq!((&fields["bytes"], &fields["close_code"]), (&9.into(), &4001.into()));
        assert_eq!(fields["complete"], true);
        assert!(fields["duration_us"].is_u64());
        drop(client.websocket("/socket?vanishes").open());
        let lost = line(|line| line["fields"]["target"] == "/socket?vanishes");
        assert_eq!(
            (&lost["fields"]["complete"], lost["fields"].get("close_code")),
            (&false.into(), None)
        );
        let log = log::text();
        let events = log
            .lines()
            .filter(|line| line.contains("conduit::access") && line.contains("/socket?closes"));
        assert_eq!(events.count(), 1, "a second event of one WebSocket");
    }

    #[test]
    fn access_log_has_one_event_for_each_event_stream_with_its_bytes_and_duration() {
        log::listen();
        let server = serve(App::new(()).routes(routes![events]).access_log(AccessLog::Fields));
        let request = "GET /events?ends HTTP/1.1\r\nhost: test\r\n\r\n";
        let body = server.request(request).body;
        let ended = line(|line| line["fields"]["target"] == "/events?ends");
        let fields = &ended["fields"];
        assert_eq!((&fields["status"], &fields["bytes"]), (&200.into(), &body.len().into()));
        assert_eq!((&fields["complete"], fields.get("close_code")), (&true.into(), None));
        assert!(fields["duration_us"].is_u64());
    }
}

#[get("/tasks-that-panic")]
fn tasks_that_panic(tasks: conduit::Tasks) -> StatusCode {
    drop(tasks.spawn("welcome mail", async { panic!("no {}", "address") }));
    StatusCode::ACCEPTED
}

#[test]
fn panic_of_a_task_is_logged_with_the_name_of_the_task() {
    log::listen();
    let server = serve(App::new(()).routes(routes![tasks_that_panic]));
    assert_eq!(server.get("/tasks-that-panic").status, 202);
    let logged = line(|line| line["fields"]["message"] == "a task panicked");
    assert_eq!(logged["fields"]["task"], "welcome mail", "{logged}");
    assert_eq!(logged["fields"]["panic"], "no address", "{logged}");
    assert_eq!(logged["level"], "ERROR", "{logged}");
}
