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
//! A failure names its seed: `CONDUIT_SIMULATOR_SEED=17` replays one run, `CONDUIT_SIMULATOR_SEEDS=100000` runs more.

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
mod start;
mod tunnel;
mod websocket;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use conduit::prelude::*;

use crate::application::{ROUTES, World};

/// The number of runs unless the environment sets it.
const SEEDS: u64 = 3_000;
/// The maximum number of threads that run seeds.
const THREADS: usize = 4;

/// Runs one seed. Returns the log of its events.
fn simulate(seed: u64) -> Result<String, String> {
    let world = World::default();
    let app = App::new(world.clone()).routes(ROUTES);
    world.start.simulate(seed, app)
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    match value.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("invalid {name}={value:?}: expected a number"),
    }
}

/// Runs all seeds, or the one that the environment names.
pub(crate) fn check_seeds(default: u64, simulate: impl Fn(u64) -> Result<String, String> + Sync) {
    let (first, end) = match from_environment("CONDUIT_SIMULATOR_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, from_environment("CONDUIT_SIMULATOR_SEEDS").unwrap_or(default)),
    };
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let work = || loop {
        let seed = next.fetch_add(1, Relaxed);
        if seed >= end {
            return Ok(());
        }
        if let Err(violation) = simulate(seed) {
            // The other threads stop, too.
            next.store(end, Relaxed);
            return Err(violation);
        }
    };
    let ended: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("no panic"))
            .collect()
    });
    for result in ended {
        if let Err(violation) = result {
            panic!("{violation}");
        }
    }
}

/// Runs the first seeds twice, and compares their logs.
pub(crate) fn check_replays(seeds: u64, simulate: impl Fn(u64) -> Result<String, String>) {
    for seed in 0..seeds {
        let (first, second) = run_twice(seed, &simulate);
        if first != second {
            let same = first
                .lines()
                .zip(second.lines())
                .take_while(|(one, other)| one == other);
            let lines = same.count() + 1;
            let [first, second] = [first, second].map(|log| log.lines().take(lines).collect::<Vec<_>>().join("\n"));
            panic!("seed {seed} differs at line {lines}:\n{first}\n\n{second}");
        }
    }
}

/// The logs of two runs of a seed, which are equal or of the same second.
fn run_twice(seed: u64, simulate: impl Fn(u64) -> Result<String, String>) -> (String, String) {
    loop {
        let began = real_second();
        let (first, second) = (simulate(seed).unwrap(), simulate(seed).unwrap());
        if first == second || real_second() == began {
            return (first, second);
        }
    }
}

/// The second of the real time. The length of `date` in HPACK depends on it.
fn real_second() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.expect("the time is after 1970").as_secs()
}

#[test]
fn invariants_hold_for_each_seed() {
    check_seeds(SEEDS, simulate);
}

#[test]
fn a_seed_replays_the_same_events() {
    check_replays(50, simulate);
}
