//! The number of sends: the frames of one turn are sent together.

use std::io::Write as _;
use std::time::Duration;

use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit_proto::h2::ErrorCode;

use crate::client::Client;
use crate::frames::{END_HEADERS, HEADERS, Received, block, data, frame, get, last_data, post, pseudo};
use crate::{DEADLINE, server};

/// The length of a pipe in memory, and of the server's input buffer.
const PIPE: usize = 64 * 1024;

/// Waits until the server has served all input.
fn settle(server: &TestClient) {
    server.advance(Duration::ZERO);
    server.advance(Duration::ZERO);
}

fn updates(client: &mut Client) -> usize {
    client.take_in();
    let is_update = |frame: &&Received| matches!(frame, Received::WindowUpdate(..));
    client.frames.iter().filter(is_update).count()
}

#[test]
fn uploads_that_arrive_together_have_one_send_and_no_window_updates() {
    let server = server();
    let mut client = Client::open(&server);
    settle(&server);
    updates(&mut client);
    client.frames.clear();
    let sends = client.connection.server_sends();
    let streams = || (1..41).step_by(2);
    let upload = |stream| [post(stream, "/length", &[]), last_data(stream, &[b'u'; 3000])].concat();
    client.offer(&streams().map(upload).collect::<Vec<_>>().concat());
    settle(&server);
    assert_eq!(client.connection.server_sends() - sends, 1);
    assert_eq!(server.resources().handlers, 0);
    assert_eq!(updates(&mut client), 0);
    for stream in streams() {
        assert_eq!(client.response(stream).text(), "3000 bytes");
    }
}

/// The server cannot know whether more follows a read that fills its buffer.
#[test]
fn a_read_that_fills_the_buffer_starts_the_handler_of_an_incomplete_body() {
    let server = server();
    let mut client = Client::open(&server);
    settle(&server);
    let mut bytes = [post(1, "/length", &[]), data(1, &[b'u'; 16_000])].concat();
    bytes.extend(
        [
            post(3, "/length", &[]),
            data(3, &[b'u'; 16_000]),
            data(3, &[b'u'; 16_000]),
        ]
        .concat(),
    );
    // The last frame ends with the buffer.
    let left = PIPE - bytes.len() - 2 * 9;
    bytes.extend([data(1, &vec![b'u'; left - 16_000]), data(1, &[b'u'; 16_000])].concat());
    assert_eq!(bytes.len(), PIPE);
    client.offer(&bytes);
    settle(&server);
    assert_eq!(server.resources().handlers, 2);
    client.send(&[last_data(1, b""), last_data(3, b"")].concat());
    assert_eq!(client.response(1).text(), format!("{} bytes", left + 16_000));
    assert_eq!(client.response(3).text(), "32000 bytes");
}

#[test]
fn responses_of_handlers_that_end_together_have_one_send() {
    let server = server();
    let mut client = Client::open(&server);
    let streams = || (1..65).step_by(2);
    client.offer(&streams().flat_map(|stream| get(stream, "/slow")).collect::<Vec<_>>());
    settle(&server);
    assert_eq!(server.resources().handlers, 32);
    let sends = client.connection.server_sends();
    server.advance(2 * DEADLINE);
    for stream in streams() {
        assert_eq!(client.response(stream).text(), "slow");
    }
    // The clock advances in steps, so the timers may fire in different turns.
    let sends = client.connection.server_sends() - sends;
    assert!(sends <= 2, "{sends} sends");
}

#[test]
fn a_large_response_is_sent_with_its_head_as_far_as_the_window_permits() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 48 * 1024)]);
    settle(&server);
    client.take_in();
    let sends = client.connection.server_sends();
    client.send(&get(1, "/large"));
    settle(&server);
    assert_eq!(client.connection.server_sends() - sends, 1);
    client.take_in();
    let lengths: Vec<usize> = client
        .frames
        .iter()
        .filter_map(|frame| match frame {
            Received::Data { bytes, .. } => Some(bytes.len()),
            _ => None,
        })
        .collect();
    assert_eq!(lengths, [16_384; 3], "whole frames");
    assert_eq!(
        server.resources().buffer_bytes,
        crate::LARGE - 48 * 1024,
        "only the rest of the body"
    );
}

#[test]
fn a_reset_and_a_window_update_follow_a_large_body() {
    let server = server();
    let mut client = Client::open(&server);
    // The response ends before the request, whose stream is reset after it.
    client.send(&frame(HEADERS, END_HEADERS, 1, &block(&pseudo("GET", "/large"))));
    assert_eq!(client.response(1).body, crate::pattern(crate::LARGE));
    client.read_until(|frame| *frame == Received::Reset(1, ErrorCode::NO_ERROR));
    // Bodies that no handler reads open the window of the connection at the end of a response.
    for stream in (3..103).step_by(2) {
        let head = frame(HEADERS, END_HEADERS, stream, &block(&pseudo("GET", "/large")));
        client.offer(&[head, last_data(stream, &[b'u'; 16_000])].concat());
        assert_eq!(
            client.response(stream).body,
            crate::pattern(crate::LARGE),
            "stream {stream}"
        );
        client.offer(b"");
    }
    assert!(updates(&mut client) > 0);
}

/// A service of another library that returns the exact size hint of its body.
#[cfg(feature = "tower")]
#[derive(Clone, Copy)]
struct Hint;

#[cfg(feature = "tower")]
impl tower::Service<http::Request<conduit::tower::SendBody>> for Hint {
    type Response = http::Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<conduit::tower::SendBody>) -> Self::Future {
        let hint = http_body::Body::size_hint(request.body());
        std::future::ready(Ok(http::Response::new(format!("{:?}", hint.exact()))))
    }
}

/// Otherwise a task forwards the pieces, and the response takes several turns.
#[cfg(feature = "tower")]
#[test]
fn a_tower_service_gets_a_complete_body_at_once() {
    use conduit::prelude::*;

    let app = App::new(()).routes(routes![crate::hello]);
    let server = conduit::testing::TestClient::new(app.fallback(conduit::tower::service(Hint)));
    let mut client = Client::open(&server);
    client.send(&[post(1, "/service", &[]), last_data(1, &[b'u'; 3000])].concat());
    assert_eq!(client.response(1).text(), "Some(3000)");
    client.send(&[post(3, "/service", &[]), data(3, &[b'u'; 3000])].concat());
    assert_eq!(client.response(3).text(), "None");
}

/// Responds with a file in a later turn than that of the request.
#[get("/late")]
async fn late_file() -> Body {
    tokio::task::yield_now().await;
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&[b'l'; 60_000]).expect("it is written");
    Body::from_file(file, 0..60_000)
}

/// A response that exceeds its share of a turn continues in the next turn without any event of the socket.
#[test]
fn a_response_of_a_later_turn_is_sent_without_further_events() {
    let server = TestClient::new(App::new(()).routes(routes![late_file]));
    let mut client = Client::open(&server);
    settle(&server);
    client.offer(&get(1, "/late"));
    settle(&server);
    settle(&server);
    client.take_in();
    let received = client.frames.iter().map(|frame| match frame {
        Received::Data { bytes, .. } => bytes.len(),
        _ => 0,
    });
    assert_eq!(received.sum::<usize>(), 60_000);
}
