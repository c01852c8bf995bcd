//! The runs of a test, one for each seed, on several threads. A failure names its seed, however the run fails: a violated
//! invariant, a panic, or a run that does not end.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::start::{Failure, fails_at};

/// The maximum number of threads that run seeds.
const THREADS: usize = 4;
/// The factor by which the fresh seeds of a test are fewer than its fixed ones.
const FIXED_PER_FRESH: u64 = 4;
/// The first fresh seed in CI, where a change is not rejected for a run that another change caused.
const BASE_IN_CI: u64 = 20_261_129;
/// The longest real time without the begin or end of a run. It is the last resort: a run that yields or waits without end fails
/// after a number of turns, and one that blocks its worker after the timeout of its client, which is less than this.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Runs a seed. Returns the log of its events, or the violated invariant.
type Simulate = fn(u64) -> Result<String, String>;

/// Runs the fixed seeds of a test, this number unless the environment sets another one, and fresh ones; or the seed that the
/// environment names.
pub(crate) fn check_seeds(default: u64, simulate: Simulate) {
    let [fixed, fresh] = match from_environment("CONDUIT_SIMULATOR_SEED") {
        Some(seed) => [seed..seed + 1, 0..0],
        None => {
            let count = from_environment("CONDUIT_SIMULATOR_SEEDS").unwrap_or(default);
            let base = base_of_fresh_seeds(std::env::var_os("CI").is_some());
            [0..count, base..base + count / FIXED_PER_FRESH]
        }
    };
    if let Err(failure) = run_seeds(fixed.clone().chain(fresh.clone()), TIMEOUT, simulate) {
        panic!("{failure}\nseeds of this test: {fixed:?} and {fresh:?}");
    }
}

/// Runs the first seeds twice, and compares their logs, which have the hashes of all bytes that the clients have received.
pub(crate) fn check_replays(seeds: u64, simulate: Simulate) {
    for seed in 0..seeds {
        let [first, second] = [(); 2].map(|()| match run_seed(seed, simulate) {
            Ok(log) => log,
            Err(failure) => panic!("{failure}"),
        });
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

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    match value.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("invalid {name}={value:?}: expected a number"),
    }
}

/// The first of the fresh seeds: another one for each test that runs, except in CI.
fn base_of_fresh_seeds(in_ci: bool) -> u64 {
    match in_ci {
        true => BASE_IN_CI,
        // The keys of a hasher are random. The sum of base and number stays in range.
        false => RandomState::new().hash_one(()) >> 16,
    }
}

/// The progress of a thread.
enum Report {
    Begun(u64),
    Ended(u64, Result<String, String>),
}

/// Runs all of these seeds, up to the first failure.
fn run_seeds(
    seeds: impl Iterator<Item = u64> + Send + 'static,
    timeout: Duration,
    simulate: Simulate,
) -> Result<(), String> {
    let seeds = Arc::new(Mutex::new(seeds));
    let (report, reports) = mpsc::channel();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    // They are not joined: one that does not end must not keep the failure from its report.
    for _ in 0..threads {
        let (seeds, report) = (Arc::clone(&seeds), report.clone());
        std::thread::spawn(move || {
            while let Some(seed) = next(&seeds) {
                // Nothing receives the reports after a failure.
                if report.send(Report::Begun(seed)).is_err() {
                    return;
                }
                let _ = report.send(Report::Ended(seed, run_seed(seed, simulate)));
            }
        });
    }
    drop(report);
    let mut running = BTreeSet::new();
    loop {
        match reports.recv_timeout(timeout) {
            Ok(Report::Begun(seed)) => {
                running.insert(seed);
            }
            Ok(Report::Ended(seed, ended)) => {
                running.remove(&seed);
                ended?;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                let failures = running.iter().map(|seed| failure(*seed, "the run has not ended"));
                return Err(failures.collect::<Vec<_>>().join("\n"));
            }
        }
    }
}

fn next(seeds: &Mutex<impl Iterator<Item = u64>>) -> Option<u64> {
    seeds.lock().expect("no panic under this lock").next()
}

/// Runs one seed. A panic is an error, too.
fn run_seed(seed: u64, simulate: Simulate) -> Result<String, String> {
    let ended = catch_unwind(|| simulate(seed)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("not a text")))
    });
    ended.map_err(|violation| failure(seed, &violation))
}

/// The message of a failed run.
fn failure(seed: u64, violation: &str) -> String {
    format!(
        "seed {seed}: {violation}\n\
         replay: CONDUIT_SIMULATOR_SEED={seed} cargo test -p conduit-web --all-features --test simulator"
    )
}

/// The failure of a test that runs 20 seeds, of which this scenario fails for 7.
fn failure_of(scenario: Simulate) -> String {
    let ended = run_seeds(0..20, Duration::from_secs(60), scenario);
    let message = ended.expect_err("seed 7 fails");
    assert!(message.starts_with("seed 7: "), "{message}");
    let command = "\nreplay: CONDUIT_SIMULATOR_SEED=7 cargo test ";
    assert!(message.contains(command), "{message}");
    message
}

#[test]
fn violated_invariant_names_its_seed() {
    let message = failure_of(|seed| match seed {
        7 => Err("two responses".to_owned()),
        _ => Ok(String::new()),
    });
    assert!(message.starts_with("seed 7: two responses\n"), "{message}");
}

#[test]
fn panic_names_its_seed() {
    let message = failure_of(|seed| match seed {
        7 => panic!("no response to seed {seed}"),
        _ => Ok(String::new()),
    });
    assert!(
        message.starts_with("seed 7: panic: no response to seed 7\n"),
        "{message}"
    );
}

#[test]
fn panic_on_the_worker_names_its_seed() {
    let message = failure_of(|seed| fails_at(seed, 7, Failure::Panic));
    assert!(message.contains("500"), "{message}");
}

#[test]
fn run_that_yields_without_end_names_its_seed() {
    let message = failure_of(|seed| fails_at(seed, 7, Failure::Yields));
    assert!(message.contains("has not ended after"), "{message}");
}

#[test]
fn run_that_waits_without_end_names_its_seed() {
    let message = failure_of(|seed| fails_at(seed, 7, Failure::Waits));
    assert!(message.contains("has not ended after"), "{message}");
}

#[test]
fn run_that_blocks_its_thread_names_its_seed() {
    let blocks: Simulate = |seed| match seed {
        7 => loop {
            std::thread::park();
        },
        _ => Ok(String::new()),
    };
    // Real time: a run that blocks its thread stops the clock of the simulation.
    let ended = run_seeds(0..20, Duration::from_millis(500), blocks);
    let message = ended.expect_err("seed 7 blocks");
    assert!(
        message.contains("seed 7: the run has not ended\nreplay: CONDUIT_SIMULATOR_SEED=7 "),
        "{message}"
    );
}

#[test]
fn fresh_seeds_differ_in_each_run_except_in_ci() {
    assert_ne!(base_of_fresh_seeds(false), base_of_fresh_seeds(false));
    assert_eq!(base_of_fresh_seeds(true), base_of_fresh_seeds(true));
}

#[test]
fn each_seed_has_one_run() {
    static SUM: AtomicU64 = AtomicU64::new(0);
    let count: Simulate = |seed| {
        SUM.fetch_add(1 << seed, Relaxed);
        Ok(String::new())
    };
    assert_eq!(run_seeds((0..5).chain(40..43), TIMEOUT, count), Ok(()));
    assert_eq!(SUM.load(Relaxed), 0b111 << 40 | 0b11111);
}
