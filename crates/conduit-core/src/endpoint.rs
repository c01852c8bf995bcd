//! Endpoints: type-erased handlers, and layers around them.
//!
//! Each endpoint keeps the memory of a future and writes the next request's future into it, so that a response that is
//! ready at once allocates nothing, through any number of layers. A program has many handlers, and each copy of generic
//! code costs time to build: only `FutureSlot` and the function that makes one are generic in the handler.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::panics::{discard, message};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The result of calling an endpoint with a request.
pub enum Outcome {
    /// The response is ready.
    Ready(Response),
    /// The response is pending.
    Pending(PendingHandler),
}

/// One handler with its state, or one layer with its inner endpoint.
pub trait Endpoint {
    /// Starts to process the request. A future that is not ready has been polled with `context` once; the caller polls it
    /// again, with another waker if necessary.
    fn call(&self, request: Request, context: &mut Context<'_>) -> Outcome;
}

/// An endpoint whose response is the output of the future that `start` returns for the request.
pub fn endpoint<Start, F>(start: Start) -> Rc<dyn Endpoint>
where
    Start: Fn(Request) -> F + Clone + 'static,
    F: Future<Output = Response> + 'static,
{
    of_source(Box::new(Source {
        start,
        future: PhantomData,
    }))
}

/// The endpoint of a handler with this state, whose futures are in the memory that `slot` makes. Compiled once for all
/// handlers of a state.
pub fn handler_endpoint<S: 'static>(state: &Rc<S>, slot: MakeHandlerSlot<S>) -> Rc<dyn Endpoint> {
    let state = Rc::clone(state);
    of_source(Box::new(HandlerSource { state, slot }))
}

/// Makes the memory for the futures of one handler.
pub type MakeHandlerSlot<S> = fn(&Rc<S>) -> Pin<Box<dyn Slot>>;

/// Memory for futures that `start` returns.
pub fn slot<Start, F>(start: Start) -> Pin<Box<dyn Slot>>
where
    Start: Fn(Request) -> F + 'static,
    F: Future<Output = Response> + 'static,
{
    Box::pin(FutureSlot { start, future: None })
}

fn of_source(source: Box<dyn MakeSlot>) -> Rc<dyn Endpoint> {
    Rc::new(FutureEndpoint {
        source,
        free: Cell::new(None),
    })
}

/// A handler or a layer, without its type.
struct FutureEndpoint {
    source: Box<dyn MakeSlot>,
    /// Memory for the next request's future. A pending future takes its memory along.
    free: Cell<Option<Pin<Box<dyn Slot>>>>,
}

impl Endpoint for FutureEndpoint {
    /// Polls the future once, in place. Most are ready then, without an allocation. A pending one is polled again by the
    /// outer layer, or as a separate task with that task's waker, so the worker passes a waker that does nothing.
    fn call(&self, request: Request, context: &mut Context<'_>) -> Outcome {
        let mut slot = match self.free.take() {
            Some(slot) => slot,
            None => self.source.slot(),
        };
        let mut ready = None;
        // After a panic the future is dropped and never polled again, so its broken state is not observable.
        let called = catch_unwind(AssertUnwindSafe(|| slot.as_mut().run(request, context, &mut ready)));
        if let Err(panic) = called {
            // A future that panics may do so again when it is dropped.
            drop(PendingHandler(Some(slot)));
            return Outcome::Ready(panicked(panic));
        }
        // The slot goes first: with the response in a separate variable, it would be copied again.
        let unfinished = if ready.is_some() {
            self.free.set(Some(slot));
            None
        } else {
            Some(slot)
        };
        match ready {
            Some(response) => Outcome::Ready(response),
            None => Outcome::Pending(PendingHandler(unfinished)),
        }
    }
}

/// Makes the slots of one handler.
trait MakeSlot {
    fn slot(&self) -> Pin<Box<dyn Slot>>;
}

struct Source<Start, F> {
    start: Start,
    future: PhantomData<fn() -> F>,
}

impl<Start, F> MakeSlot for Source<Start, F>
where
    Start: Fn(Request) -> F + Clone + 'static,
    F: Future<Output = Response> + 'static,
{
    fn slot(&self) -> Pin<Box<dyn Slot>> {
        slot(self.start.clone())
    }
}

struct HandlerSource<S> {
    state: Rc<S>,
    slot: MakeHandlerSlot<S>,
}

impl<S> MakeSlot for HandlerSource<S> {
    fn slot(&self) -> Pin<Box<dyn Slot>> {
        (self.slot)(&self.state)
    }
}

/// The memory of a future.
pub trait Slot {
    /// Starts the future of a request and polls it once. A future that is ready is dropped, and its response is stored in
    /// `ready`, which is empty before: a returned response would be copied twice more on its way through `catch_unwind`.
    fn run(self: Pin<&mut Self>, request: Request, context: &mut Context<'_>, ready: &mut Option<Response>);

    /// Polls the future.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response>;
}

pin_project! {
    /// The memory of a future that stays where it is pinned while it serves one request after the other.
    struct FutureSlot<Start, F> {
        start: Start,
        #[pin]
        future: Option<F>,
    }
}

impl<Start, F> Slot for FutureSlot<Start, F>
where
    Start: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    fn run(self: Pin<&mut Self>, request: Request, context: &mut Context<'_>, ready: &mut Option<Response>) {
        let mut this = self.project();
        this.future.set(Some((this.start)(request)));
        if let Poll::Ready(response) = poll(this.future.as_mut(), context) {
            *ready = Some(response);
            this.future.set(None);
        }
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        poll(self.project().future, context)
    }
}

// Inlined into its caller, which has just written the future, so that the compiler knows the position of the future.
#[inline(always)]
fn poll<F: Future<Output = Response>>(future: Pin<&mut Option<F>>, context: &mut Context<'_>) -> Poll<Response> {
    match future.as_pin_mut() {
        Some(future) => future.poll(context),
        None => unreachable!("a handler is polled until it is ready"),
    }
}

/// A response that was not ready at once. A panic of its future becomes a response, too.
pub struct PendingHandler(Option<Pin<Box<dyn Slot>>>);

impl PendingHandler {
    /// A response from this future.
    pub fn new<F: Future<Output = Response> + 'static>(future: F) -> Self {
        PendingHandler(Some(Box::pin(FutureSlot {
            start: |_| -> F { unreachable!("a pending handler is not started again") },
            future: Some(future),
        })))
    }
}

impl Future for PendingHandler {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let slot = self
            .0
            .as_mut()
            .expect("a pending handler keeps its slot until it is dropped");
        catch_unwind(AssertUnwindSafe(|| slot.as_mut().poll(context)))
            .unwrap_or_else(|panic| Poll::Ready(panicked(panic)))
    }
}

impl Drop for PendingHandler {
    fn drop(&mut self) {
        // A panic of a destructor must not reach the connection.
        discard(self.0.take());
    }
}

/// 500, with the panic's message in the log.
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    Problem::panicked(&message(panic)).into_response()
}
