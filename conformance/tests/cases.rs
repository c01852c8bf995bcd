//! Each row of the table, whole, byte by byte, and cut in two at every byte.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use conduit_conformance::case::Case;
use conduit_conformance::cases::TOPICS;
use conduit_conformance::run::{Delivery, connections, run};
use conduit_conformance::server::Running;

/// How many rows are under way at a time; the threads wait most of the time.
const THREADS: usize = 8;

/// Runs all rows, each topic on a server of its own, and reports all that differ.
fn check(delivery: Delivery) {
    let failures = Mutex::new(Vec::new());
    for (topic, cases) in TOPICS {
        let server = Running::start();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Relaxed)) {
                        if let Err(what) = run(&server, case, delivery) {
                            failures.lock().expect("nobody panics").push(format!("{topic}: {what}"));
                        }
                    }
                });
            }
        });
    }
    let failures = failures.into_inner().expect("nobody panics");
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn each_row_is_answered_as_the_rfcs_say() {
    check(Delivery::Whole);
}

#[test]
fn each_row_is_answered_the_same_byte_by_byte() {
    check(Delivery::Bytes);
}

#[test]
fn each_row_is_answered_the_same_when_it_is_cut_anywhere() {
    check(Delivery::Halves);
}

#[test]
fn there_are_at_least_300_rows_with_names_and_sections_of_their_own() {
    let cases: Vec<&Case> = TOPICS.iter().flat_map(|(_, cases)| *cases).collect();
    let total: usize = cases.iter().map(|case| connections(case)).sum();
    eprintln!("{} rows, {total} connections", cases.len());
    assert!(cases.len() >= 300, "{}", cases.len());
    let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two rows have one name");
    }
    for case in cases {
        let number = case.section.split(' ').next().unwrap_or_default();
        assert!(
            ["3986", "9110", "9112", "9113"].contains(&number),
            "{}: {}",
            case.name,
            case.section
        );
    }
}
