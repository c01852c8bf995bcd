//! The handle of a server: its stages from serving to closing, and the requests that other threads make of it.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::counts::{Counts, Statistics};
use crate::memory::Budgets;
use crate::route::Definition;
use crate::transport::TlsAcceptor;

/// The stage of a server, which only advances.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(super) enum Stage {
    Serving,
    /// A stop was requested; the server serves for the delay before it.
    Unready,
    Stopping,
    Closing,
}

/// Stops a [`Server`](crate::Server) from any thread; clones stop the same server.
#[derive(Clone, Debug)]
pub struct ServerHandle(Arc<Lifecycle>);

#[derive(Debug)]
struct Lifecycle {
    /// The certificates, if connections use TLS.
    tls: Option<Arc<dyn TlsAcceptor>>,
    /// The number of the [`Stage`].
    stage: AtomicU8,
    /// Between the request to stop and the stop.
    delay: Duration,
    changed: Notify,
    /// Another process has the sockets now.
    replaced: AtomicBool,
    /// The server stops for that reason only: idle connections stay.
    keeps_idle: AtomicBool,
    /// The number of workers that do not serve yet.
    starting: AtomicUsize,
    started: Notify,
    /// SIGUSR2: another process is to take over.
    handover: Notify,
    /// SIGHUP: the files of certificates are to be read again.
    reload: Notify,
    /// The counts of each worker.
    counts: Arc<[Counts]>,
    definitions: &'static [Definition],
    budgets: Budgets,
}

impl ServerHandle {
    /// A handle of a server whose workers, one for each of `counts`, are about to serve.
    pub(super) fn new(
        counts: Arc<[Counts]>,
        definitions: &'static [Definition],
        budgets: Budgets,
        delay: Duration,
        tls: Option<Arc<dyn TlsAcceptor>>,
    ) -> Self {
        ServerHandle(Arc::new(Lifecycle {
            stage: AtomicU8::new(Stage::Serving as u8),
            delay,
            changed: Notify::new(),
            replaced: AtomicBool::new(false),
            keeps_idle: AtomicBool::new(false),
            starting: AtomicUsize::new(counts.len()),
            started: Notify::new(),
            handover: Notify::new(),
            reload: Notify::new(),
            tls,
            counts,
            definitions,
            budgets,
        }))
    }

    /// Stops gracefully: no more connections are accepted, idle ones are closed, and requests and
    /// tasks (`Tasks`) in progress have the shutdown timeout (`App::shutdown_timeout`) to finish. With a
    /// `App::stop_delay`, the server first serves for that time without being ready.
    pub fn stop(&self) {
        self.advance(if self.0.delay.is_zero() {
            Stage::Stopping
        } else {
            Stage::Unready
        });
    }

    /// Stops when the delay after the request to stop is over.
    pub(super) async fn stop_after_delay(&self) -> Infallible {
        self.reached(Stage::Unready).await;
        tokio::time::sleep(self.0.delay).await;
        self.advance(Stage::Stopping);
        std::future::pending().await
    }

    /// Another process has taken over: stops, and keeps idle connections until their next response, which makes the client connect
    /// again.
    pub(super) fn leave(&self) {
        self.0.replaced.store(true, Ordering::Release);
        self.0.keeps_idle.store(true, Ordering::Release);
        self.advance(Stage::Stopping);
    }

    /// Returns whether another process has taken over.
    pub(super) fn is_replaced(&self) -> bool {
        self.0.replaced.load(Ordering::Acquire)
    }

    pub(crate) fn keeps_idle(&self) -> bool {
        self.0.keeps_idle.load(Ordering::Acquire)
    }

    /// Records that a worker serves.
    pub(crate) fn worker_started(&self) {
        if self.0.starting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.started.notify_one();
        }
    }

    /// Returns whether all workers serve, or have served.
    pub(super) fn has_started(&self) -> bool {
        self.0.starting.load(Ordering::Acquire) == 0
    }

    /// Waits until all workers serve; for one waiter.
    pub(super) async fn started(&self) {
        self.0.started.notified().await;
    }

    /// Reads the files of certificates again, as SIGHUP does where [`run`](crate::Server::run) serves. Files that cannot be
    /// used are named in the log, and the server keeps the certificates that it has.
    pub fn reload(&self) {
        if let Some(tls) = &self.0.tls {
            tls.reload();
        }
    }

    /// Returns whether certificates come from files.
    pub(super) fn has_files(&self) -> bool {
        self.0.tls.as_ref().is_some_and(|tls| tls.has_files())
    }

    pub(super) fn tls(&self) -> Option<&Arc<dyn TlsAcceptor>> {
        self.0.tls.as_ref()
    }

    /// Requests a reload of the certificate files, which another thread reads.
    pub(super) fn request_reload(&self) {
        self.0.reload.notify_one();
    }

    /// Waits for the next [`request_reload`](Self::request_reload); for one waiter.
    pub(super) async fn reload_requested(&self) {
        self.0.reload.notified().await;
    }

    /// Requests the start of the process that takes over, which another thread starts.
    pub(super) fn request_handover(&self) {
        self.0.handover.notify_one();
    }

    /// Waits for the next [`request_handover`](Self::request_handover); for one waiter.
    pub(super) async fn handover_requested(&self) {
        self.0.handover.notified().await;
    }

    /// Closes every connection, also those with a request in progress.
    pub fn close(&self) {
        self.advance(Stage::Closing);
    }

    /// The numbers of connections, requests and bytes so far, and the hits of each limit.
    ///
    /// They are sums over all workers, read one after the other while the workers serve.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::of(&self.0.counts);
        if let Some(tls) = &self.0.tls {
            statistics.failed_certificate_reloads = tls.failed_reloads();
            statistics.certificates_not_after = Some(tls.not_after());
        }
        statistics
    }

    /// The effect of SIGINT and SIGTERM: the first stops, the second closes. After a handover the first signal stops.
    pub(super) fn stop_or_close(&self) {
        if self.0.keeps_idle.swap(false, Ordering::AcqRel) {
            self.0.changed.notify_waiters();
        } else if self.stage() == Stage::Serving {
            self.stop();
        } else {
            self.close();
        }
    }

    /// Returns whether the server accepts requests: no stop was requested, or another process accepts them already. It is the
    /// status of `health::readyz`.
    pub fn is_ready(&self) -> bool {
        (self.stage() == Stage::Serving || self.keeps_idle()) && self.0.budgets.has_room()
    }

    /// Returns whether the server stops: it no longer accepts connections, and finishes the requests in progress.
    pub fn is_stopping(&self) -> bool {
        self.stage() >= Stage::Stopping
    }

    /// Waits until the server stops, as [`is_stopping`](Self::is_stopping) returns it. For a task that is not one of a request;
    /// a handler has the extractor `Shutdown`. The future may be awaited on any runtime and thread.
    pub async fn stopping(&self) {
        self.reached(Stage::Stopping).await;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.stage() == Stage::Closing
    }

    /// The output of the future, or `None` once the server stops.
    pub(super) async fn unless_stopping<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut stopping = pin!(self.stopping());
        let mut future = pin!(future);
        poll_fn(|context| {
            if stopping.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(context).map(Some)
        })
        .await
    }

    /// Waits until the server is at this stage or a later one.
    pub(super) async fn reached(&self, stage: Stage) {
        loop {
            // Registered before the stage is read, so that no change is missed in between.
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if self.stage() >= stage {
                return;
            }
            changed.await;
        }
    }

    /// Waits for the next change of the stage: the first one after this call, also before the first poll. So a caller that
    /// reads the stage after the call misses no change.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    /// Advances the server to this stage, unless it is at a later one.
    pub(super) fn advance(&self, stage: Stage) {
        self.0.stage.fetch_max(stage as u8, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }

    fn stage(&self) -> Stage {
        let stages = [Stage::Serving, Stage::Unready, Stage::Stopping, Stage::Closing];
        stages[usize::from(self.0.stage.load(Ordering::Acquire))]
    }
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl ServerHandle {
    pub fn counts(&self) -> &Arc<[Counts]> {
        &self.0.counts
    }

    /// Method, path and handler of each route, in the order of the table.
    pub fn definitions(&self) -> &'static [Definition] {
        self.0.definitions
    }

    /// The memory for bodies.
    pub fn budgets(&self) -> &Budgets {
        &self.0.budgets
    }
}

/// Stops the server when it is dropped: a worker that returns or panics ends the server.
pub(super) struct StopOnDrop(pub(super) ServerHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.advance(Stage::Stopping);
    }
}
