//! From input to handlers: bytes go through the engine, and each request to its exchange.

use conduit_proto::h1::{BodyLength, Event, Reason};
#[cfg(feature = "http2")]
use conduit_proto::h2::PREFACE_LINE;

use super::{Http1, InputState};
use crate::endpoint::Outcome;
use crate::limit::Limit;
use crate::link::Link;
use crate::problem::Problem;
#[cfg(feature = "http2")]
use crate::protocol::Protocol;
use crate::protocol::Step;
use crate::request::Request;
use crate::shared::Shared;

impl Http1 {
    /// Serves the requests in the input, until there are no more, the engine has to wait, or there is no room for output.
    pub(in crate::protocol) fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        if self.input == InputState::Paused {
            return Step::Continue;
        }
        link.begin_output(shared);
        // A request is handed over once the part of its body that is there has been taken in: then its handler is usually
        // ready at once.
        let mut arriving: Option<Request> = None;
        self.input = InputState::Ready;
        while link.has_room() {
            let head = shared.request.head_mut();
            let (used, event) = match self.engine.handle_input(input, head, &shared.config.head) {
                Ok(found) => found,
                #[cfg(feature = "http2")]
                Err(_) if self.requests == 0 && !link.is_secure() && input.starts_with(PREFACE_LINE) => {
                    // The beginning of HTTP/2 is no request of HTTP/1.1 (RFC 9113, section 3.4). Over TLS the client must
                    // negotiate it (section 3.3).
                    return Step::switch(Protocol::http2(link, shared));
                }
                Err(error) => {
                    drop(arriving);
                    *input = &[];
                    self.input = InputState::NeedsMore;
                    if let Some(limit) = limit_of(error.reason()) {
                        shared.counts().record_limit_hit(limit);
                    }
                    tracing::debug!(peer = %link.peer(), %error, "refused a request");
                    let problem = Problem::new(error.status()).with_detail(error.to_string());
                    self.refuse(problem, link, shared);
                    return Step::Continue;
                }
            };
            *input = &input[used..];
            match event {
                Event::Request => {
                    let mut request = std::mem::replace(&mut shared.request, Request::blank());
                    request.arrived(link.peer(), link.info.as_ref(), shared.config.body_bytes);
                    shared.counts().requests.add(1);
                    self.requests += 1;
                    if shared.config.informs_http1 {
                        request.set_informer(self.sender(link, shared).for_body());
                    }
                    link.restart_timer();
                    if request.head().body() == BodyLength::None {
                        let step = self.begin(request, link, shared);
                        if let Step::Switch(_) = step {
                            return step;
                        }
                        if input.is_empty() {
                            // The usual end: the engine would find nothing.
                            self.input = InputState::NeedsMore;
                            break;
                        }
                    } else {
                        self.exchange.open_body(&mut request, self.sender(link, shared));
                        arriving = Some(request);
                    }
                }
                Event::Body(piece) => {
                    if !self.exchange.push_body(piece) {
                        self.input = InputState::Paused;
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
                Event::Blocked => {
                    self.input = if input.is_empty() {
                        InputState::NeedsMore
                    } else {
                        InputState::Blocked
                    };
                    break;
                }
                Event::Upgraded => {
                    self.input = InputState::NeedsMore;
                    break;
                }
                Event::Closed => {
                    // Requests after the last response are not served.
                    *input = &[];
                    self.input = InputState::NeedsMore;
                    break;
                }
                Event::NeedMore => {
                    self.input = InputState::NeedsMore;
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
}

/// The limit that a request has exceeded, if its fault was its size.
fn limit_of(reason: Reason) -> Option<Limit> {
    match reason {
        Reason::RequestLineTooLong | Reason::MethodTooLong | Reason::HeadTooLarge | Reason::TrailersTooLarge => {
            Some(Limit::HeadBytes)
        }
        Reason::TooManyFields => Some(Limit::Headers),
        _ => None,
    }
}
