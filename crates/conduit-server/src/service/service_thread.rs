//! A thread of a service: it opens its application, and serves jobs until the service ends.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_local;

use crate::cohort::Cohort;
use crate::config::Config;
use crate::current;
use crate::dispatch::OpenApplication;
use crate::error::{Error, Result};
use crate::exchange::Environment;
use crate::handle::{ServerHandle, Stage};
use crate::job::Job;
use crate::jobs::{JobServer, set_jobs};
use crate::thread_runtime::ThreadRuntime;
use crate::watch::Watch;
use crate::work::Work;

/// A thread that has not started: everything that it needs to serve.
pub(super) struct ServiceThread {
    pub(super) number: usize,
    pub(super) application: Box<dyn OpenApplication>,
    pub(super) config: Config,
    pub(super) handle: ServerHandle,
    pub(super) cohort: Cohort,
    /// Takes the result of the start.
    pub(super) opened: std::sync::mpsc::Sender<Result<()>>,
    /// Sends further requests of the process.
    pub(super) caller: mpsc::WeakUnboundedSender<Job>,
    pub(super) jobs: mpsc::UnboundedReceiver<Job>,
}

impl ServiceThread {
    /// Serves on this thread until the last caller is dropped or the application is closed; then drives the runtime until all
    /// threads have finished.
    pub(super) fn run(self) {
        let runtime = match ThreadRuntime::new() {
            Ok(runtime) => runtime,
            Err(cause) => {
                let _ = self.opened.send(Err(Error::system("create a tokio runtime", cause)));
                return;
            }
        };
        let (cohort, handle) = (self.cohort.clone(), self.handle.clone());
        // A task, as the driver of a worker is.
        let serving = async { spawn_local(self.serve()).await };
        let served = runtime.run(cohort, handle, serving, |served, _| served);
        served.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    }

    /// Opens the application, and serves jobs with it.
    async fn serve(self) {
        let ServiceThread {
            number,
            application,
            config,
            handle,
            cohort,
            opened,
            caller,
            jobs,
        } = self;
        let work = Work::default();
        current::enter(handle.clone(), number, work.clone(), config.files);
        set_jobs(caller);
        let connect = match cohort.open(application, number, &handle).await {
            Ok(Some(connect)) => connect,
            Ok(None) => return,
            Err(error) => {
                // The receiver waits for it, unless it has the error of another thread already.
                let _ = opened.send(Err(error));
                return;
            }
        };
        drop(cohort);
        let counts = Arc::clone(handle.counts());
        let watch = Watch::new(Arc::clone(&config.observer), false);
        let environment = Environment::new(connect(), counts, number, work.clone(), watch, &config);
        let shutdown_timeout = config.shutdown_timeout;
        let server = JobServer::new(environment, config);
        let _ = opened.send(Ok(()));
        drop(opened);
        serve_jobs(&server, jobs, &handle, &work, shutdown_timeout).await;
    }
}

/// Serves jobs until the last caller is dropped or the application is closed, and then waits for the work in progress.
async fn serve_jobs(
    server: &JobServer,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    handle: &ServerHandle,
    work: &Work,
    shutdown_timeout: Duration,
) {
    let mut closed = pin!(handle.reached(Stage::Closing));
    let mut delay = pin!(handle.stop_after_delay());
    loop {
        let next = poll_fn(|context| {
            let Poll::Pending = delay.as_mut().poll(context);
            match closed.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => jobs.poll_recv(context),
            }
        });
        let Some(job) = next.await else { break };
        server.serve(job);
    }
    let mut limit = pin!(tokio::time::sleep(shutdown_timeout));
    let is_over = poll_fn(|context| {
        if work.poll_finished(context).is_ready() {
            return Poll::Ready(false);
        }
        // It may have been ready above already.
        let over =
            handle.is_closing() || closed.as_mut().poll(context).is_ready() || limit.as_mut().poll(context).is_ready();
        if over { Poll::Ready(true) } else { Poll::Pending }
    });
    if is_over.await {
        work.name_in_log();
    }
}
