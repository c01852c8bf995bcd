//! An application without connections: separate threads serve requests that another server has read.
//!
//! Each thread is a worker without a poller: it has a tokio runtime and the application, polls handlers in place, and
//! continues pending ones as tasks. Requests arrive through a channel; each response returns through another one.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use conduit_core::interop::SendBody;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::Span;

use crate::body::Body;
use crate::cohort::Cohort;
use crate::config::Config;
use crate::current::{self, Serves};
use crate::dispatch::OpenApplication;
use crate::erased::spawn_thread;
use crate::error::{Error, Result};
use crate::exchange::Environment;
use crate::handle::{CLOSING, STOPPING, ServerHandle, StopOnDrop};
use crate::job::{Job, JobSource};
use crate::jobs::Service;
use crate::server::{new_handle, watch_workers, worker_count};
use crate::watch::Watch;
use crate::work::Work;

pub use crate::jobs::{InternalCaller, ResponseFraming, assemble};

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
            let (jobs, requests) = mpsc::unbounded_channel::<Job>();
            let start = ThreadStart {
                number,
                application: application.duplicate(),
                config: config.clone(),
                handle: handle.clone(),
                cohort: cohort.clone(),
                opened: opened.clone(),
                caller: jobs.downgrade(),
                requests,
            };
            let (running, watching) = (running.clone(), watching.clone());
            let serve = move || {
                let _running = (running, watching, StopOnDrop(start.handle.clone()));
                serve(start);
            };
            let name = format!("conduit-service-{number}");
            spawn_thread(name, Box::new(serve)).map_err(failed)?;
            threads.threads.push(Thread {
                jobs,
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
        InternalCaller {
            jobs: self.threads[0].jobs.clone(),
        }
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
        self.handle.advance(STOPPING);
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

/// Everything that a thread needs to serve.
struct ThreadStart {
    number: usize,
    application: Box<dyn OpenApplication>,
    config: Config,
    handle: ServerHandle,
    cohort: Cohort,
    /// Takes the result of the start.
    opened: std::sync::mpsc::Sender<Result<()>>,
    /// Sends further requests of the process.
    caller: mpsc::WeakUnboundedSender<Job>,
    requests: mpsc::UnboundedReceiver<Job>,
}

/// Serves on this thread until the last caller is dropped or the application is closed; then drives the runtime until all
/// threads have finished.
fn serve(start: ThreadStart) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(cause) => {
            let _ = start.opened.send(Err(Error::system("create a tokio runtime", cause)));
            return;
        }
    };
    let served = runtime.block_on(async move {
        let (cohort, stop) = (start.cohort.clone(), StopOnDrop(start.handle.clone()));
        // A task, as the driver of a worker is.
        let served = tokio::task::spawn_local(Service::serve(start)).await;
        drop(stop);
        cohort.leave().await;
        served
    });
    runtime.shutdown_background();
    served.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
}

impl Service {
    async fn serve(start: ThreadStart) {
        let ThreadStart {
            number,
            application,
            config,
            handle,
            cohort,
            opened,
            caller,
            requests,
        } = start;
        let work = Work::default();
        current::enter(handle.clone(), number, work.clone(), config.files, Serves::Requests);
        current::set_jobs(caller);
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
        let service = Service {
            environment: Rc::new(RefCell::new(environment)),
            config,
            handle,
            started: Instant::now(),
            work,
        };
        let _ = opened.send(Ok(()));
        drop(opened);
        service.run(requests).await;
    }

    async fn run(self, mut requests: mpsc::UnboundedReceiver<Job>) {
        let mut closed = pin!(self.handle.reached(CLOSING));
        let mut delay = pin!(self.handle.stop_after_delay());
        loop {
            let next = poll_fn(|context| {
                let Poll::Pending = delay.as_mut().poll(context);
                match closed.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(None),
                    Poll::Pending => requests.poll_recv(context),
                }
            });
            let Some(job) = next.await else { break };
            self.answer(job);
        }
        let mut limit = pin!(tokio::time::sleep(self.config.shutdown_timeout));
        let is_over = poll_fn(|context| {
            if self.work.poll_finished(context).is_ready() {
                return Poll::Ready(false);
            }
            // It may have been ready above already.
            let over = self.handle.is_closing()
                || closed.as_mut().poll(context).is_ready()
                || limit.as_mut().poll(context).is_ready();
            if over { Poll::Ready(true) } else { Poll::Pending }
        });
        if is_over.await {
            self.work.name_in_log();
        }
    }
}
