//! Random clients: requests, bodies, windows, resets and short transfers in any order, against a model of each stream.
//!
//! A seed determines a run. `CONDUIT_HTTP2_SEEDS=1000` runs more of them.

use std::collections::BTreeMap;
use std::time::Duration;

use conduit::testing::TestClient;
use conduit_proto::h2::ErrorCode;

use crate::client::Client;
use crate::frames::{self, Received};
use crate::random::Random;
use crate::{DEADLINE, LARGE, pattern};

const SEEDS: u64 = 40;
const STEPS: usize = 250;
const DEFAULT_WINDOW: i64 = 65_535;

/// One request, and what is known of its response.
struct Stream {
    upload: Vec<u8>,
    /// The number of bytes of the upload that are sent.
    sent: usize,
    upload_ended: bool,
    /// The number of bytes that the server permits.
    room: i64,
    expected: Vec<u8>,
    expected_status: &'static str,
    status: Option<String>,
    body: Vec<u8>,
    ended: bool,
    /// The number of received bytes that are not returned to the server's window.
    held: u32,
}

struct Storm {
    client: Client,
    random: Random,
    streams: BTreeMap<u32, Stream>,
    next: u32,
    /// The number of bytes that the server permits on the connection.
    room: i64,
    held: u32,
    initial_room: i64,
    responses: usize,
}

impl Storm {
    fn new(server: &TestClient, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let window = [0, 100, 3000, 65_535, 1 << 20][random.below(5)];
        let mut client = Client::with_settings(server, &[(4, window)]);
        if random.below(2) == 0 {
            client.connection.shorten_transfers(seed);
        }
        Storm {
            client,
            random,
            streams: BTreeMap::new(),
            next: 1,
            room: DEFAULT_WINDOW,
            held: 0,
            initial_room: DEFAULT_WINDOW,
            responses: 0,
        }
    }

    fn open(&mut self) {
        if self.streams.values().filter(|stream| !stream.ended).count() >= 60 {
            return;
        }
        let stream = self.next;
        self.next += 2;
        let size = [0, 1, 500, 20_000, 100_000][self.random.below(5)];
        let upload = pattern(size);
        let (path, upload, status, expected) = match self.random.below(9) {
            0 => ("/".to_owned(), None, "200", b"hello".to_vec()),
            1 => (
                format!("/hello/{stream}"),
                None,
                "200",
                format!("hello {stream}").into_bytes(),
            ),
            2 => ("/nothing".to_owned(), None, "204", Vec::new()),
            3 => {
                let pieces = self.random.below(6);
                (format!("/stream/{pieces}"), None, "200", vec![b'p'; pieces * 10_000])
            }
            4 if self.random.below(4) == 0 => ("/file".to_owned(), None, "200", pattern(LARGE)[10..].to_vec()),
            5 => {
                let expected = format!("{size} bytes").into_bytes();
                ("/length".to_owned(), Some(upload), "200", expected)
            }
            6 => ("/echo".to_owned(), Some(upload.clone()), "200", upload),
            7 => {
                let expected = format!("{size} bytes, None").into_bytes();
                ("/with-trailers".to_owned(), Some(upload), "200", expected)
            }
            _ => ("/slow".to_owned(), None, "200", b"slow".to_vec()),
        };
        let bytes = match &upload {
            Some(_) => frames::post(stream, &path, &[]),
            None => frames::get(stream, &path),
        };
        self.client.offer(&bytes);
        let model = Stream {
            upload_ended: upload.is_none(),
            upload: upload.unwrap_or_default(),
            sent: 0,
            room: self.initial_room,
            expected,
            expected_status: status,
            status: None,
            body: Vec::new(),
            ended: false,
            held: 0,
        };
        self.streams.insert(stream, model);
    }

    /// Sends a part of an upload, as the windows permit.
    fn upload(&mut self, most: usize) {
        let open: Vec<u32> = self.open_streams(|stream| !stream.upload_ended);
        if open.is_empty() {
            return;
        }
        let number = open[self.random.below(open.len())];
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        let room = stream.room.min(self.room).max(0) as usize;
        let count = room.min(most).min(16_384).min(stream.upload.len() - stream.sent);
        let piece = &stream.upload[stream.sent..stream.sent + count];
        stream.sent += count;
        stream.room -= count as i64;
        self.room -= count as i64;
        stream.upload_ended = stream.sent == stream.upload.len();
        if stream.upload_ended {
            self.client.offer(&frames::last_data(number, piece));
        } else if count > 0 {
            self.client.offer(&frames::data(number, piece));
        }
    }

    fn open_streams(&self, is_wanted: impl Fn(&Stream) -> bool) -> Vec<u32> {
        let streams = self.streams.iter();
        let open = streams.filter(|(_, stream)| !stream.ended && is_wanted(stream));
        open.map(|(number, _)| *number).collect()
    }

    /// Returns received bytes to the windows of the server, or opens a window that was closed from the start.
    fn grant(&mut self, stream: Option<u32>, extra: u32) {
        let increment = match stream {
            None => std::mem::take(&mut self.held) + extra,
            Some(number) => {
                let stream = self.streams.get_mut(&number).expect("a stream of the model");
                std::mem::take(&mut stream.held) + extra
            }
        };
        if increment > 0 {
            self.client
                .offer(&frames::window_update(stream.unwrap_or(0), increment));
        }
    }

    fn reset(&mut self) {
        let open = self.open_streams(|_| true);
        if open.is_empty() {
            return;
        }
        let number = open[self.random.below(open.len())];
        self.client.offer(&frames::reset(number, ErrorCode::CANCEL));
        self.streams.remove(&number);
    }

    fn step(&mut self, server: &TestClient) {
        match self.random.below(20) {
            0..5 => self.open(),
            5..10 => {
                let most = 1 + self.random.below(16_384);
                self.upload(most);
            }
            10..12 => self.grant(None, 0),
            12..15 => {
                let open = self.open_streams(|_| true);
                if !open.is_empty() {
                    let number = open[self.random.below(open.len())];
                    let extra = 1500 + self.random.below(20_000) as u32;
                    self.grant(Some(number), extra);
                }
            }
            15 => self.reset(),
            16 => self.client.offer(&frames::ping()),
            17 => server.advance(Duration::from_secs(self.random.below(20) as u64)),
            _ => server.advance(Duration::ZERO),
        }
        self.take_in();
    }

    /// Compares what has arrived with the model.
    fn take_in(&mut self) {
        self.client.offer(&[]);
        self.client.take_in();
        for frame in std::mem::take(&mut self.client.frames) {
            match frame {
                Received::Head {
                    stream,
                    fields,
                    end_stream,
                } => {
                    let Some(model) = self.streams.get_mut(&stream) else {
                        continue;
                    };
                    if model.status.is_none() {
                        model.status = Some(fields[0].1.clone());
                    }
                    self.end(stream, end_stream);
                }
                Received::Data {
                    stream,
                    bytes,
                    end_stream,
                } => {
                    self.held += bytes.len() as u32;
                    let Some(model) = self.streams.get_mut(&stream) else {
                        continue;
                    };
                    model.held += bytes.len() as u32;
                    model.body.extend(bytes);
                    assert!(model.expected.starts_with(&model.body), "stream {stream}");
                    self.end(stream, end_stream);
                }
                Received::WindowUpdate(0, increment) => self.room += i64::from(increment),
                Received::WindowUpdate(stream, increment) => {
                    if let Some(model) = self.streams.get_mut(&stream) {
                        model.room += i64::from(increment);
                    }
                }
                Received::Settings(settings) => {
                    let size = settings
                        .iter()
                        .find(|(id, _)| *id == 4)
                        .expect("the window of streams")
                        .1;
                    let change = i64::from(size) - self.initial_room;
                    self.initial_room += change;
                    self.streams.values_mut().for_each(|stream| stream.room += change);
                }
                Received::SettingsAck | Received::Pong(_) => {}
                Received::Reset(stream, code) => {
                    assert!(!self.streams.contains_key(&stream), "stream {stream} is reset: {code}");
                }
                frame @ (Received::GoAway(..) | Received::Ping(_)) => panic!("{frame:?}"),
            }
        }
    }

    fn end(&mut self, number: u32, ended: bool) {
        if !ended {
            return;
        }
        let stream = self.streams.remove(&number).expect("a stream of the model");
        assert!(
            stream.upload_ended,
            "stream {number} has responded before its body has ended"
        );
        assert_eq!(
            stream.status.as_deref(),
            Some(stream.expected_status),
            "stream {number}"
        );
        assert!(
            stream.body == stream.expected,
            "stream {number} has {} bytes",
            stream.body.len()
        );
        self.responses += 1;
    }

    /// Opens all windows, sends all bodies, and waits for all responses.
    fn finish(&mut self, server: &TestClient) {
        for round in 0.. {
            assert!(round < 3000, "{} streams have no response", self.streams.len());
            if self.streams.is_empty() {
                return;
            }
            self.upload(16_384);
            if round % 4 == 0 {
                self.grant(None, 0);
                for number in self.open_streams(|_| true) {
                    self.grant(Some(number), 20_000);
                }
            }
            let pause = if round % 50 == 49 { DEADLINE / 4 } else { Duration::ZERO };
            server.advance(pause);
            self.take_in();
        }
    }
}

#[test]
fn random_clients_get_their_responses_whole_and_leave_nothing() {
    let seeds = std::env::var("CONDUIT_HTTP2_SEEDS").ok();
    let seeds = seeds.map_or(SEEDS, |seeds| seeds.parse().expect("CONDUIT_HTTP2_SEEDS is a number"));
    let mut responses = 0;
    for seed in 1..=seeds {
        eprintln!("seed {seed}");
        // Windows are opened in small steps, which costs glitches.
        let server = TestClient::new(crate::app().http2_glitch_limit(1_000_000, 1000));
        let mut storm = Storm::new(&server, seed);
        for _ in 0..STEPS {
            storm.step(&server);
        }
        storm.finish(&server);
        responses += storm.responses;
        // Handlers of reset streams end after the sleep.
        server.advance(2 * DEADLINE / 3);
        server.advance(2 * DEADLINE / 3);
        server.advance(Duration::ZERO);
        let resources = server.resources();
        assert_eq!((resources.handlers, resources.tasks), (0, 0), "seed {seed}");
        assert_eq!(
            (resources.buffer_bytes, resources.body_memory_bytes),
            (0, 0),
            "seed {seed}"
        );
    }
    assert!(responses as u64 > seeds * 20, "{responses} responses");
}
