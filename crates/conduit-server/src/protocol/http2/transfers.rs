//! The bodies in progress, and the rate at which the client sends them or opens their windows.

use conduit_proto::h2::{self, Http2Connection};

use super::stream::Stream;
use crate::deadlines::Second;
use crate::link::timer::{Transfer, TransferRate};
use crate::link_shared::LinkShared;

/// The transfers of a connection, which share its minimum rate. The rate of a transfer by itself is that of its [`Stream`].
///
/// A check begins with [`begin_check`](Self::begin_check), passes each open stream to [`check_stream`](Self::check_stream), and
/// ends with [`end_check`](Self::end_check).
pub(super) struct Transfers {
    /// True while a body is incomplete, in either direction; it may remain true from the end of the last one to the next check.
    has_open: bool,
    /// The second of the last check.
    checked: Second,
    /// The numbers of transfers at the last check.
    shares: Shares,
    /// The rate at which the client opens the window of the connection.
    rate: TransferRate,
}

/// The streams that share the minimum rate of a connection.
#[derive(Clone, Copy, Default)]
struct Shares {
    receiving: u64,
    sending: u64,
}

/// A check of all transfers.
pub(super) struct TransferCheck {
    /// The connection is read.
    is_reading: bool,
    is_connection_window_closed: bool,
    /// The window of a stream is closed.
    is_any_window_closed: bool,
    /// A stream has bytes that need a window.
    needs_window: bool,
    shares: Shares,
}

impl Transfers {
    pub(super) fn new(now: Second) -> Self {
        Transfers {
            has_open: false,
            checked: now,
            shares: Shares::default(),
            rate: TransferRate::default(),
        }
    }

    pub(super) fn has_open(&self) -> bool {
        self.has_open
    }

    /// A body is incomplete: checks follow until all are complete.
    pub(super) fn expect(&mut self) {
        self.has_open = true;
    }

    /// Counts bytes of a request's body that have arrived.
    pub(super) fn record_received(&self, stream: &mut Stream, bytes: usize, shared: &LinkShared) {
        let share = bytes as u64 * self.shares.receiving.max(1);
        stream.rate.moved(share, shared.now, &shared.times);
    }

    /// Counts bytes of a response that are written; `None` for a stream that has ended.
    pub(super) fn record_written(&mut self, stream: Option<&mut Stream>, bytes: usize, shared: &LinkShared) {
        let share = bytes as u64 * self.shares.sending.max(1);
        self.rate.moved(bytes as u64, shared.now, &shared.times);
        if let Some(stream) = stream {
            stream.rate.moved(share, shared.now, &shared.times);
        }
    }

    /// Returns whether a check is due: one a second, while a transfer is open.
    pub(super) fn is_due(&self, now: Second) -> bool {
        self.has_open && self.checked != now
    }

    pub(super) fn begin_check(&mut self, is_reading: bool, engine: &Http2Connection, now: Second) -> TransferCheck {
        self.checked = now;
        self.has_open = false;
        TransferCheck {
            is_reading,
            is_connection_window_closed: engine.connection_window() == 0,
            is_any_window_closed: false,
            needs_window: false,
            shares: Shares::default(),
        }
    }

    /// Returns the transfer of a stream whose client sends a body, or opens the window of a response, below its share of the
    /// minimum rate. A response that only waits for its turn is not late.
    pub(super) fn check_stream(
        &mut self,
        check: &mut TransferCheck,
        id: h2::StreamId,
        stream: &mut Stream,
        engine: &Http2Connection,
        shared: &LinkShared,
    ) -> Option<Transfer> {
        // A client that has ended its half of the connection is not late.
        let has_body = engine.is_receiving(id) && stream.exchange.has_body() && !stream.is_socket();
        let receives = has_body && stream.exchange.wants_body() && check.is_reading;
        let streams = stream.exchange.is_streaming() && !engine.is_body_written(id);
        let sends = stream.outgoing.is_pending() || streams;
        // The end of a stream needs no window: a stream whose next piece may be its end waits for the server.
        let needs_window = stream.outgoing.is_pending() || streams && !engine.may_end(id);
        let is_closed = needs_window && engine.is_window_closed(id);
        check.needs_window |= needs_window;
        check.shares.receiving += u64::from(receives);
        check.shares.sending += u64::from(sends);
        self.has_open |= has_body || stream.outgoing.is_pending() || is_closed;
        check.is_any_window_closed |= is_closed;
        if sends && !is_closed && check.is_connection_window_closed {
            // Windows that are closed in turn give the client no more time.
            return None;
        }
        let transfer = match (is_closed, receives) {
            (true, _) => Some(Transfer::Send),
            (false, true) => Some(Transfer::Receive),
            (false, false) => None,
        };
        let is_late = stream.rate.check(transfer, shared.now, &shared.times);
        transfer.filter(|_| is_late)
    }

    /// Returns whether the client keeps the window of the connection closed for too long.
    pub(super) fn end_check(&mut self, check: &TransferCheck, engine: &Http2Connection, shared: &LinkShared) -> bool {
        self.shares = check.shares;
        let is_closed = check.needs_window && engine.connection_window() == 0;
        self.has_open |= is_closed;
        let transfer = is_closed.then_some(Transfer::Send);
        (is_closed || !check.is_any_window_closed) && self.rate.check(transfer, shared.now, &shared.times)
    }
}
