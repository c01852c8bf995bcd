//! The client of one WebSocket: its messages, and the echoes and pongs that it compares.

use conduit::websocket::Message;

use super::deflate::{Deflate, Mode};
use super::frames::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT, frame, ping};
use crate::random::Random;
use crate::secure::Wire;
use crate::tunnel::Tunnel;

/// A message as both sides plan it.
#[derive(Clone)]
pub(super) struct Planned {
    pub(super) content: Message,
    /// The handler waits for the simulator after it has received it.
    pub(super) waits: bool,
}

impl Planned {
    fn random(random: &mut Random) -> Self {
        let length = random.length();
        let content = if random.chance(50) {
            let characters = ['a', 'é', '€', '😀'];
            let text: String = (0..length / 3).map(|_| characters[random.below(4)]).collect();
            Message::from(text)
        } else {
            let first = random.next();
            Message::from((0..length).map(|at| (first as usize + at) as u8).collect::<Vec<_>>())
        };
        Planned {
            content,
            waits: random.chance(30),
        }
    }

    /// The frames of the message, with PINGs between its fragments.
    fn frames(&self, random: &mut Random, deflate: Option<&mut Deflate>, pings: &mut Vec<Vec<u8>>) -> Vec<u8> {
        let compressed = match deflate {
            Some(deflate) if random.chance(70) => Some(deflate.compress(self.content.as_bytes())),
            _ => None,
        };
        let mut rest = compressed.as_deref().unwrap_or(self.content.as_bytes());
        let mut opcode = self.content.as_text().map_or(BINARY, |_| TEXT);
        if compressed.is_some() {
            opcode |= RSV1;
        }
        let mut bytes = Vec::new();
        for _ in 0..random.below(5) {
            let piece = rest
                .split_off(..random.below(rest.len() + 1))
                .expect("it is not longer");
            bytes.extend(frame(opcode, piece));
            opcode = CONTINUATION;
            if random.chance(30) {
                let payload = vec![pings.len() as u8; random.below(126)];
                bytes.extend(ping(&payload));
                pings.push(payload);
            }
        }
        bytes.extend(frame(FIN | opcode, rest));
        bytes
    }
}

/// One client of a run.
pub(super) struct SocketClient {
    /// `None` once the client has closed it.
    pub(super) connection: Option<Wire>,
    /// The stream of a client that uses HTTP/2.
    pub(super) tunnel: Option<Tunnel>,
    mode: Mode,
    deflate: Option<Deflate>,
    pub(super) plan: Vec<Planned>,
    /// The place in `outgoing` where each message ends.
    ends: Vec<usize>,
    pings: Vec<Vec<u8>>,
    outgoing: Vec<u8>,
    sent: usize,
    incoming: Vec<u8>,
    pub(super) is_open: bool,
    pub(super) echoes: usize,
    pongs: usize,
    /// The server has ended its half of the stream.
    pub(super) ended: bool,
    /// The client has ended its half of the connection.
    half_closed: bool,
    /// The code of the server's Close.
    closed: Option<u16>,
    /// The client's Close is in `outgoing`.
    pub(super) closes: bool,
    /// The client has ended its half, or was silent for long, or the server stops: messages may be missing.
    pub(super) is_disturbed: bool,
    violation: Option<String>,
}

impl SocketClient {
    pub(super) fn new(id: usize, connection: Wire, http2: bool, random: &mut Random) -> Self {
        let mode = Mode::ALL[random.below(Mode::ALL.len())];
        let path = format!("/socket/{id}/{}", mode.name());
        let offer = ("sec-websocket-extensions", "permessage-deflate");
        let (mut outgoing, mut tunnel) = (Vec::new(), None);
        if http2 {
            let fields = [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":path", &path),
                (":authority", "test"),
                ("sec-websocket-version", "13"),
                offer,
            ];
            tunnel = Some(Tunnel::new(&fields, false, random.next()));
        } else {
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}: {}\r\n\r\n",
                offer.0, offer.1
            );
            outgoing = request.into_bytes();
        }
        let (mut deflate, mut ends, mut pings) = (Deflate::new(mode), Vec::new(), Vec::new());
        let plan: Vec<_> = (0..random.below(6)).map(|_| Planned::random(random)).collect();
        for planned in &plan {
            outgoing.extend(planned.frames(random, deflate.as_mut(), &mut pings));
            ends.push(outgoing.len());
        }
        SocketClient {
            connection: Some(connection),
            tunnel,
            mode,
            deflate,
            plan,
            ends,
            pings,
            outgoing,
            sent: 0,
            incoming: Vec::new(),
            is_open: false,
            echoes: 0,
            pongs: 0,
            ended: false,
            half_closed: false,
            closed: None,
            closes: false,
            is_disturbed: false,
            violation: None,
        }
    }

    /// Sends at most `length` bytes; returns the number of bytes sent.
    pub(super) fn send(&mut self, most: usize) -> usize {
        let Some(connection) = &mut self.connection else {
            return 0;
        };
        let flushed = connection.flush();
        if self.half_closed {
            return flushed;
        }
        if let Some(tunnel) = &mut self.tunnel {
            let (framed, sent) = tunnel.send(&self.outgoing[self.sent..], most, connection);
            self.sent += framed;
            return flushed + sent;
        }
        let end = self.outgoing.len().min(self.sent.saturating_add(most));
        let sent = connection.send_now(&self.outgoing[self.sent..end]);
        self.sent += sent;
        flushed + sent
    }

    /// Reads at most `length` bytes; returns their number.
    pub(super) fn read(&mut self, most: usize) -> usize {
        let Some(connection) = &mut self.connection else {
            return 0;
        };
        let bytes = connection.read_now(most.max(1));
        if bytes.is_empty() {
            self.ended |= connection.is_closed();
        }
        match &mut self.tunnel {
            None => self.incoming.extend_from_slice(&bytes),
            Some(tunnel) => {
                match tunnel.receive(&bytes) {
                    Ok(of_stream) => self.incoming.extend(of_stream),
                    Err(violation) => self.violation = Some(violation),
                }
                self.ended |= tunnel.has_ended;
            }
        }
        bytes.len()
    }

    /// Returns whether its messages may be compressed.
    pub(super) fn is_compressing(&self) -> bool {
        self.deflate.is_some() && self.connection.is_some()
    }

    /// Ends the client's half of the connection.
    pub(super) fn end(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.end();
            self.outgoing.truncate(self.sent);
            self.half_closed = true;
            self.is_disturbed = true;
            self.closes = true;
        }
    }

    /// Closes a connection of HTTP/2 whose stream has ended, or whose client can no longer open windows.
    pub(super) fn close_tunnel(&mut self) {
        if self.tunnel.is_some() && (self.ended || self.half_closed) {
            self.connection = None;
        }
    }

    /// Sends Close after all that is queued.
    pub(super) fn close(&mut self, code: u16) {
        if !self.closes {
            self.closes = true;
            self.outgoing.extend(frames::close(code, b""));
        }
    }

    /// Returns whether nothing is left to send.
    pub(super) fn has_sent(&self) -> bool {
        let is_unable = self.connection.is_none() || self.ended || self.half_closed;
        let has_unsent = self.tunnel.as_ref().is_some_and(Tunnel::has_unsent);
        is_unable || self.sent == self.outgoing.len() && !has_unsent
    }

    /// The number of messages that are sent completely.
    pub(super) fn sent_messages(&self) -> usize {
        self.ends.iter().filter(|end| **end <= self.sent).count()
    }

    /// Compares the frames that have arrived with the plan.
    pub(super) fn check(&mut self, is_stopped: bool) -> Result<(), String> {
        if let Some(violation) = self.violation.take() {
            return Err(violation);
        }
        if let Some(code) = self.tunnel.as_ref().and_then(|tunnel| tunnel.error)
            && !self.is_disturbed
        {
            return Err(format!("the stream or the connection ends with {code}"));
        }
        if !self.is_open && !self.check_head()? {
            return Ok(());
        }
        while let Some((first, payload, used)) = server_frame(&self.incoming) {
            let payload = payload.to_vec();
            self.incoming.drain(..used);
            if self.closed.is_some() {
                return Err(format!("a frame {first:#x} follows Close"));
            }
            self.receive(first, &payload, is_stopped)?;
        }
        Ok(())
    }

    /// Returns whether the head of the response has arrived.
    fn check_head(&mut self) -> Result<bool, String> {
        let extensions = match &self.tunnel {
            Some(tunnel) => {
                let Some(fields) = &tunnel.head else { return Ok(false) };
                let value = |wanted: &str| {
                    fields
                        .iter()
                        .find(|(name, _)| name == wanted)
                        .map(|(_, value)| &value[..])
                };
                if value(":status") != Some("200") {
                    return Err(format!("no 200: {fields:?}"));
                }
                value("sec-websocket-extensions").map(str::to_owned)
            }
            None => {
                let Some(at) = self.incoming.windows(4).position(|window| window == b"\r\n\r\n") else {
                    return Ok(false);
                };
                if self.is_disturbed && self.incoming.starts_with(b"HTTP/1.1 408 ") {
                    self.incoming.clear();
                    return Ok(false);
                }
                let head = String::from_utf8_lossy(&self.incoming[..at]).into_owned();
                if !head.starts_with("HTTP/1.1 101 ") {
                    return Err(format!("no 101: {head}"));
                }
                self.incoming.drain(..at + 4);
                let mut lines = head.lines();
                lines.find_map(|line| line.strip_prefix("sec-websocket-extensions: ").map(str::to_owned))
            }
        };
        if extensions.as_deref() != self.mode.accepted() {
            return Err(format!("other extensions: {extensions:?}"));
        }
        self.is_open = true;
        Ok(true)
    }

    fn receive(&mut self, first: u8, payload: &[u8], is_stopped: bool) -> Result<(), String> {
        let inflated = match &mut self.deflate {
            Some(deflate) if first & RSV1 != 0 => Some(deflate.decompress(payload)?),
            _ => None,
        };
        let (first, payload) = match &inflated {
            Some(inflated) => (first & !RSV1, &inflated[..]),
            None => (first, payload),
        };
        match first ^ FIN {
            opcode @ (TEXT | BINARY) => {
                let number = self.echoes;
                self.echoes += 1;
                let expected = self.plan.get(number).map(|planned| &planned.content);
                let is_right = expected.is_some_and(|message| {
                    message.as_bytes() == payload && message.as_text().is_some() == (opcode == TEXT)
                });
                if !is_right || self.sent_messages() < self.echoes {
                    return Err(format!(
                        "echo {number} differs, or is too early: {} bytes",
                        payload.len()
                    ));
                }
            }
            PONG => {
                if self.pings.get(self.pongs).is_none_or(|ping| ping != payload) {
                    return Err(format!("pong {} differs", self.pongs));
                }
                self.pongs += 1;
            }
            PING if !self.closes => self.outgoing.extend(frame(FIN | PONG, payload)),
            PING => {}
            CLOSE => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                match code {
                    Some(1000) if self.closes => {}
                    Some(1001) if is_stopped => self.is_disturbed = true,
                    // A step of the clock within a message, which is late then.
                    Some(1008) if self.is_disturbed => {}
                    code => return Err(format!("Close with {code:?}")),
                }
                self.closed = code;
                self.close(1000);
            }
            _ => return Err(format!("a frame {first:#x}")),
        }
        Ok(())
    }

    /// Every message that was sent must have been returned, and so must a Close.
    pub(super) fn check_end(&self) -> Result<(), String> {
        if self.closes && self.closed.is_none() && !self.is_disturbed && self.connection.is_some() {
            return Err("the server has not returned Close".to_owned());
        }
        let is_lost = self.connection.is_none() || self.is_disturbed || self.closes;
        if is_lost || (self.echoes, self.pongs) == (self.plan.len(), self.pings.len()) && !self.ended {
            return Ok(());
        }
        let (echoes, pongs, ended) = (self.echoes, self.pongs, self.ended);
        let (messages, pings) = (self.plan.len(), self.pings.len());
        Err(format!(
            "{echoes} echoes of {messages}, {pongs} pongs of {pings}, ended: {ended}"
        ))
    }
}

/// The first byte, the payload and the length of a frame that has arrived completely.
fn server_frame(input: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (start, length) = match input.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*input.get(2..)?.first_chunk()?) as usize),
        length => (2, usize::from(*length)),
    };
    Some((input[0], input.get(start..start + length)?, start + length))
}
