//! A simulator of whole connections, in the manner of TigerBeetle's VOPR.
//!
//! A seed determines a run: clients of HTTP/1.1 and HTTP/2, some of them over TLS, that send and read in random pieces, open
//! windows late, change priorities, reset streams, stall, half-close, close and reset; handlers that read all, some or none of
//! their bodies and complete in random order; embedded files and their ranges; tasks that read a body after its response;
//! responses that stream, stay pending and fail; steps of the clock; a graceful stop. The simulator runs as a handler on the
//! worker's thread with the clock paused, so that the order of events depends on the seed only. After each step it compares the
//! responses with a naive model, and counts the parts of exchanges that are alive. While the server is quiescent, idle
//! connections hold no memory, and the server's counts of connections, handlers and tasks are those of the model; when all
//! requests are answered, nothing is left of them.
//!
//! WebSockets and event streams of topics have runs of the same kind in `websocket` and `events.rs`.
//!
//! A test runs fixed seeds and a quarter as many fresh ones, which differ each time except with the variable `CI`. A failure names
//! its seed: `CONDUIT_SIMULATOR_SEED=17` replays one run, `CONDUIT_SIMULATOR_SEEDS=100000` runs more.

mod application;
mod client;
mod events;
#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../../conduit-proto/tests/h2/frames.rs"]
mod frames;
mod http2;
mod model;
mod pace;
mod random;
mod run;
mod secure;
mod seeds;
mod start;
mod tunnel;
mod websocket;

use conduit::prelude::*;

use crate::application::{ROUTES, World};
use crate::seeds::{check_replays, check_seeds};

/// The number of fixed seeds unless the environment sets it.
const SEEDS: u64 = 3_000;

/// Runs one seed. Returns the log of its events.
fn simulate(seed: u64) -> Result<String, String> {
    let world = World::default();
    let app = App::new(world.clone()).routes(ROUTES);
    world.start.simulate(seed, app)
}

#[test]
fn invariants_hold_for_each_seed() {
    check_seeds(SEEDS, simulate);
}

#[test]
fn a_seed_replays_the_same_events() {
    check_replays(50, simulate);
}
