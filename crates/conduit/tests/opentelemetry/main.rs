//! Spans that a program exports: the program is a separate process, and the collector a server that decodes them
//! with OpenTelemetry's definitions.

mod collector;
mod program;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use collector::{Collector, attributes, hex};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use program::{OWN_SUBSCRIBER, Program, local, silent};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn is_error(span: &Span) -> bool {
    match &span.status {
        Some(status) => {
            assert_eq!(status.message, "", "the status shows the reason");
            status.code == StatusCode::Error as i32
        }
        None => false,
    }
}

#[test]
fn a_request_is_a_span_of_a_server_with_the_attributes_of_the_conventions() {
    let collector = Collector::new();
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret");
    let resource = ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    let program = Program::start(&collector.url(), &[headers, resource]);
    let mut client = program.connect();
    let port = local(&client.duplicate()).port().to_string();
    client
        .send("GET /users/7?q=a&sig=secret HTTP/1.1\r\nhost: shop.example:8080\r\nuser-agent: test/1 (\u{e9})\r\n\r\n");
    assert_eq!(client.response().text(), "user 7");
    let log = program.end();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");

    assert_eq!(collector.spans().len(), 1);
    let span = collector.span("GET /users/{id}");
    assert_eq!(span.kind, SpanKind::Server as i32);
    assert!(
        span.parent_span_id.is_empty() && span.events.is_empty() && !is_error(&span),
        "{span:#?}"
    );
    assert!(span.start_time_unix_nano > 0 && span.start_time_unix_nano < span.end_time_unix_nano);
    let expected = BTreeMap::from([
        ("client.address", "127.0.0.1"),
        ("http.request.method", "GET"),
        ("http.response.body.size", "6"),
        ("http.response.status_code", "200"),
        ("http.route", "/users/{id}"),
        ("network.peer.address", "127.0.0.1"),
        ("network.peer.port", &port),
        ("network.protocol.version", "1.1"),
        ("server.address", "shop.example"),
        ("server.port", "8080"),
        ("url.path", "/users/7"),
        ("url.query", "q=a&sig=REDACTED"),
        ("url.scheme", "http"),
        ("user_agent.original", "test/1 (\u{e9})"),
    ]);
    let found = attributes(&span.attributes);
    let found: BTreeMap<_, _> = found.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(found, expected);

    let state = collector.state();
    let (headers, request) = &state.requests[0];
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["x-key"], "secret");
    let resource = request.resource_spans[0].resource.as_ref().expect("there is one");
    let resource = attributes(&resource.attributes);
    assert_eq!(resource["service.name"], "shop");
    assert_eq!(resource["deployment.environment.name"], "test");
    assert_eq!(resource["telemetry.sdk.language"], "rust");
    let scope = request.resource_spans[0].scope_spans[0]
        .scope
        .as_ref()
        .expect("there is one");
    assert_eq!(scope.name, "conduit-web");
}

#[test]
fn a_service_without_a_name_has_that_of_its_file() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[("OTEL_SERVICE_NAME", "")]);
    program.get("/users/1", "");
    program.end();
    let state = collector.state();
    let resource = state.requests[0].1.resource_spans[0]
        .resource
        .as_ref()
        .expect("there is one");
    let name = &attributes(&resource.attributes)["service.name"];
    assert!(name.starts_with("opentelemetry-"), "{name}");
}

#[test]
fn a_request_without_a_route_is_named_by_its_method_and_one_of_no_known_method_by_neither() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[]);
    assert_eq!(program.get("/nowhere/7", "").status, 404);
    let mut client = program.connect();
    client.send("FETCH /users/7 HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!(client.response().status, 501);
    let mut client = program.connect();
    client.send("QUERY /nowhere/7 HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!(client.response().status, 404);
    program.end();

    let span = collector.span("QUERY");
    assert_eq!(attributes(&span.attributes)["http.request.method"], "QUERY");
    let span = collector.span("GET");
    let found = attributes(&span.attributes);
    assert_eq!(found["url.path"], "/nowhere/7");
    assert!(!found.contains_key("http.route"));
    let span = collector.span("HTTP");
    let found = attributes(&span.attributes);
    assert_eq!(found["http.request.method"], "_OTHER");
    assert_eq!(found["http.request.method_original"], "FETCH");
}

#[test]
fn client_and_target_are_those_before_the_trusted_proxies() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[]);
    let fields = "x-forwarded-for: 2001:db8::7\r\nx-forwarded-proto: https\r\nx-forwarded-host: [2001:db8::1]\r\n";
    program.get("/users/7", fields);
    program.end();
    let span = collector.span("GET /users/{id}");
    let found = attributes(&span.attributes);
    assert_eq!(found["client.address"], "2001:db8::7");
    assert_eq!(found["url.scheme"], "https");
    assert_eq!(found["server.address"], "2001:db8::1");
    assert_eq!(found["server.port"], "443");
    assert_eq!(found["network.peer.address"], "127.0.0.1");
}

#[test]
fn trace_continues_through_the_handler_to_its_peers() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[]);
    let answer = program.get(
        "/nested",
        &format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=1\r\ntracestate: b=2\r\n"),
    );
    program.end();

    assert_eq!(collector.spans().len(), 2, "the span below the level INFO is not sent");
    let (request, load) = (collector.span("GET /nested"), collector.span("load"));
    assert_eq!(hex(&request.trace_id), TRACE);
    assert_eq!(hex(&request.parent_span_id), PARENT);
    assert_eq!(request.trace_state, "a=1,b=2");
    assert_eq!(load.trace_id, request.trace_id);
    assert_eq!(load.parent_span_id, request.span_id);
    assert_eq!(load.kind, SpanKind::Internal as i32);
    assert_eq!(attributes(&load.attributes)["table"], "users");
    let events: Vec<_> = load.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(events, ["loaded"]);
    assert_eq!(attributes(&load.events[0].attributes)["rows"], "3");
    // The parent in the next service is the span of the handler.
    let load = hex(&load.span_id);
    assert_eq!(
        answer.text(),
        format!("traceparent: 00-{TRACE}-{load}-01\ntracestate: a=1,b=2\n")
    );
}

#[test]
fn a_trace_that_others_do_not_sample_is_passed_on_and_not_sent() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[]);
    let answer = program.get("/nested", &format!("traceparent: 00-{TRACE}-{PARENT}-00\r\n"));
    program.end();
    assert!(collector.spans().is_empty());
    let text = answer.text();
    assert!(text.starts_with(&format!("traceparent: 00-{TRACE}-")), "{text}");
    assert!(text.ends_with("-00\n") && !text.contains(PARENT), "{text}");
}

#[test]
fn a_malformed_parent_is_ignored() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[]);
    let good = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n");
    let malformed = [
        format!("traceparent: 00-{TRACE}-{PARENT}\r\n"),
        format!("traceparent: ff-{TRACE}-{PARENT}-01\r\n"),
        format!("traceparent: 00-{TRACE}-{PARENT}-01-more\r\n"),
        format!("traceparent: 00-{}-{PARENT}-01\r\n", TRACE.to_uppercase()),
        format!("traceparent: 00-{}-{PARENT}-01\r\n", "0".repeat(32)),
        format!("traceparent: 00-{TRACE}-{}-01\r\n", "0".repeat(16)),
        "traceparent: 00-1-1-01\r\n".to_owned(),
        "traceparent: \r\n".to_owned(),
        format!("{good}{good}"),
        format!("tracestate: a=1\r\ntraceparent: {TRACE}\r\n"),
    ];
    for fields in &malformed {
        assert_eq!(program.get("/users/1", fields).status, 200, "{fields}");
    }
    // An invalid state does not invalidate the parent.
    program.get("/users/1", &format!("{good}tracestate: nothing\r\n"));
    program.end();

    let mut spans = collector.spans();
    assert_eq!(spans.len(), malformed.len() + 1);
    spans.sort_by_key(|span| span.start_time_unix_nano);
    let good = spans.pop().expect("it is the last");
    assert_eq!(
        (hex(&good.trace_id), good.trace_state),
        (TRACE.to_owned(), String::new())
    );
    for (span, fields) in spans.iter().zip(&malformed) {
        assert!(
            span.parent_span_id.is_empty() && span.trace_state.is_empty(),
            "{fields}"
        );
        assert_ne!(hex(&span.trace_id), TRACE, "{fields}");
    }
}

#[test]
fn requests_without_trace_context_begin_a_trace() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[("OTEL_PROPAGATORS", "none")]);
    let answer = program.get("/nested", &format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n"));
    program.end();
    assert_eq!(answer.text(), "");
    assert_ne!(hex(&collector.span("GET /nested").trace_id), TRACE);
}

#[test]
fn server_faults_are_errors_of_the_span_and_client_faults_are_not() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[("RUST_LOG", "off")]);
    for (target, status) in [("/users/0", 404), ("/users/x", 400), ("/fails", 500), ("/panics", 500)] {
        assert_eq!(program.get(target, "").status, status, "{target}");
    }
    program.end();
    for span in collector.spans() {
        let found = attributes(&span.attributes);
        let (status, error) = (found["http.response.status_code"].as_str(), found.get("error.type"));
        match status {
            "400" | "404" => assert!(!is_error(&span) && error.is_none(), "{span:#?}"),
            "500" => assert!(
                is_error(&span) && error.is_some_and(|error| error == "500"),
                "{span:#?}"
            ),
            status => panic!("{status}"),
        }
    }
    assert_eq!(collector.spans().len(), 4);
    // The handler's error is logged inside of the span.
    let failed = collector.span("GET /fails");
    let events = format!("{:?}", failed.events);
    assert!(events.contains("the disk is full"), "{events}");
}

#[test]
fn an_answer_that_did_not_come_whole_is_an_error() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[]);
    let mut client = program.connect();
    client.send("GET /breaks HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    client.rest();
    let mut gone = program.connect();
    gone.send("GET /never HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!(program.get("/streamed", "").body, b"fourfourfour");
    drop(gone);
    // When the worker serves others, it has also handled this request.
    for _ in 0..3 {
        program.get("/users/1", "");
    }
    program.end();

    let broken = collector.span("GET /breaks");
    let found = attributes(&broken.attributes);
    assert!(is_error(&broken), "{broken:#?}");
    assert_eq!(found["error.type"], "aborted");
    assert_eq!(found["http.response.status_code"], "200");
    let gone = collector.span("GET /never");
    let found = attributes(&gone.attributes);
    assert!(is_error(&gone), "{gone:#?}");
    assert_eq!(found["error.type"], "client_gone");
    assert!(!found.contains_key("http.response.status_code"));
    let streamed = collector.span("GET /streamed");
    assert!(!is_error(&streamed), "{streamed:#?}");
    assert_eq!(attributes(&streamed.attributes)["http.response.body.size"], "12");
}

#[test]
fn custom_subscriber_keeps_its_log_and_sends_spans_of_its_level() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[(OWN_SUBSCRIBER, "1")]);
    program.get("/nested", "");
    let log = program.end();
    assert_eq!(collector.span("detail").parent_span_id, collector.span("load").span_id);
    let line = log
        .lines()
        .find(|line| line.contains("\"loaded\""))
        .expect("it is logged");
    for field in [
        "\"method\":\"GET\"",
        "\"route\":\"/nested\"",
        "\"path\":\"/nested\"",
        "\"otel.name\":\"GET /nested\"",
    ] {
        assert!(line.contains(field), "{field} is not in {line}");
    }
    assert!(!line.contains("http.route"), "{line}");
}

#[test]
fn long_attributes_are_cut() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[]);
    let long = "x".repeat(5000);
    program.get(&format!("/{long}?{long}"), &format!("user-agent: {long}\r\n"));
    program.end();
    let span = collector.span("GET");
    let found = attributes(&span.attributes);
    for name in ["url.path", "url.query", "user_agent.original"] {
        assert_eq!(found[name].len(), 1024, "{name}");
    }
}

#[test]
fn flush_sends_ended_spans() {
    let collector = Collector::new();
    let program = Program::start(&collector.url(), &[]);
    program.get("/users/1", "");
    assert!(collector.spans().is_empty());
    let mut client = program.connect();
    client.send("POST /flush HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(collector.spans().len(), 1);
    program.end();
    assert_eq!(collector.spans().len(), 2);
}

#[test]
fn export_to_a_busy_collector_is_repeated_and_loses_nothing() {
    let collector = Collector::new();
    collector.state().refuses = 1;
    let program = Program::start(&collector.url(), &[("RUST_LOG", "info")]);
    for _ in 0..20 {
        program.get("/users/1", "");
    }
    let log = program.end();
    assert_eq!(collector.spans().len(), 20);
    assert!(log.contains("the collector does not accept spans"), "{log}");
    assert!(log.contains("503"), "{log}");
    assert!(log.contains("the collector accepts spans again"), "{log}");
}

/// A request that waits for the collector would take as long as the timeout of the collector; 20,000 spans take 20 MB.
#[cfg(target_os = "linux")]
#[test]
fn a_silent_collector_delays_neither_requests_nor_the_end_and_bounds_memory() {
    let (_listener, silent) = silent();
    let bounds = [
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
    ];
    let program = Program::start(&silent, &bounds);
    let mut client = program.connect();
    let mut ask = |count: usize| {
        for _ in 0..count / 100 {
            client.send("GET /users/7 HTTP/1.1\r\nhost: shop.example\r\n\r\n".repeat(100));
            for _ in 0..100 {
                assert_eq!(client.response().status, 200);
            }
        }
        client.send("GET /memory HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        client.response().text().parse::<i64>().expect("a number of KiB")
    };
    let before = ask(2_000);
    let after = ask(20_000);
    eprintln!("{before} KiB, and {after} KiB after 20,000 requests more");
    assert!(after - before < 4 * 1024, "{before} KiB have become {after}");
    let log = program.end();
    assert!(log.contains("the collector does not accept spans"), "{log}");
    assert!(log.contains("due to queue full"), "{log}");
    assert!(log.contains("dropped_span_count="), "{log}");
}

#[test]
fn missing_collector_is_logged_and_the_program_ends() {
    let (listener, silent_collector) = silent();
    drop(listener);
    let program = Program::start(
        &silent_collector,
        &[("OTEL_BSP_SCHEDULE_DELAY", "10"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "500")],
    );
    for _ in 0..50 {
        assert_eq!(program.get("/users/7", "").status, 200);
    }
    let log = program.end();
    assert_eq!(log.matches("the collector does not accept spans").count(), 1, "{log}");
    assert!(log.contains("efused"), "the reason is not in {log}");
    let lost: Vec<_> = log.split("lost_spans=").skip(1).collect();
    assert_eq!(lost.len(), 1, "{log}");
    assert!(lost[0].starts_with("50"), "{log}");
}

#[test]
fn collector_that_returns_is_logged_with_the_number_of_lost_spans() {
    let collector = Collector::new();
    collector.state().refuses = 1000;
    let variables = [("RUST_LOG", "info"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")];
    let program = Program::start(&collector.url(), &variables);
    let flush = || {
        let mut client = program.connect();
        client.send("POST /flush HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 0\r\n\r\n");
        client.response().status
    };
    for _ in 0..5 {
        assert_eq!(program.get("/users/1", "").status, 200);
    }
    assert_eq!(flush(), 500);
    collector.state().refuses = 0;
    assert_eq!(flush(), 200);
    let log = program.end();
    assert!(log.contains("the collector accepts spans again"), "{log}");
    assert_eq!(log.matches("lost_spans=5").count(), 1, "{log}");
    assert_eq!(log.matches("lost_spans").count(), 1, "{log}");
    // The first request to flush and the second one are spans as well.
    assert_eq!(collector.spans().len(), 2);
}

#[test]
fn collector_on_this_machine_is_reached_without_the_proxy_of_the_environment() {
    let (listener, proxy) = silent();
    drop(listener);
    let collector = Collector::new();
    let proxies = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"].map(|name| (name, proxy.as_str()));
    let program = Program::start(&collector.url(), &proxies);
    program.get("/users/1", "");
    let log = program.end();
    assert_eq!(collector.spans().len(), 1, "{log}");
}

#[test]
fn disabled_export_makes_and_sends_no_spans() {
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ] {
        let collector = Collector::new();
        let program = Program::start(&collector.url(), &[off]);
        let answer = program.get("/nested", "");
        program.end();
        assert!(collector.state().requests.is_empty(), "{off:?}");
        // A service that samples nothing propagates that.
        let sampler = off.0 == "OTEL_TRACES_SAMPLER";
        assert_eq!(
            answer.text().contains("traceparent"),
            sampler,
            "{off:?}: {}",
            answer.text()
        );
    }
}

#[test]
fn a_variable_that_cannot_be_used_stops_the_program() {
    let mut program = Program::spawn("http://127.0.0.1:1", &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    let (succeeded, log) = program.wait();
    assert!(!succeeded);
    assert!(
        log.contains(
            "invalid OTEL_EXPORTER_OTLP_PROTOCOL=\"grpc\": expected http/protobuf, which a collector accepts on port 4318"
        ),
        "{log}"
    );
}

#[cfg(feature = "compression")]
#[test]
fn spans_are_compressed_if_the_variable_is_set() {
    let collector = Collector::with(|app| app.layer(conduit::layer::Decompression::new()));
    let program = Program::start(&collector.url(), &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")]);
    for _ in 0..20 {
        program.get("/users/1", "");
    }
    program.end();
    assert_eq!(collector.spans().len(), 20);
}

#[cfg(feature = "tls")]
mod encrypted {
    use std::fs;

    use conduit::Tls;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    /// Files for one test, which are removed at its end.
    struct Files(std::path::PathBuf);

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    impl Files {
        fn write(&self, name: &str, text: &str) -> String {
            let path = self.0.join(name);
            fs::write(&path, text).expect("a file");
            path.to_str().expect("UTF-8").to_owned()
        }
    }

    #[test]
    fn spans_are_sent_by_https_with_a_client_certificate_to_a_private_authority() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        let issue = |name: &str| {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new([name.to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            (certificate.pem(), key.serialize_pem())
        };
        let (chain, key) = issue("localhost");
        let collector = Collector::with(|app| app.tls(Tls::pem(chain, key).require_clients_pem(authority.as_bytes())));
        let files = Files(std::env::temp_dir().join(format!("conduit-opentelemetry-{}", std::process::id())));
        // A killed process with this id may have left it.
        let _ = fs::remove_dir_all(&files.0);
        fs::create_dir(&files.0).expect("a directory");
        let (chain, key) = issue("shop");
        let authority = files.write("authority.pem", &authority);
        let (chain, key) = (files.write("chain.pem", &chain), files.write("key.pem", &key));
        let url = format!("https://localhost:{}", collector.port());

        let trusted = ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.as_str());
        let shown = [
            trusted,
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", chain.as_str()),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key.as_str()),
        ];
        let program = Program::start(&url, &shown);
        program.get("/users/1", "");
        program.end();
        assert_eq!(collector.spans().len(), 1);

        // Without either of them nothing is sent.
        for variables in [&shown[1..], &shown[..1]] {
            let program = Program::start(&url, &[variables, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "500")]].concat());
            program.get("/users/1", "");
            let log = program.end();
            assert!(log.contains("the collector does not accept spans"), "{log}");
            assert_eq!(collector.spans().len(), 1);
        }

        let mut program = Program::spawn(&url, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", &key)]);
        let (succeeded, log) = program.wait();
        assert!(
            !succeeded && log.contains("expected the path of a file with certificates in PEM"),
            "{log}"
        );
    }
}
