//! The state of a WebSocket on a stream: the bytes that are received and not used, and the frames that are not passed on.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::deadlines::Second;
use crate::link::{Deadline, Timer};
use crate::link_shared::LinkShared;
use crate::protocol::websocket::{Socket, SocketInput, SocketOutput};
use crate::protocol_timer::ProtocolTimer;
use crate::shared::Shared;

/// While this number of bytes is not passed on, no more frames are read or written.
const OUTPUT_BYTES: usize = 16 * 1024;

/// The WebSockets of a connection.
#[derive(Default)]
pub(super) struct Sockets {
    /// The number of open ones: of the open streams whose [`SocketStream`] has a socket.
    open: usize,
    /// The second of the next deadline of one of them, if there is any.
    due: Option<Second>,
}

impl Sockets {
    pub(super) fn has_open(&self) -> bool {
        self.open > 0
    }

    /// The timer of the next deadline.
    pub(super) fn timer(&self) -> Option<Timer> {
        self.due.map(Timer::At)
    }

    /// Returns whether a deadline has passed.
    pub(super) fn is_due(&self, now: Second) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Adds the deadline of one of them.
    pub(super) fn expect(&mut self, second: Second) {
        self.due = Some(self.due.map_or(second, |due| due.min(second)));
    }

    /// Forgets the deadlines, for a check that adds those that have not passed.
    pub(super) fn begin_check(&mut self) {
        self.due = None;
    }

    /// The handler has accepted the WebSocket of a stream.
    pub(super) fn open(&mut self, stream: &mut SocketStream, socket: Socket) {
        stream.socket = Some(socket);
        self.open += 1;
    }

    /// The stream of a WebSocket ends, or is lost.
    pub(super) fn end(&mut self, stream: &mut SocketStream, shared: &mut Shared) {
        if let Some(socket) = &mut stream.socket {
            self.open -= 1;
            socket.lose(stream.output.peer, shared);
        }
    }
}

/// A stream that is a WebSocket, or becomes one.
pub(super) struct SocketStream {
    /// `None` until the handler has accepted it.
    pub(super) socket: Option<Socket>,
    /// Received and not used: at most the window of the stream.
    received: Vec<u8>,
    pub(super) output: StreamOutput,
    /// The client has ended its half of the stream.
    has_ended: bool,
    deadline: Deadline,
}

impl SocketStream {
    /// A stream whose handler has not accepted the WebSocket. `has_ended` means that the client has ended its half.
    pub(super) fn new(has_ended: bool, peer: SocketAddr, now: Second) -> Self {
        SocketStream {
            socket: None,
            received: Vec::new(),
            output: StreamOutput {
                bytes: Vec::new(),
                payload: None,
                peer,
            },
            has_ended,
            deadline: Deadline::new(Timer::Off, now),
        }
    }

    /// Uses bytes of the client, after those that were received earlier. Returns the number of used ones.
    pub(super) fn receive(&mut self, bytes: &[u8], shared: &mut Shared) -> usize {
        let is_alive = match &mut self.socket {
            Some(socket) if !bytes.is_empty() => socket.end_ping(),
            _ => false,
        };
        self.deadline
            .received(bytes.len() as u64, shared.now(), &shared.links.times);
        let unfinished = self.unfinished_message();
        let used = self.read(bytes, shared);
        if is_alive && (unfinished.is_none() || unfinished != self.unfinished_message()) {
            self.deadline.restart();
        }
        used
    }

    fn unfinished_message(&self) -> Option<u16> {
        self.socket.as_ref().and_then(Socket::unfinished_message)
    }

    /// Uses bytes that were received earlier. Returns their number.
    pub(super) fn continue_reading(&mut self, shared: &mut Shared) -> usize {
        if self.received.is_empty() {
            return 0;
        }
        self.read(&[], shared)
    }

    /// Uses bytes in the order of their arrival. Returns the number of used ones.
    fn read(&mut self, fresh: &[u8], shared: &mut Shared) -> usize {
        let Some(socket) = &mut self.socket else {
            self.received.extend_from_slice(fresh);
            return 0;
        };
        if self.received.is_empty() {
            let mut input = fresh;
            socket.receive(&mut input, &mut self.output, shared);
            self.received.extend_from_slice(input);
            return fresh.len() - input.len();
        }
        self.received.extend_from_slice(fresh);
        let mut input = &self.received[..];
        socket.receive(&mut input, &mut self.output, shared);
        let used = self.received.len() - input.len();
        self.received.drain(..used);
        // The window is open for the used bytes; their memory is not kept.
        if used > 0 {
            self.received.shrink_to_fit();
        }
        used
    }

    /// The client has ended its half of the stream.
    pub(super) fn end_input(&mut self) {
        self.has_ended = true;
    }

    /// Returns whether both sides have closed it, or the client has ended the stream without Close.
    pub(super) fn is_over(&self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let is_used = self.received.is_empty() || socket.input() == SocketInput::NeedsMore;
        self.output.is_empty() && (socket.is_finished() || self.has_ended && is_used)
    }

    /// Sets the deadline. `is_written` means that no output waits: the rate of the output has its own deadline.
    pub(super) fn set_deadline(&mut self, is_written: bool, shared: &Shared) {
        let timer = match &self.socket {
            Some(socket) if is_written => socket.timer(shared),
            _ => Timer::Off,
        };
        self.deadline.set(timer, shared.now(), &shared.links.times);
    }

    /// The second of the deadline.
    pub(super) fn deadline(&mut self, shared: &Shared) -> Option<Second> {
        self.deadline.second(&shared.links.times)
    }

    /// The timer whose deadline has passed, if it ends the stream. Otherwise writes a ping to a silent client, or Close to one whose
    /// message is late.
    pub(super) fn timer_of_end(&mut self, shared: &mut Shared) -> Option<Timer> {
        match (&mut self.socket, self.deadline.timer) {
            (Some(socket), Timer::Protocol(ProtocolTimer::Quiet, _)) => {
                socket.ping(&mut self.output, shared);
                None
            }
            (Some(socket), Timer::Receive) => {
                socket.refuse_late(&mut self.output, shared);
                None
            }
            (_, timer) => Some(timer),
        }
    }

    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        let socket = self.socket.as_ref().map_or(0, Socket::buffer_bytes);
        socket + self.received.capacity() + self.output.bytes.capacity()
    }
}

/// Frames that are not passed on to the connection.
pub(super) struct StreamOutput {
    pub(super) bytes: Vec<u8>,
    /// A payload that follows them. Nothing may follow it before it is passed on.
    pub(super) payload: Option<Bytes>,
    peer: SocketAddr,
}

impl SocketOutput for StreamOutput {
    fn has_room(&self) -> bool {
        self.payload.is_none() && self.bytes.len() < OUTPUT_BYTES
    }

    fn begin(&mut self, shared: &mut LinkShared) {
        if self.bytes.capacity() == 0 {
            self.bytes = shared.take_buffer();
        }
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn put(&mut self, payload: Bytes) {
        self.payload = Some(payload);
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl StreamOutput {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.payload.is_none()
    }

    /// Returns the memory to the worker, if nothing is there.
    pub(super) fn release(&mut self, shared: &mut LinkShared) {
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            shared.keep_buffer(std::mem::take(&mut self.bytes));
        }
    }
}
