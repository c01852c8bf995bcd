//! What a connection waits for, until when, and what happens when that has passed.

use conduit_proto::h1::Phase;
use http::StatusCode;

use super::{Connection, Fate, Stage};
use crate::problem::Problem;
use crate::server::counts::Limit;
use crate::server::deadlines::Second;
use crate::server::worker::Shared;

/// How long a connection lingers for the client to see an answer that came before its request was read.
const LINGER_SECONDS: Second = 2;

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waiting {
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
    /// The connection's slot of the wheel has come up.
    pub(in crate::server) fn check_deadline(&mut self, shared: &mut Shared) -> Fate {
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

    /// Starts the clock anew when the connection waits for something else than before.
    pub(super) fn note_waiting(&mut self, serving: bool, shared: &mut Shared) {
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

    pub(super) fn deadline(&self, shared: &Shared) -> Option<Second> {
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
