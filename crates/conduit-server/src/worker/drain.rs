//! The paced end of long-lived connections: WebSockets and live streams close one after the other, so that their clients do
//! not all connect again within one second.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use crate::connection::Connection;
use crate::exchange_id::ConnectionId;
use crate::live;

/// The number of long-lived connections that a worker closes in a second, unless the window requires more.
const CLOSES_A_SECOND: u32 = 100;

/// The part of the shutdown timeout that is the longest window.
const WINDOW_PART: u32 = 2;

/// The long-lived connections of a worker that stops.
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
    fn new(sockets: Vec<ConnectionId>, streams: usize, now: Instant, shutdown_timeout: Duration) -> Self {
        let total = sockets.len() + streams;
        let wanted = Duration::from_secs(1) * u32::try_from(total).unwrap_or(u32::MAX) / CLOSES_A_SECOND;
        Drain {
            sockets,
            began: now,
            window: wanted.min(shutdown_timeout / WINDOW_PART),
            total,
            closed: 0,
        }
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

impl Worker {
    /// Begins to close the long-lived connections.
    pub(super) fn begin_drain(&mut self, now: Instant) {
        live::stop();
        let lives_long = |(_, connection): (usize, &Connection)| connection.lives_long().then(|| connection.id());
        let sockets = self.connections.iter().filter_map(lives_long).collect();
        let timeout = self.shared.config.shutdown_timeout;
        self.drain = Some(Drain::new(sockets, live::open_streams(), now, timeout));
        self.continue_drain(now);
    }

    /// Closes the long-lived connections that are due.
    pub(super) fn continue_drain(&mut self, now: Instant) {
        let Some(drain) = &mut self.drain else { return };
        let due = drain.due(now);
        let streams = live::close(due);
        let sockets = drain.sockets.len().min(due - streams);
        let sockets = drain.sockets.split_off(drain.sockets.len() - sockets);
        // Connections that their clients have closed count as well, so that the others keep their time.
        drain.closed += due;
        if drain.closed >= drain.total {
            self.drain = None;
        }
        for key in sockets {
            self.with_input(key, Connection::on_shutdown);
        }
    }

    /// The connections that wait for their turn to close.
    pub(super) fn draining(&self) -> HashSet<ConnectionId> {
        let sockets = self.drain.iter().flat_map(|drain| &drain.sockets);
        sockets.copied().collect()
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
