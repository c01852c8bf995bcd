//! Log output that never blocks or stops the server.
//!
//! A subscriber that writes directly to standard error waits for the reader of the log: a full disk makes it panic, and a
//! stalled reader stops every worker. A [`Writer`] only appends to a buffer of 1 MiB; a thread writes the buffer to the
//! descriptor. If the buffer is full or a write fails, the line is dropped and counted: by [`dropped_lines`], by
//! `conduit_log_lines_dropped_total` on [the metrics page](crate::metrics), and by a warning in the log once it works again.
//!
//! # Example
//!
//! Events and panics on standard error:
//!
//! ```
//! use conduit::log;
//!
//! log::set_panic_hook();
//! tracing_subscriber::fmt().with_writer(log::stderr).init();
//! ```

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::excerpt::bounded;

/// The maximum number of bytes that are buffered for the writing thread.
const WAITING_BYTES: usize = 1024 * 1024;
/// The time between two attempts to write to a non-blocking descriptor that is full.
const RETRY: Duration = Duration::from_millis(20);

static STDERR: Queue = Queue::new(|| io::stderr().as_fd().try_clone_to_owned().map(File::from));
static STDOUT: Queue = Queue::new(|| io::stdout().as_fd().try_clone_to_owned().map(File::from));

/// Returns a writer to standard error, for a subscriber's `with_writer`.
pub fn stderr() -> Writer {
    Writer(&STDERR)
}

/// Returns a writer to standard output, for a subscriber's `with_writer`.
pub fn stdout() -> Writer {
    Writer(&STDOUT)
}

/// Returns the number of lines dropped since the process started.
pub fn dropped_lines() -> u64 {
    STDERR.dropped.load(Ordering::Relaxed) + STDOUT.dropped.load(Ordering::Relaxed)
}

/// Waits up to `limit` until all lines are written; returns whether they are. A server calls it at its end with one second.
pub fn flush(limit: Duration) -> bool {
    STDERR.flush(limit) & STDOUT.flush(limit)
}

/// Replaces the process's panic hook with one that writes the message, the location and the backtrace through [`stderr`]. The
/// standard hook waits for the reader of standard error, and stalls the worker of a handler that panics.
pub fn set_panic_hook() {
    panic::set_hook(Box::new(|panic| STDERR.push(describe(panic).as_bytes())));
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = bounded(panic.payload_as_str().unwrap_or("a value that is not a string"));
    let mut text = format!("thread '{name}' panicked at {place}: {message}\n");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text.push_str(&backtrace.to_string());
    }
    text
}

/// Appends lines to a buffer, which a thread writes; returned by [`stderr`] and [`stdout`].
///
/// A write accepts all of its bytes or drops them; it never waits and never fails. `tracing_subscriber` writes each event in
/// one call.
#[derive(Clone, Copy, Debug)]
pub struct Writer(&'static Queue);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that wait for the writing thread.
struct Queue {
    waiting: Mutex<Waiting>,
    /// Lines have arrived.
    arrived: Condvar,
    /// All lines are written.
    idle: Condvar,
    dropped: AtomicU64,
    open: fn() -> io::Result<File>,
}

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    /// Lines that were dropped since the last warning.
    dropped: u64,
    has_thread: bool,
    is_writing: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

impl Queue {
    const fn new(open: fn() -> io::Result<File>) -> Self {
        Queue {
            waiting: Mutex::new(Waiting {
                bytes: Vec::new(),
                dropped: 0,
                has_thread: false,
                is_writing: false,
            }),
            arrived: Condvar::new(),
            idle: Condvar::new(),
            dropped: AtomicU64::new(0),
            open,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic while the lock is held leaves no line half written.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&'static self, lines: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes.len() + lines.len() > WAITING_BYTES || !self.has_thread(&mut waiting) {
            self.drop_lines(&mut waiting, lines);
            return;
        }
        waiting.bytes.extend_from_slice(lines);
        self.arrived.notify_one();
    }

    fn drop_lines(&self, waiting: &mut Waiting, lines: &[u8]) {
        let count = lines.split_inclusive(|byte| *byte == b'\n').count() as u64;
        waiting.dropped += count;
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    fn has_thread(&'static self, waiting: &mut Waiting) -> bool {
        if !waiting.has_thread {
            let file = (self.open)();
            let thread = thread::Builder::new().name("conduit-log".to_owned());
            waiting.has_thread = file.and_then(|file| thread.spawn(move || self.write_all(file))).is_ok();
        }
        waiting.has_thread
    }

    /// Writes lines until the process ends.
    fn write_all(&self, file: File) {
        let mut output = LineOutput::new(file);
        let mut lines = Vec::new();
        loop {
            let mut waiting = self.waiting();
            waiting.is_writing = false;
            if waiting.bytes.is_empty() {
                self.idle.notify_all();
            }
            waiting = self
                .arrived
                .wait_while(waiting, |waiting| waiting.bytes.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut waiting.bytes, &mut lines);
            waiting.is_writing = true;
            drop(waiting);
            let written = output.write(&lines);
            let rest = &lines[written..];
            let mut waiting = self.waiting();
            if !rest.is_empty() {
                self.drop_lines(&mut waiting, rest);
            }
            let dropped = if rest.is_empty() {
                mem::take(&mut waiting.dropped)
            } else {
                0
            };
            drop(waiting);
            lines.clear();
            if dropped > 0 {
                warn(dropped);
            }
        }
    }

    fn flush(&self, limit: Duration) -> bool {
        let waiting = self.waiting();
        let is_busy = |waiting: &mut Waiting| waiting.has_thread && (waiting.is_writing || !waiting.bytes.is_empty());
        match self.idle.wait_timeout_while(waiting, limit, is_busy) {
            Ok((_, result)) => !result.timed_out(),
            Err(_) => false,
        }
    }
}

/// Logs the number of dropped lines. A subscriber that panics, such as one that prints to a closed pipe, does not end the thread.
fn warn(dropped: u64) {
    let _ = panic::catch_unwind(|| {
        tracing::warn!(
            lines = dropped,
            "dropped lines of the log: its output was full or failed"
        );
    });
}

/// An output, and whether its last line is truncated.
struct LineOutput<W> {
    output: W,
    is_torn: bool,
}

impl<W: Write> LineOutput<W> {
    fn new(output: W) -> Self {
        LineOutput { output, is_torn: false }
    }

    /// Writes lines, and returns the number of bytes that were written before an error. A line that a failed write has truncated is
    /// terminated first: no line is written while that fails.
    fn write(&mut self, lines: &[u8]) -> usize {
        if self.is_torn && self.write_bytes(b"\n") == 0 {
            return 0;
        }
        let written = self.write_bytes(lines);
        self.is_torn = written > 0 && lines[written - 1] != b'\n';
        written
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.output.write(&bytes[written..]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another process has made the descriptor non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
                Err(_) => break,
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::sync::OnceLock;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn line_is_dropped_and_counted_where_the_output_fails() {
        static FULL: Queue = Queue::new(|| File::options().write(true).open("/dev/full"));
        for _ in 0..3 {
            FULL.push(b"one\ntwo\n");
            assert!(FULL.flush(MINUTE));
        }
        assert_eq!(FULL.dropped.load(Ordering::Relaxed), 6);
        assert_eq!(FULL.waiting().dropped, 6);
    }

    #[test]
    fn reader_that_stalls_stops_no_writer_and_the_buffer_is_bounded() {
        static READER: OnceLock<Mutex<Option<io::PipeReader>>> = OnceLock::new();
        static STALLED: Queue = Queue::new(|| {
            let (reader, writer) = io::pipe()?;
            READER.get_or_init(|| Mutex::new(Some(reader)));
            Ok(File::from(OwnedFd::from(writer)))
        });
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..3000 {
            STALLED.push(&line);
        }
        let dropped = STALLED.dropped.load(Ordering::Relaxed);
        // The pipe, the thread's batch and the buffer hold less than 3 MB.
        assert!((500..3000).contains(&dropped), "{dropped}");
        assert!(STALLED.waiting().bytes.len() <= WAITING_BYTES);
        assert!(!STALLED.flush(Duration::ZERO));

        let mut reader = READER
            .get()
            .expect("a pipe")
            .lock()
            .expect("no panic")
            .take()
            .expect("a pipe");
        let mut received = vec![0; (3000 - usize::try_from(dropped).expect("fits")) * line.len()];
        reader.read_exact(&mut received).expect("all other lines");
        assert!(received.chunks(line.len()).all(|received| received == line));
        assert!(STALLED.flush(MINUTE));
    }

    /// A disk with room for some bytes.
    #[derive(Default)]
    struct Disk {
        written: Vec<u8>,
        free_bytes: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.free_bytes == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let count = bytes.len().min(self.free_bytes);
            self.free_bytes -= count;
            self.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn truncated_line_is_terminated_before_the_next_one_however_many_writes_have_failed() {
        for failures in 0..4 {
            let mut output = LineOutput::new(Disk::default());
            output.output.free_bytes = 11;
            assert_eq!(output.write(b"GET /one\nGET /two\n"), 11);
            for _ in 0..failures {
                assert_eq!(output.write(b"GET /lost\n"), 0);
            }
            output.output.free_bytes = 100;
            assert_eq!(output.write(b"GET /three\n"), 11);
            assert_eq!(output.write(b"GET /four\n"), 10);
            let text = String::from_utf8_lossy(&output.output.written);
            assert_eq!(
                text, "GET /one\nGE\nGET /three\nGET /four\n",
                "after {failures} failures"
            );
        }
    }

    #[test]
    fn panic_of_a_subscriber_ends_at_the_warning() {
        struct Panics;
        impl tracing::Subscriber for Panics {
            fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
                true
            }
            fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
                tracing::span::Id::from_u64(1)
            }
            fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
            fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
            fn event(&self, _: &tracing::Event<'_>) {
                panic!("the pipe is closed")
            }
            fn enter(&self, _: &tracing::span::Id) {}
            fn exit(&self, _: &tracing::span::Id) {}
        }
        tracing::subscriber::with_default(Panics, || warn(1));
    }
}
