//! One stream of an HTTP/2 connection as a pair of byte streams, for clients whose request lasts.

use conduit_proto::h2::ErrorCode;
use conduit_proto::h2::hpack::Decoder;

use crate::frames::{self, Received};
use crate::http2::{CONNECTION, DEFAULT_WINDOW, LOW_CREDIT, Windows, whole_frames};
use crate::random::Random;
use crate::secure::Wire;

/// The number of the stream.
const STREAM: u32 = 1;

/// The client's side of the connection.
pub(crate) struct Tunnel {
    random: Random,
    decoder: Decoder,
    /// Frames that are not sent.
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    connection: Windows,
    stream: Windows,
    /// The initial window of the client's streams.
    initial: i64,
    /// The fields of the response.
    pub(crate) head: Option<Vec<(String, String)>>,
    /// The server has ended the stream or the connection.
    pub(crate) has_ended: bool,
    /// An end that is not the end of the response: its code.
    pub(crate) error: Option<ErrorCode>,
}

impl Tunnel {
    /// A client whose first frames are ready to be sent. The request ends with its head, or never.
    pub(crate) fn new(fields: &[(&str, &str)], ends: bool, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let window = [0, 100, 3000, 65_535, 1 << 20][random.below(5)];
        let flags = frames::END_HEADERS | if ends { frames::END_STREAM } else { 0 };
        let mut outgoing = [frames::PREFACE, &frames::settings(&[(4, window)])].concat();
        outgoing.extend(frames::frame(frames::SETTINGS, frames::ACK, CONNECTION, &[]));
        if random.chance(30) {
            let priority = [&STREAM.to_be_bytes()[..], b"u=1, i"].concat();
            outgoing.extend(frames::frame(frames::PRIORITY_UPDATE, 0, CONNECTION, &priority));
        }
        outgoing.extend(frames::frame(frames::HEADERS, flags, STREAM, &frames::block(fields)));
        let windows = |server| Windows {
            client: DEFAULT_WINDOW,
            server,
        };
        Tunnel {
            random,
            decoder: Decoder::new(),
            outgoing,
            incoming: Vec::new(),
            connection: windows(DEFAULT_WINDOW),
            stream: windows(i64::from(window)),
            initial: DEFAULT_WINDOW,
            head: None,
            has_ended: false,
            error: None,
        }
    }

    /// Sends frames of these bytes, as the windows permit, and opens the windows of the server. Returns the number of bytes that
    /// are in frames, and that of bytes on the wire.
    pub(crate) fn send(&mut self, mut bytes: &[u8], most: usize, wire: &mut Wire) -> (usize, usize) {
        let (mut framed, mut sent) = (0, 0);
        loop {
            if self.outgoing.is_empty() {
                let length = self.write_frame(bytes);
                bytes = &bytes[length..];
                framed += length;
            }
            let length = self.outgoing.len().min(most - sent);
            let taken = wire.send_now(&self.outgoing[..length]);
            self.outgoing.drain(..taken);
            sent += taken;
            if taken == 0 {
                return (framed, sent);
            }
        }
    }

    /// Writes WINDOW_UPDATE, or DATA of the first of these bytes. Returns their number.
    fn write_frame(&mut self, bytes: &[u8]) -> usize {
        if self.has_ended {
            return 0;
        }
        for (number, windows) in [(STREAM, &mut self.stream), (CONNECTION, &mut self.connection)] {
            if windows.server < LOW_CREDIT {
                let increment = 1500 + self.random.below(60_000) as u32;
                windows.server += i64::from(increment);
                self.outgoing.extend(frames::window_update(number, increment));
                return 0;
            }
        }
        let room = self.stream.client.min(self.connection.client).max(0) as usize;
        let most = (1 + self.random.length()).min(16_384);
        let length = bytes.len().min(room).min(most);
        if length > 0 {
            self.outgoing.extend(frames::data(STREAM, &bytes[..length]));
            self.stream.client -= length as i64;
            self.connection.client -= length as i64;
        }
        length
    }

    /// Returns whether frames wait to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Takes received bytes. Returns those of the stream.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        self.incoming.extend_from_slice(bytes);
        let whole = whole_frames(&mut self.incoming);
        let mut of_stream = Vec::new();
        for frame in frames::parse(&whole, &mut self.decoder) {
            match frame {
                _ if self.has_ended && !matches!(frame, Received::GoAway(..) | Received::Ping(_)) => {
                    let is_update = matches!(frame, Received::WindowUpdate(..) | Received::Pong(_));
                    // The server may answer frames that crossed the end of the stream.
                    if !is_update && !matches!(frame, Received::Reset(_, ErrorCode::NO_ERROR)) {
                        return Err(format!("a frame after the end: {frame:.100?}"));
                    }
                }
                Received::Head { fields, end_stream, .. } => {
                    if self.head.replace(fields).is_some() {
                        return Err("a second head".to_owned());
                    }
                    self.has_ended = end_stream;
                }
                Received::Data { bytes, end_stream, .. } => {
                    self.stream.server -= bytes.len() as i64;
                    self.connection.server -= bytes.len() as i64;
                    if self.stream.server.min(self.connection.server) < 0 && !bytes.is_empty() {
                        return Err("more bytes than the window permits".to_owned());
                    }
                    of_stream.extend(bytes);
                    self.has_ended = end_stream;
                }
                Received::Reset(_, code) => {
                    self.has_ended = true;
                    self.error = Some(code);
                }
                Received::GoAway(last, code) => {
                    if code != ErrorCode::NO_ERROR {
                        self.error = Some(code);
                    }
                    self.has_ended |= last < STREAM;
                }
                Received::WindowUpdate(CONNECTION, increment) => self.connection.client += i64::from(increment),
                Received::WindowUpdate(_, increment) => self.stream.client += i64::from(increment),
                Received::Settings(settings) => {
                    for (_, size) in settings.into_iter().filter(|(id, _)| *id == 4) {
                        self.stream.client += i64::from(size) - self.initial;
                        self.initial = i64::from(size);
                    }
                }
                Received::Ping(payload) => {
                    let pong = frames::frame(frames::PING, frames::ACK, CONNECTION, &payload);
                    self.outgoing.extend(pong);
                }
                Received::SettingsAck | Received::Pong(_) => {}
            }
        }
        Ok(of_stream)
    }
}
