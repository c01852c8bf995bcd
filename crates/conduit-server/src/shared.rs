//! The state of a worker that its connections share.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use conduit_net::Poller;

use crate::commands::CommandQueue;
use crate::config::Config;
use crate::counts::Counts;
use crate::deadlines::Second;
use crate::exchange::Environment;
use crate::exchange_id::ConnectionId;
use crate::link_shared::LinkShared;
use crate::link_times::LinkTimes;
use crate::peers::Peers;
use crate::request::Request;

/// The state of a worker that protocols use. The worker owns it next to its connections, and passes it to each call.
pub(super) struct Shared {
    /// The part that links use.
    pub(super) links: LinkShared,
    /// The part that serves exchanges.
    pub(super) environment: Environment,
    pub(super) config: Config,
    pub(super) commands: Rc<CommandQueue>,
    /// The connections of each peer address, on all workers.
    pub(super) peers: Arc<Peers>,
    /// The value of the `date` header field.
    pub(super) date: [u8; 29],
    /// The memory for the next request's head.
    pub(super) request: Request,
    pub(super) stop_state: StopState,
    /// Counts the turns of the worker.
    pub(super) turn: u64,
    /// The connections that have sent their share of the turn and continue in the next one.
    pub(super) continuing: VecDeque<ConnectionId>,
    #[cfg(feature = "websocket")]
    pub(super) websockets: crate::websocket::WebSocketShared,
}

/// The effect of a stop on the connections of a worker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StopState {
    /// The server does not stop.
    Serving,
    /// Another process has taken over: idle connections stay until their next response, which contains `connection: close`, so
    /// that no request meets a close in flight.
    KeepingIdle,
    /// A connection closes after its current requests.
    Closing,
}

impl Shared {
    pub(super) fn new(
        poller: Rc<Poller>,
        commands: Rc<CommandQueue>,
        environment: Environment,
        config: Config,
        peers: Arc<Peers>,
    ) -> Self {
        Shared {
            links: LinkShared::new(
                poller,
                LinkTimes::of(&config),
                environment.now,
                environment.worker_counts(),
            ),
            environment,
            config,
            commands,
            peers,
            date: [0; 29],
            request: Request::blank(),
            stop_state: StopState::Serving,
            turn: 0,
            continuing: VecDeque::new(),
            #[cfg(feature = "websocket")]
            websockets: crate::websocket::WebSocketShared::default(),
        }
    }

    /// The counters of this worker.
    #[inline]
    pub(super) fn counts(&self) -> &Counts {
        self.environment.counts()
    }

    /// Returns whether the server stops: a connection closes after its next response at the latest.
    #[inline]
    pub(super) fn is_stopping(&self) -> bool {
        self.stop_state != StopState::Serving
    }

    /// Seconds since the worker started.
    #[inline]
    pub(super) fn now(&self) -> Second {
        self.links.now
    }

    /// Advances the second of links and of exchanges.
    pub(super) fn set_now(&mut self, now: Second) {
        self.links.now = now;
        self.environment.now = now;
    }
}
