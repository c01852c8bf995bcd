//! The start of a worker on its thread, and its end.

use std::rc::Rc;
use std::sync::Arc;

use conduit_net::{AsyncPoller, Events, Poller};
use http::HeaderValue;
use tokio::task::spawn_local;

use super::ticker::wake_worker;
use super::{Driver, Worker};
use crate::cohort::Cohort;
use crate::commands::CommandQueue;
use crate::config::Config;
use crate::current;
use crate::cut_off::CutOff;
use crate::descriptors::start_error;
use crate::dispatch::OpenApplication;
use crate::error::{Error, Result};
use crate::exchange::Environment;
use crate::handle::ServerHandle;
use crate::listening::Listener;
use crate::live;
use crate::peers::Peers;
use crate::shared::Shared;
use crate::thread_runtime::ThreadRuntime;
use crate::watch::Watch;
use crate::work::{Work, WorkCounts};

/// The number of events that a turn takes from the poller; then tokio has its turn.
const EVENTS_PER_TURN: usize = 1024;

/// The configuration and the shared parts that a worker starts with.
pub(crate) struct WorkerStart {
    pub(crate) number: usize,
    /// The number of all workers.
    pub(crate) workers: usize,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) application: Box<dyn OpenApplication>,
    pub(crate) config: Config,
    /// The limit of open connections on this worker.
    pub(crate) connection_limit: usize,
    /// The open connections of each peer address, on all workers.
    pub(crate) peers: Arc<Peers>,
    /// The value of HSTS for connections with TLS.
    pub(crate) hsts: Option<HeaderValue>,
    /// The port of HTTPS to which requests without TLS are redirected.
    pub(crate) redirect: Option<u16>,
    pub(crate) handle: ServerHandle,
    pub(crate) cohort: Cohort,
}

impl WorkerStart {
    /// Serves on this thread until the server stops, and then drives the runtime until all workers have finished.
    pub(crate) fn run(self) -> Result<CutOff> {
        let unstarted = |cause| start_error("create a tokio runtime", cause, self.workers);
        let runtime = ThreadRuntime::new().map_err(unstarted)?;
        let (cohort, handle) = (self.cohort.clone(), self.handle.clone());
        runtime.run(cohort, handle, self.serve(), |served, alive_tasks| {
            let (mut cut_off, work) = served?;
            // The runtime drops the remaining tasks.
            let WorkCounts { handlers, tasks } = work.counts();
            cut_off.uncounted_tasks = alive_tasks.saturating_sub(handlers + tasks);
            Ok(cut_off)
        })
    }

    async fn serve(self) -> Result<(CutOff, Work)> {
        let WorkerStart {
            number,
            workers,
            listeners,
            application,
            config,
            connection_limit,
            peers,
            hsts,
            redirect,
            handle,
            cohort,
        } = self;
        let work = Work::default();
        current::enter(handle.clone(), number, work.clone(), config.files);
        live::enter();
        let Some(connect) = cohort.open(application, number, &handle).await? else {
            return Ok((CutOff::default(), work));
        };
        drop(cohort);
        let failed = |cause| Error::system("serve", cause);
        let counts_routes = !handle.counts()[number].routes.is_empty();
        let unstarted = |cause| start_error("create a poller", cause, workers);
        let poller = Rc::new(Poller::new().map_err(unstarted)?);
        let commands = Rc::new(CommandQueue::default());
        let observer = Arc::clone(&config.observer);
        let ticker = wake_worker(Rc::clone(&commands), handle.clone(), observer, number);
        let ticker = spawn_local(ticker);
        let new_environment = |application| {
            let watch = Watch::new(Arc::clone(&config.observer), counts_routes);
            Environment::new(
                application,
                Arc::clone(handle.counts()),
                number,
                work.clone(),
                watch,
                &config,
            )
        };
        let application = connect();
        #[cfg(feature = "tower")]
        let internal = config.takes_internal.then(|| {
            let environment = new_environment(application.clone());
            let taking = crate::jobs::take_internal(environment, config.clone());
            spawn_local(taking)
        });
        let environment = new_environment(application).with_connections(redirect, hsts);
        let shared = Shared::new(Rc::clone(&poller), commands, environment, config, peers);
        let worker = Worker::new(shared, listeners, connection_limit, handle);
        let poller = AsyncPoller::new(poller).map_err(unstarted)?;
        worker.handle.worker_started();
        let driver = Driver {
            worker,
            poller,
            events: Events::with_capacity(EVENTS_PER_TURN),
        };
        // As a task, not as the future of `block_on`: a task that is woken on its own thread costs no system call.
        let served = spawn_local(driver).await;
        ticker.abort();
        // An aborted task counts as alive until it is awaited.
        let _ = ticker.await;
        #[cfg(feature = "tower")]
        if let Some(internal) = internal {
            internal.abort();
            let _ = internal.await;
        }
        let cut_off = served
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            .map_err(failed)?;
        Ok((cut_off, work))
    }
}
