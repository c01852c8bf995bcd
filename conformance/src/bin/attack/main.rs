//! `attack [SECONDS] [--with nginx] [--with h2o] [--only TEXT]`: the latency of real clients during attacks, for Conduit and peers.
//!
//! The servers run with two workers and comparable deadlines, one after the other on one machine. The attackers use the same
//! machine, so compare rows with the row without an attack, and the servers with each other; the figures are not absolute speeds.
//! Memory is the proportional set size (PSS) of all processes of the server: before the attack ends, and after its connections have
//! closed.
#![forbid(unsafe_code)]

mod attacks;
mod clients;
mod http2;
mod peers;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use attacks::{ATTACKS, Attack};
use clients::{Seen, ask};
use conduit_conformance::process::{Target, descriptor_limit};
use conduit_conformance::stream::Door;
use peers::PEERS;

/// Threads that are real clients; each waits a millisecond between its requests.
const CLIENTS: usize = 4;

/// The duration of the attack before the first real request: the measurement covers a server under attack, not the start
/// of the attack.
const BEGINNING: Duration = Duration::from_secs(1);

/// The time that a server has to close the attackers' connections.
const AFTERMATH: Duration = Duration::from_secs(1);

/// The result of an attack.
struct Outcome {
    seen: Seen,
    during_kib: u64,
    after_kib: u64,
}

/// Runs real clients, and shortly afterwards the attack.
fn measure(door: &Door, attack: &Attack, duration: Duration, memory_kib: impl Fn() -> u64) -> Outcome {
    let (over, asked) = (AtomicBool::new(false), AtomicBool::new(false));
    let seen = Mutex::new(Seen::default());
    let during_kib = std::thread::scope(|scope| {
        scope.spawn(|| (attack.run)(door, &over));
        std::thread::sleep(BEGINNING);
        for _ in 0..CLIENTS {
            scope.spawn(|| ask(door, &asked, &seen));
        }
        std::thread::sleep(duration);
        asked.store(true, Ordering::Relaxed);
        let during_kib = memory_kib();
        over.store(true, Ordering::Relaxed);
        during_kib
    });
    std::thread::sleep(AFTERMATH);
    let mut seen = seen.into_inner().expect("no thread panics");
    seen.waits.sort_unstable();
    Outcome {
        seen,
        during_kib,
        after_kib: memory_kib(),
    }
}

#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
fn report(attack: &Attack, server: &str, outcome: &Outcome) {
    let (count, failed) = (outcome.seen.waits.len(), outcome.seen.failed);
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| outcome.seen.part(part));
    let [during, after] = [outcome.during_kib, outcome.after_kib].map(|kib| kib as f64 / 1024.0);
    println!(
        "| {} | {server} | {count} | {p50:.2} | {p99:.2} | {most:.2} | {failed} | {during:.1} | {after:.1} |",
        attack.name
    );
}

#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let only = arguments.iter().position(|word| word == "--only").map(|place| {
        arguments.remove(place);
        arguments.remove(place)
    });
    let mut peers = Vec::new();
    while let Some(place) = arguments.iter().position(|word| word == "--with") {
        arguments.remove(place);
        let name = arguments.remove(place);
        let peer = PEERS.into_iter().find(|peer| peer.name == name);
        peers.push(peer.unwrap_or_else(|| panic!("unknown server {name:?}: expected nginx or h2o")));
    }
    let seconds = arguments.first().map_or(5, |word| word.parse().expect("a number"));
    let duration = Duration::from_secs(seconds);
    let limit = descriptor_limit();
    if limit < 10_200 {
        println!("The limit of {limit} descriptors is too low for 10,000 connections: fewer are used.\n");
    }
    println!("| attack | server | responses | p50 ms | p99 ms | max ms | failed | MiB during | MiB after |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let is_wanted = |attack: &&Attack| only.as_ref().is_none_or(|only| attack.name.contains(only.as_str()));
    for attack in ATTACKS.iter().filter(is_wanted) {
        // Each attack has a new server, without leftovers of another attack.
        let target = Target::start_with_tls(&[]);
        let door = target.doors().nth(usize::from(attack.secure)).expect("it has both");
        let outcome = measure(&door, attack, duration, || target.proportional_kib());
        report(attack, "Conduit", &outcome);
        drop(target);
        for peer in &peers {
            match peer.start() {
                Ok(server) => {
                    let door = server.door(attack.secure);
                    let outcome = measure(&door, attack, duration, || server.memory_kib());
                    report(attack, peer.name, &outcome);
                }
                Err(error) => println!("| {} | {} | {error} | | | | | | |", attack.name, peer.name),
            }
        }
    }
}
