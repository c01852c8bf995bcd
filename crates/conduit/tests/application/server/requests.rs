//! Requests on a connection: order, methods, pieces, and faults.

use conduit::prelude::*;

use super::{GET, ROUTES, TestState, server};
use crate::support::serve;

#[test]
fn a_connection_serves_consecutive_requests() {
    let server = server();
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(GET);
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "Hello, World!"));
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(
            response.header("date").is_some_and(|date| date.ends_with(" GMT")),
            "{response:?}"
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_also_when_some_take_longer() {
    let state = TestState::default();
    let server = serve(App::new(state.clone()).routes(ROUTES));
    let mut client = server.connect();
    let mut requests = String::new();
    for number in 0..40 {
        let target = if number % 10 == 3 {
            "/slow".to_owned()
        } else {
            format!("/name/{number}")
        };
        requests += &format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    client.send(&requests);
    for number in 0..40 {
        let expected = if number % 10 == 3 {
            state.gate.0.notify_one();
            "slow".to_owned()
        } else {
            number.to_string()
        };
        assert_eq!(client.response().text(), expected);
    }
}

#[test]
fn a_pipeline_larger_than_any_buffer_is_answered_whole() {
    let server = server();
    let mut client = server.connect();
    const COUNT: usize = 20_000;
    std::thread::scope(|scope| {
        let mut writer = client.duplicate();
        scope.spawn(move || {
            let requests: String = (0..COUNT)
                .map(|n| format!("GET /name/{n} HTTP/1.1\r\nhost: test\r\n\r\n"))
                .collect();
            std::io::Write::write_all(&mut writer, requests.as_bytes()).expect("the server accepts the requests");
        });
        for number in 0..COUNT {
            assert_eq!(client.response().text(), number.to_string());
        }
    });
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = server();
    let mut client = server.connect();
    for byte in b"POST /length HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "3");
}

#[test]
fn head_is_get_without_the_body() {
    let server = server();
    let mut client = server.connect();
    client.send(GET.replace("GET", "HEAD"));
    let response = client.response_to("HEAD");
    assert_eq!((response.status, response.header("content-length")), (200, Some("13")));
    client.send("HEAD /stream/5 HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(
        client.response_to("HEAD").header("content-length"),
        None,
        "the length of a stream is not known"
    );
    client.send(GET);
    assert_eq!(
        client.response().text(),
        "Hello, World!",
        "the connection continues after both"
    );
}

#[test]
fn options_and_405_list_the_methods_of_a_path() {
    let server = server();
    let response = server.request("OPTIONS /echo HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(
        (response.status, response.header("allow")),
        (204, Some("POST, OPTIONS"))
    );
    let response = server.request("DELETE / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    assert_eq!(
        response.problem()["detail"],
        "the method DELETE is not allowed; / supports GET, HEAD, OPTIONS"
    );
    assert_eq!(server.request("OPTIONS * HTTP/1.1\r\nhost: test\r\n\r\n").status, 204);
}

#[test]
fn a_path_without_a_route_is_a_404_problem() {
    let problem = server().get("/nowhere?x=1").problem();
    assert_eq!(problem["title"], "Not Found");
    assert_eq!(problem["detail"], "no route matches /nowhere");
}

#[test]
fn connection_close_and_http_1_0_end_the_connection() {
    let server = server();
    for request in [
        "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: test\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request);
        assert_eq!(client.response().text(), "Hello, World!");
        assert!(client.is_closed(), "{request}");
    }
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    assert_eq!(client.response().header("connection"), Some("keep-alive"));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "Hello, World!");
}

#[test]
fn a_client_that_ends_its_half_still_gets_its_answers() {
    let state = TestState::default();
    let server = serve(App::new(state.clone()).routes(ROUTES));
    let mut client = server.connect();
    client.send(format!("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n{GET}"));
    client.end();
    state.gate.0.notify_one();
    assert_eq!(client.response().text(), "slow");
    assert_eq!(client.response().text(), "Hello, World!");
    assert!(client.is_closed());
}

#[test]
fn protocol_violation_receives_a_problem_and_closes() {
    let server = server();
    let many_fields: String = (0..20_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let cases = [
        ("a bad request line", "GET\r\n\r\n".to_owned(), 400),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "20,000 fields",
            format!("GET / HTTP/1.1\r\nhost: test\r\n{many_fields}\r\n"),
            431,
        ),
        (
            "a head without an end",
            format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}", "y".repeat(100_000)),
            431,
        ),
        ("a target without an end", format!("GET /{}", "y".repeat(100_000)), 414),
        (
            "two lengths",
            "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
            400,
        ),
        (
            "a bad chunk size",
            "POST /length HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nabc\r\n".to_owned(),
            400,
        ),
        (
            "space before the colon",
            "GET / HTTP/1.1\r\nhost : test\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a folded field",
            "GET / HTTP/1.1\r\nhost: test\r\nx: y\r\n z\r\n\r\n".to_owned(),
            400,
        ),
        (
            "bytes that are no HTTP",
            "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned() + &"\r\n".repeat(20),
            400,
        ),
        (
            "another version",
            "GET / HTTP/2.0\r\nhost: test\r\n\r\n".to_owned(),
            505,
        ),
    ];
    for (what, request, status) in cases {
        let mut client = server.connect();
        client.send_what_is_taken(&request);
        let response = client.response();
        assert_eq!(response.status, status, "{what}: {response:?}");
        assert!(response.problem()["detail"].is_string(), "{what}");
        assert_eq!(response.header("connection"), Some("close"), "{what}");
        client.end();
        assert!(client.is_closed(), "{what}");
        assert_eq!(server.get("/").status, 200, "the server continues after {what}");
    }
}

#[test]
fn refused_head_request_has_no_content() {
    let server = server();
    let long = "y".repeat(100_000);
    let cases = [
        ("HEAD / HTTP/1.1\r\nhost : test\r\n\r\n".to_owned(), 400),
        ("HEAD / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\r\nHEAD / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "HEAD / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n".to_owned(),
            400,
        ),
        (format!("HEAD /{long}"), 414),
        (format!("HEAD / HTTP/1.1\r\nhost: test\r\nx: {long}"), 431),
        ("HEAD / HTTP/2.0\r\nhost: test\r\n\r\n".to_owned(), 505),
        (
            "HEAD /panic HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n".to_owned(),
            500,
        ),
        (
            "HEAD /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n".to_owned(),
            405,
        ),
        (
            "HEAD /missing HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n".to_owned(),
            404,
        ),
    ];
    for (request, status) in cases {
        let mut client = server.connect();
        client.send(format!("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n{GET}"));
        client.send_what_is_taken(&request);
        assert_eq!(client.response_to("HEAD").status, 200);
        assert_eq!(client.response().text(), "Hello, World!");
        let response = client.response_to("HEAD");
        assert_eq!(response.status, status, "{request:.80}: {response:?}");
        let length = response.header("content-length").and_then(|length| length.parse().ok());
        assert!(
            length > Some(0),
            "{request:.80}: the length is that of the response to a GET"
        );
        client.end();
        assert!(client.is_closed(), "{request:.80}: no content follows");
    }
}

#[test]
fn a_good_request_before_a_bad_one_is_answered() {
    let state = TestState::default();
    let server = serve(App::new(state.clone()).routes(ROUTES));
    let mut client = server.connect();
    client.send(format!("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n{GET}GET bad\r\n\r\n"));
    state.gate.0.notify_one();
    assert_eq!(client.response().text(), "slow");
    assert_eq!(client.response().text(), "Hello, World!");
    assert_eq!(client.response().status, 400);
}

#[test]
fn a_panic_is_a_500_problem_of_one_request() {
    let server = server();
    let mut client = server.connect();
    for target in ["/panic", "/panic-later"] {
        client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n{GET}"));
        let response = client.response();
        assert_eq!(response.status, 500);
        assert!(
            !response.text().contains("requested by the test"),
            "the message stays in the log"
        );
        assert_eq!(response.problem()["title"], "Internal Server Error");
        assert_eq!(client.response().status, 200, "the connection continues");
    }
}
