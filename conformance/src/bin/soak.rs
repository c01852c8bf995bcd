//! `soak SECONDS [SEED]`: mixed traffic with faults against a server in a separate process; fails if a response
//! is wrong, memory grows, a descriptor leaks, or the shutdown fails. Ten minutes by default.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use conduit_conformance::soak;

#[expect(clippy::print_stdout, reason = "the report is what the program is for")]
fn main() -> ExitCode {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse().expect("a number"));
    let (seconds, seed) = (arguments.next().unwrap_or(600), arguments.next().unwrap_or(1));
    let report = soak::run(Duration::from_secs(seconds), seed);
    println!("{seconds} s, seed {seed}");
    println!("requests answered correctly  {}", report.answered);
    println!("connections with a fault     {}", report.faults);
    for fifth in 0..5 {
        println!("resident KiB, fifth {} of 5   {}", fifth + 1, report.median_kib(fifth));
    }
    let [before, most, after] = report.descriptors;
    println!("descriptors                  {before} before, {most} at most, {after} after");
    let failures = report.failures();
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
