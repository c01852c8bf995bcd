//! Requests of the process to its own application.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;

use conduit_core::interop::SendBody;
use tokio::sync::{mpsc, oneshot};

use super::server::JobServer;
use crate::body::Body;
use crate::config::Config;
use crate::connection_info::ConnectionInfo;
use crate::exchange::Environment;
use crate::job::{Job, JobSource};

thread_local! {
    /// Sends requests of the process to the application of this thread; `None` if it takes none.
    static JOBS: RefCell<Option<mpsc::WeakUnboundedSender<Job>>> = const { RefCell::new(None) };
}

/// Sends requests of the process itself to the application of one thread.
#[derive(Clone)]
pub struct InternalCaller {
    jobs: mpsc::UnboundedSender<Job>,
}

impl InternalCaller {
    pub(crate) fn new(jobs: mpsc::UnboundedSender<Job>) -> Self {
        InternalCaller { jobs }
    }

    /// The caller of the application on this thread; `None` if it takes no requests of the process.
    pub fn of_this_thread() -> Option<Self> {
        let jobs = JOBS.with_borrow(|jobs| jobs.as_ref()?.upgrade())?;
        Some(InternalCaller::new(jobs))
    }

    /// Calls the application with a request that is made on its thread, for a client with this address and connection. A
    /// handler whose caller is dropped is treated as one whose client disconnects. `None` if the thread has ended.
    pub async fn call(
        &self,
        request: impl FnOnce() -> http::Request<Body> + Send + 'static,
        peer: SocketAddr,
        info: Option<ConnectionInfo>,
    ) -> Option<http::Response<SendBody>> {
        let (answer, receiver) = oneshot::channel();
        let job = Job {
            request: Box::new(request),
            peer: Some(peer),
            source: JobSource::Process(info.map(Box::new)),
            answer,
        };
        self.jobs.send(job).ok()?;
        receiver.await.ok()
    }
}

impl fmt::Debug for InternalCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InternalCaller")
    }
}

/// Makes this the sender of the process's own requests to the application of this thread.
pub(crate) fn set_jobs(jobs: mpsc::WeakUnboundedSender<Job>) {
    JOBS.set(Some(jobs));
}

/// Takes requests of the process for the application of a worker, until it is dropped.
pub(crate) async fn take_internal(environment: Environment, config: Config) {
    let (jobs, mut requests) = mpsc::unbounded_channel();
    set_jobs(jobs.downgrade());
    let server = JobServer::new(environment, config);
    // The channel stays open as long as this future.
    let _jobs = jobs;
    while let Some(job) = requests.recv().await {
        server.serve(job);
    }
}
