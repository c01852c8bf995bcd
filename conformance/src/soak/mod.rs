//! Mixed traffic with faults for a given time, and the resulting leaks.
//!
//! Some clients behave well and check each byte of each response; others reset, stop in the middle, read nothing or send invalid
//! bytes. Once a second the soak samples the server's memory and descriptors.

mod faulty;
mod good;
mod random;
mod response;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::process::Target;
use crate::stream::Door;
use random::Random;

/// Well-behaved clients; each is a thread.
const GOOD: u64 = 8;

/// Faulty clients.
const FAULTY: u64 = 16;

/// The allowed growth of resident memory between the second fifth of the time and the last, in KiB: the noise of
/// the allocator. A leak of 100 bytes a request would be tens of MiB in ten minutes.
pub const GROWTH_KIB: u64 = 4096;

/// The result of a soak.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests of well-behaved clients; all responses are correct except those in [`wrong`](Self::wrong).
    pub answered: u64,
    /// Connections that were aborted or violated a rule.
    pub faults: u64,
    /// The wrong responses.
    pub wrong: Vec<String>,
    /// Resident memory in KiB, one sample per second.
    pub resident_kib: Vec<u64>,
    /// The number of descriptors before, at most, and after.
    pub descriptors: [usize; 3],
    /// The server ended with success at SIGTERM.
    pub ended_well: bool,
}

impl Report {
    /// The median of the samples between two fractions of the time.
    #[must_use]
    pub fn median_kib(&self, fifth: usize) -> u64 {
        let length = self.resident_kib.len();
        let mut samples = self.resident_kib[length * fifth / 5..length * (fifth + 1) / 5].to_vec();
        samples.sort_unstable();
        samples.get(samples.len() / 2).copied().unwrap_or_default()
    }

    /// The failed expectations.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut failures = self.wrong.clone();
        let (early, late) = (self.median_kib(1), self.median_kib(4));
        if late > early + GROWTH_KIB {
            failures.push(format!("memory grew from {early} to {late} KiB"));
        }
        if self.descriptors[2] > self.descriptors[0] {
            failures.push(format!("descriptors before, at most, after: {:?}", self.descriptors));
        }
        if !self.ended_well {
            failures.push("the server did not end with success".to_owned());
        }
        if self.answered == 0 || self.faults == 0 {
            failures.push("nothing happened".to_owned());
        }
        failures
    }
}

/// The state that all clients share.
struct Field {
    target: Target,
    /// The addresses, plain and over TLS.
    doors: Vec<Door>,
    over: AtomicBool,
    answered: AtomicU64,
    faults: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Field {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Runs the soak against a new server. `seed` determines the actions of the clients; the kernel determines their order.
///
/// # Panics
///
/// Panics if the server cannot be started, or ends early.
#[must_use]
pub fn run(duration: Duration, seed: u64) -> Report {
    let target = Target::start_with_tls(&["quick"]);
    let field = Field {
        doors: target.doors().collect(),
        target,
        over: AtomicBool::new(false),
        answered: AtomicU64::new(0),
        faults: AtomicU64::new(0),
        wrong: Mutex::new(Vec::new()),
    };
    // Allocations of the first request exist before the count.
    good::session(&field, &mut Random::new(seed)).expect("the server works");
    let before = settled(&field.target, 0);
    let (mut resident_kib, mut most) = (Vec::new(), before);
    std::thread::scope(|scope| {
        for number in 0..GOOD {
            let field = &field;
            scope.spawn(move || {
                let mut random = Random::new(seed ^ number << 32);
                while !field.is_over() {
                    if let Err(what) = good::session(field, &mut random) {
                        let mut wrong = field.wrong.lock().expect("no thread panics");
                        if wrong.len() < 20 {
                            wrong.push(what);
                        }
                    }
                }
            });
        }
        for number in 0..FAULTY {
            let field = &field;
            scope.spawn(move || {
                let mut random = Random::new(seed ^ (GOOD + number) << 32);
                while !field.is_over() {
                    faulty::session(field, &mut random);
                    field.faults.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let start = Instant::now();
        while start.elapsed() < duration {
            std::thread::sleep(Duration::from_secs(1));
            resident_kib.push(field.target.resident_kib());
            most = most.max(field.target.descriptors());
        }
        field.over.store(true, Ordering::Relaxed);
    });
    let after = settled(&field.target, before);
    let Field {
        target,
        answered,
        faults,
        wrong,
        ..
    } = field;
    Report {
        answered: answered.into_inner(),
        faults: faults.into_inner(),
        wrong: wrong.into_inner().expect("no thread panics"),
        resident_kib,
        descriptors: [before, most, after],
        ended_well: target.stop().success(),
    }
}

/// The number of the server's descriptors once it is as low as before, or after twenty seconds.
fn settled(target: &Target, before: usize) -> usize {
    let (start, mut last) = (Instant::now(), usize::MAX);
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let now = target.descriptors();
        // Without an earlier number: as soon as the number stays the same.
        if now <= before || before == 0 && now == last || start.elapsed() > Duration::from_secs(20) {
            return now;
        }
        last = now;
    }
}
