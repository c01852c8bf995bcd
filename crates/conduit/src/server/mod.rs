//! The server: one worker per core, each with its own listening socket, event loop and connections.
//!
//! [`worker`] is the event loop, [`connection`] what happens on one connection, [`transport`] the stream of bytes below it,
//! [`mailbox`] how tasks speak to their connection, [`deadlines`] the clock; [`listening`] makes the sockets that connections
//! come from, [`handover`] passes them to the process that replaces this one. Nothing is shared between workers but the word to stop.

pub(crate) mod access_log;
pub(crate) mod address;
mod batch;
mod blocking;
pub(crate) mod clock;
pub(crate) mod config;
mod connection;
pub(crate) mod counts;
mod deadlines;
pub(crate) mod disk;
pub(crate) mod facts;
mod handlers;
mod handover;
mod idle;
#[cfg(feature = "testing")]
pub(crate) mod in_process;
pub(crate) mod latency;
pub(crate) mod listening;
pub(crate) mod mailbox;
mod manager;
mod peers;
pub(crate) mod proxies;
#[cfg_attr(feature = "opentelemetry", path = "server_span.rs")]
#[cfg_attr(not(feature = "opentelemetry"), path = "without_server_span.rs")]
mod server_span;
#[cfg(feature = "tower")]
pub(crate) mod service;
mod tail;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod watch;
mod worker;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::net::SocketAddr;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use crate::dispatch::Plan;
use crate::error::{Error, Result};
use crate::metrics;
use crate::route::Definition;
use config::Config;
use counts::Counts;
pub use counts::{Limit, Statistics};
use handover::{Handover, Predecessor};
use listening::{Bound, Listening, SocketFile};
use peers::Peers;
use transport::Securing;
use worker::{Limits, Worker};

/// Descriptors that the process needs besides connections: standard streams, pollers, files, databases.
const SPARE_DESCRIPTORS: u64 = 128;

/// A server that listens and does not serve yet; made by [`App::listen`](crate::App::listen).
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
pub struct Server<S: 'static> {
    state: S,
    plan: Plan<S>,
    config: Config,
    listening: Listening,
    handle: ServerHandle,
    runtime: Runtime,
}

impl<S: Clone + Send + 'static> Server<S> {
    pub(crate) fn new(
        listening: Listening,
        state: S,
        plan: Plan<S>,
        config: Config,
        runtime: Option<Runtime>,
    ) -> Result<Self> {
        let runtime = runtime.map_or_else(main_runtime, Ok)?;
        let workers = listening.workers.len();
        let handle = ServerHandle::new(workers, &config, listening.tls.clone(), plan.definitions());
        Ok(Server {
            state,
            plan,
            config,
            listening,
            handle,
            runtime,
        })
    }

    /// The IP address that the server listens on, with the port that the system chose where 0 was asked for; the first
    /// where there are several.
    ///
    /// # Panics
    ///
    /// When it listens on Unix sockets only.
    pub fn address(&self) -> SocketAddr {
        self.addresses()
            .next()
            .expect("a server that listens on Unix sockets only has no IP address")
    }

    /// The IP addresses that the server listens on, in the order that was asked for.
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

    /// Prints the addresses and serves until SIGINT or SIGTERM: then no more connections are accepted, requests that are
    /// being served are finished, and the call returns. A second signal closes at once what is left. A manager such as
    /// systemd that has set `NOTIFY_SOCKET` is told both (sd_notify(3)).
    ///
    /// At SIGUSR2 the program is started again, by the name and with the arguments that this process was started with, and
    /// takes the listening sockets over: no client is refused. When it serves, this process finishes what it has, each
    /// answer saying `connection: close`, and the call returns; when it does not, this one serves on and says so in the log.
    ///
    /// # Errors
    ///
    /// When the system refuses what the server needs: signal handlers, threads, pollers. When it is called inside of a tokio
    /// runtime, as in a `main` with `#[tokio::main]`.
    pub fn run(mut self) -> Result {
        // Before the addresses are printed.
        if let Err(error) = refuse_runtime() {
            return Err(self.refused(error));
        }
        let handle = self.handle();
        let kept = std::mem::take(&mut self.listening.kept);
        let handover = Handover::new(kept, self.config.restart_timeout, handle.clone());
        let signals = {
            let _inside = self.runtime.enter();
            heed_signals(handle, handover).map_err(|cause| Error::system("handle signals", cause))?
        };
        for bound in &self.listening.bound {
            // Whoever started the program may have closed this end of its output; it serves all the same.
            let _ = writeln!(io::stdout(), "Listening on {bound}");
        }
        // A successor's readiness is told by its predecessor, to whom alone the manager listens until then.
        if self.listening.predecessor.is_none() {
            manager::tell(manager::READY);
        }
        self.serve_beside(signals)
    }

    /// Serves until [`ServerHandle::stop`] is called. No signal is handled and nothing is printed.
    ///
    /// # Errors
    ///
    /// When the system refuses what the server needs: threads, pollers. When it is called inside of a tokio runtime.
    pub fn serve(mut self) -> Result {
        if let Err(error) = refuse_runtime() {
            return Err(self.refused(error));
        }
        // Only `run` hands them over.
        self.listening.kept.clear();
        self.serve_beside(std::future::pending())
    }

    /// Lets go of the runtime without waiting, which tokio would refuse too.
    fn refused(self, error: Error) -> Error {
        self.runtime.shutdown_background();
        error
    }

    /// Serves on the workers' threads. This thread drives the runtime that the state was made on, and `beside`.
    fn serve_beside(self, beside: impl Future<Output = Infallible>) -> Result {
        // Ends its thread when this function ends.
        let _watching = watch_workers(self.handle.clone(), self.config.blocked_after);
        let workers = self.listening.workers.len();
        let connections = match self.config.connections {
            Some(count) => count,
            None => connections_per_worker(workers),
        };
        let half = (connections.saturating_mul(workers) / 2).max(64);
        let peers = Arc::new(Peers::new(self.config.peer_connections.unwrap_or(half)));
        let hsts = self.listening.tls.as_ref().and_then(|tls| tls.hsts());
        let redirect = self.listening.redirect();
        // Nothing is ever sent: the channel closes when the last worker has ended, in whatever way.
        let (running, mut ended) = mpsc::channel::<Infallible>(1);
        let mut threads = Vec::with_capacity(self.listening.workers.len());
        let mut result = Ok(());
        let files = self.listening.files;
        let predecessor = self.listening.predecessor;
        for (number, listeners) in self.listening.workers.into_iter().enumerate() {
            let (state, plan, config, handle) = (
                self.state.clone(),
                self.plan.clone(),
                self.config.clone(),
                self.handle.clone(),
            );
            let (running, peers, hsts) = (running.clone(), Arc::clone(&peers), hsts.clone());
            let thread = thread::Builder::new().name(format!("conduit-{number}")).spawn(move || {
                // One worker that ends, because it must or because it fails, ends the server: the failure is seen.
                let _running = (running, StopOnDrop(handle.clone()));
                let limits = Limits {
                    connections,
                    peers,
                    hsts,
                    redirect,
                };
                Worker::run(number, listeners, state, plan, config, limits, handle)
            });
            match thread {
                Ok(thread) => threads.push(thread),
                Err(cause) => {
                    self.handle.close();
                    result = Err(Error::system("start a worker's thread", cause));
                    break;
                }
            }
        }
        drop(running);
        self.runtime.block_on(async {
            let mut beside = pin!(beside);
            let mut look = pin!(look_at_files(self.listening.tls.clone()));
            let mut delay = pin!(self.handle.stop_after_delay());
            let mut report = pin!(report(predecessor, self.handle.clone()));
            // The last numbers go when it is dropped, after the workers have ended.
            let mut forward = pin!(metrics::forward(self.handle.clone(), self.config.records_metrics));
            poll_fn(|context| {
                let Poll::Pending = beside.as_mut().poll(context);
                let Poll::Pending = look.as_mut().poll(context);
                let Poll::Pending = delay.as_mut().poll(context);
                let Poll::Pending = report.as_mut().poll(context);
                let Poll::Pending = forward.as_mut().poll(context);
                ended.poll_recv(context).map(drop)
            })
            .await;
        });
        for thread in threads {
            let ended = thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a worker panicked; please report this as a bug")))
                .map_err(|cause| Error::system("serve", cause));
            result = result.and(ended);
        }
        // What was left to blocking threads has no part in the shutdown's deadline.
        self.runtime.shutdown_background();
        // Socket files are removed when everything has ended, unless they are another process's now.
        if self.handle.0.replaced.load(Ordering::Acquire) {
            files.into_iter().for_each(SocketFile::leave);
        }
        result
    }
}

/// Starts the thread that looks whether a handler blocks its worker; it ends when what is returned is dropped.
fn watch_workers(handle: ServerHandle, threshold: Duration) -> Option<std::sync::mpsc::Sender<Infallible>> {
    if threshold.is_zero() {
        return None;
    }
    let (running, ended) = std::sync::mpsc::channel();
    let watch = move || blocking::watch(&handle, threshold, &ended);
    match thread::Builder::new().name("conduit-watch".to_owned()).spawn(watch) {
        Ok(_) => Some(running),
        Err(error) => {
            tracing::warn!(%error, "cannot start the thread that names handlers that block");
            None
        }
    }
}

/// Tells the process before that this one serves, if there is one.
async fn report(predecessor: Option<Predecessor>, handle: ServerHandle) -> Infallible {
    if let Some(predecessor) = predecessor {
        predecessor.hear(handle).await;
    }
    std::future::pending().await
}

/// How often a future may ask tokio before it has to let others go on: twice what it is, so as not to depend on it.
const BUDGET: usize = 256;

/// Fails in a future that a tokio runtime polls: its thread would wait for another runtime, which tokio refuses with a panic
/// that does not say what to do.
///
/// That there is a runtime does not tell: a thread that has entered one, or on which it runs what blocks, may wait. Only
/// what is polled has a budget, and is told to come again when that is spent.
pub(crate) fn refuse_runtime() -> Result {
    let mut context = Context::from_waker(Waker::noop());
    let mut is_spent = || pin!(tokio::task::consume_budget()).poll(&mut context).is_pending();
    let is_polled = tokio::runtime::Handle::try_current().is_ok() && (0..BUDGET).any(|_| is_spent());
    if is_polled {
        Err(Error::inside_runtime())
    } else {
        Ok(())
    }
}

/// A runtime for what the program itself awaits: its state's making, signals.
pub(crate) fn main_runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::system("make a tokio runtime", cause))
}

/// Looks once a second whether the files of certificates have changed.
async fn look_at_files(tls: Option<Arc<dyn Securing>>) -> Infallible {
    let Some(tls) = tls.filter(|tls| tls.has_files()) else {
        return std::future::pending().await;
    };
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        second.tick().await;
        tls.look();
    }
}

/// Handles SIGINT, SIGTERM, SIGUSR2 and, where there are files to read again, SIGHUP from now on; to be called inside a
/// runtime.
fn heed_signals(handle: ServerHandle, handover: Handover) -> io::Result<impl Future<Output = Infallible>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let replace = signal(SignalKind::user_defined2())?;
    // Only where there is something to read again: otherwise it ends the process, as a terminal that is closed expects.
    let has_files = handle.0.tls.as_ref().is_some_and(|tls| tls.has_files());
    let mut hang_up = if has_files {
        Some(signal(SignalKind::hangup())?)
    } else {
        None
    };
    let mut handover = Box::pin(handover.run(replace));
    Ok(poll_fn(move |context| {
        while let Some(hang_up) = &mut hang_up
            && hang_up.poll_recv(context).is_ready()
        {
            manager::tell(&manager::reloading());
            handle.reload();
            manager::tell(manager::READY);
        }
        while interrupt.poll_recv(context).is_ready() || terminate.poll_recv(context).is_ready() {
            handle.stop_or_close();
        }
        handover.as_mut().poll(context)
    }))
}

struct StopOnDrop(ServerHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.advance(STOPPING);
    }
}

const SERVING: u8 = 0;
/// Told to stop, and serving on for the delay that was set.
const UNREADY: u8 = 1;
const STOPPING: u8 = 2;
const CLOSING: u8 = 3;

/// Stops a [`Server`] from any thread; clones stop the same server.
#[derive(Clone, Debug)]
pub struct ServerHandle(Arc<Stop>);

#[derive(Debug)]
struct Stop {
    /// The certificates, where connections are encrypted.
    tls: Option<Arc<dyn Securing>>,
    stage: AtomicU8,
    /// Between the word to stop and the stop.
    delay: Duration,
    changed: Notify,
    /// Another process has the sockets now.
    replaced: AtomicBool,
    /// It stops for that reason only: idle connections stay.
    keeps_idle: AtomicBool,
    /// How many workers have no poller yet.
    starting: AtomicUsize,
    started: Notify,
    /// What each worker has counted.
    counts: Arc<[Counts]>,
    definitions: &'static [Definition],
}

impl ServerHandle {
    /// A handle of a server that is about to serve.
    fn new(
        workers: usize,
        config: &Config,
        tls: Option<Arc<dyn Securing>>,
        definitions: &'static [Definition],
    ) -> Self {
        let counted = metrics::counts_routes(definitions, config).then_some(definitions.len());
        #[cfg(feature = "metrics")]
        if metrics::is_wanted(definitions) {
            metrics::recorder::install();
        }
        ServerHandle(Arc::new(Stop {
            stage: AtomicU8::new(SERVING),
            delay: config.stop_delay,
            changed: Notify::new(),
            replaced: AtomicBool::new(false),
            keeps_idle: AtomicBool::new(false),
            starting: AtomicUsize::new(workers),
            started: Notify::new(),
            tls,
            counts: (0..workers).map(|_| Counts::new(counted)).collect(),
            definitions,
        }))
    }

    /// Stops gracefully: no more connections are accepted, idle ones are closed, requests that are being served are
    /// finished within the [shutdown timeout](crate::App::shutdown_timeout). Where there is a
    /// [delay](crate::App::stop_delay) it serves on for that first, and is not ready any more.
    pub fn stop(&self) {
        self.advance(if self.0.delay.is_zero() { STOPPING } else { UNREADY });
    }

    /// Stops when the delay after the word to stop is over.
    async fn stop_after_delay(&self) -> Infallible {
        self.reached(UNREADY).await;
        tokio::time::sleep(self.0.delay).await;
        self.advance(STOPPING);
        std::future::pending().await
    }

    /// Another process has taken over: stops, and lets idle connections stay until their next answer, which sends them
    /// there.
    fn leave(&self) {
        self.0.replaced.store(true, Ordering::Release);
        self.0.keeps_idle.store(true, Ordering::Release);
        self.advance(STOPPING);
    }

    pub(crate) fn keeps_idle(&self) -> bool {
        self.0.keeps_idle.load(Ordering::Acquire)
    }

    /// A worker has its poller.
    pub(crate) fn worker_started(&self) {
        if self.0.starting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.started.notify_one();
        }
    }

    /// Waits until each worker has its poller; for one waiter.
    async fn started(&self) {
        self.0.started.notified().await;
    }

    /// Reads the files of certificates again, as SIGHUP does where [`run`](Server::run) serves. What cannot be used is
    /// named in the log, and the server goes on with what it had.
    pub fn reload(&self) {
        if let Some(tls) = &self.0.tls {
            tls.reload();
        }
    }

    /// Closes every connection, whatever is served on it.
    pub fn close(&self) {
        self.advance(CLOSING);
    }

    /// What the server has done so far: connections, requests, bytes, and how often each limit struck.
    ///
    /// The numbers are those of all workers, read one after the other while they go on.
    pub fn statistics(&self) -> Statistics {
        Statistics::of(&self.0.counts)
    }

    pub(crate) fn counts(&self) -> &Arc<[Counts]> {
        &self.0.counts
    }

    /// Method, path and handler of each route, in the order of the table.
    pub(crate) fn definitions(&self) -> &'static [Definition] {
        self.0.definitions
    }

    /// What a signal does: the first stops, the second closes. One that comes when another process has taken over is a
    /// first.
    fn stop_or_close(&self) {
        if self.0.keeps_idle.swap(false, Ordering::AcqRel) {
            self.0.changed.notify_waiters();
        } else if self.0.stage.load(Ordering::Acquire) == SERVING {
            manager::tell(manager::STOPPING);
            self.stop();
        } else {
            self.close();
        }
    }

    /// Whether the server wants requests: it has not been told to stop, or another process takes them already. What a load balancer asks
    /// [`readyz`](fn@crate::health::readyz) for.
    pub fn is_ready(&self) -> bool {
        self.0.stage.load(Ordering::Acquire) == SERVING || self.keeps_idle()
    }

    /// Whether the server stops: it does not accept connections any more, and finishes what it serves.
    pub fn is_stopping(&self) -> bool {
        self.0.stage.load(Ordering::Acquire) >= STOPPING
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.0.stage.load(Ordering::Acquire) == CLOSING
    }

    /// Waits until the server stops.
    pub(crate) async fn stopping(&self) {
        self.reached(STOPPING).await;
    }

    async fn reached(&self, stage: u8) {
        loop {
            // Before the question, so that no word is missed between it and the wait.
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if self.0.stage.load(Ordering::Acquire) >= stage {
                return;
            }
            changed.await;
        }
    }

    /// Waits for the next call of `stop` or `close`.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn advance(&self, stage: u8) {
        self.0.stage.fetch_max(stage, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }
}

pub(crate) fn worker_count(config: &Config) -> usize {
    // Where the system does not say how many cores there are, one worker serves.
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    config.workers.unwrap_or_else(cores)
}

/// Raises the limit of descriptors as far as the process may, and gives each worker its share.
fn connections_per_worker(workers: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let all = current
        .unwrap_or(1 << 20)
        .saturating_sub(SPARE_DESCRIPTORS)
        .max(workers as u64);
    usize::try_from(all).unwrap_or(usize::MAX) / workers
}
