//! Requests as handlers receive them, and responses as clients receive them, compared with HTTP/1.1.

use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit_proto::h2::ErrorCode;

use crate::client::Client;
use crate::frames::{self, Received, data, get, last_data, post, request};
use crate::{LARGE, app, pattern, server};

#[test]
fn a_handler_sees_the_same_request_as_in_http_1_1() {
    let server = server();
    let mut client = Client::open(&server);
    let response = client.get(1, "/hello/world?query");
    assert_eq!((response.status, response.text().as_str()), (200, "hello world"));
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/about?a=b"),
        (":authority", "example.org:81"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ];
    client.send(&request(3, &fields));
    assert_eq!(
        client.response(3).text(),
        "HTTP/2.0 /about?a=b example.org:81 Some(\"a=1; b=2\")"
    );
}

/// A wrong preface gets the same response for any split: its first line determines the protocol.
#[test]
fn a_wrong_preface_in_any_pieces_ends_with_goaway() {
    let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n";
    let server = server();
    for cut in 1..preface.len() {
        let mut client = Client::silent(&server);
        client.send(&preface[..cut]);
        client.offer(&preface[cut..]);
        let frames = client.rest();
        let goaway = Received::GoAway(0, ErrorCode::PROTOCOL_ERROR);
        assert!(frames.contains(&goaway), "cut at {cut}: {frames:?}");
    }
}

/// A blank line before the preface is one of HTTP/1.1, which has no request with this line.
#[test]
fn preface_after_a_blank_line_is_no_preface_in_any_pieces() {
    let input = b"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let server = server();
    for cut in 0..input.len() {
        let mut client = server.connect();
        assert!(client.send(&input[..cut]));
        // The worker has read the first part when it responds on another connection.
        server.get("/").send().assert_status(200);
        // The server may have responded already.
        let _ = client.send(&input[cut..]);
        client.end();
        let received = String::from_utf8_lossy(&client.read(4096)).into_owned();
        assert!(received.starts_with("HTTP/1.1 505 "), "cut at {cut}: {received}");
    }
}

#[test]
fn responses_are_those_of_http_1_1_without_fields_of_the_connection() {
    let server = server();
    let mut client = Client::open(&server);
    let targets = [
        "/",
        "/large",
        "/nothing",
        "/connection-fields",
        "/stream/20",
        "/file",
        "/missing",
        "/panic",
        "/echo",
    ];
    for (target, stream) in targets.into_iter().zip((1..).step_by(4)) {
        for (method, stream) in [("GET", stream), ("HEAD", stream + 2)] {
            let of_h1 = server.request(method, target).send();
            client.send(&request(stream, &frames::pseudo(method, target)));
            let response = client.response(stream);
            assert_eq!(response.status, of_h1.status().as_u16(), "{method} {target}");
            assert_eq!(response.body, of_h1.bytes().to_vec(), "{method} {target}");
            let mut expected: Vec<_> = of_h1
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
                .filter(|(name, _)| !["connection", "transfer-encoding", "date"].contains(&name.as_str()))
                .collect();
            let mut fields = response.fields;
            fields.retain(|(name, _)| name != "date");
            expected.sort();
            fields.sort();
            assert_eq!(fields, expected, "{method} {target}");
        }
    }
}

#[test]
fn bodies_arrive_at_once_and_in_pieces() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&[post(1, "/length", &[]), last_data(1, &[b'x'; 1000])].concat());
    assert_eq!(client.response(1).text(), "1000 bytes");
    client.send(&post(3, "/length", &[]));
    server.advance(std::time::Duration::ZERO);
    client.send(&data(3, b"12345"));
    client.send(&post(5, "/length", &[("content-length", "3")]));
    client.send(&last_data(5, b"123"));
    assert_eq!(client.response(5).text(), "3 bytes", "a later request overtakes");
    client.send(&last_data(3, b""));
    assert_eq!(client.response(3).text(), "5 bytes");
    client.send(&post(7, "/length", &[]));
    client.send(&data(7, b"12345"));
    client.send(&frames::trailers(7, &[("x-checksum", "1")]));
    assert_eq!(client.response(7).text(), "5 bytes");
}

#[test]
fn a_body_is_echoed_as_it_arrives() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&post(1, "/echo", &[]));
    for round in 0..3 {
        client.send(&data(1, format!("round {round}").as_bytes()));
        let piece = client.read_until(|frame| matches!(frame, Received::Data { .. }));
        let Received::Data { bytes, end_stream, .. } = piece else {
            unreachable!()
        };
        assert_eq!((bytes, end_stream), (format!("round {round}").into_bytes(), false));
    }
    client.send(&last_data(1, b""));
    client.read_until(|frame| matches!(frame, Received::Data { end_stream: true, .. }));
}

#[test]
fn a_body_over_the_limit_is_refused_and_the_connection_continues() {
    let server = TestClient::new(crate::app().body_limit(10));
    let mut client = Client::open(&server);
    client.send(&post(1, "/length", &[("content-length", "11")]));
    assert_eq!(client.response(1).status, 413);
    client.read_until(|frame| *frame == Received::Reset(1, ErrorCode::NO_ERROR));
    client.send(&post(3, "/length", &[]));
    client.send(&data(3, b"12345678901"));
    assert_eq!(client.response(3).status, 413);
    client.send(&post(5, "/echo", &[("content-length", "11")]));
    assert_eq!(client.response(5).status, 413);
    assert_eq!(client.get(7, "/").status, 200);
    assert_eq!(server.handle().statistics().limit_hits(conduit::Limit::BodyBytes), 3);
}

#[test]
fn a_client_that_expects_100_continue_gets_it_when_the_handler_reads() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&post(
        1,
        "/length",
        &[("expect", "100-continue"), ("content-length", "2")],
    ));
    let interim = client.read_until(|frame| matches!(frame, Received::Head { .. }));
    assert_eq!(interim.status(), Some((1, "100")));
    client.send(&last_data(1, b"ab"));
    assert_eq!(client.response(1).text(), "2 bytes");
}

#[test]
fn a_stream_whose_length_is_wrong_is_reset() {
    let server = server();
    let mut client = Client::open(&server);
    for (path, stream) in [("/wrong-length", 1), ("/short-length", 3)] {
        client.send(&get(stream, path));
        client.read_until(|frame| *frame == Received::Reset(stream, ErrorCode::INTERNAL_ERROR));
    }
    assert_eq!(client.get(5, "/").text(), "hello");
}

#[test]
fn all_requests_of_a_read_are_answered_together() {
    let server = server();
    let mut client = Client::open(&server);
    let requests: Vec<u8> = (0..100).flat_map(|index| get(2 * index + 1, "/")).collect();
    client.send(&requests);
    for index in 0..100 {
        assert_eq!(client.response(2 * index + 1).text(), "hello");
    }
    assert_eq!(server.handle().statistics().requests, 100);
}

#[test]
fn a_request_over_a_limit_gets_431_and_the_connection_continues() {
    let server = server();
    let mut client = Client::open(&server);
    let many: Vec<(String, &str)> = (0..101).map(|index| (format!("x-{index}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    client.send(&frames::with_fields(1, &many));
    assert_eq!(client.response(1).status, 431);
    let long = "x".repeat(15_000);
    let fields: Vec<(&str, &str)> = (0..5).map(|_| ("x-long", long.as_str())).collect();
    let block = frames::block(&[&frames::pseudo("GET", "/"), &fields[..]].concat());
    let mut parts = block.chunks(16_384);
    client.send(&frames::frame(
        frames::HEADERS,
        frames::END_STREAM,
        3,
        parts.next().expect("a part"),
    ));
    let rest: Vec<&[u8]> = parts.collect();
    for (index, part) in rest.iter().enumerate() {
        let flags = if index + 1 == rest.len() {
            frames::END_HEADERS
        } else {
            0
        };
        client.send(&frames::frame(frames::CONTINUATION, flags, 3, part));
    }
    assert_eq!(client.response(3).status, 431);
    assert_eq!(client.get(5, "/").status, 200);
    let statistics = server.handle().statistics();
    assert_eq!(statistics.limit_hits(conduit::Limit::Headers), 1);
    assert_eq!(statistics.limit_hits(conduit::Limit::HeadBytes), 1);
}

#[test]
fn refused_head_request_has_no_content() {
    let server = server();
    let mut client = Client::open(&server);
    // More than the limit of a head, in one frame.
    let (entry, references) = frames::bomb(&frames::pseudo("HEAD", "/"), b"x-long", &[b'x'; 4000], 100);
    client.send(&frames::frame(
        frames::HEADERS,
        frames::END_HEADERS | frames::END_STREAM,
        1,
        &entry,
    ));
    let response = client.response(1);
    assert_eq!((response.status, response.text().as_str()), (200, ""));
    client.send(&frames::frame(
        frames::HEADERS,
        frames::END_HEADERS | frames::END_STREAM,
        3,
        &references,
    ));
    client.send(&frames::request(5, &frames::pseudo("HEAD", "/missing")));
    for (stream, status) in [(3, 431), (5, 404)] {
        let response = client.response(stream);
        assert_eq!((response.status, response.text().as_str()), (status, ""));
        let mut fields = response.fields.iter();
        let length = fields.find(|(name, _)| name == "content-length");
        assert!(length.is_some_and(|(_, length)| length != "0"), "{response:?}");
    }
}

#[route("A", "/")]
fn smallest() -> &'static str {
    "smallest"
}

#[test]
fn the_minimum_of_the_head_limit_admits_the_smallest_head() {
    let server = TestClient::new(App::new(()).routes(routes![smallest]).http2_head_limit(118));
    let mut client = Client::open(&server);
    client.send(&frames::request(
        1,
        &[(":method", "A"), (":scheme", "a"), (":path", "/")],
    ));
    assert_eq!(client.response(1).status, 200);
}

#[test]
#[should_panic(expected = "http2_head_limit(117): the smallest head of a request has 118 bytes")]
fn a_head_limit_below_the_smallest_head_panics() {
    let _ = App::new(()).http2_head_limit(117);
}

#[test]
fn content_of_a_refusal_depends_on_a_method_after_the_limit() {
    let server = TestClient::new(app().http2_head_limit(1000));
    let mut client = Client::open(&server);
    let long = format!("/{}", "x".repeat(2000));
    for (streams, method) in [([1, 3], "HEAD"), ([5, 7], "GET")] {
        let [name, scheme, path, authority] = frames::pseudo(method, &long);
        let orders = [[path, name, scheme, authority], [scheme, path, authority, name]];
        for (stream, fields) in streams.into_iter().zip(orders) {
            client.send(&frames::request(stream, &fields));
            let response = client.response(stream);
            assert_eq!(response.status, 431);
            assert_eq!(response.text().is_empty(), method == "HEAD", "{response:?}");
        }
    }
    // The fields of a bomb are not decoded for the method.
    let references = frames::bomb(&[], b":path", long.as_bytes(), 10_000);
    for (stream, block) in [(9, references.0), (11, references.1)] {
        client.send(&frames::frame(
            frames::HEADERS,
            frames::END_HEADERS | frames::END_STREAM,
            stream,
            &block,
        ));
        assert_eq!(client.response(stream).status, 431);
    }
}

#[test]
fn a_file_and_a_large_body_fit_any_windows() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 2000)]);
    client.send(&get(1, "/file"));
    client.send(&get(3, "/large"));
    let mut received = [Vec::new(), Vec::new()];
    let mut ended = 0;
    while ended < 2 {
        let frame = client.read_until(|frame| matches!(frame, Received::Data { .. }));
        let Received::Data {
            stream,
            bytes,
            end_stream,
        } = frame
        else {
            unreachable!()
        };
        assert!(bytes.len() <= 2000);
        let count = bytes.len() as u32;
        received[stream as usize / 2].extend(bytes);
        ended += u32::from(end_stream);
        if count > 0 {
            client.send(&frames::window_update(0, count));
            if !end_stream {
                client.send(&frames::window_update(stream, count));
            }
        }
    }
    assert!(received[0] == pattern(LARGE)[10..]);
    assert!(received[1] == pattern(LARGE));
}

#[test]
fn the_last_permitted_request_ends_the_connection() {
    let server = TestClient::new(crate::app().request_limit(2));
    let mut client = Client::open(&server);
    client.send(&[get(1, "/"), get(3, "/"), get(5, "/")].concat());
    let frames = client.rest();
    let statuses: Vec<_> = frames.iter().filter_map(Received::status).collect();
    assert_eq!(statuses, [(1, "200"), (3, "200")]);
    assert!(frames.contains(&Received::GoAway(3, ErrorCode::NO_ERROR)), "{frames:?}");
}

#[test]
fn trailers_pass_in_both_directions() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&[post(1, "/with-trailers", &[]), data(1, b"123")].concat());
    client.send(&frames::trailers(1, &[("x-sent", "yes")]));
    let is_last = |frame: &Received| matches!(frame, Received::Head { end_stream: true, .. });
    let trailers = client.read_until(is_last);
    let Received::Head { fields, .. } = trailers else {
        unreachable!()
    };
    assert_eq!(fields, [("x-checksum".to_owned(), "7".to_owned())]);
    let body = client.read_until(|frame| matches!(frame, Received::Data { .. }));
    let Received::Data { bytes, .. } = body else {
        unreachable!()
    };
    assert_eq!(String::from_utf8_lossy(&bytes), "3 bytes, Some(\"yes\")");
    // The same over HTTP/1.1.
    let mut connection = server.connect();
    assert!(connection.send(
        "POST /with-trailers HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
         3\r\n123\r\n0\r\nx-sent: yes\r\n\r\n"
    ));
    let text = String::from_utf8_lossy(&connection.rest()).into_owned();
    assert!(text.ends_with("\r\n0\r\nx-checksum: 7\r\n\r\n"), "{text}");
    assert!(text.contains("3 bytes, Some(\"yes\")"), "{text}");
    // A response to HEAD, or without a body, has no trailers.
    client.send(&request(3, &frames::pseudo("HEAD", "/with-trailers")));
    assert_eq!(client.response(3).status, 405);
}

#[test]
fn an_informational_response_comes_before_the_response() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&get(1, "/early-hints"));
    let heads: Vec<_> = (0..2)
        .map(|_| client.read_until(|frame| matches!(frame, Received::Head { .. })))
        .collect();
    assert_eq!(heads[0].status(), Some((1, "103")));
    assert!(matches!(&heads[0], Received::Head { fields, end_stream: false, .. } if fields[1].0 == "link"));
    assert_eq!(heads[1].status(), Some((1, "200")));
    // In HTTP/1.1 only where it is permitted.
    for (server, count) in [(server, 0), (TestClient::new(crate::app().inform_http1()), 1)] {
        let mut connection = server.connect();
        assert!(connection.send("GET /early-hints HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
        let text = String::from_utf8_lossy(&connection.rest()).into_owned();
        assert_eq!(text.matches("HTTP/1.1 103 ").count(), count, "{text}");
        assert!(text.contains("HTTP/1.1 200 ") && text.ends_with("page"), "{text}");
        // HTTP/1.0 has no informational responses.
        let mut connection = server.connect();
        assert!(connection.send("GET /early-hints HTTP/1.0\r\n\r\n"));
        assert!(!String::from_utf8_lossy(&connection.rest()).contains(" 103 "));
    }
}
