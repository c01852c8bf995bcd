//! One connection: bytes from its socket through the engine to a handler, and the answer back.
//!
//! ```text
//!             request, handler not ready            stream as body
//!   Reading ───────────────────────────> Handling ─────────────────> Streaming
//!    ^  │ request, handler ready            │ response                  │ end of the stream
//!    │  └── answered in the same turn       │                           │
//!    └──────────────────────────────────────┴───────────────────────────┘
//!    │ the engine says close, and something of the request was not read
//!    └──> Lingering: nothing is written any more, what still comes is thrown away, then close
//! ```
//!
//! Every entry point ([`readable`](Connection::readable), [`writable`](Connection::writable),
//! [`receive`](Connection::receive), …) ends in [`settle`](Connection::settle), which derives from the state what to
//! watch the socket for and until when.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use conduit_net::Interest;
use conduit_proto::h1::{self, BodyLength, Event, Phase, Reason};
use conduit_proto::proxy::{Header, Parser};
use futures_core::Stream;
use http::header::{CONNECTION, LOCATION, STRICT_TRANSPORT_SECURITY};
use http::response::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, StatusCode};
use tracing::Span;

use super::counts::Limit;
use super::deadlines::{Place, Second};
use super::facts::{Facts, Origin};
use super::mailbox::{Key, Letter, Outbox};
use super::proxies::Forwarding;
use super::tail::{Progress, Tail, UNCOPIED_BYTES};
use super::transport::Transport;
use super::watch::Watched;
use super::worker::Shared;
#[cfg(feature = "testing")]
use super::worker::Told;
use crate::body::{Body, BodyError, Channel, Kind};
use crate::endpoint::Outcome;
use crate::pool;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// While this much waits to be sent on a connection, no further request of it is served and no further piece of a stream
/// is asked for.
const OUTPUT_HIGH_WATER_BYTES: usize = 64 * 1024;
/// The worker's output buffer is freed rather than kept when a response has made it larger than this.
const KEPT_OUTPUT_BYTES: usize = 256 * 1024;
/// How long a connection lingers for the client to see an answer that came before its request was read.
const LINGER_SECONDS: Second = 2;

/// The span of a request that nobody watches.
static NOBODY: Span = Span::none();

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
    /// The client has ended its half of the stream.
    ended: bool,
    /// `rest` begins with a whole request, which waits for its turn.
    blocked: bool,
    /// The handler is behind with reading the body.
    paused: bool,
    /// The client was answered before all of its request was read: more of it may be on the way.
    unread: bool,
    /// An answer that only the end of the stream ends has broken off: the stream must not end as if it were whole.
    cut: bool,
    waiting: Waiting,
    /// Since when `waiting` is what it is.
    since: Second,
    /// How many bytes have come or gone since then.
    progress_bytes: u64,
    place: Place,
    /// How many requests have come.
    requests: u64,
    /// The request that is being answered, if somebody watches it.
    observed: Option<Box<Watched>>,
}

/// What happens to the request that came last.
enum Stage {
    /// Nothing: it is answered, or there was none yet.
    Reading,
    /// Its handler runs as a task.
    Handling,
    /// Its answer's body comes from a stream.
    Streaming(Rc<Outlet>),
    /// Its answer was sent before all of it was read.
    Lingering,
}

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Waiting {
    /// The end of the PROXY header.
    ProxyHeader,
    /// The end of the handshake of TLS.
    Handshake,
    /// The next request.
    Request,
    /// The rest of a head.
    Head,
    /// More of a body that the handler wants, or that is skipped.
    Body,
    /// Room for what is to be sent.
    Room,
    /// The end of the client's stream, after the answer.
    End,
    /// Our own handler or stream: no deadline.
    Ourselves,
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
            ended: false,
            blocked: false,
            paused: false,
            unread: false,
            cut: false,
            waiting: Waiting::Request,
            since: now,
            progress_bytes: 0,
            place: Place::default(),
            requests: 0,
            observed: None,
        }
    }

    /// Says which way it has come: whose limit it counts for, whether a PROXY header stands before all else, and what the
    /// peer's requests may tell of their clients.
    pub(super) fn come_by(&mut self, counted: Option<IpAddr>, header: bool, forwarding: Option<Arc<Forwarding>>) {
        self.counted = counted;
        if forwarding.is_some() {
            let facts = self.facts.as_deref().cloned().unwrap_or_default();
            self.facts = Some(Rc::new(Facts { forwarding, ..facts }));
        }
        // A client in memory comes from no network.
        #[cfg(feature = "testing")]
        let header = header && !matches!(self.transport, Transport::Memory(_));
        if header {
            self.header = Some(Box::default());
        }
    }

    /// The client's address as far as the connection tells it.
    fn client(&self) -> SocketAddr {
        match self.facts.as_ref().map(|facts| facts.origin) {
            Some(Origin::Address(address)) => address,
            _ => self.peer,
        }
    }

    /// Reads the PROXY header and nothing behind it, so that TLS, if there is any, begins where it should. Says whether it
    /// is whole.
    fn read_header(&mut self, input: &mut [u8], shared: &mut Shared) -> io::Result<bool> {
        while let Some(parser) = &mut self.header {
            let there = match self.transport.peek_raw(input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(there) => there,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            let (used, header) = parser.handle_input(&input[..there]).map_err(io::Error::other)?;
            self.transport.take_raw(&mut input[..used])?;
            if let Some(header) = header {
                self.header = None;
                self.come_from(header, shared)?;
            }
        }
        Ok(true)
    }

    /// Takes over what the PROXY header says.
    fn come_from(&mut self, header: Header, shared: &mut Shared) -> io::Result<()> {
        let (origin, forwarding) = match header {
            Header::Local => return Ok(()),
            Header::Internet { source, .. } if !source.ip().is_unspecified() => {
                if !shared.peers.enter(source.ip()) {
                    shared.counts().strike(Limit::PeerConnections);
                    return Err(io::Error::other("the client has its limit of connections"));
                }
                self.counted = Some(source.ip());
                (Origin::Address(source), shared.config.proxies.forwarding_of(source))
            }
            Header::Internet { .. } | Header::Unknown => (Origin::Unknown, None),
        };
        let facts = self.facts.as_deref().cloned().unwrap_or_default();
        self.facts = Some(Rc::new(Facts {
            origin,
            forwarding,
            ..facts
        }));
        Ok(())
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Whether the socket is watched for bytes. An end of the connection that comes while it is not is final: nothing
    /// of what is pending can be answered any more.
    pub(super) fn listens(&self) -> bool {
        self.watched.is_some_and(Interest::is_readable)
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
        self.end_watch(false, shared);
        shared.counts().closed.add(1);
        if let Some(address) = self.counted {
            shared.peers.leave(address);
        }
        if let Some(body) = &self.body {
            body.break_off();
        }
        if let Stage::Streaming(outlet) = &self.stage {
            outlet.close();
        }
        if self.cut || self.engine.ends_with_stream() {
            self.transport.reset(&shared.poller, self.watched.is_some());
        } else {
            self.transport.close(&shared.poller, self.watched.is_some());
        }
    }

    /// The socket has bytes, or the end of the stream.
    pub(super) fn readable(&mut self, input: &mut [u8], shared: &mut Shared) -> Fate {
        if self.header.is_some() {
            match self.read_header(input, shared) {
                Ok(true) => {}
                Ok(false) => return self.settle(shared),
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "closed a connection at its PROXY header");
                    return Fate::Closed;
                }
            }
        }
        let received = match self.transport.recv(input) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.settle(shared),
            Err(_) => return Fate::Closed,
        };
        // There may be more: the poller tells it again only if it is asked again.
        shared.more |= received.more;
        self.ended |= received.ended;
        if let Some(facts) = self.transport.take_facts() {
            let known = self.facts.as_deref().cloned().unwrap_or_default();
            self.facts = Some(Rc::new(Facts {
                tls: facts.tls,
                ..known
            }));
        }
        shared.counts().received_bytes.add(received.bytes as u64);
        if received.bytes == 0 {
            return self.settle(shared);
        }
        if matches!(self.stage, Stage::Lingering) {
            return if self.ended { Fate::Closed } else { Fate::Open };
        }
        if self.waiting == Waiting::Body {
            self.progress_bytes += received.bytes as u64;
        }
        self.serve(&input[..received.bytes], shared)
    }

    /// The socket has room.
    pub(super) fn writable(&mut self, shared: &mut Shared) -> Fate {
        if self.transport.flush().is_err() {
            return Fate::Closed;
        }
        // What was kept back because there was no room goes on.
        self.serve(&[], shared)
    }

    /// A letter from the handler's task, the response's stream, or the reader of the body.
    pub(super) fn receive(&mut self, letter: Letter, shared: &mut Shared) -> Fate {
        let mut output = self.take_output(shared);
        match letter {
            Letter::Response(response) => {
                // An answer that comes after the connection has answered for itself is of no use.
                if matches!(self.stage, Stage::Handling) {
                    self.stage = Stage::Reading;
                    self.respond(response, &mut output, shared);
                }
            }
            Letter::Piece(piece) => {
                if let Some(observed) = &mut self.observed {
                    observed.body_bytes += piece.len() as u64;
                }
                if self.write_piece(piece, &mut output).is_err() {
                    self.break_stream("the stream is longer than the length that was declared", shared);
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

    /// The server stops: after what is being served the connection closes.
    pub(super) fn stop(&mut self, shared: &mut Shared) -> Fate {
        self.settle(shared)
    }

    /// Says in the log what is closed because the time for the shutdown is over.
    pub(super) fn name_in_log(&self, shared: &Shared) {
        let stage = match self.stage {
            Stage::Reading => "a request or its answer is on its way",
            Stage::Handling => "the handler runs",
            Stage::Streaming(_) => "the answer's stream goes on",
            Stage::Lingering => "the client has not taken its answer",
        };
        let seconds = shared.now.saturating_sub(self.since);
        tracing::warn!(peer = %self.peer, stage, seconds, "closed at the shutdown");
    }

    /// The connection's slot of the wheel has come up.
    pub(super) fn check_deadline(&mut self, shared: &mut Shared) -> Fate {
        if !shared.wheel.came_up(&mut self.place) {
            return Fate::Open;
        }
        match self.deadline(shared) {
            Some(deadline) if deadline <= shared.now => {}
            Some(deadline) => {
                shared.wheel.schedule(self.key, &mut self.place, deadline);
                return Fate::Open;
            }
            None => return Fate::Open,
        }
        let struck = match self.waiting {
            Waiting::ProxyHeader => {
                shared.counts().strike(Limit::HeadTime);
                tracing::debug!(peer = %self.peer, "the PROXY header did not come in time");
                return Fate::Closed;
            }
            Waiting::Head => Limit::HeadTime,
            Waiting::Body => Limit::BodyRate,
            Waiting::Room => Limit::WriteRate,
            Waiting::Handshake => Limit::HandshakeTime,
            Waiting::Request => Limit::IdleTime,
            Waiting::End | Waiting::Ourselves => return Fate::Closed,
        };
        shared.counts().strike(struck);
        let late = match struck {
            Limit::HeadTime => "the head of the request did not come in time",
            Limit::BodyRate => "the body of the request comes too slowly",
            _ => {
                tracing::debug!(peer = %self.peer, limit = struck.name(), "closed a connection");
                return Fate::Closed;
            }
        };
        tracing::debug!(peer = %self.peer, "{late}");
        let mut output = self.take_output(shared);
        let answer = Problem::new(StatusCode::REQUEST_TIMEOUT).with_detail(late);
        self.refuse(answer, &mut output, shared);
        match self.send(output, shared) {
            Ok(()) => self.settle(shared),
            Err(_) => Fate::Closed,
        }
    }

    /// Serves what has come, as far as it can be served now, and sends the answers.
    fn serve(&mut self, fresh: &[u8], shared: &mut Shared) -> Fate {
        let mut kept = std::mem::take(&mut self.rest);
        if !kept.is_empty() {
            kept.extend_from_slice(fresh);
        }
        let input = if kept.is_empty() { fresh } else { &kept };
        let mut used = 0;
        loop {
            let mut output = self.take_output(shared);
            let mut again = self.tail.is_some() || output.len() >= OUTPUT_HIGH_WATER_BYTES;
            if !again && !self.paused {
                let step;
                (step, again) = self.exchange(&input[used..], &mut output, shared);
                used += step;
            }
            if self.send(output, shared).is_err() {
                return Fate::Closed;
            }
            if !again || self.has_output() {
                break;
            }
        }
        if kept.is_empty() {
            self.rest = fresh[used..].to_vec();
        } else if used < kept.len() {
            kept.drain(..used);
            self.rest = kept;
        }
        self.settle(shared)
    }

    /// Gives input to the engine and does what it finds, until there is no more or it has to wait. Says how much was
    /// used, and whether there is more to do once the output is sent.
    fn exchange(&mut self, input: &[u8], output: &mut Vec<u8>, shared: &mut Shared) -> (usize, bool) {
        let mut used = 0;
        // A request with a body is handed over once what is there of its body has been taken in: then the handler is
        // usually ready at once.
        let mut arriving: Option<Request> = None;
        let mut was_paused = false;
        while output.len() < OUTPUT_HIGH_WATER_BYTES && self.tail.is_none() {
            let head = shared.request.head_mut();
            let (step, event) = match self.engine.handle_input(&input[used..], head, &shared.config.head) {
                Ok(found) => found,
                Err(error) => {
                    drop(arriving);
                    if let Some(limit) = limit_of(error.reason()) {
                        shared.counts().strike(limit);
                    }
                    tracing::debug!(peer = %self.peer, %error, "refused a request");
                    let answer = Problem::new(error.status()).with_detail(error.to_string());
                    self.refuse(answer, output, shared);
                    return (input.len(), false);
                }
            };
            used += step;
            self.blocked = false;
            match event {
                Event::Request => {
                    let mut request = std::mem::replace(&mut shared.request, Request::blank());
                    request.arrived(self.peer, self.facts.as_ref(), shared.config.body_bytes);
                    shared.counts().requests.add(1);
                    self.requests += 1;
                    // What the client is given time for begins anew with each request.
                    self.waiting = Waiting::Ourselves;
                    self.unread = false;
                    if request.head().body() == BodyLength::None {
                        self.answer(request, output, shared);
                        if used == input.len() {
                            // The usual end of a turn: the engine need not be asked to find nothing.
                            break;
                        }
                    } else {
                        arriving = Some(self.open_body(request, shared));
                    }
                }
                Event::Body(piece) => {
                    if let Some(body) = &self.body
                        && !body.push(piece)
                    {
                        body.tell_when_wanted();
                        self.paused = true;
                        was_paused = true;
                        break;
                    }
                }
                Event::End(trailers) => {
                    if let Some(body) = self.body.take() {
                        body.end(trailers);
                    }
                    if let Some(request) = arriving.take() {
                        self.answer(request, output, shared);
                    }
                }
                Event::Blocked => {
                    self.blocked = used < input.len();
                    break;
                }
                Event::Closed | Event::Upgraded => {
                    // Requests behind one that closed the connection: they are not answered.
                    self.unread |= step > 0;
                    used = input.len();
                    break;
                }
                Event::NeedMore => break,
            }
        }
        let full = output.len() >= OUTPUT_HIGH_WATER_BYTES;
        if let Some(request) = arriving {
            self.answer(request, output, shared);
        }
        // An answer that did not want the body has ended the pause.
        (used, full || self.tail.is_some() || (was_paused && !self.paused))
    }

    /// Prepares the channel that the handler reads the body from.
    fn open_body(&mut self, mut request: Request, shared: &Shared) -> Request {
        let channel = request.open_channel(Outbox::new(Rc::clone(&shared.mailbox), self.key));
        if request.head().expects_continue() {
            channel.tell_when_wanted();
        }
        self.body = Some(channel);
        request
    }

    /// Starts to answer a request, and writes the response if it is ready.
    fn answer(&mut self, mut request: Request, output: &mut Vec<u8>, shared: &mut Shared) {
        if let (Some(port), Transport::Tcp(_)) = (shared.redirect, &self.transport) {
            let response = redirect(&request, port);
            drop(request);
            return self.respond(response, output, shared);
        }
        let route = shared.application.route(&mut request);
        self.observed = shared.watch.begin(&request, route, self.client());
        let span = self.observed.as_ref().map_or(&NOBODY, |observed| &observed.span);
        let route = route.map(|(index, _)| index);
        // One that is not ready is polled again, by its task.
        let mut context = Context::from_waker(Waker::noop());
        let outcome = {
            let _inside = span.enter();
            let running = &shared.counts().running;
            running.during(route, || shared.application.serve(request, &mut context))
        };
        match outcome {
            Outcome::Ready(response) => self.respond(response, output, shared),
            Outcome::Pending(handler) => {
                self.stage = Stage::Handling;
                let outbox = Outbox::new(Rc::clone(&shared.mailbox), self.key);
                let handler = shared.attend(handler, route, span.clone());
                let running = Running::one_more(&shared.running);
                tokio::task::spawn_local(async move {
                    let response = handler.await;
                    drop(running);
                    outbox.send(Letter::Response(response));
                });
            }
        }
    }

    /// Writes a response, or its head and what is there of its body.
    fn respond(&mut self, response: Response, output: &mut Vec<u8>, shared: &mut Shared) {
        if response.status().is_informational() {
            let status = response.status();
            tracing::error!(%status, "a handler answered with a status that ends no request");
            let failed = shared
                .application
                .show(StatusCode::INTERNAL_SERVER_ERROR.into_response());
            return self.respond(failed, output, shared);
        }
        let (mut parts, body) = response.into_parts();
        if let Some(observed) = &mut self.observed {
            observed.answered(parts.status, &body);
        }
        let last = self.requests >= shared.config.requests;
        if last {
            shared.counts().strike(Limit::Requests);
        }
        // The client has ended its half in the middle of the body, and all that came was taken in.
        let cut_short = self.ended && self.body.is_none() && self.engine.phase() == Phase::Body;
        // After 413 nobody wants the rest of the body, however long it is.
        if last
            || shared.stopping
            || cut_short
            || (parts.status == StatusCode::PAYLOAD_TOO_LARGE && self.body.is_some())
        {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(hsts) = &shared.hsts
            && self.transport.is_secure()
        {
            parts.headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        let bytes: &[u8] = match &body.0 {
            Kind::Empty => &[],
            Kind::Static(bytes) => bytes,
            Kind::Bytes(bytes) => bytes,
            Kind::Buffer(buffer) | Kind::Problem(_, buffer) => buffer,
            Kind::File(_) => return self.respond_uncopied(parts, body, output, shared),
            Kind::Stream(..) | Kind::Incoming(_) => {
                if let Kind::Incoming(incoming) = &body.0 {
                    if let Err(error) = incoming.check_limit(0) {
                        let refused = shared.application.show(error.into_response());
                        return self.respond(refused, output, shared);
                    }
                    // The answer is the request's own body: the client must send it before it sees a status.
                    self.engine.write_continue(output);
                }
                let length = body.len().map_or(BodyLength::Chunked, BodyLength::Exact);
                self.engine
                    .write_head(output, parts.status, &parts.headers, length, &shared.date);
                pool::recycle(parts);
                if !self.engine.wants_body() {
                    // It is not even begun: there are no bytes that could be too few.
                    let _ = self.engine.write_end(output, None);
                    self.drop_body();
                    self.end_watch(true, shared);
                    return;
                }
                let outlet = Rc::new(Outlet::default());
                self.stage = Stage::Streaming(Rc::clone(&outlet));
                let outbox = Outbox::new(Rc::clone(&shared.mailbox), self.key);
                tokio::task::spawn_local(pump(body, outlet, outbox));
                return;
            }
        };
        if bytes.len() >= UNCOPIED_BYTES {
            return self.respond_uncopied(parts, body, output, shared);
        }
        self.engine
            .write_response(output, parts.status, &parts.headers, bytes, &shared.date);
        pool::recycle(parts);
        self.drop_body();
        self.end_watch(true, shared);
    }

    /// Writes the head of a response whose body is sent from where it is.
    fn respond_uncopied(&mut self, parts: Parts, body: Body, output: &mut Vec<u8>, shared: &mut Shared) {
        let length = body.len().unwrap_or_default();
        let wanted = self
            .engine
            .write_response_head(output, parts.status, &parts.headers, length, &shared.date);
        pool::recycle(parts);
        self.drop_body();
        if let Some(observed) = &mut self.observed {
            observed.body_bytes = if wanted { length } else { 0 };
        }
        if wanted && length > 0 {
            self.tail = Some(Box::new(Tail::of(body)));
        }
        self.end_watch(true, shared);
    }

    /// Writes a piece of the response's stream; a large one is sent from where it is.
    fn write_piece(&mut self, mut piece: Bytes, output: &mut Vec<u8>) -> Result<(), h1::BodyError> {
        if piece.len() < UNCOPIED_BYTES || self.tail.is_some() {
            return self.engine.write_body(output, &piece);
        }
        let (length, after) = self.engine.frame_body(output, piece.len() as u64)?;
        piece.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        if !piece.is_empty() {
            self.tail = Some(Box::new(Tail::piece(piece, after)));
        }
        Ok(())
    }

    /// The request is answered: nobody is given the rest of its body any more. The engine skips it, or closes.
    fn drop_body(&mut self) {
        if let Some(body) = self.body.take() {
            body.break_off();
            self.unread = true;
        }
        self.paused = false;
    }

    fn end_stream(&mut self, result: Result<(), BodyError>, output: &mut Vec<u8>, shared: &mut Shared) {
        if !matches!(self.stage, Stage::Streaming(_)) {
            return;
        }
        match result {
            Ok(()) => match self.engine.write_end(output, None) {
                Ok(()) => {
                    self.stage = Stage::Reading;
                    self.drop_body();
                    self.end_watch(true, shared);
                }
                Err(_) => self.break_stream("the stream is shorter than the length that was declared", shared),
            },
            Err(error) => self.break_stream(&error.to_string(), shared),
        }
    }

    /// A response cannot be finished: the client sees that by the close in the middle of it.
    fn break_stream(&mut self, why: &str, shared: &mut Shared) {
        tracing::warn!(peer = %self.peer, error = why, "broke off a response");
        self.cut |= self.engine.ends_with_stream();
        self.engine.abort();
        if let Stage::Streaming(outlet) = &self.stage {
            outlet.close();
        }
        self.stage = Stage::Reading;
        self.end_watch(false, shared);
    }

    /// The answer is complete, or has broken off: whoever watches the request is told.
    #[inline]
    fn end_watch(&mut self, complete: bool, shared: &mut Shared) {
        if let Some(observed) = self.observed.take() {
            shared.end_watch(observed, complete);
        }
    }

    /// Answers in place of a handler, if nothing was answered yet, and closes.
    fn refuse(&mut self, problem: Problem, output: &mut Vec<u8>, shared: &mut Shared) {
        self.drop_body();
        self.unread = true;
        if self.engine.can_answer() {
            let mut response = shared.application.show(problem.into_response());
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            self.stage = Stage::Reading;
            self.respond(response, output, shared);
        } else if matches!(self.stage, Stage::Streaming(_)) {
            // The answer under way goes on; without a body to wait for there is no deadline to strike again.
            self.engine.stop_reading();
        } else {
            self.engine.abort();
        }
    }

    /// The buffer to write into: what is not sent yet, or the worker's.
    fn take_output(&mut self, shared: &mut Shared) -> Vec<u8> {
        std::mem::take(if self.unsent.is_empty() {
            &mut shared.output
        } else {
            &mut self.unsent
        })
    }

    /// Sends as much as there is room for; the rest stays with the connection.
    fn send(&mut self, mut output: Vec<u8>, shared: &mut Shared) -> io::Result<()> {
        let before = std::mem::take(&mut self.sent);
        let mut sent = before;
        if self.tail.is_some() {
            sent = self.send_tail(&mut output, before, shared)?;
        } else if before < output.len() {
            match self.transport.send(&output[before..]) {
                Ok(count) => {
                    sent += count;
                    shared.counts().sent_bytes.add(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if self.waiting == Waiting::Room {
                self.progress_bytes += (sent - before) as u64;
            }
        }
        // A short write means that there is no more room.
        if sent < output.len() {
            if shared.output.capacity() == 0 {
                // It is the worker's buffer, which the next connection needs.
                self.unsent = output.split_off(sent);
            } else {
                if sent > output.len() / 2 {
                    output.drain(..sent);
                    sent = 0;
                }
                self.unsent = output;
                self.sent = sent;
                return Ok(());
            }
        }
        output.clear();
        output.shrink_to(KEPT_OUTPUT_BYTES);
        shared.output = output;
        if let Stage::Streaming(outlet) = &self.stage
            && self.has_room()
        {
            outlet.has_room();
        }
        Ok(())
    }

    /// As [`send`](Self::send), with the tail behind the buffer. Gives how much of the buffer is sent.
    #[cold]
    fn send_tail(&mut self, output: &mut Vec<u8>, mut sent: usize, shared: &mut Shared) -> io::Result<usize> {
        let Some(mut tail) = self.tail.take_if(|tail| !tail.is_reading()) else {
            return Ok(sent);
        };
        let (count, progress) = tail.send(&mut self.transport, output, &mut sent)?;
        shared.counts().sent_bytes.add(count);
        if self.waiting == Waiting::Room {
            self.progress_bytes += count;
        }
        match progress {
            Progress::Done => return Ok(sent),
            Progress::NoRoom => {}
            // The poller tells only what is new unless it is asked.
            Progress::Share => shared.more = true,
            Progress::NotInMemory => {
                if let Some(part) = tail.start_reading() {
                    let outbox = Outbox::new(Rc::clone(&shared.mailbox), self.key);
                    let reading = tokio::task::spawn_blocking(|| part.load());
                    tokio::task::spawn_local(async move {
                        // A thread that could not read tells so by what the next read finds.
                        let _ = reading.await;
                        outbox.send(Letter::FileRead);
                    });
                }
            }
            Progress::Broken(error) => {
                self.break_stream(&error.to_string(), shared);
                return Ok(sent);
            }
        }
        self.tail = Some(tail);
        Ok(sent)
    }

    /// Whether something waits to be sent.
    fn has_output(&self) -> bool {
        !self.unsent.is_empty() || self.tail.is_some()
    }

    /// Whether more may be written.
    fn has_room(&self) -> bool {
        self.tail.is_none() && self.unsent.len() < OUTPUT_HIGH_WATER_BYTES
    }

    /// Whether the next of a file is being read from the disk: the client is not waited for.
    fn is_reading_file(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.is_reading())
    }

    /// Derives from the state whether to close, what to watch the socket for, and until when.
    fn settle(&mut self, shared: &mut Shared) -> Fate {
        let serving = matches!(self.stage, Stage::Handling | Stage::Streaming(_));
        if matches!(self.stage, Stage::Lingering) {
            if self.ended {
                return Fate::Closed;
            }
        } else if !serving && !self.has_output() {
            let idle = self.engine.phase() == Phase::Idle;
            if self.ended || (shared.stopping && idle) {
                return Fate::Closed;
            }
            if !self.engine.keep_alive() {
                return self.finish(shared);
            }
        }
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
            // With the end of the client's half told beside its last bytes: a read gives only one of the two.
            interest = Interest::READABLE | Interest::HANG_UP;
        }
        if (self.has_output() && !self.is_reading_file()) || self.transport.holds_output() {
            interest = interest | Interest::WRITABLE;
        }
        let watched = match self.watched {
            Some(watched) if watched == interest => Ok(()),
            Some(watched) => {
                shared.more |= watched | interest != watched;
                self.transport.watch(&shared.poller, self.key, interest, true)
            }
            None => self.transport.watch(&shared.poller, self.key, interest, false),
        };
        if let Err(error) = watched {
            tracing::error!(%error, "cannot watch a connection");
            return Fate::Closed;
        }
        self.watched = Some(interest);
        self.note_waiting(serving, shared);
        Fate::Open
    }

    /// The engine has said close, and everything is sent.
    fn finish(&mut self, shared: &mut Shared) -> Fate {
        if !self.unread || self.cut {
            return Fate::Closed;
        }
        // Closing now, with bytes on their way to us, would reset the connection, and the client might never see the
        // answer (RFC 9112, section 9.6). So only our half is ended.
        if self.transport.shutdown().is_err() {
            return Fate::Closed;
        }
        self.stage = Stage::Lingering;
        self.rest = Vec::new();
        self.blocked = false;
        self.settle(shared)
    }

    /// Starts the clock anew when the connection waits for something else than before.
    fn note_waiting(&mut self, serving: bool, shared: &mut Shared) {
        let waiting = if matches!(self.stage, Stage::Lingering) {
            Waiting::End
        } else if self.header.is_some() {
            Waiting::ProxyHeader
        } else if self.transport.is_handshaking() {
            Waiting::Handshake
        } else if self.is_reading_file() {
            Waiting::Ourselves
        } else if self.has_output() {
            Waiting::Room
        } else {
            match self.engine.phase() {
                Phase::Idle => Waiting::Request,
                Phase::Head => Waiting::Head,
                Phase::Body if !self.body.as_ref().is_some_and(|body| body.is_unwanted()) => Waiting::Body,
                Phase::Drain => Waiting::Body,
                _ if serving => Waiting::Ourselves,
                _ => Waiting::Request,
            }
        };
        if waiting != self.waiting || waiting == Waiting::Request {
            self.waiting = waiting;
            self.since = shared.now;
            self.progress_bytes = 0;
        }
        if let Some(deadline) = self.deadline(shared) {
            shared.wheel.schedule(self.key, &mut self.place, deadline);
        }
    }

    fn deadline(&self, shared: &Shared) -> Option<Second> {
        let config = &shared.config;
        let seconds = match self.waiting {
            Waiting::Handshake => config.handshake_timeout.as_secs(),
            Waiting::Request => config.idle_timeout.as_secs(),
            Waiting::Head | Waiting::ProxyHeader => config.head_timeout.as_secs(),
            Waiting::Body | Waiting::Room => config
                .rate_grace
                .as_secs()
                .saturating_add(self.progress_bytes / config.minimum_rate.max(1)),
            Waiting::End => LINGER_SECONDS.into(),
            Waiting::Ourselves => return None,
        };
        // The current second has begun already: one more, so that nobody is cut off early.
        Some(
            self.since
                .saturating_add(Second::try_from(seconds).unwrap_or(Second::MAX))
                .saturating_add(1),
        )
    }
}

/// The limit that a request broke, if its fault was to be too large.
fn limit_of(reason: Reason) -> Option<Limit> {
    match reason {
        Reason::RequestLineTooLong | Reason::HeadTooLarge | Reason::TrailersTooLarge => Some(Limit::HeadBytes),
        Reason::TooManyFields => Some(Limit::Headers),
        _ => None,
    }
}

/// Sends a client that came without TLS to the same place with it.
fn redirect(request: &Request, port: u16) -> Response {
    let host = request.header("host").and_then(|host| str::from_utf8(host).ok());
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    // An absolute target of another host is not followed: what counts is where the client has come.
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let location = host.map(|host| match port {
        443 => format!("https://{}{target}", host.host()),
        port => format!("https://{}:{port}{target}", host.host()),
    });
    let location = location.and_then(|location| HeaderValue::try_from(location).ok());
    match location {
        Some(location) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)], ()).into_response(),
        None => Problem::bad_request("come by https, and name the host").into_response(),
    }
}

/// Counts a handler that runs as a task, as long as it does.
struct Running(Rc<Cell<usize>>);

impl Running {
    fn one_more(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Running(Rc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// How a response's stream learns that it may go on, or need not.
#[derive(Default)]
struct Outlet {
    open: Cell<State>,
    pump: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// A piece is on its way, or the client is behind.
    #[default]
    Full,
    Room,
    Closed,
}

impl Outlet {
    fn has_room(&self) {
        self.change(State::Room);
    }

    fn close(&self) {
        self.change(State::Closed);
    }

    fn change(&self, state: State) {
        self.open.set(state);
        if let Some(waker) = self.pump.take() {
            waker.wake();
        }
    }

    /// Waits for room, and takes it. Says whether the connection is still there.
    async fn room(&self) -> bool {
        poll_fn(|context| match self.open.get() {
            State::Closed => Poll::Ready(false),
            State::Room => {
                self.open.set(State::Full);
                Poll::Ready(true)
            }
            State::Full => {
                *self.pump.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// Brings a response's body to its connection, piece by piece, as long as there is room.
async fn pump(mut body: Body, outlet: Rc<Outlet>, outbox: Outbox) {
    while outlet.room().await {
        let piece = poll_fn(|context| {
            // A stream that panics is not polled again, so nobody sees it in a broken state.
            catch_unwind(AssertUnwindSafe(|| Pin::new(&mut body).poll_next(context)))
                .unwrap_or_else(|_| Poll::Ready(Some(Err(BodyError::Stream("the stream panicked".into())))))
        });
        match piece.await {
            Some(Ok(piece)) => outbox.send(Letter::Piece(piece)),
            Some(Err(error)) => return outbox.send(Letter::StreamEnd(Err(error))),
            None => return outbox.send(Letter::StreamEnd(Ok(()))),
        }
    }
}
