//! The paced end of long-lived connections: WebSockets and live streams close one after the other, so that their clients do
//! not all connect again within one second.

use std::time::Duration;

use tokio::time::Instant;

use crate::exchange_id::ConnectionId;
use crate::live;

/// The number of long-lived connections that a worker closes in a second, unless the window requires more.
const CLOSES_PER_SECOND: u32 = 100;

/// The part of the shutdown timeout that is the longest window.
const WINDOW_PART: u32 = 2;

/// The long-lived connections of a worker that stops. The worker asks for the due ones in each turn until the drain is over.
pub(super) struct Drain {
    /// The WebSockets that are open still.
    sockets: Vec<ConnectionId>,
    began: Instant,
    window: Duration,
    /// The number of WebSockets and live streams at the beginning.
    total: usize,
    closed: usize,
}

impl Drain {
    /// Begins with these WebSockets and the live streams of this thread.
    pub(super) fn begin(sockets: Vec<ConnectionId>, now: Instant, shutdown_timeout: Duration) -> Self {
        live::stop();
        Self::new(sockets, live::open_streams(), now, shutdown_timeout)
    }

    fn new(sockets: Vec<ConnectionId>, streams: usize, now: Instant, shutdown_timeout: Duration) -> Self {
        let total = sockets.len() + streams;
        let wanted = Duration::from_secs(1) * u32::try_from(total).unwrap_or(u32::MAX) / CLOSES_PER_SECOND;
        Drain {
            sockets,
            began: now,
            window: wanted.min(shutdown_timeout / WINDOW_PART),
            total,
            closed: 0,
        }
    }

    /// Closes the live streams that are due. Returns the WebSockets that are due, for the caller to close.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<ConnectionId> {
        let due = self.due(now);
        let streams = live::close(due);
        let sockets = self.sockets.len().min(due - streams);
        // Connections that their clients have closed count as well, so that the others keep their time.
        self.closed += due;
        self.sockets.split_off(self.sockets.len() - sockets)
    }

    /// Returns whether all of them were due.
    pub(super) fn is_over(&self) -> bool {
        self.closed >= self.total
    }

    /// The WebSockets that are not due yet.
    pub(super) fn waiting(&self) -> &[ConnectionId] {
        &self.sockets
    }

    /// The number of connections that are due now.
    fn due(&self, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.began);
        let by_now = if elapsed >= self.window {
            self.total
        } else {
            let share = elapsed.as_secs_f64() / self.window.as_secs_f64();
            (self.total as f64 * share) as usize
        };
        // The first one closes at once.
        by_now.max(1).min(self.total).saturating_sub(self.closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// The numbers of connections that close in each tick of 50 ms.
    fn closes(total: usize) -> Vec<usize> {
        let began = Instant::now();
        let mut drain = Drain::new(Vec::new(), total, began, TIMEOUT);
        let mut ticks = Vec::new();
        while drain.closed < total {
            let now = began + Duration::from_millis(50) * ticks.len() as u32;
            let due = drain.due(now);
            drain.closed += due;
            ticks.push(due);
        }
        ticks
    }

    #[tokio::test]
    async fn closes_are_spread_over_the_window() {
        let ticks = closes(10_000);
        assert_eq!(ticks.len(), 301, "half of the timeout");
        let peak = ticks.chunks(20).map(|second| second.iter().sum::<usize>()).max();
        assert!(peak <= Some(10_000 / 15 + 1), "{peak:?}");
    }

    #[tokio::test]
    async fn few_connections_close_within_a_moment() {
        assert_eq!(closes(1).len(), 1);
        assert!(closes(20).len() <= 5);
        assert_eq!(closes(1000).len(), 201);
    }
}
