//! Signals, and the end of a shutdown, on a thread that runs nothing else.
//!
//! The thread neither logs nor opens files, and no handler runs on it. A full log pipe, a handler that blocks its worker or
//! a file system that hangs can therefore not keep the process from ending: blocking work runs on other threads, which
//! the [`ServerHandle`] notifies.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use conduit_net::process::{self, send_signal};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::ServerHandle;
use crate::blocking::polled_routes;
use crate::erased::{block_on, spawn_thread};
use crate::handle::Stage;
use crate::observer::Observer;

/// The time for workers to end after the shutdown's deadline; then the process ends without them.
const STUCK_AFTER: Duration = Duration::from_secs(2);
/// The time for the last message of the log.
const LOG_TIMEOUT: Duration = Duration::from_millis(500);
/// The time for functions that the program has registered with atexit(3).
const ATEXIT_TIMEOUT: Duration = Duration::from_secs(1);
/// The exit code of a process that ends without its workers.
const EXIT_CODE: i32 = 1;

/// Ends the thread when it is dropped; signals then have no effect.
pub(super) struct SignalThread {
    _running: oneshot::Sender<Infallible>,
}

/// Starts to handle SIGINT, SIGTERM, SIGUSR2 and, if certificates come from files, SIGHUP. Ends the process if
/// workers are stuck `limit` after the server stops.
///
/// # Errors
///
/// Returns an error if the system refuses a runtime, a signal handler or a thread.
pub(super) fn handle_signals(
    handle: ServerHandle,
    observer: Arc<dyn Observer>,
    limit: Duration,
) -> io::Result<SignalThread> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _inside = runtime.enter();
        Signals::register(observer, handle.has_files())?
    };
    let (running, ended) = oneshot::channel();
    let run = move || run(&runtime, signals, &handle, limit, ended);
    spawn_thread("conduit-signals", Box::new(run))?;
    Ok(SignalThread { _running: running })
}

fn run(
    runtime: &Runtime,
    mut signals: Signals,
    handle: &ServerHandle,
    limit: Duration,
    ended: oneshot::Receiver<Infallible>,
) {
    let running = async {
        let mut ended = pin!(ended);
        // The thread of `Server::run` ends the delay too, but a full pipe or an observer may block it.
        let mut delay = pin!(handle.stop_after_delay());
        let mut stuck = pin!(stuck(handle, limit));
        poll_fn(|context| {
            signals.poll(handle, context);
            let Poll::Pending = delay.as_mut().poll(context);
            if stuck.as_mut().poll(context).is_ready() {
                exit_without_workers(handle, &signals.observer);
            }
            ended.as_mut().poll(context).map(drop)
        })
        .await;
    };
    block_on(runtime, pin!(running));
}

struct Signals {
    /// Writes the last message of the log.
    observer: Arc<dyn Observer>,
    interrupt: Signal,
    terminate: Signal,
    replace: Signal,
    /// Only for a server with files to read again: otherwise SIGHUP ends the process, as a closed terminal expects.
    hang_up: Option<Signal>,
}

impl Signals {
    fn register(observer: Arc<dyn Observer>, has_files: bool) -> io::Result<Self> {
        Ok(Signals {
            observer,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            replace: signal(SignalKind::user_defined2())?,
            hang_up: has_files.then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    fn poll(&mut self, handle: &ServerHandle, context: &mut Context<'_>) {
        if let Some(hang_up) = &mut self.hang_up {
            while hang_up.poll_recv(context).is_ready() {
                handle.request_reload();
            }
        }
        while self.replace.poll_recv(context).is_ready() {
            handle.request_handover();
        }
        while self.interrupt.poll_recv(context).is_ready() || self.terminate.poll_recv(context).is_ready() {
            if handle.is_closing() {
                exit_without_workers(handle, &self.observer);
            }
            handle.stop_or_close();
        }
    }
}

/// Waits until the workers should have ended by themselves.
async fn stuck(handle: &ServerHandle, limit: Duration) {
    handle.reached(Stage::Unready).await;
    handle.stopping().await;
    // They close at the limit by themselves, or earlier at a second signal.
    let _ = tokio::time::timeout(limit, handle.reached(Stage::Closing)).await;
    tokio::time::sleep(STUCK_AFTER).await;
}

/// Ends the process, with a message in the log if that accepts one.
fn exit_without_workers(handle: &ServerHandle, observer: &Arc<dyn Observer>) -> ! {
    let (logged, is_logged) = mpsc::channel::<Infallible>();
    let (handle, observer) = (handle.clone(), Arc::clone(observer));
    // The log itself may block. If no thread can be started, the process ends without a message.
    let log = move || {
        let _logged = logged;
        for (worker, route) in polled_routes(&handle) {
            let (method, path, handler) = (route.method, route.path, route.handler);
            tracing::error!(worker, method, route = path, handler, "this handler blocks its worker");
        }
        tracing::error!(
            exit_code = EXIT_CODE,
            "a worker is stuck; ending the process without it"
        );
        // A subscriber with a writer of `conduit::log` has only queued the messages.
        observer.flush(LOG_TIMEOUT);
    };
    let _ = spawn_thread("conduit-stuck", Box::new(log));
    let _ = is_logged.recv_timeout(LOG_TIMEOUT);
    // The functions of atexit(3) may wait for a lock that a stuck thread holds.
    let kill = || {
        thread::sleep(ATEXIT_TIMEOUT);
        let _ = send_signal(std::process::id(), process::Signal::Kill);
    };
    let _ = spawn_thread("conduit-exit", Box::new(kill));
    std::process::exit(EXIT_CODE)
}
