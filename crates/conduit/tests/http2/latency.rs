//! Transfers over a link with a long round trip, measured in round trips: windows limit the bytes of each.

use std::time::Duration;

use conduit::testing::TestClient;

use crate::client::Client;
use crate::frames::{self, Received, data, get, last_data, post};

const SIZE: usize = 16 * 1024 * 1024;
/// The delay of one direction.
const WAY: Duration = Duration::from_millis(50);
/// The initial window of a stream, and its maximum: the documented defaults.
const FIRST_WINDOW: usize = 64 * 1024;
const WINDOW: usize = 1024 * 1024;
const PAYLOAD: usize = 16_384;

/// A client at the far end of the link.
struct Link {
    server: TestClient,
    client: Client,
    round_trips: usize,
}

impl Link {
    /// A connection after the exchange of SETTINGS.
    fn new(windows: u32) -> Self {
        let server = TestClient::new(crate::app().body_limit(2 * SIZE as u64));
        let mut client = Client::with_settings(&server, &[(4, windows)]);
        client.offer(&frames::window_update(0, windows - 65_535));
        let mut link = Link {
            server,
            client,
            round_trips: 0,
        };
        link.round_trip(&[]);
        link.client.frames.clear();
        link.round_trips = 0;
        link
    }

    /// Delivers the frames of the client. Returns all frames that the server sends until it waits for input.
    fn round_trip(&mut self, bytes: &[u8]) -> Vec<Received> {
        self.round_trips += 1;
        self.server.advance(WAY);
        self.client.offer(bytes);
        let mut received = Vec::new();
        let mut idle = 0;
        // The pipe in memory has less room than the windows, and handlers run in later turns.
        while idle < 4 {
            self.server.advance(Duration::ZERO);
            self.client.offer(&[]);
            self.client.take_in();
            let is_idle = self.client.is_sent() && self.client.frames.is_empty();
            idle = if is_idle { idle + 1 } else { 0 };
            received.append(&mut self.client.frames);
        }
        self.server.advance(WAY);
        received
    }
}

#[test]
fn an_upload_takes_one_round_trip_for_each_full_window() {
    let mut link = Link::new(1 << 20);
    let (mut sent, mut of_stream, mut of_connection) = (0, FIRST_WINDOW, WINDOW);
    let mut bytes = post(1, "/length", &[]);
    let response = loop {
        while sent < SIZE {
            let length = PAYLOAD.min(SIZE - sent).min(of_stream).min(of_connection);
            if length == 0 {
                break;
            }
            sent += length;
            (of_stream, of_connection) = (of_stream - length, of_connection - length);
            let payload = vec![b'u'; length];
            bytes.extend(match sent == SIZE {
                true => last_data(1, &payload),
                false => data(1, &payload),
            });
        }
        let received = link.round_trip(&std::mem::take(&mut bytes));
        for frame in &received {
            match frame {
                Received::WindowUpdate(0, increment) => of_connection += *increment as usize,
                Received::WindowUpdate(_, increment) => of_stream += *increment as usize,
                _ => {}
            }
        }
        let text = received.into_iter().find_map(|frame| match frame {
            Received::Data { bytes, .. } => Some(bytes),
            _ => None,
        });
        if let Some(text) = text {
            break text;
        }
    };
    assert_eq!(response, format!("{SIZE} bytes").into_bytes());
    // The window doubles with each window that the handler has read: 64, 128, 256 and 512 KiB, and then 1 MiB each time.
    let growing = (WINDOW / FIRST_WINDOW).ilog2() as usize;
    let least = growing + (SIZE - (WINDOW - FIRST_WINDOW)).div_ceil(WINDOW);
    assert_eq!(link.round_trips, least);
}

#[test]
fn a_download_takes_one_round_trip_for_each_window_of_its_client() {
    for windows in [WINDOW, 2 * SIZE] {
        let mut link = Link::new(windows as u32);
        let mut bytes = get(1, &format!("/stream/{}", SIZE / 10_000));
        let (mut received, expected) = (0, SIZE / 10_000 * 10_000);
        while received < expected {
            let frames = link.round_trip(&std::mem::take(&mut bytes));
            let data = frames.iter().filter_map(|frame| match frame {
                Received::Data { bytes, .. } => Some(bytes.len()),
                _ => None,
            });
            let length: usize = data.sum();
            assert!(length > 0, "the server waits after {received} bytes");
            received += length;
            bytes.extend(frames::window_update(0, length as u32));
            bytes.extend(frames::window_update(1, length as u32));
        }
        assert_eq!(received, expected);
        assert_eq!(link.round_trips, expected.div_ceil(windows));
    }
}
