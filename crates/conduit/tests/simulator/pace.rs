//! The turns of the worker, the steps of the clock, and the gates at which handlers wait.

use std::time::Duration;

use conduit::testing::{Resources, TestClient};
use tokio::sync::oneshot;

use crate::random::Random;

/// The number of worker turns without progress after which the server is quiescent.
pub(crate) const QUIET_TURNS: usize = 12;

/// Gives the worker this number of turns.
pub(crate) async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// Moves the clock on by a second.
pub(crate) async fn second() {
    tokio::time::advance(Duration::from_secs(1)).await;
    turns(2).await;
}

/// Gives the worker turns until it makes no progress.
pub(crate) async fn settle(client: &TestClient) {
    let (mut quiet, mut before) = (0, client.handle().statistics());
    while quiet < QUIET_TURNS {
        turns(1).await;
        let now = client.handle().statistics();
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
}

/// The resources of the server after the notices that wait for its worker.
pub(crate) async fn resources(client: &TestClient) -> Resources {
    // The first call wakes the worker.
    client.resources();
    turns(2).await;
    client.resources()
}

/// Lets a random handler, stream or task continue.
pub(crate) fn open_gate(gates: &mut Vec<oneshot::Sender<()>>, random: &mut Random) {
    if !gates.is_empty() {
        let index = random.below(gates.len());
        // Its receiver may be dropped.
        let _ = gates.swap_remove(index).send(());
    }
}

/// Lets all handlers, streams and tasks continue, in a random order and in the same turn.
pub(crate) fn open_gates(gates: &mut Vec<oneshot::Sender<()>>, random: &mut Random) {
    while !gates.is_empty() {
        open_gate(gates, random);
    }
}
