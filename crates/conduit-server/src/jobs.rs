//! The application of one thread without a connection: requests arrive through a channel, from another server or from the
//! process itself; each response returns through its own channel.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use conduit_core::interop::SendBody;
use conduit_proto::message::{BodyLength, MethodKind, ResponseBody};
use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use http::response::Parts;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::body::{Body, BodyKind, BoxError, PieceStream};
use crate::config::Config;
use crate::connection_info::ConnectionInfo;
use crate::current;
use crate::deadlines::Second;
use crate::dispatch::Application;
use crate::endpoint::{Outcome, panicked};
use crate::exchange::response::replace_invalid;
use crate::exchange::{Environment, Exchange, PendingResponse, ResponseStream};
use crate::handle::ServerHandle;
use crate::job::{Job, JobSource};
use crate::panics::discard;
use crate::request::Request;
use crate::response::Response;
use crate::work::Work;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Sends requests of the process itself to the application of one thread.
#[derive(Clone)]
pub struct InternalCaller {
    pub(super) jobs: mpsc::UnboundedSender<Job>,
}

impl InternalCaller {
    /// The caller of the application on this thread; `None` if it takes no requests of the process.
    pub fn of_this_thread() -> Option<Self> {
        current::jobs().map(|jobs| InternalCaller { jobs })
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

/// Takes requests of the process for the application of a worker, until it is dropped.
pub(super) async fn take_internal(environment: Environment, config: Config, handle: ServerHandle) {
    let (jobs, mut requests) = mpsc::unbounded_channel();
    current::set_jobs(jobs.downgrade());
    let service = Service {
        work: environment.handlers.clone(),
        environment: Rc::new(RefCell::new(environment)),
        config,
        handle,
        started: Instant::now(),
    };
    // The channel stays open as long as this future.
    let _jobs = jobs;
    while let Some(job) = requests.recv().await {
        service.answer(job);
    }
}

/// The application on one thread.
pub(super) struct Service {
    pub(super) environment: Rc<RefCell<Environment>>,
    pub(super) config: Config,
    pub(super) handle: ServerHandle,
    pub(super) started: Instant,
    /// The handlers and tasks in progress.
    pub(super) work: Work,
}

impl Service {
    /// Seconds since the thread began.
    pub(super) fn now(&self) -> Second {
        self.started.elapsed().as_secs() as Second + 1
    }

    /// Begins the exchange of a request; a handler that is not ready continues as a task.
    pub(super) fn answer(&self, job: Job) {
        let Job {
            request,
            peer,
            source,
            answer,
        } = job;
        if answer.is_closed() {
            // The caller was dropped before the request began.
            return;
        }
        let mut environment = self.environment.borrow_mut();
        environment.now = self.now();
        let assembled = catch_unwind(AssertUnwindSafe(|| match &source {
            JobSource::Process(Some(info)) => {
                let info = Rc::new(ConnectionInfo::clone(info));
                Request::assembled(request(), peer, Some(info))
            }
            _ => assemble(request(), peer, &self.config),
        }));
        let request = match assembled {
            Ok(request) => request,
            Err(panic) => {
                send(environment.application.show(panicked(panic)), answer);
                return;
            }
        };
        let framing = ResponseFraming::of(&request);
        let client = request.peer_address();
        let mut exchange = Exchange::new();
        let is_of_library = matches!(source, JobSource::Library(_));
        let outcome = match source {
            JobSource::Library(span) => exchange.begin_within(span, request, &mut environment),
            JobSource::Process(_) => exchange.begin(request, client, false, &mut environment),
        };
        let outcome = match outcome {
            Outcome::Ready(response) => Ok(response),
            Outcome::Pending(handler) => Err(exchange.begin_handling(handler, client, &environment)),
        };
        if is_of_library {
            // The library reports the end and the length of the body.
            exchange.end(&mut environment);
        }
        drop(environment);
        let exchange = JobExchange {
            exchange,
            environment: Rc::clone(&self.environment),
            framing,
        };
        match outcome {
            Ok(response) => exchange.respond(response, answer),
            Err(pending) => drop(tokio::task::spawn_local(exchange.run(pending, answer))),
        }
    }
}

/// An exchange whose client is a part of this process or another library. Its record, which only a request of the process has,
/// is complete after [`end`](Self::end); a drop before it cancels the exchange.
struct JobExchange {
    exchange: Exchange,
    environment: Rc<RefCell<Environment>>,
    framing: ResponseFraming,
}

impl JobExchange {
    /// Responds when the handler is ready. The exchange is cancelled when its caller disconnects; the handler continues unless its
    /// route ends with its client.
    async fn run(mut self, pending: PendingResponse, mut answer: oneshot::Sender<http::Response<SendBody>>) {
        let aborts = pending.ends_with_client();
        let mut pending = pin!(pending);
        let response = poll_fn(|context| {
            if (aborts || self.exchange.has_record()) && answer.poll_closed(context).is_ready() {
                self.cancel(0);
                if aborts {
                    return Poll::Ready(None);
                }
            }
            pending.as_mut().poll(context).map(Some)
        });
        if let Some(response) = response.await {
            self.exchange.set_responded();
            self.respond(response, answer);
        }
    }

    /// Sends the response to the caller. The record of a streamed response ends with its body.
    fn respond(mut self, response: Response, answer: oneshot::Sender<http::Response<SendBody>>) {
        let response = self.framing.finish(response, &self.environment.borrow().application);
        self.exchange.record_head(&response);
        if self.exchange.has_record() && !response.body().is_in_memory() {
            let (parts, body) = response.into_parts();
            let body = self.record_stream(&parts, body);
            send(Response::from_parts(parts, body), answer);
            return;
        }
        let bytes = response.body().len().unwrap_or_default();
        match send(response, answer) {
            true => self.end(),
            false => self.cancel(bytes),
        }
    }

    /// The body of the response as a stream with which the exchange ends.
    fn record_stream(mut self, parts: &Parts, body: Body) -> Body {
        let length = body.len();
        let stream = self.exchange.begin_stream(parts, body, &self.environment.borrow());
        let recorded = RecordedStream { stream, exchange: self };
        Body(BodyKind::Stream(Box::pin(recorded), length))
    }

    fn end(&mut self) {
        self.exchange.end(&mut self.environment.borrow_mut());
    }

    fn cancel(&mut self, unsent_bytes: u64) {
        self.exchange.cancel(unsent_bytes, &mut self.environment.borrow_mut());
    }
}

impl Drop for JobExchange {
    fn drop(&mut self) {
        self.cancel(0);
    }
}

/// The stream of a recorded response. The exchange ends with the stream, and is cancelled by an error or a drop before its end.
struct RecordedStream {
    stream: ResponseStream,
    exchange: JobExchange,
}

impl PieceStream for RecordedStream {
    fn poll_piece(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let next = ready!(self.stream.poll_next(context));
        match &next {
            Some(Ok(piece)) => self.exchange.exchange.record_body(piece.len() as u64),
            Some(Err(_)) => self.exchange.cancel(0),
            None => {
                self.exchange.exchange.set_written();
                self.exchange.end();
            }
        }
        Poll::Ready(next.map(|piece| piece.map_err(Into::into)))
    }

    fn trailer_fields(&self) -> Option<HeaderMap> {
        self.stream.trailers().map(|trailers| *trailers)
    }
}

/// Returns whether there is a caller that receives the response.
fn send(response: Response, answer: oneshot::Sender<http::Response<SendBody>>) -> bool {
    answer.send(response.map(SendBody::new)).map_err(discard).is_ok()
}

/// A request for an application, from one that another server has read.
pub fn assemble(request: http::Request<Body>, peer: Option<SocketAddr>, config: &Config) -> Request {
    let forwarding = peer.and_then(|peer| config.proxies.forwarding_of(peer));
    let info = forwarding.map(|forwarding| {
        Rc::new(ConnectionInfo {
            forwarding: Some(forwarding),
            ..ConnectionInfo::default()
        })
    });
    Request::assembled(request, peer, info)
}

/// The framing of a response that another library sends, by the method of its request.
#[derive(Clone, Copy)]
pub struct ResponseFraming(MethodKind);

impl ResponseFraming {
    /// The properties of this request.
    pub fn of(request: &Request) -> Self {
        ResponseFraming(MethodKind::of(request.head().method()))
    }

    /// The response without the fields that belong to the connection, and with the body and the `content-length` that the
    /// engines of this server would send.
    pub fn finish(self, mut response: Response, application: &Application) -> Response {
        // A 2xx to CONNECT would make a tunnel, which this server does not serve.
        let is_final = self.0.has_final(response.status());
        replace_invalid(&mut response, is_final, application);
        let status = response.status();
        let body = response.body().len().map_or(BodyLength::Chunked, BodyLength::Exact);
        let headers = response.headers_mut();
        for name in [TRANSFER_ENCODING, CONNECTION, KEEP_ALIVE] {
            headers.remove(name);
        }
        // The length of a body that is present follows from it.
        let declared = headers.remove(CONTENT_LENGTH);
        let declared = || declared?.to_str().ok()?.parse().ok();
        if let ResponseBody::Bodiless(length) = ResponseBody::of(self.0, status, body, declared) {
            if let Some(length) = length {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            *response.body_mut() = Body::empty();
        }
        response
    }
}
