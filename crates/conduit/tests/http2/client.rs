//! A client of HTTP/2 in process that sends exactly the given frames, and reads those of the server.

use conduit::testing::{TestClient, TestConnection};
use conduit_proto::h2::hpack::Decoder;

use crate::frames::{self, Received, SETTINGS, frame};

/// One connection.
pub(crate) struct Client {
    pub(crate) connection: TestConnection,
    decoder: Decoder,
    pending: Vec<u8>,
    /// Bytes that were offered and that the server has not read.
    unsent: Vec<u8>,
    /// The frames that were read and not yet returned.
    pub(crate) frames: Vec<Received>,
}

/// A response, or the end of one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects with large windows, and acknowledges the server's SETTINGS.
    pub(crate) fn open(server: &TestClient) -> Self {
        let mut client = Client::with_settings(server, &[(4, 1 << 30)]);
        client.send(&frames::window_update(0, 1 << 30));
        client
    }

    /// Connects with these settings and the resulting windows.
    pub(crate) fn with_settings(server: &TestClient, settings: &[(u16, u32)]) -> Self {
        let mut client = Client::silent(server);
        client.send(
            &[
                frames::PREFACE,
                &frames::settings(settings),
                &frame(SETTINGS, 1, 0, &[]),
            ]
            .concat(),
        );
        client
    }

    /// Connects and sends nothing.
    pub(crate) fn silent(server: &TestClient) -> Self {
        Client {
            connection: server.connect(),
            decoder: Decoder::new(),
            pending: Vec::new(),
            unsent: Vec::new(),
            frames: Vec::new(),
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        assert!(self.connection.send(bytes), "the server has closed the connection");
    }

    /// Sends as much as the server has room for; the next call sends the rest first.
    pub(crate) fn offer(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        let sent = self.connection.send_now(&self.unsent).unwrap_or(self.unsent.len());
        self.unsent.drain(..sent);
    }

    /// Returns whether the server has read all offered bytes.
    pub(crate) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Reads the bytes that have arrived, without waiting.
    pub(crate) fn take_in(&mut self) {
        loop {
            let received = self.connection.read_now(usize::MAX);
            if received.is_empty() {
                return;
            }
            self.add(&received);
        }
    }

    fn add(&mut self, received: &[u8]) {
        self.pending.extend_from_slice(received);
        let mut end = 0;
        while let Some(header) = self.pending.get(end..end + 9) {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            if self.pending.len() < end + 9 + length {
                break;
            }
            end += 9 + length;
        }
        let whole: Vec<u8> = self.pending.drain(..end).collect();
        self.frames.extend(frames::parse(&whole, &mut self.decoder));
    }

    /// Reads until a frame satisfies the predicate, and returns it; the others remain.
    #[track_caller]
    pub(crate) fn read_until(&mut self, is_wanted: impl Fn(&Received) -> bool) -> Received {
        loop {
            if let Some(index) = self.frames.iter().position(&is_wanted) {
                return self.frames.remove(index);
            }
            let received = self.connection.read(64 * 1024);
            assert!(!received.is_empty(), "the server has closed: {:?}", self.frames);
            self.add(&received);
        }
    }

    /// Reads the whole response of a stream.
    #[track_caller]
    pub(crate) fn response(&mut self, stream: u32) -> Response {
        let head = self.read_until(|frame| match frame {
            Received::Head {
                stream: other, fields, ..
            } => *other == stream && !fields[0].1.starts_with('1'),
            Received::Reset(other, _) => *other == stream,
            _ => false,
        });
        let Received::Head { fields, end_stream, .. } = head else {
            panic!("the stream is reset: {head:?}")
        };
        let mut response = Response {
            status: fields[0].1.parse().expect("a status"),
            fields: fields[1..].to_vec(),
            body: Vec::new(),
        };
        let mut ended = end_stream;
        while !ended {
            let frame = self.read_until(|frame| match frame {
                Received::Data { stream: other, .. } => *other == stream,
                Received::Reset(other, _) => *other == stream,
                _ => false,
            });
            let Received::Data { bytes, end_stream, .. } = frame else {
                panic!("the stream is reset: {frame:?}")
            };
            response.body.extend(bytes);
            ended = end_stream;
        }
        response
    }

    /// The response to a request without a body.
    #[track_caller]
    pub(crate) fn get(&mut self, stream: u32, path: &str) -> Response {
        self.send(&frames::get(stream, path));
        self.response(stream)
    }

    /// Reads all frames until the server closes.
    pub(crate) fn rest(&mut self) -> Vec<Received> {
        let rest = self.connection.rest();
        self.add(&rest);
        std::mem::take(&mut self.frames)
    }
}
