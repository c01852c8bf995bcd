//! The end of the server and of clients.

use std::time::Duration;

use conduit::testing::{TestClient, TestConnection};
use conduit_proto::h2::ErrorCode;

use crate::client::Client;
use crate::frames::{self, ACK, PING, Received, frame, get, post};
use crate::{DEADLINE, server};

const ALL: u32 = (1 << 31) - 1;

/// A request that keeps a stopping server alive, so that its clock can be advanced.
fn keep_open(server: &TestClient) -> TestConnection {
    let mut connection = server.connect();
    assert!(connection.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n"));
    server.advance(Duration::ZERO);
    connection
}

/// A client that has received a response, and then the announcement of the server's stop.
fn stopped_after_a_response(server: &TestClient) -> Client {
    let mut client = Client::open(server);
    assert_eq!(client.get(1, "/").status, 200);
    server.handle().stop();
    client.read_until(|frame| *frame == Received::GoAway(ALL, ErrorCode::NO_ERROR));
    client
}

#[test]
fn a_shutdown_is_announced_and_requests_in_transit_are_served() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&get(1, "/slow"));
    server.advance(Duration::from_secs(60));
    let _open = keep_open(&server);
    server.handle().stop();
    client.read_until(|frame| *frame == Received::GoAway(ALL, ErrorCode::NO_ERROR));
    let ping = client.read_until(|frame| matches!(frame, Received::Ping(_)));
    // A request that the client sent before it received GOAWAY.
    client.send(&get(3, "/"));
    assert_eq!(client.response(3).status, 200);
    let Received::Ping(payload) = ping else { unreachable!() };
    client.send(&frame(PING, ACK, 0, &payload));
    client.read_until(|frame| *frame == Received::GoAway(3, ErrorCode::NO_ERROR));
    client.send(&get(5, "/"));
    server.advance(DEADLINE);
    let frames = client.rest();
    assert_eq!(
        frames.iter().filter_map(Received::status).collect::<Vec<_>>(),
        [(1, "200")]
    );
}

#[test]
fn a_client_that_does_not_respond_to_the_ping_is_not_waited_for() {
    let server = server();
    let _open = keep_open(&server);
    let mut client = stopped_after_a_response(&server);
    server.advance(Duration::from_secs(10));
    let frames = client.rest();
    assert!(frames.contains(&Received::GoAway(1, ErrorCode::NO_ERROR)), "{frames:?}");
}

#[test]
fn the_goaway_of_a_client_ends_the_connection_after_its_streams() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&get(1, "/slow"));
    client.send(&frame(frames::GOAWAY, 0, 0, &[0; 8]));
    server.advance(DEADLINE);
    let frames = client.rest();
    assert!(
        frames.iter().any(|frame| frame.status() == Some((1, "200"))),
        "{frames:?}"
    );
    assert_eq!(frames.last(), Some(&Received::GoAway(1, ErrorCode::NO_ERROR)));
}

/// A client that sends further requests can repeat them on another connection (RFC 9113, section 6.8).
#[test]
fn the_goaway_of_an_idle_client_is_answered() {
    let server = server();
    let mut client = Client::open(&server);
    server.advance(Duration::ZERO);
    client.send(&frame(frames::GOAWAY, 0, 0, &[0; 8]));
    client.read_until(|frame| *frame == Received::GoAway(0, ErrorCode::NO_ERROR));
    client.send(&get(1, "/"));
    assert_eq!(client.rest().iter().find_map(Received::status), None);
}

#[test]
fn requests_do_not_extend_the_time_for_the_response_to_the_ping() {
    let server = server();
    let _open = keep_open(&server);
    let mut client = stopped_after_a_response(&server);
    for stream in [3, 5, 7, 9, 11] {
        server.advance(Duration::from_secs(1));
        if client.connection.is_closed() {
            break;
        }
        client.send(&get(stream, "/"));
    }
    client.take_in();
    let is_last = |frame: &Received| matches!(frame, Received::GoAway(1..ALL, ErrorCode::NO_ERROR));
    assert!(client.frames.iter().any(is_last), "{:?}", client.frames);
}

#[test]
fn a_half_close_does_not_abort_the_responses() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&[get(1, "/slow"), get(3, "/aborted"), post(5, "/length", &[])].concat());
    server.advance(Duration::ZERO);
    client.connection.end();
    server.advance(Duration::ZERO);
    server.advance(Duration::ZERO);
    assert_eq!(
        server.resources().handlers,
        1,
        "the route that aborts, and the body that never ends"
    );
    server.advance(DEADLINE);
    let frames = client.rest();
    let statuses: Vec<_> = frames.iter().filter_map(Received::status).collect();
    assert_eq!(statuses, [(5, "400"), (1, "200")]);
    assert!(frames.contains(&Received::Reset(3, ErrorCode::CANCEL)));
}

#[test]
fn a_connection_that_breaks_the_protocol_ends_with_goaway() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&get(1, "/slow"));
    client.send(&frame(frames::DATA, 0, 0, b"x"));
    let frames = client.rest();
    assert!(
        frames.contains(&Received::GoAway(1, ErrorCode::PROTOCOL_ERROR)),
        "{frames:?}"
    );
}

#[test]
fn http_1_1_and_2_share_a_port() {
    let server = server();
    assert_eq!(server.get("/").send().text(), "hello");
    let mut client = Client::open(&server);
    assert_eq!(client.get(1, "/").text(), "hello");
    // Only the first bytes of a connection may be the preface.
    let mut connection = server.connect();
    assert!(connection.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert!(connection.send(frames::opening()));
    let received = String::from_utf8_lossy(&connection.rest()).into_owned();
    assert_eq!(received.matches("HTTP/1.1 200 ").count(), 1, "{received}");
    assert_eq!(received.matches("HTTP/1.1 505 ").count(), 1, "{received}");
    // Each split of the preface has the same result.
    for cut in 1..frames::PREFACE.len() {
        let mut client = Client::silent(&server);
        client.send(&frames::PREFACE[..cut]);
        server.advance(Duration::ZERO);
        client.send(&[&frames::opening()[cut..], &get(1, "/")].concat());
        assert_eq!(client.response(1).text(), "hello", "{cut}");
    }
}
