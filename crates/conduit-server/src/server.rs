//! A server: its start, the threads of its workers, and its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::cohort::Cohort;
use crate::config::Config;
use crate::counts::Counts;
use crate::cut_off::CutOff;
use crate::descriptors::{check_workers, connections_per_worker};
use crate::dispatch::OpenApplication;
use crate::erased::{block_on, spawn_blocking, spawn_thread};
use crate::error::{Error, Result};
use crate::handle::{ServerHandle, Stage, StopOnDrop};
use crate::handover::Handover;
use crate::listening::{Bound, Listening, SocketFile};
use crate::memory::{self, Budgets};
use crate::panics::{self, emit};
use crate::peers::Peers;
use crate::route::Definition;
use crate::state::LocalFuture;
use crate::transport::TlsAcceptor;
use crate::worker::start::WorkerStart;
use crate::{blocking, manager, signals};

/// The time for the last lines of the log.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A server that listens and does not serve yet; made by `App::listen`.
///
/// # Example
///
/// A server on a port that the system chooses, stopped from another thread:
///
/// ```
/// use conduit::prelude::*;
///
/// #[get("/")]
/// async fn hello() -> &'static str {
///     "Hello, World!"
/// }
///
/// fn main() -> conduit::Result {
///     let server = App::new(()).routes(routes![hello]).workers(1).listen("127.0.0.1:0")?;
///     println!("port {}", server.address().port());
///     let handle = server.handle();
///     std::thread::spawn(move || handle.stop());
///     server.serve()
/// }
/// ```
pub struct Server {
    application: Box<dyn OpenApplication>,
    config: Config,
    listening: Listening,
    handle: ServerHandle,
    runtime: Runtime,
}

impl Server {
    /// The IP address that the server listens on, with the port that the system chose if 0 was requested; the first of
    /// several.
    ///
    /// # Panics
    ///
    /// Panics if the server listens on Unix sockets only.
    pub fn address(&self) -> SocketAddr {
        self.addresses()
            .next()
            .expect("a server that listens on Unix sockets only has no IP address")
    }

    /// The IP addresses that the server listens on, in the order of the request.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listening.bound.iter().filter_map(|bound| match bound {
            Bound::Ip(address, _) => Some(*address),
            Bound::Unix(_) => None,
        })
    }

    /// A handle that stops the server from any thread.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves until SIGINT or SIGTERM, and prints the addresses once all workers serve. After the signal no more
    /// connections are accepted, requests and tasks (`Tasks`) in progress are finished, and the call returns. A second
    /// signal closes the remaining connections at once. A manager such as systemd that has set `NOTIFY_SOCKET` is informed of the start
    /// and the stop (sd_notify(3)).
    ///
    /// At SIGUSR2 this process starts its program again, with the same name and arguments, and passes it the listening sockets, so
    /// that no client is refused. When the new process serves, this process finishes its requests, each response with `connection:
    /// close`, and the call returns. If the new process does not serve in time, this process continues to serve and logs the cause.
    /// A process with the id 1 ignores the signal and logs the reason: its end would end the container.
    ///
    /// # Exit code
    ///
    /// A `main` that returns the result ends the process with 0 when all workers have ended, even if the end of the shutdown
    /// timeout (`App::shutdown_timeout`) or a second signal aborted requests, and with 1 after an error. If a handler or the log
    /// blocks a worker, the process ends with 1 about 2 s after the timeout or the second signal, or at a third signal.
    ///
    /// # Errors
    ///
    /// Returns an error if a worker cannot open its state (`App::open_per_worker`), if the system refuses a resource (signal
    /// handlers, threads, pollers), or if it is called inside of a tokio runtime, as in a `main` with `#[tokio::main]`.
    pub fn run(mut self) -> Result {
        if let Err(error) = refuse_runtime() {
            return Err(self.refused(error));
        }
        let handle = self.handle();
        // Ends its thread when this function ends.
        let _signals = signals::handle_signals(
            handle.clone(),
            Arc::clone(&self.config.observer),
            self.config.shutdown_timeout,
        )
        .map_err(|cause| Error::system("handle signals", cause))?;
        let kept = std::mem::take(&mut self.listening.kept);
        let handover = Handover::new(kept, self.config.restart_timeout, handle.clone());
        let background = {
            let mut handover = Box::pin(handover.run());
            let mut report = Box::pin(report_stop(handle.clone()));
            poll_fn(move |context| {
                let Poll::Pending = report.as_mut().poll(context);
                handover.as_mut().poll(context)
            })
        };
        let bound = self.listening.bound.clone();
        let is_successor = self.listening.predecessor.is_some();
        let on_start = move || {
            for bound in bound {
                // The reader of the output may have closed its end.
                let _ = writeln!(io::stdout(), "Listening on {bound}");
            }
            // The predecessor informs the manager, which does not know a successor yet.
            if !is_successor {
                manager::notify(manager::READY);
            }
        };
        let began = Instant::now();
        let observer = Arc::clone(&self.config.observer);
        let result = self.serve_with(Box::new(on_start), Box::pin(background));
        if let Ok(cut_off) = &result {
            cut_off.log(began.elapsed());
        }
        flush(&*observer);
        result.map(drop)
    }

    /// Serves until [`ServerHandle::stop`] is called. No signal is handled and nothing is printed.
    ///
    /// # Errors
    ///
    /// Returns an error if a worker cannot open its state (`App::open_per_worker`), if the system refuses a resource (threads,
    /// pollers), or if it is called inside of a tokio runtime.
    pub fn serve(self) -> Result {
        self.serve_from(|| ())
    }

    /// Drops the runtime without waiting, which tokio would refuse too.
    fn refused(self, error: Error) -> Error {
        self.runtime.shutdown_background();
        error
    }

    /// Serves on the workers' threads. This thread drives the runtime of `App::open`, and `background`.
    fn serve_with(mut self, on_start: Box<dyn FnOnce() + '_>, background: LocalFuture<Infallible>) -> Result<CutOff> {
        // Ends its thread when this function ends.
        let _watching = watch_workers(self.handle.clone(), self.config.blocked_after);
        // The channel carries no value. It closes when the last worker has ended, normally or not.
        let (running, ended) = mpsc::channel::<Infallible>(1);
        let (threads, started) = self.start_workers(running);
        let Server {
            application,
            config,
            listening,
            handle,
            runtime,
        } = self;
        // The workers are the last owners of a shared state, whose drop may need their runtimes.
        drop(application);
        let on_start = || {
            on_start();
            if let Some(predecessor) = listening.predecessor {
                predecessor.report_ready();
            }
        };
        block_on(&runtime, pin!(drive(&handle, &config, on_start, background, ended)));
        let result = join(threads, started);
        // Calls on blocking threads have no part in the shutdown's deadline.
        runtime.shutdown_background();
        // Socket files are removed when everything has ended, unless they are another process's now.
        if handle.is_replaced() {
            listening.files.into_iter().for_each(SocketFile::leave);
        }
        result
    }

    /// Starts the threads of the workers, each with a clone of `running`. Closes the server at an error; the threads before it
    /// then end.
    fn start_workers(&mut self, running: mpsc::Sender<Infallible>) -> (Vec<WorkerThread>, Result) {
        let listeners = std::mem::take(&mut self.listening.workers);
        let workers = listeners.len();
        let connection_limit = match self.config.connections {
            Some(count) => count,
            None => connections_per_worker(workers, self.config.files.files),
        };
        let half = (connection_limit.saturating_mul(workers) / 2).max(64);
        let peers = Arc::new(Peers::new(self.config.peer_connections.unwrap_or(half)));
        let hsts = self.listening.tls.as_ref().and_then(|tls| tls.hsts());
        let redirect = self.listening.redirect();
        let cohort = Cohort::new();
        let mut threads = Vec::with_capacity(workers);
        for (number, listeners) in listeners.into_iter().enumerate() {
            let start = WorkerStart {
                number,
                workers,
                listeners,
                application: self.application.duplicate(),
                config: self.config.clone(),
                connection_limit,
                peers: Arc::clone(&peers),
                hsts: hsts.clone(),
                redirect,
                handle: self.handle.clone(),
                cohort: cohort.clone(),
            };
            let running = running.clone();
            let run = move || {
                // A worker that ends, because it must or because it fails or panics, ends the server.
                let _running = (running, StopOnDrop(start.handle.clone()));
                start.run()
            };
            match spawn_thread(format!("conduit-{number}"), Box::new(run)) {
                Ok(thread) => threads.push(thread),
                Err(cause) => {
                    self.handle.close();
                    let cause =
                        format!("thread {number} cannot start: {cause}; raise the limit of threads (ulimit -u)");
                    return (threads, Err(Error::workers(workers, cause)));
                }
            }
        }
        (threads, Ok(()))
    }
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl Server {
    pub fn new(
        listening: Listening,
        application: Box<dyn OpenApplication>,
        config: Config,
        runtime: Option<Runtime>,
    ) -> Result<Self> {
        let runtime = runtime.map_or_else(main_runtime, Ok)?;
        let workers = listening.workers.len();
        let handle = new_handle(workers, &config, application.definitions(), listening.tls.clone());
        Ok(Server {
            application,
            config,
            listening,
            handle,
            runtime,
        })
    }

    /// Serves as [`serve`](Self::serve) does, and calls `on_start` once all workers serve.
    pub fn serve_from(mut self, on_start: impl FnOnce()) -> Result {
        if let Err(error) = refuse_runtime() {
            return Err(self.refused(error));
        }
        // Only `run` hands them over.
        self.listening.kept.clear();
        let observer = Arc::clone(&self.config.observer);
        let result = self.serve_with(Box::new(on_start), Box::pin(std::future::pending()));
        flush(&*observer);
        result.map(drop)
    }
}

/// Waits for the last lines of the log, after which the process may end.
fn flush(observer: &dyn crate::observer::Observer) {
    panics::caught("an observer panicked", || observer.flush(LAST_LINES));
}

/// The thread of a worker.
type WorkerThread = thread::JoinHandle<Result<CutOff>>;

/// Polls the tasks of the server besides its workers, until all workers have ended.
async fn drive(
    handle: &ServerHandle,
    config: &Config,
    on_start: impl FnOnce(),
    mut background: LocalFuture<Infallible>,
    mut ended: mpsc::Receiver<Infallible>,
) {
    let mut watch = pin!(watch_files(handle.clone()));
    let mut delay = pin!(handle.stop_after_delay());
    let mut start = pin!(async {
        handle.started().await;
        on_start();
        std::future::pending::<Infallible>().await
    });
    // The last numbers go when it is dropped, after the workers have ended.
    let mut forward = pin!(config.observer.export(handle.clone()));
    poll_fn(|context| {
        let Poll::Pending = start.as_mut().poll(context);
        let Poll::Pending = background.as_mut().poll(context);
        let Poll::Pending = watch.as_mut().poll(context);
        let Poll::Pending = delay.as_mut().poll(context);
        let Poll::Pending = forward.as_mut().poll(context);
        ended.poll_recv(context).map(drop)
    })
    .await;
}

/// Waits for the threads of the workers, and returns the sum of the work that they cut off, or the first error.
fn join(threads: Vec<WorkerThread>, started: Result) -> Result<CutOff> {
    let mut result = started.map(|()| CutOff::default());
    for thread in threads {
        let ended = thread.join().unwrap_or_else(|_| {
            let cause = io::Error::other("a worker panicked; please report this as a bug");
            Err(Error::system("serve", cause))
        });
        result = match (result, ended) {
            (Ok(sum), Ok(cut_off)) => Ok(sum.plus(cut_off)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
    }
    result
}

/// The handle of a server with this number of workers.
pub(super) fn new_handle(
    workers: usize,
    config: &Config,
    definitions: &'static [Definition],
    tls: Option<Arc<dyn TlsAcceptor>>,
) -> ServerHandle {
    let counted = config.observer.counts_routes().then_some(definitions.len());
    let counts = (0..workers).map(|_| Counts::new(counted)).collect();
    let budgets = Budgets::new(config.body_memory.unwrap_or_else(memory::default_bytes));
    ServerHandle::new(counts, definitions, budgets, config.stop_delay, tls)
}

/// Starts the thread that reports handlers that block their worker. The thread ends when the returned sender is dropped.
pub(super) fn watch_workers(handle: ServerHandle, threshold: Duration) -> Option<std::sync::mpsc::Sender<Infallible>> {
    if threshold.is_zero() {
        return None;
    }
    let (running, ended) = std::sync::mpsc::channel();
    let watch = move || blocking::watch(&handle, threshold, &ended);
    match spawn_thread("conduit-watch", Box::new(watch)) {
        Ok(_) => Some(running),
        Err(error) => {
            emit(&|| tracing::warn!(%error, "cannot start the thread that detects blocking handlers"));
            None
        }
    }
}

/// The number of polls that exceeds tokio's budget: twice the budget, so as not to depend on it.
const BUDGET: usize = 256;

/// Fails in a future that a tokio runtime polls: its thread would wait for another runtime, which tokio refuses with a panic
/// that does not name the remedy.
///
/// The presence of a runtime is not enough: a thread that has entered one, or a blocking thread of it, may wait. Only
/// a polled task has a budget, and is rescheduled when it is spent.
pub fn refuse_runtime() -> Result {
    let mut context = Context::from_waker(Waker::noop());
    let mut is_spent = || pin!(tokio::task::consume_budget()).poll(&mut context).is_pending();
    let is_polled = tokio::runtime::Handle::try_current().is_ok() && (0..BUDGET).any(|_| is_spent());
    if is_polled {
        Err(Error::inside_runtime())
    } else {
        Ok(())
    }
}

/// A runtime for the futures of the program itself: the opening of its state, and signals.
pub fn main_runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::system("create a tokio runtime", cause))
}

/// Reads the files of certificates again at each request, and when they have changed, which is checked once a second. A file
/// system may hang, so this uses a thread for blocking calls.
async fn watch_files(handle: ServerHandle) -> Infallible {
    let Some(tls) = handle.tls().filter(|tls| tls.has_files()) else {
        return std::future::pending().await;
    };
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let mut requested = pin!(handle.reload_requested());
        let is_requested = poll_fn(|context| {
            if requested.as_mut().poll(context).is_ready() {
                return Poll::Ready(true);
            }
            second.poll_tick(context).map(|_| false)
        })
        .await;
        let tls = Arc::clone(tls);
        let read = move || {
            if is_requested {
                manager::notify(&manager::reloading());
                tls.reload();
                manager::notify(manager::READY);
            } else {
                tls.reload_if_changed();
            }
        };
        // A panic of it was reported already.
        let _ = spawn_blocking(Box::new(read)).await;
    }
}

/// Reports the beginning of a shutdown to the manager and in the log.
async fn report_stop(handle: ServerHandle) -> Infallible {
    handle.reached(Stage::Unready).await;
    // A server that cannot start has an error instead; after a handover the manager has another main process.
    if handle.has_started() && !handle.is_replaced() {
        manager::notify(manager::STOPPING);
        let connections = handle.statistics().open_connections;
        emit(&|| tracing::info!(connections, "stopping; finishing the requests in progress"));
    }
    std::future::pending().await
}

/// The number of workers: one for each core, unless the program sets it.
///
/// # Errors
///
/// Returns an error if the process may not open as many descriptors as the workers need.
pub fn worker_count(config: &Config) -> Result<usize> {
    // Where the number of cores is unknown, one worker serves.
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let count = config.workers.unwrap_or_else(cores);
    check_workers(count).map(|()| count)
}
