//! Bodies of requests: streams, pauses, `100 Continue`, and limits.

use conduit::prelude::*;

use super::{GET, ROUTES, TestState, server};
use crate::support::{serve, wait_for};

#[test]
fn an_echo_streams_a_body_larger_than_every_buffer() {
    let server = serve(App::new(TestState::default()).routes(ROUTES).body_limit(1 << 30));
    let body: &Vec<u8> = &(0..8 << 20).map(|number: u32| (number % 251) as u8).collect();
    for framing in ["content-length", "chunked"] {
        let mut client = server.connect();
        std::thread::scope(|scope| {
            let mut writer = client.duplicate();
            scope.spawn(move || {
                use std::io::Write;
                let head = "POST /echo HTTP/1.1\r\nhost: test\r\n";
                if framing == "chunked" {
                    writer
                        .write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes())
                        .unwrap();
                    for piece in body.chunks(10_007) {
                        writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
                        writer.write_all(piece).unwrap();
                        writer.write_all(b"\r\n").unwrap();
                    }
                    writer.write_all(b"0\r\n\r\n").unwrap();
                } else {
                    writer
                        .write_all(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes())
                        .unwrap();
                    writer.write_all(body).unwrap();
                }
            });
            assert!(client.response().body == *body, "{framing}");
        });
        client.send(GET);
        assert_eq!(client.response().status, 200, "the connection continues");
    }
}

#[test]
fn a_paused_body_is_read_further_without_new_bytes() {
    let state = TestState::default();
    let server = serve(App::new(state.clone()).routes(ROUTES));
    let mut client = server.connect();
    let head = "POST /length-later HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n";
    client.send(head);
    // The second piece fills the handler's window with a read that drains the socket.
    let mut sent = head.len();
    for length in [40_000, 40_000] {
        client.send(vec![b'x'; length]);
        sent += length;
        wait_for(|| server.handle().statistics().received_bytes == sent as u64);
    }
    // The worker does not watch the socket while the rest arrives.
    client.send(vec![b'x'; 20_000]);
    assert_eq!(server.get("/").status, 200);
    state.gate.0.notify_one();
    assert_eq!(client.response().text(), "100000");
}

#[test]
fn client_that_expects_100_receives_it_when_the_body_is_read() {
    let server = server();
    let mut client = server.connect();
    client.send("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("abc");
    assert_eq!(client.response().text(), "3");
    // A handler that does not read the body responds at once.
    client.send("POST /ignore HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().text(), "ignored");
}

#[test]
fn unread_body_does_not_become_the_next_request() {
    let server = server();
    let mut client = server.connect();
    let body = "GET /panic HTTP/1.1\r\nhost: test\r\n\r\n";
    client.send(format!(
        "POST /ignore HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.response().text(), "ignored");
    client.send(GET);
    assert_eq!(client.response().text(), "Hello, World!");
}

#[test]
fn a_body_over_the_limit_is_413_and_the_client_sees_it() {
    let server = serve(App::new(TestState::default()).routes(ROUTES).body_limit(1000));
    let body = vec![b'x'; 3 << 20];
    for framing in [
        "content-length: 3145728\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n300000\r\n",
    ] {
        let mut client = server.connect();
        client.send(format!("POST /length HTTP/1.1\r\nhost: test\r\n{framing}"));
        client.send_what_is_taken(&body);
        let response = client.response();
        assert_eq!(response.status, 413);
        assert_eq!(
            response.problem()["detail"],
            "the body is longer than the limit of 1000 bytes"
        );
        assert_eq!(response.header("connection"), Some("close"), "{framing}");
    }
    assert_eq!(
        server
            .request(format!(
                "POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n{}",
                "x".repeat(1000)
            ))
            .text(),
        "1000"
    );
}
