//! HTTP/1.1 on a connection: one exchange after the other.
//!
//! This module passes input to the engine and requests to their exchange, [`response`] writes responses. The engine decides
//! on framing and on the end of the connection; this module decides what to wait for.

mod response;
#[cfg(any(feature = "testing", feature = "websocket"))]
mod upgrade;

use conduit_net::Interest;
use conduit_proto::h1::{self, BodyLength, Event, Phase, Reason, RequestError};
use http::StatusCode;

use super::http2::Http2;
use super::{
    Activity, ConnectionProtocol, ExchangeDriver, OutputStep, Step, check_acknowledged, close_late, linger,
    log_without_exchange,
};
use crate::body::BodyEvent;
use crate::commands::{Command, CommandSender};
use crate::endpoint::Outcome;
use crate::exchange::Exchange;
use crate::exchange_id::{ExchangeId, StreamId};
use crate::limit::Limit;
use crate::link::{InputMode, Link, Timer, reading};
use crate::panics::discard;
use crate::problem::Problem;
use crate::request::Request;
use crate::shared::{Shared, StopState};

pub(crate) struct Http1 {
    engine: h1::Connection,
    exchange: Exchange,
    input: Http1Input,
    /// Closing resets the connection instead of ending it cleanly: a close-delimited response was aborted, or the client does
    /// not take its responses.
    resets: bool,
    /// The number of requests that have arrived.
    requests: u64,
    /// Blank lines before the first request are used: the preface of HTTP/2 has none before it.
    is_beyond_start: bool,
}

/// The use of input that has arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Http1Input {
    /// All of it is used, or the rest is incomplete: more is needed.
    NeedsMore,
    /// More can be used once there is room for output.
    Ready,
    /// A whole request waits for the end of the response before it.
    WaitsForResponse,
    /// The handler has not read the body yet.
    WaitsForHandler,
}

impl Http1 {
    pub(crate) fn new() -> Self {
        Http1 {
            engine: h1::Connection::new(),
            exchange: Exchange::new(),
            input: Http1Input::NeedsMore,
            resets: false,
            requests: 0,
            is_beyond_start: false,
        }
    }
}

impl ConnectionProtocol for Http1 {
    /// Serves the requests in the input, until it is used, the engine has to wait, or there is no room for output.
    fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        if self.input == Http1Input::WaitsForHandler {
            return Step::Continue;
        }
        link.output.begin(&mut shared.links);
        // An exchange begins after the part of its body in this input, so that its handler is usually ready at the first poll.
        let mut arriving: Option<Request> = None;
        self.input = Http1Input::Ready;
        while link.output.has_room() {
            let head = shared.request.head_mut();
            let (used, event) = match self.engine.handle_input(input, head, &shared.config.head) {
                Ok(found) => found,
                Err(error) => {
                    if self.is_at_start()
                        && let Some(http2) = Http2::by_preface(input, link, shared)
                    {
                        return Step::switch(http2);
                    }
                    drop(arriving);
                    *input = &[];
                    self.refuse_invalid(&error, link, shared);
                    return Step::Continue;
                }
            };
            *input = &input[used..];
            match event {
                Event::Request => {
                    let mut request = self.accept(link, shared);
                    if request.head().body() == BodyLength::None {
                        let step = self.begin(request, link, shared);
                        if let Step::Switch(_) = step {
                            return step;
                        }
                        if input.is_empty() {
                            // The usual end: the engine would find nothing.
                            self.input = Http1Input::NeedsMore;
                            break;
                        }
                    } else {
                        self.exchange.open_body(&mut request, self.sender(link, shared));
                        arriving = Some(request);
                    }
                }
                Event::Body(piece) => {
                    if !self.exchange.push_body(piece) {
                        self.input = Http1Input::WaitsForHandler;
                        break;
                    }
                }
                Event::End(trailers) => {
                    self.exchange.end_body(trailers);
                    if let Some(request) = arriving.take()
                        && let step @ Step::Switch(_) = self.begin(request, link, shared)
                    {
                        return step;
                    }
                }
                Event::Blocked if !input.is_empty() => {
                    self.input = Http1Input::WaitsForResponse;
                    break;
                }
                Event::Closed => {
                    // Requests after the last response are not served.
                    *input = &[];
                    self.input = Http1Input::NeedsMore;
                    break;
                }
                Event::Blocked | Event::NeedMore | Event::Upgraded => {
                    self.is_beyond_start |= used > 0;
                    self.input = Http1Input::NeedsMore;
                    break;
                }
            }
        }
        match arriving {
            // A response that does not want the body ends a pause.
            Some(request) => self.begin(request, link, shared),
            None => Step::Continue,
        }
    }

    /// Continues after the output was sent: with a stream, with input that had to wait, or with the end of the connection.
    fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> OutputStep {
        self.continue_output(link, shared);
        if link.read_closed && self.exchange.ends_with_client() {
            return Step::Close.into();
        }
        if self.input == Http1Input::Ready && link.output.is_empty() {
            return OutputStep::Resume;
        }
        self.end_if_finished(link, shared).into()
    }

    fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        let (limit, late) = match link.timer() {
            Timer::Incomplete => (Limit::HeadTime, "the head of the request did not arrive in time"),
            Timer::Receive => (Limit::BodyRate, "the body of the request arrives too slowly"),
            Timer::Send => {
                // The system must not keep bytes that the client does not read.
                self.resets = true;
                return close_late(Limit::WriteRate, link, shared);
            }
            Timer::Idle | Timer::HalfClosed => return close_late(Limit::IdleTime, link, shared),
            Timer::Acknowledgement => {
                let step = check_acknowledged(link, shared);
                self.resets |= matches!(step, Step::Close);
                return step;
            }
            // Waits of other protocols.
            _ => return Step::Close,
        };
        shared.counts().record_limit_hit(limit);
        tracing::debug!(peer = %link.peer(), "{late}");
        link.output.begin(&mut shared.links);
        let problem = Problem::new(StatusCode::REQUEST_TIMEOUT).with_detail(late);
        self.refuse(problem, link, shared);
        Step::Continue
    }

    /// The connection closes after the response in progress, and at once if it is idle.
    fn on_shutdown(&mut self, _: &mut Link, _: &mut Shared) -> Step {
        Step::Continue
    }

    fn log_cut_off(&self, link: &Link, shared: &Shared) {
        let stage = if self.exchange.is_handling() {
            // Handlers are logged by themselves.
            return;
        } else if self.exchange.is_streaming() {
            "the response's stream has not ended"
        } else if !link.output.is_empty() {
            "the response is not sent"
        } else {
            return log_without_exchange(link, "a request has not arrived completely", shared);
        };
        self.exchange.log_cut_off(link.peer(), stage, &shared.environment);
    }

    /// Reads while requests can be served, or while a body that is not paused is incomplete. Reads nothing while the client
    /// has ended its half, has sent more than can be served now, or does not read its responses.
    fn waits_for(&self, link: &Link, _: &Shared) -> (Interest, Timer) {
        let can_use = !matches!(self.input, Http1Input::WaitsForHandler | Http1Input::WaitsForResponse);
        let reads = !link.read_closed
            && can_use
            && (link.output.is_empty() || (link.output.has_room() && self.exchange.has_body()));
        let interest = if reads {
            reading()
        } else if !link.read_closed && self.exchange.ends_with_client() {
            // Later requests stay unread, but the end of the stream is reported.
            Interest::HANG_UP
        } else {
            Interest::NONE
        };
        (interest, self.timer(link))
    }

    /// A body arrives in large pieces.
    fn input_mode(&self, _: &Link) -> InputMode {
        match self.engine.phase() {
            Phase::Body => InputMode::Alone,
            _ => InputMode::Batched,
        }
    }

    #[inline]
    fn activity(&self, _: &Link) -> Activity {
        if self.exchange.is_serving() {
            let ends_with_client = self.exchange.ends_with_client();
            Activity::Serving { ends_with_client }
        } else if !self.engine.keep_alive() {
            if self.resets {
                Activity::Aborting
            } else {
                Activity::Ending
            }
        } else if self.is_idle() {
            Activity::Idle
        } else {
            Activity::Receiving
        }
    }
}

impl ExchangeDriver for Http1 {
    fn on_command(&mut self, exchange: ExchangeId, command: Command, link: &mut Link, shared: &mut Shared) -> Step {
        if exchange != self.exchange_id(link) {
            // Its response is complete: the command must not act on the next one.
            discard(command);
            return Step::Continue;
        }
        link.output.begin(&mut shared.links);
        match command {
            Command::Response(response) => {
                // The connection may have responded in its place.
                if self.exchange.is_handling() {
                    self.exchange.set_idle();
                    return self.answer(response, link, shared);
                }
                discard(response);
            }
            Command::Piece(piece) => {
                if let Some(piece) = self.exchange.take_piece(piece) {
                    self.write_piece_or_abort(piece, link, shared);
                    if link.timer() == Timer::HalfClosed {
                        link.extend_timer(&shared.links);
                    }
                }
            }
            Command::StreamEnd(end) => self.end_stream(end, link, shared),
            Command::Inform(inform) => {
                if self.exchange.is_handling() {
                    let (status, headers) = *inform;
                    let output = &mut link.output.buffer;
                    self.engine
                        .write_head(output, status, &headers, BodyLength::None, &shared.date);
                }
            }
            Command::FileRead => link.output.mark_loaded(),
            #[cfg(feature = "websocket")]
            Command::Socket => {}
            Command::Body(BodyEvent::Wanted) => {
                self.engine.write_continue(&mut link.output.buffer);
                self.resume_input();
            }
            Command::Body(BodyEvent::Abandoned) => self.resume_input(),
        }
        Step::Continue
    }

    /// The memory that it holds for the request's body.
    #[cfg(feature = "testing")]
    fn buffer_bytes(&self) -> usize {
        self.exchange.buffer_bytes()
    }

    fn defers_output(&self, _: &Link) -> bool {
        false
    }

    /// Cancels the exchange. Returns whether the client must see a reset.
    fn cancel(&mut self, link: &mut Link, shared: &mut Shared) -> bool {
        self.exchange
            .cancel(link.output.uncopied_left(), &mut shared.environment);
        self.resets || self.engine.ends_with_stream()
    }
}

impl Http1 {
    /// Returns whether no byte of the connection is used.
    fn is_at_start(&self) -> bool {
        self.requests == 0 && !self.is_beyond_start
    }

    fn exchange_id(&self, link: &Link) -> ExchangeId {
        ExchangeId {
            connection: link.id,
            stream: StreamId::ONLY,
            generation: self.requests as u32,
        }
    }

    /// The sender for tasks and bodies of the request that arrived last.
    fn sender(&self, link: &Link, shared: &Shared) -> CommandSender {
        CommandSender::new(shared.commands.clone(), self.exchange_id(link))
    }

    /// The request whose head the engine has parsed.
    #[inline]
    fn accept(&mut self, link: &mut Link, shared: &mut Shared) -> Request {
        let mut request = std::mem::replace(&mut shared.request, Request::blank());
        request.arrived(link.peer(), link.info.as_ref());
        self.requests += 1;
        if shared.config.informs_http1 {
            request.set_informer(self.sender(link, shared).for_request());
        }
        link.restart_timer();
        request
    }

    /// Responds to input that the engine rejects. The connection uses no more of it.
    #[cold]
    fn refuse_invalid(&mut self, error: &RequestError, link: &mut Link, shared: &mut Shared) {
        self.input = Http1Input::NeedsMore;
        if let Some(limit) = limit_of(error.reason()) {
            shared.counts().record_limit_hit(limit);
        }
        tracing::debug!(peer = %link.peer(), %error, "refused a request");
        let problem = Problem::new(error.status()).with_detail(error.to_string());
        self.refuse(problem, link, shared);
    }

    /// Begins the exchange of a request, and writes the response if it is ready.
    fn begin(&mut self, request: Request, link: &mut Link, shared: &mut Shared) -> Step {
        let client = link.client();
        match self
            .exchange
            .begin(request, client, link.is_plain_tcp(), &mut shared.environment)
        {
            Outcome::Ready(response) => self.answer(response, link, shared),
            Outcome::Pending(handler) => {
                let sender = self.sender(link, shared);
                self.exchange
                    .spawn_handler(handler, client, sender, &shared.environment);
                Step::Continue
            }
        }
    }

    /// Ends the connection if nothing follows on it.
    fn end_if_finished(&mut self, link: &mut Link, shared: &Shared) -> Step {
        if !self.exchange.is_serving() && link.output.is_empty() {
            if link.read_closed {
                return Step::Close;
            }
            if !self.engine.keep_alive() {
                return self.end_connection(link);
            }
            if shared.stop_state == StopState::Closing && self.engine.phase() == Phase::Idle {
                // The system still sends the last response to a slow client.
                return match link.outgoing_bytes() {
                    0 => Step::Close,
                    _ => self.end_connection(link),
                };
            }
        }
        if link.read_closed && self.input == Http1Input::NeedsMore {
            // The handler has all bytes that arrived, and the body is incomplete.
            self.exchange.abort_body();
        }
        Step::Continue
    }

    /// Continues with the output that the link has sent, or cannot send.
    fn continue_output(&mut self, link: &mut Link, shared: &mut Shared) {
        if link.output.has_uncopied() {
            let unsent_bytes = link.output.uncopied_left();
            if let Some(error) = link.output.take_failure() {
                self.abort_response(&error, unsent_bytes, link, shared);
            }
            let sender = self.sender(link, shared);
            link.output.load_file(move || sender.send(Command::FileRead));
        } else if self.exchange.is_sending() {
            self.exchange.set_idle();
            self.exchange.end(&mut shared.environment);
        }
        if link.output.has_room() {
            self.exchange.offer_room();
        }
    }

    /// Ends the server's half of the stream after the last response, and lingers until the client has ended its half.
    fn end_connection(&mut self, link: &mut Link) -> Step {
        if self.resets { Step::Close } else { linger(link) }
    }

    /// The handler wants more input, or no longer blocks it.
    fn resume_input(&mut self) {
        if self.input == Http1Input::WaitsForHandler {
            self.input = Http1Input::Ready;
        }
    }

    /// The response is written: the request after it may be served.
    fn unblock_input(&mut self) {
        if matches!(self.input, Http1Input::WaitsForHandler | Http1Input::WaitsForResponse) {
            self.input = Http1Input::Ready;
        }
    }

    fn timer(&self, link: &Link) -> Timer {
        if link.output.waits_for_disk() {
            return Timer::Off;
        } else if !link.output.is_empty() {
            return Timer::Send;
        }
        match self.engine.phase() {
            // A record of TLS that has begun counts as the beginning of a head.
            Phase::Idle if link.holds_input() => Timer::Incomplete,
            Phase::Idle => Timer::Idle,
            Phase::Head => Timer::Incomplete,
            // A client is not late while its handler does not read the body, while it waits for `100 Continue`, or after it has ended
            // its half of the stream.
            Phase::Body if self.exchange.has_body() && self.exchange.wants_body() => Timer::Receive,
            Phase::Drain => Timer::Receive,
            _ if self.exchange.is_serving() && link.read_closed => Timer::HalfClosed,
            _ if self.exchange.is_streaming() => Timer::Acknowledgement,
            _ if self.exchange.is_serving() => Timer::Off,
            _ => Timer::Idle,
        }
    }

    /// Returns whether all is written, and the next request is expected as the last one was: the state after most turns.
    #[inline]
    fn is_idle(&self) -> bool {
        self.input == Http1Input::NeedsMore && !self.exchange.is_serving() && self.engine.phase() == Phase::Idle
    }
}

/// The limit that a request has exceeded, if its size was the fault.
fn limit_of(reason: Reason) -> Option<Limit> {
    match reason {
        Reason::RequestLineTooLong | Reason::MethodTooLong | Reason::HeadTooLarge | Reason::TrailersTooLarge => {
            Some(Limit::HeadBytes)
        }
        Reason::TooManyFields => Some(Limit::Headers),
        _ => None,
    }
}
