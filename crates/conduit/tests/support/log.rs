//! The log of this process, which has one subscriber: tests select their lines.

use std::io::Write;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tracing_subscriber::fmt::format::FmtSpan;

/// The time that a test waits for a line before it fails.
const TIMEOUT: Duration = Duration::from_secs(30);

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().expect("no thread panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Makes the log the subscriber of this process, with a line at the end of each span.
pub(crate) fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        tracing_subscriber::fmt()
            .json()
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(|| Log)
            .init();
    });
}

/// All of the log.
pub(crate) fn text() -> String {
    let bytes = LOG.lock().expect("no thread panics").clone();
    String::from_utf8(bytes).expect("text")
}

/// The first line of the log that satisfies the predicate, once it exists.
#[track_caller]
pub(crate) fn line(is_it: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let text = text();
        let mut lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        if let Some(found) = lines.find(&is_it) {
            return found;
        }
        assert!(Instant::now() < deadline, "no such line: {text}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
