//! An application without connections: separate threads serve requests that another server has read.
//!
//! Each [thread](service_thread) is a worker without a poller: it has a tokio runtime and the application, polls handlers in place,
//! and continues pending ones as tasks. Requests arrive as [jobs](crate::jobs).

mod service_thread;

use std::convert::Infallible;
use std::fmt;
use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use conduit_core::interop::SendBody;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use self::service_thread::ServiceThread;
use crate::body::Body;
use crate::cohort::Cohort;
use crate::config::Config;
use crate::dispatch::OpenApplication;
use crate::erased::spawn_thread;
use crate::error::{Error, Result};
use crate::handle::{ServerHandle, Stage, StopOnDrop};
use crate::job::{Job, JobSource};
use crate::server::{new_handle, watch_workers, worker_count};

pub use crate::jobs::InternalCaller;

/// The threads of an application. They end when this is dropped, after the requests and tasks in progress.
pub struct Threads {
    threads: Vec<Thread>,
    /// The index at which the next search for the thread with the fewest requests begins.
    next: AtomicUsize,
    handle: ServerHandle,
}

struct Thread {
    jobs: mpsc::UnboundedSender<Job>,
    /// The number of its requests with a waiting caller.
    open: Arc<AtomicUsize>,
}

/// A pending response; `Err` if the thread has ended.
pub struct Answer {
    answer: oneshot::Receiver<http::Response<SendBody>>,
    open: Arc<AtomicUsize>,
}

impl Answer {
    /// The response, when it is ready.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<http::Response<SendBody>>> {
        pin!(&mut self.answer).poll(context).map(std::result::Result::ok)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

impl Threads {
    /// Starts the number of threads that the configuration sets.
    ///
    /// # Errors
    ///
    /// Returns an error if a thread cannot open its state, or if the system refuses a thread.
    pub fn start(application: Box<dyn OpenApplication>, config: Config, runtime: Option<Runtime>) -> Result<Self> {
        let workers = worker_count(&config)?;
        let handle = new_handle(workers, &config, application.definitions(), None);
        let watching = watch_workers(handle.clone(), config.blocked_after);
        // The channel carries no value. It closes when the last thread has ended, normally or not.
        let (running, ended) = mpsc::channel::<Infallible>(1);
        let failed = |cause| Error::system("start a thread of the application", cause);
        let mut threads = Threads {
            threads: Vec::with_capacity(workers),
            next: AtomicUsize::new(0),
            handle: handle.clone(),
        };
        let cohort = Cohort::new();
        let (opened, has_opened) = std::sync::mpsc::channel();
        for number in 0..workers {
            let (sender, jobs) = mpsc::unbounded_channel::<Job>();
            let service_thread = ServiceThread {
                number,
                application: application.duplicate(),
                config: config.clone(),
                handle: handle.clone(),
                cohort: cohort.clone(),
                opened: opened.clone(),
                caller: sender.downgrade(),
                jobs,
            };
            let (running, watching) = (running.clone(), watching.clone());
            let run = move || {
                let _running = (running, watching, StopOnDrop(service_thread.handle.clone()));
                service_thread.run();
            };
            let name = format!("conduit-service-{number}");
            spawn_thread(name, Box::new(run)).map_err(failed)?;
            threads.threads.push(Thread {
                jobs: sender,
                open: Arc::default(),
            });
        }
        drop((running, application, cohort, opened));
        if let Some(runtime) = runtime {
            let drive = move || drive(runtime, ended);
            spawn_thread("conduit-state", Box::new(drive)).map_err(failed)?;
        }
        // The channel closes when each thread has sent its result or has panicked.
        has_opened.iter().collect::<Result<()>>()?;
        Ok(threads)
    }

    /// The handle that stops the service.
    pub fn handle(&self) -> &ServerHandle {
        &self.handle
    }

    /// A caller of the first thread.
    pub fn internal_caller(&self) -> InternalCaller {
        InternalCaller::new(self.threads[0].jobs.clone())
    }

    /// Sends a request to the thread with the fewest requests. `request` creates it on that thread.
    pub fn answer(
        &self,
        request: impl FnOnce() -> http::Request<Body> + Send + 'static,
        peer: Option<SocketAddr>,
    ) -> Answer {
        let count = self.threads.len();
        let begin = self.next.fetch_add(1, Relaxed);
        let all = (0..count).map(|step| &self.threads[begin.wrapping_add(step) % count]);
        let thread = all
            .min_by_key(|thread| (thread.jobs.is_closed(), thread.open.load(Relaxed)))
            .expect("a service has at least one thread");
        let (answer, receiver) = oneshot::channel();
        thread.open.fetch_add(1, Relaxed);
        let job = Job {
            request: Box::new(request),
            peer,
            source: JobSource::Library(Span::current()),
            answer,
        };
        // If the thread has ended, the response's channel closes with the job.
        let _ = thread.jobs.send(job);
        Answer {
            answer: receiver,
            open: Arc::clone(&thread.open),
        }
    }
}

impl Drop for Threads {
    /// No caller is left: handlers in progress are notified, and have the shutdown timeout to end.
    fn drop(&mut self) {
        self.handle.advance(Stage::Stopping);
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("count", &self.threads.len()).finish()
    }
}

/// Drives the runtime of the state, as long as there is a thread.
fn drive(runtime: Runtime, mut ended: mpsc::Receiver<Infallible>) {
    runtime.block_on(async { ended.recv().await.map_or((), |never| match never {}) });
    runtime.shutdown_background();
}
