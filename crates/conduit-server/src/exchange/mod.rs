//! One request and its response on any protocol: the route, the handler, the body in both directions, the record for
//! logs and metrics, and cancellation.
//!
//! ```text
//!         handler not ready              stream as body
//!   Idle ───────────────────> Handling ─────────────────> Streaming
//!    ^                        │      │ file or many bytes     │
//!    │                        │      └──────────> Sending     │
//!    │      response that is  │                      │        │ end of the
//!    │      written at once   │          all is sent │        │ stream
//!    └────────────────────────┴──────────────────────┴────────┘
//! ```
//!
//! A handler that is ready has the same transitions from `Idle`. A protocol drives the exchange: [`begin`](Exchange::begin) with
//! a request, `push_body` with the pieces of its body, and then the ends. [`Environment`] has the application and the state of its
//! thread.
//!
//! A request's body has three ends, which differ for its reader:
//!
//! - `end_body`, or `complete_body` for HTTP/2: it is complete. The reader takes the rest and the trailers.
//! - `abort_body`: no more of it is received, because the client has ended its half of the stream, or because the response is
//!   written. The reader takes the rest that has arrived, and then an error.
//! - `cancel_body`: its stream or its connection has ended. The reader takes the error at once; an incomplete body is freed.
//!
//! An exchange has two ends: `end` after a complete response, and `cancel`, with the body and the handler, if the response is
//! aborted or the stream or connection ends before it is complete.

mod gate;
pub(super) mod response;
mod streams;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderValue};
use tokio::task::AbortHandle;
use tracing::Span;

use self::gate::{Pump, StreamGate};
pub(super) use self::gate::{READY_PIECES, ReadyPiece, ResponseStream};
use crate::body::{Body, Channel, EndsWithClient};
use crate::commands::{Command, CommandSender};
use crate::config::Config;
use crate::counts::{Counts, WorkerCounts};
use crate::deadlines::Second;
use crate::dispatch::Application;
use crate::endpoint::{Outcome, PendingHandler};
use crate::instrumentation::{Instrumentation, InstrumentedHandler};
use crate::redirect::to_https;
use crate::request::Request;
use crate::response::Response;
use crate::route::{Definition, Disconnect};
use crate::watch::{Watch, Watched};
use crate::work::{InProgress, Work, method_and_path};

/// The empty span, for a request without a span.
static NO_SPAN: Span = Span::none();

/// The exchanges of a connection, or of a slot of HTTP/2, one after the other. The route and the second of the last request remain,
/// for the log.
pub(super) struct Exchange {
    state: ExchangeState,
    /// The body of the request, while it has not ended.
    request_body: Option<Rc<Channel>>,
    route: Option<Route>,
    /// The action at the end of the client: an endpoint of the framework chooses it with the route, otherwise
    /// it is resolved when a handler or a stream continues.
    disconnect: Option<Disconnect>,
    /// The second in which the request arrived.
    started: Second,
    record: Option<Box<Watched>>,
}

enum ExchangeState {
    /// There is no request, or its response is written and sent as far as it is not copied.
    Idle,
    /// The handler runs as a task, which has a handle if it ends with its client.
    Handling(Option<AbortHandle>),
    /// The response's body comes from a stream.
    Streaming(Rc<StreamGate>),
    /// The rest of the response's body is ready, and waits for room.
    Sending,
}

impl Exchange {
    pub(super) fn new() -> Self {
        Exchange {
            state: ExchangeState::Idle,
            request_body: None,
            route: None,
            disconnect: None,
            started: 0,
            record: None,
        }
    }

    /// Routes a request and calls its handler. Returns the response if it is ready; a handler that is not ready becomes a task
    /// with [`spawn_handler`](Exchange::spawn_handler). With `redirects` the response is a redirect to HTTPS if the
    /// application requires that.
    pub(super) fn begin(
        &mut self,
        mut request: Request,
        client: SocketAddr,
        redirects: bool,
        environment: &mut Environment,
    ) -> Outcome {
        let redirect = self.look_up(&mut request, redirects, environment);
        let route = self.route;
        self.record = environment.watch.begin(&request, route, client);
        if let Some(port) = redirect {
            return Outcome::Ready(to_https(&request, port));
        }
        environment.call(request, route, self.span())
    }

    /// Begins an exchange as [`begin`](Exchange::begin) does, for a caller in this process: the request is within the caller's
    /// span, and another library reports it.
    #[cfg(feature = "tower")]
    pub(super) fn begin_within(&mut self, span: Span, mut request: Request, environment: &mut Environment) -> Outcome {
        self.look_up(&mut request, false, environment);
        self.record = environment.watch.within(span);
        environment.call(request, self.route, self.span())
    }

    /// Begins an exchange without a record, for a caller on this thread that polls it within its own span. The handler may begin
    /// another one in the same environment.
    #[cfg(feature = "tower")]
    pub(super) fn begin_in_place(&mut self, mut request: Request, environment: &Environment) -> Outcome {
        self.look_up(&mut request, false, environment);
        environment.call(request, self.route, &NO_SPAN)
    }

    /// Counts a request, and looks up its route and the action at the end of its client. Returns the HTTPS port if the response is
    /// a redirect to it; such a request has no route.
    #[inline]
    fn look_up(&mut self, request: &mut Request, redirects: bool, environment: &Environment) -> Option<u16> {
        environment.accept(request);
        let redirect = environment.redirect.filter(|_| redirects);
        self.route = match redirect {
            None => environment.application.route(request),
            Some(_) => None,
        };
        self.disconnect = environment.application.disconnect(request);
        self.started = environment.now;
        redirect
    }

    /// The span of the request, or an empty one.
    fn span(&self) -> &Span {
        self.record.as_ref().map_or(&NO_SPAN, |record| &record.span)
    }

    /// Spawns the task of a handler that was not ready. Its response follows as a command.
    pub(super) fn spawn_handler(
        &mut self,
        handler: PendingHandler,
        client: SocketAddr,
        sender: CommandSender,
        environment: &Environment,
    ) {
        let pending = self.begin_handling(handler, client, environment);
        let handle = pending.spawn(move |response| sender.send(Command::Response(response)));
        self.state = ExchangeState::Handling(handle);
    }

    /// The response of a handler that was not ready. [`set_idle`](Self::set_idle) follows it.
    pub(super) fn begin_handling(
        &mut self,
        handler: PendingHandler,
        client: SocketAddr,
        environment: &Environment,
    ) -> PendingResponse {
        self.state = ExchangeState::Handling(None);
        PendingResponse {
            handler: InstrumentedHandler {
                handler: Some(handler),
                instrumentation: environment.instrument(self.route, self.span().clone()),
            },
            in_progress: environment.enter(self.route, client),
            disconnect: self.resolve_disconnect(environment),
        }
    }

    /// Counts the handler of the protocol that follows on the connection, which continues after the exchange. Returns also the
    /// effect of a client disconnect.
    #[cfg(feature = "websocket")]
    pub(super) fn continue_handler(
        &mut self,
        client: SocketAddr,
        environment: &Environment,
    ) -> (InProgress, Disconnect) {
        (
            environment.enter(self.route, client),
            self.resolve_disconnect(environment),
        )
    }

    /// The action at the end of the client. A request whose response is ready at once needs none, so the first call resolves it.
    fn resolve_disconnect(&mut self, environment: &Environment) -> Disconnect {
        let route = self.route;
        *self.disconnect.get_or_insert_with(|| environment.disconnect(route))
    }

    // The request's body.

    /// Prepares the channel that the handler reads the body from.
    pub(super) fn open_body(&mut self, request: &mut Request, sender: CommandSender) {
        let channel = request.open_channel(sender.for_request());
        if request.head().expects_continue() {
            channel.notify_when_wanted();
        }
        self.request_body = Some(channel);
    }

    /// Adds a piece. Returns false if the handler has not read the body yet: a command follows when it wants more.
    pub(super) fn push_body(&self, piece: &[u8]) -> bool {
        match &self.request_body {
            Some(body) if !body.push(piece) => {
                body.notify_when_wanted();
                false
            }
            _ => true,
        }
    }

    /// Ends a complete body.
    pub(super) fn end_body(&mut self, trailers: Option<Box<HeaderMap>>) {
        if let Some(body) = self.request_body.take() {
            body.end(trailers);
        }
    }

    /// Ends a complete body as [`end_body`](Self::end_body) does. The number of [unread bytes](Self::unread_bytes) is counted until
    /// another end follows.
    #[cfg(feature = "http2")]
    pub(super) fn complete_body(&mut self, trailers: Option<Box<HeaderMap>>) {
        if let Some(body) = &self.request_body {
            body.end(trailers);
        }
    }

    /// The number of bytes of the body that the handler has not read. If there are any, a command follows when it reads them.
    #[cfg(feature = "http2")]
    pub(super) fn unread_bytes(&self) -> usize {
        let Some(body) = &self.request_body else {
            return 0;
        };
        let bytes = body.unread_bytes();
        if bytes > 0 {
            body.notify_when_wanted();
        }
        bytes
    }

    /// Aborts the body, unless it has ended. Received bytes stay for its reader.
    pub(super) fn abort_body(&mut self) {
        if let Some(body) = self.request_body.take() {
            body.abort();
        }
    }

    /// Aborts the body with its stream or connection, and frees the received bytes, unless it is complete. Returns the memory of a
    /// complete one, which the handler may still read.
    pub(super) fn cancel_body(&mut self) -> usize {
        self.request_body.take().map_or(0, |body| {
            body.cancel();
            body.kept_bytes()
        })
    }

    /// Returns whether more of the body is expected.
    pub(super) fn has_body(&self) -> bool {
        self.request_body.is_some()
    }

    /// Returns whether the handler wants more of the body now.
    pub(super) fn wants_body(&self) -> bool {
        !self.request_body.as_ref().is_some_and(|body| body.is_unwanted())
    }

    /// The memory that it holds for the request's body.
    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        self.request_body.as_ref().map_or(0, |body| body.buffer_bytes())
    }

    // The response.

    /// Returns whether a handler runs.
    pub(super) fn is_handling(&self) -> bool {
        matches!(self.state, ExchangeState::Handling(_))
    }

    pub(super) fn is_streaming(&self) -> bool {
        matches!(self.state, ExchangeState::Streaming(_))
    }

    /// Returns whether the rest of a response waits for room.
    #[inline]
    pub(super) fn is_sending(&self) -> bool {
        matches!(self.state, ExchangeState::Sending)
    }

    /// Returns whether the response is incomplete: a handler or a stream produces it, or the rest waits for room.
    #[inline]
    pub(super) fn is_serving(&self) -> bool {
        !matches!(self.state, ExchangeState::Idle)
    }

    /// Returns whether the end of the client's half ends the exchange: a half-close is indistinguishable from a disconnect here.
    pub(super) fn ends_with_client(&self) -> bool {
        match self.state {
            ExchangeState::Handling(Some(_)) => true,
            ExchangeState::Streaming(_) => self.disconnect == Some(Disconnect::Abort),
            _ => false,
        }
    }

    /// Returns whether a handler continues after the end of its stream.
    #[cfg(feature = "http2")]
    pub(super) fn outlives_stream(&self) -> bool {
        matches!(self.state, ExchangeState::Handling(None))
    }

    /// Records that the handler has responded, or that the stream or the rest of the body is written.
    pub(super) fn set_idle(&mut self) {
        self.state = ExchangeState::Idle;
    }

    /// Responds in place of the handler, which is aborted if it ends with its client.
    pub(super) fn replace_handler(&mut self) {
        if let ExchangeState::Handling(Some(handler)) = &self.state {
            handler.abort();
        }
        self.set_idle();
    }

    /// Records the head of the response, and a body in memory.
    pub(super) fn record_head(&mut self, response: &Response) {
        if let Some(record) = &mut self.record {
            record.record_head(response);
        }
    }

    /// Records bytes of the response's body that are written.
    pub(super) fn record_body(&mut self, bytes: u64) {
        if let Some(record) = &mut self.record {
            record.body_bytes += bytes;
        }
    }

    /// The record, for the protocol that follows on the connection and ends it. The response counts from here on: its time is
    /// not that of the protocol.
    #[cfg(feature = "websocket")]
    pub(super) fn take_record(&mut self, environment: &Environment) -> Option<Box<Watched>> {
        let mut record = self.record.take()?;
        environment.count_response(&mut record);
        Some(record)
    }

    #[cfg(feature = "tower")]
    pub(super) fn has_record(&self) -> bool {
        self.record.is_some()
    }

    /// The instrumentation of the task that polls the response's stream.
    pub(super) fn instrument_stream(&self, environment: &Environment) -> Instrumentation {
        environment.instrument(self.route, self.span().clone())
    }

    /// The response's body comes from a stream, whose first pieces the caller takes. The response may have chosen that it ends
    /// with its client.
    pub(super) fn begin_stream(&mut self, parts: &Parts, body: Body, environment: &Environment) -> ResponseStream {
        let chosen = parts.extensions.get::<EndsWithClient>().map(|_| Disconnect::Abort);
        self.disconnect = Some(chosen.unwrap_or_else(|| self.resolve_disconnect(environment)));
        self.state = ExchangeState::Streaming(Rc::default());
        ResponseStream::new(body, self.instrument_stream(environment))
    }

    /// Moves the stream to the worker's stream task.
    pub(super) fn spawn_stream(&mut self, stream: ResponseStream, sender: CommandSender, environment: &Environment) {
        if let ExchangeState::Streaming(gate) = &self.state {
            streams::spawn(Pump::new(stream, Rc::clone(gate), sender), &environment.counts);
        }
    }

    /// Takes a piece of the stream that has arrived; `None` if no stream is expected.
    pub(super) fn take_piece(&mut self, piece: Bytes) -> Option<Bytes> {
        let ExchangeState::Streaming(gate) = &self.state else {
            return None;
        };
        gate.mark_arrived();
        Some(piece)
    }

    /// Offers room for the next piece of the stream.
    #[inline]
    pub(super) fn offer_room(&self) {
        if let ExchangeState::Streaming(gate) = &self.state {
            gate.open();
        }
    }

    /// The rest of the response's body is ready, and waits for room: [`set_idle`](Self::set_idle) follows.
    pub(super) fn begin_sending(&mut self) {
        self.state = ExchangeState::Sending;
    }

    /// Ends the exchange after its complete response: the record ends. The protocol has ended the body of the request.
    #[inline]
    pub(super) fn end(&mut self, environment: &mut Environment) {
        if let Some(record) = self.record.take() {
            environment.end_watch(record, true);
        }
    }

    /// Ends the exchange before its response is complete: the response is aborted, or its stream or connection has ended.
    /// `unsent_bytes` of the response's body were recorded and are not sent.
    ///
    /// The stream of the response and the body of the request end, and the record counts as incomplete. The handler continues
    /// unless its route ends with its client. Returns the memory of the request's body that the handler may still read.
    pub(super) fn cancel(&mut self, unsent_bytes: u64, environment: &mut Environment) -> usize {
        if let ExchangeState::Streaming(gate) = &self.state {
            gate.close();
            self.set_idle();
        }
        // First the record, before code that may panic.
        if let Some(mut record) = self.record.take() {
            record.body_bytes = record.body_bytes.saturating_sub(unsent_bytes);
            environment.end_watch(record, false);
        }
        let kept_bytes = self.cancel_body();
        self.replace_handler();
        kept_bytes
    }

    /// Logs the request that the end of the shutdown interrupts, with the seconds since its arrival; handlers are logged by
    /// their worker.
    pub(super) fn log_cut_off(&self, peer: SocketAddr, stage: &'static str, environment: &Environment) {
        let (method, route) = method_and_path(self.route.map(|(_, definition)| definition));
        let seconds = environment.now.saturating_sub(self.started);
        tracing::warn!(%peer, method, route, stage, seconds, "closed at the shutdown");
    }
}

/// A route and its index in the table.
pub(super) type Route = (usize, &'static Definition);

/// The part of a worker, or of a service's thread, that serves exchanges.
pub(super) struct Environment {
    pub(super) application: Application,
    counts: WorkerCounts,
    /// The handlers in progress as tasks, with or without a client, and the tasks that they spawned.
    pub(super) handlers: Work,
    /// The observers of requests.
    watch: Watch,
    /// The action at the end of a client whose route has chosen none.
    disconnect: Disconnect,
    /// The limit of a request's body in bytes, unless the handler or a layer has another.
    body_limit: u64,
    /// The HTTPS port to which requests over plain TCP are redirected; `None` serves them.
    redirect: Option<u16>,
    /// The value of `strict-transport-security` on connections with TLS; `None` without HSTS.
    hsts: Option<HeaderValue>,
    /// Seconds since the thread started to serve.
    pub(super) now: Second,
}

impl Environment {
    /// The environment of requests without connections: it neither redirects to HTTPS nor sends HSTS.
    pub(super) fn new(
        application: Application,
        counts: Arc<[Counts]>,
        worker: usize,
        handlers: Work,
        watch: Watch,
        config: &Config,
    ) -> Self {
        Environment {
            application,
            counts: WorkerCounts::new(counts, worker),
            handlers,
            watch,
            disconnect: config.disconnect,
            body_limit: config.body_bytes,
            redirect: None,
            hsts: None,
            now: 1,
        }
    }

    /// The same for requests of connections, with the port of the redirect and the value of HSTS.
    pub(super) fn with_connections(self, redirect: Option<u16>, hsts: Option<HeaderValue>) -> Self {
        Environment { redirect, hsts, ..self }
    }

    /// The counters of this thread.
    #[inline]
    pub(super) fn counts(&self) -> &Counts {
        self.counts.of_worker()
    }

    /// Counts a request, and sets the limit of its body.
    #[inline]
    fn accept(&self, request: &mut Request) {
        self.counts().requests.add(1);
        request.set_body_limit(self.body_limit);
    }

    /// Calls the application with a request whose route was looked up. A handler that is not ready continues as a task:
    /// [`Exchange::begin_handling`].
    #[inline]
    pub(super) fn call(&self, request: Request, route: Option<Route>, span: &Span) -> Outcome {
        // The task of a handler that is not ready polls it again.
        let mut context = Context::from_waker(Waker::noop());
        let _inside = span.enter();
        let index = route.map(|(index, _)| index);
        let serve = || self.application.serve(request, &mut context);
        self.counts().running.during(index, serve)
    }

    /// Counts a handler in progress, until the value is dropped.
    pub(super) fn enter(&self, route: Option<Route>, client: SocketAddr) -> InProgress {
        let definition = route.map(|(_, definition)| definition);
        self.handlers.enter(definition, client)
    }

    /// The instrumentation of a task for a request of this route.
    pub(super) fn instrument(&self, route: Option<Route>, span: Span) -> Instrumentation {
        Instrumentation {
            // No application has as many routes.
            route: route.and_then(|(index, _)| u32::try_from(index).ok()),
            span,
            counts: self.worker_counts(),
        }
    }

    pub(super) fn worker_counts(&self) -> WorkerCounts {
        self.counts.clone()
    }

    /// The effect of a client disconnect on a request of this route.
    fn disconnect(&self, route: Option<Route>) -> Disconnect {
        let chosen = route.and_then(|(_, definition)| definition.disconnect);
        chosen.unwrap_or(self.disconnect)
    }

    /// Adds a response to the numbers of its route.
    #[cfg(feature = "websocket")]
    fn count_response(&self, watched: &mut Watched) {
        self.watch.count_now(watched, self.counts());
    }

    /// A response is complete or aborted.
    pub(super) fn end_watch(&mut self, watched: Box<Watched>, complete: bool) {
        self.watch.end(watched, complete, self.counts.of_worker());
    }
}

/// The response of a handler that was not ready at once. A shutdown waits for it.
pub(super) struct PendingResponse {
    handler: InstrumentedHandler,
    #[expect(dead_code, reason = "its drop ends the wait of a shutdown")]
    in_progress: InProgress,
    disconnect: Disconnect,
}

impl PendingResponse {
    /// Spawns the task, which passes the response to `deliver`. Returns the handle that aborts it, if it ends with its
    /// client.
    pub(super) fn spawn(self, deliver: impl FnOnce(Response) + 'static) -> Option<AbortHandle> {
        let aborts = self.ends_with_client();
        let task = tokio::task::spawn_local(async move {
            let response = self.await;
            deliver(response);
        });
        aborts.then(|| task.abort_handle())
    }

    pub(super) fn ends_with_client(&self) -> bool {
        self.disconnect == Disconnect::Abort
    }
}

impl Future for PendingResponse {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        Pin::new(&mut self.handler).poll(context)
    }
}
