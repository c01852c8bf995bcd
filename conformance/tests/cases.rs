//! Each row of the table, at once, byte by byte, and split in two at every byte; over TCP, TLS and a Unix socket.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use conduit_conformance::case::Case;
use conduit_conformance::cases::TOPICS;
use conduit_conformance::run::{Delivery, connections, run};
use conduit_conformance::server::{Running, Wire};

/// The number of concurrent rows; the threads wait most of the time.
const THREADS: usize = 8;

/// Over TLS a row is split in two at every eighth byte, because each split needs a handshake.
const TLS_STEP: usize = 8;

/// Runs all rows, each topic on a separate server, and reports all differences.
fn check(wire: Wire, delivery: Delivery) {
    let failures = Mutex::new(Vec::new());
    for (topic, cases) in TOPICS {
        let server = Running::start_on(wire);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Relaxed)) {
                        if let Err(what) = run(&server, case, delivery) {
                            failures
                                .lock()
                                .expect("no thread panics")
                                .push(format!("{wire:?}, {topic}: {what}"));
                        }
                    }
                });
            }
        });
    }
    let failures = failures.into_inner().expect("no thread panics");
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn each_row_gets_the_responses_that_the_rfcs_require() {
    check(Wire::Tcp, Delivery::Whole);
}

#[test]
fn each_row_gets_the_same_responses_byte_by_byte() {
    check(Wire::Tcp, Delivery::Bytes);
}

#[test]
fn each_row_gets_the_same_responses_for_every_split() {
    check(Wire::Tcp, Delivery::Halves);
}

#[test]
fn each_row_gets_the_same_responses_over_tls() {
    check(Wire::Tls, Delivery::Whole);
}

#[test]
fn each_row_gets_the_same_responses_with_a_tls_record_for_each_byte() {
    check(Wire::Tls, Delivery::Bytes);
}

#[test]
fn each_row_gets_the_same_responses_with_a_tls_record_in_single_bytes() {
    check(Wire::Tls, Delivery::Trickle);
}

#[test]
fn each_row_gets_the_same_responses_in_two_tls_records() {
    check(Wire::Tls, Delivery::SomeHalves(TLS_STEP));
}

/// Half a minute of handshakes: `cargo test --release -p conduit-conformance --test cases -- --ignored`.
#[test]
#[ignore = "takes half a minute"]
fn each_row_gets_the_same_responses_in_two_tls_records_for_every_split() {
    check(Wire::Tls, Delivery::Halves);
}

#[test]
fn each_row_gets_the_same_responses_over_a_unix_socket() {
    check(Wire::Unix, Delivery::Whole);
    check(Wire::Unix, Delivery::Bytes);
}

#[test]
fn the_table_has_at_least_300_rows_with_unique_names_and_sections() {
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
