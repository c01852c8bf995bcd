//! Deadlines of connections and streams, with a clock that the test controls.

use std::time::Duration;

use conduit::Limit;
use conduit::testing::TestClient;
use conduit_proto::h2::ErrorCode;

use crate::client::Client;
use crate::frames::{self, Received, data, frame, get, post};
use crate::{BURST_BYTES, DEADLINE, PART, QUIET, server};

const MINUTE: Duration = Duration::from_secs(60);

fn hits(server: &TestClient, limit: Limit) -> u64 {
    server.handle().statistics().limit_hits(limit)
}

#[test]
fn an_idle_connection_ends_with_goaway() {
    let server = server();
    let mut client = Client::open(&server);
    assert_eq!(client.get(1, "/").status, 200);
    server.advance(DEADLINE - MINUTE);
    assert_eq!(client.get(3, "/").status, 200);
    server.advance(DEADLINE - MINUTE);
    assert!(!client.connection.is_closed());
    server.advance(2 * MINUTE);
    assert!(client.rest().contains(&Received::GoAway(3, ErrorCode::NO_ERROR)));
    assert_eq!(hits(&server, Limit::IdleTime), 1);
}

#[test]
fn a_client_that_does_not_acknowledge_settings_is_disconnected() {
    let server = server();
    let mut client = Client::silent(&server);
    client.send(&frames::opening());
    server.advance(DEADLINE + MINUTE);
    assert!(
        client
            .rest()
            .contains(&Received::GoAway(0, ErrorCode::SETTINGS_TIMEOUT))
    );
    assert_eq!(hits(&server, Limit::HandshakeTime), 1);
}

#[test]
fn requests_do_not_extend_the_deadline_of_the_settings_acknowledgement() {
    let server = server();
    let mut client = Client::silent(&server);
    client.send(&frames::opening());
    for stream in (1..).step_by(2).take(5) {
        client.send(&get(stream, "/"));
        assert_eq!(client.response(stream).status, 200);
        server.advance(DEADLINE / 5);
    }
    server.advance(MINUTE);
    let _ = client.connection.send(get(11, "/"));
    let frames = client.rest();
    let is_timeout = |frame: &Received| matches!(frame, Received::GoAway(_, ErrorCode::SETTINGS_TIMEOUT));
    assert!(frames.iter().any(is_timeout), "{frames:?}");
    assert_eq!(hits(&server, Limit::HandshakeTime), 1);
}

#[test]
fn reads_that_end_within_a_frame_are_not_late() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&get(1, "/slow"));
    // With a stream open, and without.
    let mut stream = 3;
    for _ in 0..2 {
        let mut rest = Vec::new();
        for _ in 0..6 {
            let request = get(stream, "/");
            client.send(&[&rest[..], &request[..request.len() - 3]].concat());
            rest = request[request.len() - 3..].to_vec();
            stream += 2;
            server.advance(DEADLINE / 4);
        }
        client.send(&rest);
        assert_eq!(client.response(stream - 2).status, 200);
    }
    assert_eq!(client.response(1).text(), "slow");
    assert_eq!(hits(&server, Limit::HeadTime), 0);
}

#[test]
fn pings_that_end_within_a_frame_do_not_keep_an_idle_connection() {
    let server = server();
    let mut client = Client::open(&server);
    assert_eq!(client.get(1, "/").status, 200);
    let ping = frames::ping();
    let cut = [&ping[5..], &ping[..5]].concat();
    client.send(&ping[..5]);
    for turn in 0.. {
        server.advance(DEADLINE / 2);
        if !client.connection.send(&cut) {
            break;
        }
        assert!(turn < 5, "the connection stays open");
    }
    assert_eq!(hits(&server, Limit::HeadTime), 1);
}

#[test]
fn a_head_that_drips_in_is_late() {
    let server = server();
    for part in [&frames::PREFACE[..10], frames::PREFACE] {
        let mut client = Client::silent(&server);
        client.send(part);
        server.advance(DEADLINE + MINUTE);
        assert!(client.connection.is_closed());
    }
    // HEADERS without its CONTINUATION, and a truncated frame.
    let block = frames::block(&frames::pseudo("GET", "/"));
    let open = frame(frames::HEADERS, frames::END_STREAM, 1, &block);
    for part in [&open[..], &open[..20]] {
        let mut client = Client::open(&server);
        client.send(part);
        for _ in 0..5 {
            server.advance(DEADLINE / 6);
            client.send(b"");
        }
        assert!(!client.connection.is_closed());
        server.advance(DEADLINE / 6 + MINUTE);
        let frames = client.rest();
        assert!(
            frames
                .iter()
                .any(|frame| matches!(frame, Received::GoAway(_, ErrorCode::ENHANCE_YOUR_CALM))),
            "{frames:?}"
        );
    }
    assert!(hits(&server, Limit::HeadTime) >= 3);
}

#[test]
fn a_slow_body_is_refused_and_other_streams_continue() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&[post(1, "/length", &[]), data(1, &[b'a'; 1000])].concat());
    // Requests on other streams do not extend the deadline of the slow one.
    let mut stream = 3;
    for _ in 0..6 {
        server.advance(DEADLINE / 5);
        client.send(&data(1, b"123456"));
        client.send(&get(stream, "/"));
        assert_eq!(client.response(stream).status, 200);
        stream += 2;
    }
    assert_eq!(client.response(1).status, 408);
    assert_eq!(hits(&server, Limit::BodyRate), 1);
    assert_eq!(client.get(stream, "/").status, 200);
}

#[test]
fn a_body_that_the_handler_does_not_read_has_no_deadline() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&[post(1, "/unread", &[]), data(1, &[b'a'; 1000])].concat());
    server.advance(2 * DEADLINE - MINUTE);
    assert_eq!(client.get(3, "/").status, 200);
    server.advance(2 * MINUTE);
    assert_eq!(client.response(1).text(), "done");
}

#[test]
fn a_response_whose_window_stays_closed_is_reset() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 1000)]);
    client.send(&[get(1, "/large"), get(3, "/stream/20"), get(5, "/file")].concat());
    for _ in 0..6 {
        server.advance(DEADLINE / 5);
        client.send(&frames::window_update(1, 1));
    }
    for stream in [1, 3, 5] {
        client.read_until(|frame| *frame == Received::Reset(stream, ErrorCode::CANCEL));
    }
    assert_eq!(hits(&server, Limit::WriteRate), 3);
    assert_eq!(client.get(7, "/").status, 200);
    assert_eq!(server.resources().buffer_bytes, 0);
}

#[test]
fn frames_that_drip_in_do_not_extend_the_deadline_of_a_closed_window() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 0)]);
    client.send(&get(1, "/large"));
    // Frames of an undefined type, split so that the deadline of a head starts, but never for long.
    let unknown = frame(0xbb, 0, 0, &[0; 16]);
    for _ in 0..12 {
        client.send(&unknown[..20]);
        server.advance(DEADLINE / 10);
        client.send(&unknown[20..]);
    }
    client.read_until(|frame| *frame == Received::Reset(1, ErrorCode::CANCEL));
    assert_eq!(hits(&server, Limit::WriteRate), 1);
}

#[test]
fn windows_that_are_closed_in_turn_do_not_extend_the_deadline() {
    let server = server();
    let mut client = Client::with_settings(&server, &[]);
    client.send(&get(1, "/large"));
    for _ in 0..12 {
        // First the window of the stream stays closed, and then that of the connection.
        client.offer(&frames::window_update(0, 1));
        server.advance(DEADLINE / 10);
        client.offer(&[frames::window_update(1, 1), frames::window_update(1, 1)].concat());
        server.advance(DEADLINE / 10);
    }
    assert_eq!(hits(&server, Limit::WriteRate), 1);
}

/// The client has read all bytes that its window permits, so it reads the reason of the end, too (RFC 9113, section 6.8).
#[test]
fn a_window_of_the_connection_that_stays_closed_ends_it_with_goaway() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 1 << 30)]);
    client.send(&get(1, "/large"));
    for _ in 0..4 {
        server.advance(Duration::ZERO);
        client.take_in();
    }
    server.advance(DEADLINE + MINUTE);
    assert!(
        client
            .rest()
            .contains(&Received::GoAway(1, ErrorCode::ENHANCE_YOUR_CALM))
    );
    assert_eq!(hits(&server, Limit::WriteRate), 1);
    assert_eq!(server.resources().buffer_bytes, 0);
}

#[test]
fn a_response_that_waits_for_its_turn_has_no_deadline() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 1 << 20)]);
    for stream in (1..40).step_by(2) {
        client.send(&get(stream, "/large"));
    }
    // The window of the connection opens at a multiple of the minimum rate, and the responses share it.
    for _ in 0..20 {
        server.advance(DEADLINE / 5);
        client.take_in();
        client.send(&frames::window_update(0, 600_000));
        for _ in 0..20 {
            server.advance(Duration::ZERO);
            client.take_in();
        }
    }
    let is_reset = |frame: &&Received| matches!(frame, Received::Reset(..) | Received::GoAway(..));
    assert_eq!(client.frames.iter().find(is_reset), None);
    assert_eq!(hits(&server, Limit::WriteRate), 0);
    // A window that stays closed ends the connection.
    server.advance(2 * DEADLINE);
    assert_eq!(hits(&server, Limit::WriteRate), 1);
    assert!(client.connection.is_closed());
}

/// The window of the connection opens for five parts at a time, at more than the minimum rate.
#[test]
fn whole_responses_count_for_the_rate_of_the_connection_window() {
    for path in ["/part", "/part-of-a-file"] {
        let server = server();
        let mut client = Client::with_settings(&server, &[(4, 1 << 20)]);
        let mut streams = (1..).step_by(2);
        let mut request = |count| {
            streams
                .by_ref()
                .take(count)
                .flat_map(|stream| get(stream, path))
                .collect::<Vec<_>>()
        };
        client.send(&request(20));
        for _ in 0..30 {
            server.advance(DEADLINE / 20);
            client.take_in();
            client.send(&[frames::window_update(0, 5 * PART as u32), request(5)].concat());
            for _ in 0..20 {
                server.advance(Duration::ZERO);
                client.take_in();
            }
        }
        let is_end = |frame: &&Received| matches!(frame, Received::Data { end_stream: true, .. });
        assert_eq!(client.frames.iter().filter(is_end).count(), 5 + 30 * 5, "{path}");
        assert_eq!(hits(&server, Limit::WriteRate), 0, "{path}");
        // A window that stays closed ends the connection.
        server.advance(2 * DEADLINE);
        assert_eq!(hits(&server, Limit::WriteRate), 1, "{path}");
    }
}

/// Responses in memory take the window before a large one that waits for it.
#[test]
fn only_written_bytes_count_for_the_rate_of_the_connection_window() {
    // The head of a response to HEAD declares the same length.
    for (method, expected) in [("GET", 0), ("HEAD", 1)] {
        let server = server();
        let mut client = Client::with_settings(&server, &[(4, 1 << 20)]);
        client.send(&get(1, "/large"));
        let mut streams = (3..).step_by(2);
        for _ in 0..30 {
            server.advance(DEADLINE / 20);
            client.take_in();
            let mut input = match method {
                "GET" => frames::window_update(0, 5 * PART as u32),
                _ => Vec::new(),
            };
            let request = |stream| frames::request(stream, &frames::pseudo(method, "/part"));
            input.extend(streams.by_ref().take(5).flat_map(request));
            client.offer(&input);
        }
        assert_eq!(hits(&server, Limit::WriteRate), expected, "{method}");
    }
}

#[test]
fn uploads_share_the_minimum_rate() {
    let server = server();
    let mut client = Client::open(&server);
    for stream in (1..20).step_by(2) {
        client.send(&post(stream, "/length", &[]));
    }
    // Together twice the minimum rate, each a fifth of it.
    for _ in 0..10 {
        server.advance(DEADLINE / 5);
        for stream in (1..20).step_by(2) {
            for _ in 0..3 {
                client.send(&data(stream, &[b'u'; 12_300]));
            }
        }
    }
    for stream in (1..20).step_by(2) {
        client.send(&frames::last_data(stream, b""));
        assert_eq!(client.response(stream).text(), "369000 bytes");
    }
    assert_eq!(hits(&server, Limit::BodyRate), 0);
}

#[test]
fn time_in_which_streams_are_quiet_does_not_count_against_the_reader() {
    for has_body in [false, true] {
        let server = server();
        let mut client = Client::open(&server);
        client.send(&get(1, "/bursts"));
        for stream in [3, 5, 7] {
            if has_body {
                // A body that its handler does not read is checked each second.
                client.send(&post(stream, "/unread", &[]));
            }
            server.advance(QUIET);
            // Bytes that do not fit wait for a while, and are then read at once.
            server.advance(2 * MINUTE);
            let mut received = 0;
            while received < BURST_BYTES {
                let frame = client.read_until(|frame| matches!(frame, Received::Data { stream: 1, .. }));
                if let Received::Data { bytes, .. } = frame {
                    received += bytes.len();
                }
            }
        }
        assert_eq!(hits(&server, Limit::WriteRate), 0);
        // The quiet time gives no more than the grace to a client that reads nothing.
        server.advance(QUIET);
        assert_eq!(hits(&server, Limit::WriteRate), 0);
        server.advance(DEADLINE + MINUTE);
        assert_eq!(hits(&server, Limit::WriteRate), 1);
    }
}

#[test]
fn a_client_that_reads_no_output_is_reset() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&get(1, "/large"));
    server.advance(DEADLINE + MINUTE);
    assert_eq!(hits(&server, Limit::WriteRate), 1);
    assert!(client.connection.is_closed());
}

#[test]
fn a_handler_has_no_deadline() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&get(1, "/slow"));
    server.advance(DEADLINE / 2);
    client.send(&frames::ping());
    server.advance(DEADLINE);
    assert_eq!(client.response(1).text(), "slow");
}
