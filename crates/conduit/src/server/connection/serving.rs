//! From bytes to handlers: what has come goes through the engine, and each request to its handler.

use std::task::{Context, Waker};

use conduit_proto::h1::{BodyLength, Event, Reason};
use http::header::LOCATION;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, StatusCode};
use tracing::Span;

use super::sending::OUTPUT_HIGH_WATER_BYTES;
use super::{Connection, Fate, Stage};
use crate::dispatch::no_tunnel;
use crate::endpoint::Outcome;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::route::Disconnect;
use crate::server::blocking::Attended;
use crate::server::counts::Limit;
use crate::server::mailbox::Letter;
use crate::server::transport::Transport;
use crate::server::worker::Shared;

/// The span of a request that nobody watches.
static NOBODY: Span = Span::none();

/// What came on a connection is served, and what was written for it is yet to be sent.
pub(in crate::server) struct Turn {
    /// What had come before, with the fresh bytes behind it; empty where nothing had.
    kept: Vec<u8>,
    /// How much of that, or else of the fresh bytes, is used.
    used: usize,
    output: Vec<u8>,
    /// There is more to do once the output is sent.
    again: bool,
}

impl Connection {
    /// Serves what has come, as far as it can be served now, and sends the answers.
    pub(super) fn serve(&mut self, fresh: &[u8], shared: &mut Shared) -> Fate {
        let turn = self.begin_turn(fresh, shared);
        self.end_turn(turn, fresh, shared)
    }

    /// Serves what has come; the answers are sent by [`end_turn`](Self::end_turn), which must follow with the same bytes.
    pub(in crate::server) fn begin_turn(&mut self, fresh: &[u8], shared: &mut Shared) -> Turn {
        let mut kept = std::mem::take(&mut self.rest);
        if !kept.is_empty() {
            kept.extend_from_slice(fresh);
        }
        let input = if kept.is_empty() { fresh } else { &kept };
        let (used, output, again) = self.advance(input, shared);
        Turn {
            kept,
            used,
            output,
            again,
        }
    }

    /// Sends the answers, and serves what had to wait for that.
    pub(in crate::server) fn end_turn(&mut self, turn: Turn, fresh: &[u8], shared: &mut Shared) -> Fate {
        let Turn {
            mut kept,
            mut used,
            mut output,
            mut again,
        } = turn;
        let input = if kept.is_empty() { fresh } else { &kept };
        loop {
            if self.send(output, shared).is_err() {
                return Fate::Closed;
            }
            if !again || self.has_output() {
                break;
            }
            let step;
            (step, output, again) = self.advance(&input[used..], shared);
            used += step;
        }
        if kept.is_empty() {
            self.rest = fresh[used..].to_vec();
        } else if used < kept.len() {
            kept.drain(..used);
            self.rest = kept;
        }
        self.settle(shared)
    }

    /// Takes a buffer to write into, and serves the input as far as there is room. Says how much of it was used, and whether
    /// there is more to do once what was written is sent.
    fn advance(&mut self, input: &[u8], shared: &mut Shared) -> (usize, Vec<u8>, bool) {
        let mut output = self.take_output(shared);
        if self.tail.is_some() || output.len() >= OUTPUT_HIGH_WATER_BYTES {
            return (0, output, true);
        }
        if self.paused {
            return (0, output, false);
        }
        let (used, again) = self.exchange(input, &mut output, shared);
        (used, output, again)
    }

    /// Gives input to the engine and does what it finds, until there is no more or it has to wait. Says how much was
    /// used, and whether there is more to do once the output is sent.
    pub(super) fn exchange(&mut self, input: &[u8], output: &mut Vec<u8>, shared: &mut Shared) -> (usize, bool) {
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
                    self.fresh = true;
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
                    // Requests after the last response are not answered.
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
    pub(super) fn open_body(&mut self, mut request: Request, shared: &Shared) -> Request {
        let channel = request.open_channel(self.outbox(shared));
        if request.head().expects_continue() {
            channel.tell_when_wanted();
        }
        self.body = Some(channel);
        request
    }

    /// Starts to answer a request, and writes the response if it is ready.
    pub(super) fn answer(&mut self, mut request: Request, output: &mut Vec<u8>, shared: &mut Shared) {
        let redirect = shared.redirect.filter(|_| matches!(self.transport, Transport::Tcp(_)));
        // One that is sent elsewhere is for no route here.
        let route = match redirect {
            None => shared.application.route(&mut request),
            Some(_) => None,
        };
        self.route = route;
        self.asked = shared.now;
        self.observed = shared.watch.begin(&request, route, self.client());
        if let Some(port) = redirect {
            let response = to_https(&request, port);
            drop(request);
            return self.respond(response, output, shared);
        }
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
                let outbox = self.outbox(shared);
                let handler = Attended {
                    handler: Some(handler),
                    attendance: shared.attend(route, span.clone()),
                };
                let definition = self.route.map(|(_, definition)| definition);
                let running = shared.running.enter(definition, self.client(), shared.now);
                let task = tokio::task::spawn_local(async move {
                    let response = handler.await;
                    drop(running);
                    outbox.send(Letter::Response(response));
                });
                let aborts = self.disconnect(shared) == Disconnect::Abort;
                self.stage = Stage::Handling(aborts.then(|| task.abort_handle()));
            }
        }
    }
}

/// The limit that a request broke, if its fault was to be too large.
fn limit_of(reason: Reason) -> Option<Limit> {
    match reason {
        Reason::RequestLineTooLong | Reason::MethodTooLong | Reason::HeadTooLarge | Reason::TrailersTooLarge => {
            Some(Limit::HeadBytes)
        }
        Reason::TooManyFields => Some(Limit::Headers),
        _ => None,
    }
}

/// Sends a client that came without TLS to the same place with it.
fn to_https(request: &Request, port: u16) -> Response {
    let head = request.head();
    if request.method() == Method::CONNECT {
        return no_tunnel();
    }
    // Where the target is absolute its authority counts, and not `Host` (RFC 9112, section 3.2.2).
    let authority = head
        .authority()
        .and_then(|authority| authority.parse::<Authority>().ok());
    let target = match head.path() {
        // The server as a whole has no path.
        "*" => "",
        _ => request.uri().path_and_query().map_or("/", PathAndQuery::as_str),
    };
    let location = authority.filter(|authority| !authority.host().is_empty());
    let location = location.map(|authority| match port {
        443 => format!("https://{}{target}", authority.host()),
        port => format!("https://{}:{port}{target}", authority.host()),
    });
    let location = location.and_then(|location| HeaderValue::try_from(location).ok());
    match location {
        Some(location) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)], ()).into_response(),
        None => Problem::bad_request("come by https, and name the host").into_response(),
    }
}
