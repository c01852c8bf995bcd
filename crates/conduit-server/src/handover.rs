//! Replacement of a running server: its process passes the listening sockets to a successor that it starts.
//!
//! The predecessor's half is [`Handover`], the successor's are [`take`] and [`Predecessor`]. Between them is a pair of Unix
//! sockets, the successor's end of which is its standard input: so no descriptor has to be left open over an `exec` for
//! others to inherit. The pair transfers:
//!
//! 1. to the successor, the length of a list, the list, and the descriptors in its order ([`pass`]);
//! 2. to the predecessor, one byte when each worker of the successor has its poller. An end of the stream without it means
//!    that the successor has ended.
//!
//! They must be the same sockets: the connections in the queue of a socket are reset when its last descriptor is
//! closed, even if other sockets listen on the address (`SO_REUSEPORT`).

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use conduit_net::io::{IoSlice, IoSliceMut};
use conduit_net::process::{Signal, replace_standard_input, send_signal};
use conduit_net::{ControlMessage, ReceiveControl, SendControl, Socket};
use tokio::sync::oneshot;

use crate::erased::spawn_thread;
use crate::error::{Error, Result};
use crate::listener_socket::ListenerSocket;
use crate::panics::emit;
use crate::{ServerHandle, manager};

/// The environment variable with the id of the process that passes its sockets to the successor.
const PREDECESSOR: &str = "CONDUIT_PREDECESSOR";
/// The number of descriptors in one message; the system takes 253.
const DESCRIPTORS_PER_MESSAGE: usize = 16;
/// The maximum length of a list; a longer one is invalid.
const LIST_BYTES: u32 = 1 << 20;
/// The deadline for the list, which a predecessor sends at once.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval between checks for a shutdown, and for the end of a child.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// The time in which a failed successor may end by itself.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);
const READY: u8 = b'R';

/// The key by which a successor identifies the sockets of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SocketSource {
    /// The text of the address that the program requested.
    Requested(String),
    /// The name that the program's manager assigned.
    Named(String),
}

impl fmt::Display for SocketSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketSource::Requested(address) => f.write_str(address),
            SocketSource::Named(name) => write!(f, "a socket of LISTEN_FDS ({name:?})"),
        }
    }
}

/// The sockets of one address, as a server keeps them for a successor.
pub(super) type Kept = (SocketSource, Vec<Arc<ListenerSocket>>);

/// The sockets of one address, as a predecessor has passed them.
pub(super) struct Passed {
    pub(super) origin: SocketSource,
    pub(super) sockets: Vec<Socket>,
}

/// The process that this one takes over from.
pub(super) struct Predecessor(UnixStream);

impl Predecessor {
    /// Reports to the predecessor that all workers serve.
    pub(super) fn report_ready(mut self) {
        if let Err(error) = self.0.write_all(&[READY]) {
            emit(&|| tracing::warn!(%error, "the predecessor process has ended; serving anyway"));
        }
    }
}

/// The sockets that the predecessor of this process passes, if there is one; `None` at a second call.
///
/// # Errors
///
/// Returns an error if the predecessor violates the protocol.
pub(super) fn take() -> Result<Option<(Predecessor, Vec<Passed>)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let parent = parent_id();
    // The variable stays, and child processes ignore it: their parent is another process.
    if parent == 0 || std::env::var(PREDECESSOR) != Ok(parent.to_string()) || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(None);
    }
    receive()
        .map(Some)
        .map_err(|cause| Error::system("take over the sockets of the process that this one replaces", cause))
}

fn receive() -> io::Result<(Predecessor, Vec<Passed>)> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // No other code may read from it, or keep it open.
    let nothing = std::fs::File::open("/dev/null")?;
    replace_standard_input(&nothing)?;
    stream.set_read_timeout(Some(LIST_TIMEOUT))?;
    let mut length = [0; 4];
    (&stream).read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LIST_BYTES {
        return Err(io::Error::other("the list of sockets is too long"));
    }
    let mut list = vec![0; length as usize];
    (&stream).read_exact(&mut list)?;
    let list = String::from_utf8(list).map_err(io::Error::other)?;
    let channel = conduit_net::UnixStream::from(OwnedFd::from(stream));
    let mut passed = Vec::new();
    let mut descriptors = Vec::new();
    let mut words = list.split_terminator('\0');
    while let (Some(kind), Some(count), Some(text)) = (words.next(), words.next(), words.next()) {
        let origin = match kind {
            "asked" => SocketSource::Requested(text.to_owned()),
            "given" => SocketSource::Named(text.to_owned()),
            other => return Err(io::Error::other(format!("{other:?} is not a kind of socket"))),
        };
        let count: usize = count.parse().map_err(io::Error::other)?;
        while descriptors.len() < count {
            receive_descriptors(&channel, &mut descriptors)?;
        }
        let sockets = descriptors.drain(..count).map(Socket::from).collect();
        passed.push(Passed { origin, sockets });
    }
    Ok((Predecessor(UnixStream::from(OwnedFd::from(channel))), passed))
}

fn receive_descriptors(channel: &conduit_net::UnixStream, descriptors: &mut Vec<OwnedFd>) -> io::Result<()> {
    let mut control = ReceiveControl::new();
    let before = descriptors.len();
    let mut byte = [0];
    let received = channel.receive_message(&mut [IoSliceMut::new(&mut byte)], &mut control)?;
    for message in control.messages() {
        if let ControlMessage::Descriptors(passed) = message {
            descriptors.extend(passed);
        }
    }
    if received.bytes == 0 || received.control_truncated || descriptors.len() == before {
        let why =
            "fewer sockets arrived than were announced; the limit of descriptors may be reached: raise it (ulimit -n)";
        return Err(io::Error::other(why));
    }
    Ok(())
}

/// Passes the sockets; the other half of [`receive`].
fn pass(stream: &UnixStream, kept: &[Kept]) -> io::Result<()> {
    let mut list = String::new();
    for (origin, sockets) in kept {
        let (kind, text) = match origin {
            SocketSource::Requested(address) => ("asked", address),
            SocketSource::Named(name) => ("given", name),
        };
        list.push_str(&format!("{kind}\0{}\0{text}\0", sockets.len()));
    }
    let length = u32::try_from(list.len()).map_err(io::Error::other)?;
    (&*stream).write_all(&length.to_be_bytes())?;
    (&*stream).write_all(list.as_bytes())?;
    let channel = conduit_net::UnixStream::from(OwnedFd::from(stream.try_clone()?));
    // A separate message begins the sockets of each address.
    for (_, sockets) in kept {
        for some in sockets.chunks(DESCRIPTORS_PER_MESSAGE) {
            let descriptors: Vec<_> = some.iter().map(|socket| socket.as_fd()).collect();
            let mut control: SendControl<'_> = SendControl::new();
            control.push_descriptors(&descriptors)?;
            channel.send_message(&[IoSlice::new(b"s")], &control)?;
        }
    }
    Ok(())
}

/// Replaces the server at a signal. It keeps every listening socket until the server stops, and no longer: clients would
/// wait in a queue that no process accepts from.
pub(super) struct Handover {
    kept: Arc<Vec<Kept>>,
    limit: Duration,
    handle: ServerHandle,
}

impl Handover {
    /// A successor has `limit` to become ready.
    pub(super) fn new(kept: Vec<Kept>, limit: Duration, handle: ServerHandle) -> Self {
        Handover {
            kept: Arc::new(kept),
            limit,
            handle,
        }
    }

    /// Starts a successor at each signal, until there is one that serves or the server stops.
    pub(super) async fn run(self) -> Infallible {
        let handle = self.handle.clone();
        while handle.unless_stopping(handle.handover_requested()).await.is_some() {
            if let Err(error) = refuse_first_process(std::process::id()) {
                emit(&|| tracing::error!(%error, "restart failed; this process continues to serve"));
                continue;
            }
            manager::notify(&manager::reloading());
            emit(&|| tracing::info!("starting the new process"));
            let outcome = match self.attempt() {
                Ok(attempt) => attempt.await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(successor) if self.handle.is_stopping() => end_gently(&successor),
                Ok(successor) => {
                    emit(&|| {
                        tracing::info!(
                            process = successor.id(),
                            "another process has taken over; finishing the requests in progress"
                        )
                    });
                    manager::notify(format!("MAINPID={}\nREADY=1", successor.id()).as_bytes());
                    self.handle.leave();
                }
                Err(error) => {
                    emit(&|| tracing::error!(%error, "restart failed; this process continues to serve"));
                    manager::notify(manager::READY);
                }
            }
        }
        drop(self);
        std::future::pending().await
    }

    /// Starts a successor on a separate thread, because starting it and waiting for it block.
    fn attempt(&self) -> io::Result<impl Future<Output = io::Result<Child>>> {
        let (kept, limit, handle) = (Arc::clone(&self.kept), self.limit, self.handle.clone());
        let (sender, outcome) = oneshot::channel();
        let run = move || {
            let started = start(&kept, limit, &handle);
            // Before the notification: from then on only the server has the sockets.
            drop(kept);
            if let Err(Ok(unwanted)) = sender.send(started) {
                end_gently(&unwanted);
            }
        };
        let thread = Joined(Some(spawn_thread("conduit-handover", Box::new(run))?));
        Ok(async move {
            let _thread = thread;
            outcome
                .await
                .unwrap_or_else(|_| Err(io::Error::other("the thread that waited for the new process panicked")))
        })
    }
}

/// Joins the thread when it is dropped, so that a process that ends leaves no half-started successor.
struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // Its panic was reported already.
            let _ = thread.join();
        }
    }
}

/// Starts this program again, with its arguments, and waits until it serves.
fn start(kept: &[Kept], limit: Duration, handle: &ServerHandle) -> io::Result<Child> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut arguments = std::env::args_os();
    // By the name that it was started with, not by its file, because the restart often follows a replacement of the file.
    let program = arguments.next().ok_or_else(|| {
        io::Error::other("the program was started without a name in argv[0], by which it could be started again")
    })?;
    let mut child = Command::new(&program)
        .args(arguments)
        .env(PREDECESSOR, std::process::id().to_string())
        // The sockets of a manager are among those that the successor receives.
        .env_remove("LISTEN_FDS")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start {}: {error}", program.display())))?;
    let why = match pass(&ours, kept).and_then(|()| wait_until_ready(&ours, limit, handle)) {
        Ok(()) => return Ok(child),
        // It has not read the whole message.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => has_gone(),
        Err(error) => error,
    };
    // One that has closed its end is about to end, and may be logging the cause.
    let timeout = match why.kind() {
        io::ErrorKind::UnexpectedEof => EXIT_TIMEOUT,
        _ => Duration::ZERO,
    };
    let ended = end(&mut child, timeout).map_or_else(|error| error.to_string(), |status| status.to_string());
    Err(io::Error::new(
        why.kind(),
        format!("{why} ({}: {ended})", program.display()),
    ))
}

/// Kills the process if it does not end in time, and waits for its end.
fn end(child: &mut Child, timeout: Duration) -> io::Result<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < timeout {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(CHECK_INTERVAL);
    }
    // It may have ended meanwhile.
    let _ = child.kill();
    child.wait()
}

fn has_gone() -> io::Error {
    let why = "the new process exited before it was ready";
    io::Error::new(io::ErrorKind::UnexpectedEof, why)
}

fn wait_until_ready(stream: &UnixStream, limit: Duration, handle: &ServerHandle) -> io::Result<()> {
    let begun = Instant::now();
    stream.set_read_timeout(Some(CHECK_INTERVAL))?;
    let mut byte = [0];
    loop {
        match (&*stream).read(&mut byte) {
            Ok(1) if byte[0] == READY => return Ok(()),
            Ok(_) => return Err(has_gone()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        if handle.is_stopping() {
            return Err(io::Error::other("a shutdown began before the new process was ready"));
        }
        if begun.elapsed() >= limit {
            let why = format!(
                "the new process was not ready within {limit:?}: increase restart_timeout if its start takes longer"
            );
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
    }
}

/// Lets a successor that serves already finish its accepted requests.
fn end_gently(successor: &Child) {
    // It may have ended by itself.
    let _ = send_signal(successor.id(), Signal::Terminate);
}

/// Refuses to hand over from the first process of a container: the container ends with that process, and its successor
/// with the container.
fn refuse_first_process(process: u32) -> io::Result<()> {
    if process != 1 {
        return Ok(());
    }
    let why = "this is the first process of its container (PID 1), which ends with it: start another container, or run \
               the program below an init such as `docker run --init`";
    Err(io::Error::other(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_of_a_container_hands_nothing_over() {
        let error = refuse_first_process(1).expect_err("the container would end");
        assert!(error.to_string().contains("(PID 1)"), "{error}");
        assert!(refuse_first_process(2).is_ok());
    }
}
