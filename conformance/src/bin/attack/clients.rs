//! Real clients, and their latency.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use conduit_conformance::stream::Door;

/// One request in this number uses a new connection.
const FRESH: usize = 10;

/// A request with a longer latency counts as failed.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const PLAIN: &[u8] = b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n";

/// The results of the real clients.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) waits: Vec<Duration>,
    pub(crate) failed: usize,
}

impl Seen {
    /// The maximum latency of this fraction of the sorted requests, in milliseconds.
    pub(crate) fn part(&self, part: f64) -> f64 {
        let index = ((self.waits.len() as f64 * part) as usize).min(self.waits.len().saturating_sub(1));
        self.waits
            .get(index)
            .map_or(f64::NAN, |wait| wait.as_secs_f64() * 1000.0)
    }
}

/// Sends requests as a real client does, and records the latency of each response; over TLS a new connection resumes its session.
pub(crate) fn ask(door: &Door, over: &AtomicBool, seen: &Mutex<Seen>) {
    let mut kept = None;
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let start = Instant::now();
        let answered = if number % FRESH == 0 {
            door.connect(TIMEOUT).and_then(|mut stream| exchange(&mut stream))
        } else {
            match &mut kept {
                Some(stream) => exchange(stream),
                none => door.connect(TIMEOUT).and_then(|stream| exchange(none.insert(stream))),
            }
        };
        let wait = start.elapsed();
        let mut seen = seen.lock().expect("no thread panics");
        match answered {
            Ok(()) => seen.waits.push(wait),
            Err(_) => {
                kept = None;
                seen.failed += 1;
            }
        }
        drop(seen);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One request and its response.
pub(crate) fn exchange(stream: &mut (impl Read + Write)) -> io::Result<()> {
    stream.write_all(PLAIN)?;
    let (mut answer, mut length) = ([0; 2048], 0);
    while !answer[..length].ends_with(b"\r\n\r\nplain") {
        match stream.read(&mut answer[length..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
    }
    Ok(())
}
