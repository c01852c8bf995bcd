//! One connection: bytes from its socket through the engine to a handler, and the answer back.
//!
//! ```text
//!             request, handler not ready            stream as body
//!   Reading ───────────────────────────> Handling ─────────────────> Streaming
//!    ^  │ request, handler ready            │ response                  │ end of the stream
//!    │  └── answered in the same turn       │                           │
//!    └──────────────────────────────────────┴───────────────────────────┘
//!    │ the response closes the connection, and all of it is sent
//!    └──> Lingering: our half of the stream is ended, input is discarded until the client ends its half, then close
//! ```
//!
//! Every entry point ([`readable`](Connection::readable), [`writable`](Connection::writable),
//! [`receive`](Connection::receive), …) ends in [`settle`](Connection::settle), which derives from the state what to
//! watch the socket for and until when. [`proxied`] is what stands before the first request, [`serving`] the way of a request
//! to its handler, [`answering`] and [`stream`] that of a response into bytes, [`sending`] that of the bytes to the socket, and
//! [`waiting`] what there are deadlines for.

mod answering;
mod proxied;
mod sending;
mod serving;
mod stream;
mod waiting;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::rc::Rc;

use conduit_net::Interest;
use conduit_proto::h1::{self, Phase};
use conduit_proto::proxy::Parser;
use tokio::task::AbortHandle;

pub(super) use self::serving::Turn;
use self::stream::Outlet;
use self::waiting::{Pace, Waiting};
use super::deadlines::{Place, Second};
use super::facts::Facts;
use super::mailbox::{Key, Letter, Outbox, RequestId};
use super::tail::Tail;
use super::transport::Transport;
use super::watch::Watched;
use super::work::method_and_path;
use super::worker::Shared;
#[cfg(feature = "testing")]
use super::worker::Told;
use crate::body::Channel;
use crate::panics::discard;
use crate::route::{Definition, Disconnect};

/// What a connection that reads is watched for: with the end of the client's half told beside its last bytes, since a read
/// gives only one of the two.
#[inline]
fn listening() -> Interest {
    Interest::READABLE | Interest::HANG_UP
}

/// The time for which a connection lingers after its last response, and again while its client takes that at the minimum
/// rate.
const LINGER_SECONDS: u64 = 2;
/// The number of bytes that a connection discards while it lingers.
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(super) enum Fate {
    Open,
    Closed,
}

pub(super) struct Connection {
    transport: Transport,
    peer: SocketAddr,
    /// What else is known of the client.
    facts: Option<Rc<Facts>>,
    /// Whose limit of connections it counts for.
    counted: Option<IpAddr>,
    /// The PROXY header, until it is whole, where there must be one.
    header: Option<Box<Parser>>,
    key: Key,
    engine: h1::Connection,
    stage: Stage,
    /// Received and not used by the engine yet: the beginning of a head, or requests behind one that is being answered.
    rest: Vec<u8>,
    /// Written by the engine; empty when all of it has been sent.
    unsent: Vec<u8>,
    /// How much of `unsent` has been sent: `sent < unsent.len()`, or 0.
    sent: usize,
    /// What is to be sent behind `unsent`, from where it is. Nothing is written while it is there.
    tail: Option<Box<Tail>>,
    /// The body of the request that is being answered, while it has not ended.
    body: Option<Rc<Channel>>,
    /// What the poller watches for; `None` while it does not know the socket.
    watched: Option<Interest>,
    /// The socket may have more, or more room, than was used at the last event, of which the poller tells only once.
    undrained: bool,
    /// The client has ended its half of the stream.
    ended: bool,
    /// `rest` begins with a whole request, which waits for its turn.
    blocked: bool,
    /// The handler is behind with reading the body.
    paused: bool,
    /// An answer that only the end of the stream ends has broken off: the stream must not end as if it were whole.
    cut: bool,
    waiting: Waiting,
    /// Since when `waiting` is what it is.
    since: Second,
    /// Since when there has been no request.
    quiet: Second,
    /// A request has come since it was last looked at what there is to wait for.
    fresh: bool,
    /// How the client keeps up with what it sends or takes.
    pace: Pace,
    /// How many bytes have been sent in all, by what the socket has taken.
    sent_bytes: u64,
    place: Place,
    /// How many requests have come.
    requests: u64,
    /// The route of the last request, with its place in the table, and when it came.
    route: Option<(usize, &'static Definition)>,
    asked: Second,
    /// The request that is being answered, if somebody watches it.
    observed: Option<Box<Watched>>,
}

/// What happens to the request that came last.
enum Stage {
    /// Nothing: it is answered, or there was none yet.
    Reading,
    /// Its handler runs as a task, which is aborted when the client goes if there is a handle to do it.
    Handling(Option<AbortHandle>),
    /// The body of its response comes from a stream, which ends with the client if its route has chosen so.
    Streaming(Rc<Outlet>, Disconnect),
    /// Its response was the last one of the connection, and the server has ended its half of the stream.
    Lingering(Linger),
}

/// Input after the last response of a connection. A close while the client still sends would reset the connection, and
/// the client could lose the end of the response (RFC 9112, section 9.6).
#[derive(Default)]
struct Linger {
    /// The number of bytes that were received and discarded.
    drained_bytes: u64,
    /// The number of bytes of the responses that the client had taken at the last look.
    taken_bytes: u64,
}

impl Connection {
    pub(super) fn new(transport: Transport, peer: SocketAddr, facts: Option<Rc<Facts>>, key: Key, now: Second) -> Self {
        Connection {
            transport,
            peer,
            facts,
            counted: None,
            header: None,
            key,
            engine: h1::Connection::new(),
            stage: Stage::Reading,
            rest: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            tail: None,
            body: None,
            watched: None,
            undrained: false,
            ended: false,
            blocked: false,
            paused: false,
            cut: false,
            waiting: Waiting::Request,
            since: now,
            quiet: now,
            fresh: false,
            pace: Pace::default(),
            sent_bytes: 0,
            place: Place::default(),
            requests: 0,
            route: None,
            asked: now,
            observed: None,
        }
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Whether the socket is watched for bytes. An end of the connection that comes while it is not is final: nothing
    /// of what is pending can be answered any more.
    pub(super) fn listens(&self) -> bool {
        self.watched.is_some_and(Interest::is_readable)
    }

    /// Whether the end of the client's half ends the connection: a half-close is indistinguishable from a disconnect
    /// here.
    pub(super) fn ends_with_client(&self) -> bool {
        matches!(
            self.stage,
            Stage::Handling(Some(_)) | Stage::Streaming(_, Disconnect::Abort)
        )
    }

    /// The action that the request's route, or else the application, has chosen for the end of its client.
    fn disconnect(&self, shared: &Shared) -> Disconnect {
        let chosen = self.route.and_then(|(_, definition)| definition.disconnect);
        chosen.unwrap_or(shared.config.disconnect)
    }

    /// Since when it has been without a request, if nothing goes on.
    pub(super) fn idle_since(&self) -> Option<Second> {
        (self.waiting == Waiting::Request && self.engine.phase() == Phase::Idle).then_some(self.quiet)
    }

    /// What a poller would tell of a connection in memory.
    #[cfg(feature = "testing")]
    pub(super) fn told_in_memory(&self) -> Option<Told> {
        match &self.transport {
            Transport::Memory(end) => end.told(self.watched?),
            _ => None,
        }
    }

    /// Ends the connection: its handler, if one runs, goes on without it; its stream is dropped.
    pub(super) fn close(mut self, shared: &mut Shared) {
        // First what must not be left out, whatever panics behind it.
        shared.counts().closed.add(1);
        if let Some(address) = self.counted {
            shared.peers.leave(address);
        }
        self.end_watch(false, shared);
        if let Some(body) = &self.body {
            body.break_off();
        }
        self.abort_handler();
        if let Stage::Streaming(outlet, _) = &self.stage {
            outlet.close();
        }
        if self.cut || self.engine.ends_with_stream() {
            self.transport.reset(&shared.poller, self.watched.is_some());
        } else {
            self.transport.close(&shared.poller, self.watched.is_some());
        }
    }

    /// Nobody waits for the handler's answer any more: it is dropped if its route has chosen so.
    fn abort_handler(&mut self) {
        if let Stage::Handling(Some(handler)) = &self.stage {
            handler.abort();
        }
    }

    /// Whether the next bytes may be read into a part of the worker's buffer, to be served together with other
    /// connections': TLS decrypts in it, and a body comes in large pieces.
    pub(super) fn reads_little(&self) -> bool {
        !self.transport.is_secure() && self.engine.phase() != Phase::Body
    }

    /// The socket has bytes, or the end of the stream; or both, if `read_closed`.
    pub(super) fn readable(&mut self, input: &mut [u8], read_closed: bool, shared: &mut Shared) -> Fate {
        match self.read(input, read_closed, shared) {
            ControlFlow::Continue(bytes) => self.serve(&input[..bytes], shared),
            ControlFlow::Break(fate) => fate,
        }
    }

    /// Reads what is there, once. Says how many bytes are to be served, or what becomes of a connection without any.
    pub(super) fn read(
        &mut self,
        input: &mut [u8],
        read_closed: bool,
        shared: &mut Shared,
    ) -> ControlFlow<Fate, usize> {
        if matches!(self.stage, Stage::Lingering(_)) {
            return ControlFlow::Break(self.drain(input, read_closed, shared));
        }
        if self.header.is_some() {
            match self.read_header(input, shared) {
                Ok(true) => {}
                Ok(false) => return ControlFlow::Break(self.settle(shared)),
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "closed a connection at its PROXY header");
                    return ControlFlow::Break(Fate::Closed);
                }
            }
        }
        let received = match self.transport.recv(input) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return ControlFlow::Break(self.settle(shared));
            }
            Err(error) => return ControlFlow::Break(self.receive_failed(&error, shared)),
        };
        self.undrained |= received.more || (read_closed && !received.ended);
        self.ended |= received.ended;
        if let Some(facts) = self.transport.take_facts() {
            let known = self.facts.as_deref().cloned().unwrap_or_default();
            self.facts = Some(Rc::new(Facts {
                tls: facts.tls,
                ..known
            }));
        }
        shared.counts().received_bytes.add(received.bytes as u64);
        if self.waiting == Waiting::Body {
            self.pace.moved(received.raw_bytes as u64, shared.now, &shared.config);
        }
        if received.bytes == 0 {
            return ControlFlow::Break(self.settle(shared));
        }
        ControlFlow::Continue(received.bytes)
    }

    /// The stream has failed. A client that broke the protocol of TLS gets time to read the alert: closing with bytes of it
    /// unread would reset the connection.
    #[cold]
    fn receive_failed(&mut self, error: &io::Error, shared: &mut Shared) -> Fate {
        let is_protocol_fault = error.kind() == io::ErrorKind::InvalidData;
        if self.transport.is_handshaking() {
            shared.counts().failed_handshakes.add(1);
            tracing::debug!(peer = %self.peer, %error, "TLS handshake failed");
        } else if is_protocol_fault {
            tracing::debug!(peer = %self.peer, %error, "TLS connection failed");
        }
        if !is_protocol_fault || self.is_serving() || self.has_output() {
            return Fate::Closed;
        }
        self.engine.abort();
        self.finish(shared)
    }

    /// The socket has room.
    pub(super) fn writable(&mut self, shared: &mut Shared) -> Fate {
        if self.transport.flush().is_err() {
            return Fate::Closed;
        }
        // What was kept back because there was no room goes on.
        self.serve(&[], shared)
    }

    /// The request that came last, for letters that belong to it.
    fn request_id(&self) -> RequestId {
        RequestId {
            connection: self.key,
            generation: self.requests as u32,
        }
    }

    /// Where the tasks and the body of the request that came last put their letters.
    fn outbox(&self, shared: &Shared) -> Outbox {
        Outbox::new(Rc::clone(&shared.mailbox), self.request_id())
    }

    /// A letter from the handler's task, the response's stream, or the reader of the body. One of an earlier request is
    /// discarded: its response is complete, and the letter must not change the next one.
    pub(super) fn receive(&mut self, request: RequestId, letter: Letter, shared: &mut Shared) -> Fate {
        if request != self.request_id() {
            discard(letter);
            return Fate::Open;
        }
        let mut output = self.take_output(shared);
        match letter {
            Letter::Response(response) => {
                // An answer that comes after the connection has answered for itself is of no use.
                if matches!(self.stage, Stage::Handling(_)) {
                    self.stage = Stage::Reading;
                    self.respond(response, &mut output, shared);
                }
            }
            Letter::Piece(piece) => {
                if let Stage::Streaming(outlet, _) = &self.stage {
                    outlet.has_come();
                }
                let length = piece.len() as u64;
                if self.write_piece(piece, &mut output).is_err() {
                    self.break_stream("the stream is longer than the length that was declared", shared);
                } else {
                    self.count_piece(length);
                    if self.waiting == Waiting::HalfClosed {
                        self.since = shared.now;
                    }
                }
            }
            Letter::FileRead => {
                if let Some(tail) = &mut self.tail {
                    tail.has_read();
                }
            }
            Letter::StreamEnd(result) => self.end_stream(result, &mut output, shared),
            Letter::BodyWanted => {
                self.engine.write_continue(&mut output);
                self.paused = false;
            }
            Letter::BodyAbandoned => self.paused = false,
        }
        match self.send(output, shared) {
            Ok(()) => self.serve(&[], shared),
            Err(_) => Fate::Closed,
        }
    }

    /// The server stops: the connection closes after the requests that were sent before, which it may not have read yet.
    pub(super) fn stop(&mut self, input: &mut [u8], shared: &mut Shared) -> Fate {
        if self.listens() {
            self.readable(input, false, shared)
        } else {
            self.settle(shared)
        }
    }

    /// Whether the system holds bytes of the client that the server has not read. It costs a system call.
    pub(super) fn has_unread_input(&self) -> bool {
        matches!(self.transport.peek_raw(&mut [0]), Ok(1))
    }

    /// Says in the log what is closed because the time for the shutdown is over. Handlers are named for themselves.
    pub(super) fn name_in_log(&self, shared: &Shared) {
        let stage = match self.stage {
            Stage::Handling(_) => return,
            Stage::Reading if !self.has_output() => "a request is on its way",
            Stage::Reading => "the answer is on its way",
            Stage::Streaming(..) => "the answer's stream goes on",
            Stage::Lingering(_) => "the client has not taken its answer",
        };
        // A request that has not come whole has no route.
        let asked = matches!(self.stage, Stage::Streaming(..) | Stage::Lingering(_)) || self.has_output();
        let (method, route) = method_and_path(self.route.filter(|_| asked).map(|(_, definition)| definition));
        let seconds = shared.now.saturating_sub(if asked { self.asked } else { self.since });
        tracing::warn!(peer = %self.peer, method, route, stage, seconds, "closed at the shutdown");
    }

    /// Whether the last response is sent, and the connection waits for the client's end.
    pub(super) fn is_lingering(&self) -> bool {
        matches!(self.stage, Stage::Lingering(_))
    }

    /// Whether a handler or a stream has something of the answer still to make.
    fn is_serving(&self) -> bool {
        matches!(self.stage, Stage::Handling(_) | Stage::Streaming(..))
    }

    /// Whether a turn has ended as most do: all is answered and sent, and the next request is waited for as this one was.
    #[inline]
    fn is_at_rest(&self, shared: &Shared) -> bool {
        let quirks = self.ended | self.paused | self.blocked | self.undrained | self.transport.is_secure();
        !quirks
            && self.waiting == Waiting::Request
            && self.watched == Some(listening())
            && matches!(self.stage, Stage::Reading)
            && !self.has_output()
            && self.engine.keep_alive()
            && self.engine.phase() == Phase::Idle
            && !shared.stopping
    }

    /// Derives from the state whether to close, what to watch the socket for, and until when.
    fn settle(&mut self, shared: &mut Shared) -> Fate {
        if self.is_at_rest(shared) {
            // What follows would find nothing to change but the time.
            debug_assert_eq!(self.waits_for(), Waiting::Request);
            self.wait_anew(shared.now);
            return Fate::Open;
        }
        if self.ended && self.ends_with_client() {
            return Fate::Closed;
        }
        if shared.stopping && self.is_lingering() && self.transport.outgoing_bytes() == 0 {
            // The client has all that was sent; waiting for its end would delay the stop.
            return Fate::Closed;
        }
        let serving = self.is_serving();
        if !serving && !self.has_output() && !matches!(self.stage, Stage::Lingering(_)) {
            if self.ended {
                return Fate::Closed;
            }
            let idle = self.engine.phase() == Phase::Idle;
            if shared.stopping && idle && !shared.keeps_idle {
                // The system still sends the last response to a client that is slow to take it.
                return match self.transport.outgoing_bytes() {
                    0 => Fate::Closed,
                    _ => self.finish(shared),
                };
            }
            if !self.engine.keep_alive() {
                return self.finish(shared);
            }
        }
        self.watch(shared)
    }

    /// Watches the socket for what the connection can use now, and until when.
    fn watch(&mut self, shared: &mut Shared) -> Fate {
        // Reads on while requests can be served, or while a body that is not paused is missing. A client that ends
        // its half, that has sent more than can be served now, or that does not take its answers, is not listened to.
        let has_room = self.has_room();
        if self.ended
            && !self.paused
            && has_room
            && let Some(body) = self.body.take()
        {
            // All that came was given to it, and it has not ended.
            body.break_off();
        }
        let reads =
            !self.ended && !self.paused && !self.blocked && (!self.has_output() || (has_room && self.body.is_some()));
        let mut interest = Interest::NONE;
        if reads {
            interest = listening();
        } else if !self.ended && self.ends_with_client() {
            // Nothing is read, such as requests behind this one, but the end is told wherever it stands.
            interest = Interest::HANG_UP;
        }
        if (self.has_output() && !self.is_reading_file()) || self.transport.holds_output() {
            interest = interest | Interest::WRITABLE;
        }
        let undrained = std::mem::take(&mut self.undrained);
        let watched = match self.watched {
            Some(watched) if watched == interest && !undrained => Ok(()),
            Some(watched) => {
                // To be told of what is there already.
                shared.more |= undrained || watched | interest != watched;
                self.transport.watch(&shared.poller, self.key, interest, true)
            }
            None => self.transport.watch(&shared.poller, self.key, interest, false),
        };
        if let Err(error) = watched {
            tracing::error!(%error, "cannot watch a connection");
            return Fate::Closed;
        }
        self.watched = Some(interest);
        self.note_waiting(shared);
        Fate::Open
    }

    /// The last response is sent: ends our half of the stream, and lingers until the client has ended its own.
    fn finish(&mut self, shared: &mut Shared) -> Fate {
        if self.cut {
            return Fate::Closed;
        }
        match self.transport.shutdown() {
            Ok(()) => self.stage = Stage::Lingering(Linger::default()),
            // The end of TLS waits for room, after which the connection comes here again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Fate::Closed,
        }
        self.rest = Vec::new();
        self.blocked = false;
        self.watch(shared)
    }

    /// Discards what a client still sends while its connection lingers, encrypted or not.
    fn drain(&mut self, input: &mut [u8], read_closed: bool, shared: &mut Shared) -> Fate {
        let received = match self.transport.take_raw(input) {
            Ok(0) => return Fate::Closed,
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Fate::Closed,
        };
        self.undrained |= read_closed || received == input.len();
        shared.counts().received_bytes.add(received as u64);
        if let Stage::Lingering(linger) = &mut self.stage {
            linger.drained_bytes += received as u64;
            if linger.drained_bytes > LINGER_BYTES {
                return Fate::Closed;
            }
        }
        self.settle(shared)
    }

    /// Whether a connection lingers on, because the client has taken responses at the minimum rate since the last look.
    fn lingers_on(&mut self, shared: &Shared) -> bool {
        let Stage::Lingering(linger) = &mut self.stage else {
            return false;
        };
        let outgoing = self.transport.outgoing_bytes() as u64;
        let taken = self.sent_bytes.saturating_sub(outgoing);
        let least = shared.config.minimum_rate.saturating_mul(LINGER_SECONDS);
        if outgoing == 0 || taken - linger.taken_bytes < least {
            return false;
        }
        linger.taken_bytes = taken;
        self.since = shared.now;
        true
    }
}
