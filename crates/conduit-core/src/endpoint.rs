//! Endpoints: type-erased handlers, and layers around them.
//!
//! A handler or a layer is one future that serves one request after the other and never ends. Each endpoint keeps the memory of
//! such a future, so that a response that is ready at once allocates nothing, through any number of layers. A program has many
//! handlers, and each copy of generic code costs time to build: only the future and the function that makes it are generic in the
//! handler.

use std::any::Any;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{self, Future};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

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

/// A future that serves the requests of a [`CallSlot`], one after the other, and never ends.
pub type ServingFuture = Pin<Box<dyn Future<Output = Infallible>>>;

/// The place from which a [`ServingFuture`] takes its request, and in which it stores the response.
///
/// Each poll takes the request at its beginning, and the caller takes the response at its end. So the futures of an endpoint share one
/// place, even if a poll of one of them polls another one.
#[derive(Default)]
pub struct CallSlot {
    request: Cell<Option<Request>>,
    response: Cell<Option<Response>>,
    /// The response is stored: a look at it in its cell would copy it.
    is_ready: Cell<bool>,
}

impl CallSlot {
    /// Stores a request for the next poll.
    #[inline]
    fn put_request(&self, request: Request) {
        // The place is empty: `set` would check whether it drops a previous request.
        std::mem::forget(self.request.replace(Some(request)));
    }

    /// Waits for the next request.
    #[inline]
    pub fn request(&self) -> impl Future<Output = Request> {
        future::poll_fn(|_| self.request.take().map_or(Poll::Pending, Poll::Ready))
    }

    /// Stores the response to the last request. The future must not have a value left that belongs to this request.
    #[inline]
    pub fn respond(&self, response: Response) {
        // Empty as well.
        std::mem::forget(self.response.replace(Some(response)));
        self.is_ready.set(true);
    }

    /// Polls a future of this place, and returns whether the response is stored. An error is the value of a panic; then the future
    /// must be dropped.
    #[inline]
    fn poll(&self, future: &mut ServingFuture, context: &mut Context<'_>) -> Result<bool, Box<dyn Any + Send>> {
        // After a panic the future is dropped and never polled again, so its broken state is not observable.
        let Poll::Pending = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)))?;
        Ok(self.is_ready.take())
    }

    /// Takes the stored response.
    #[inline]
    fn response(&self) -> Response {
        match self.response.take() {
            Some(response) => response,
            None => unreachable!("a response is taken once, after it is stored"),
        }
    }
}

/// An endpoint whose response is the output of the future that `start` returns for the request.
pub fn endpoint<Start, F>(start: Start) -> Rc<dyn Endpoint>
where
    Start: Fn(Request) -> F + Clone + 'static,
    F: Future<Output = Response> + 'static,
{
    of_source(Box::new(move |call| {
        let start = start.clone();
        Box::pin(async move {
            loop {
                let response = start(call.request().await).await;
                call.respond(response);
            }
        })
    }))
}

/// Makes a future of a handler.
pub type MakeServingFuture<S> = fn(Rc<S>, Rc<CallSlot>) -> ServingFuture;

/// The endpoint of a handler with this state. Compiled once for all handlers of a state.
pub fn handler_endpoint<S: 'static>(state: &Rc<S>, make: MakeServingFuture<S>) -> Rc<dyn Endpoint> {
    let state = Rc::clone(state);
    of_source(Box::new(move |call| make(Rc::clone(&state), call)))
}

fn of_source(source: Box<dyn Fn(Rc<CallSlot>) -> ServingFuture>) -> Rc<dyn Endpoint> {
    Rc::new(FutureEndpoint {
        source,
        call: Rc::default(),
        free: Cell::new(None),
    })
}

/// A handler or a layer, without its type.
struct FutureEndpoint {
    source: Box<dyn Fn(Rc<CallSlot>) -> ServingFuture>,
    call: Rc<CallSlot>,
    /// The future for the next request. A pending response takes its future along.
    free: Cell<Option<ServingFuture>>,
}

impl Endpoint for FutureEndpoint {
    /// Polls the future once. Most responses are ready then, without an allocation. A pending one is polled again by the outer
    /// layer, or as a separate task with that task's waker, so the worker passes a waker that does nothing.
    fn call(&self, request: Request, context: &mut Context<'_>) -> Outcome {
        let mut future = match self.free.take() {
            Some(future) => future,
            None => (self.source)(Rc::clone(&self.call)),
        };
        self.call.put_request(request);
        match self.call.poll(&mut future, context) {
            Ok(true) => {
                self.free.set(Some(future));
                Outcome::Ready(self.call.response())
            }
            Ok(false) => Outcome::Pending(PendingHandler {
                future: Some(future),
                call: Rc::clone(&self.call),
            }),
            Err(panic) => {
                // A future that panics may do so again when it is dropped.
                discard(future);
                Outcome::Ready(panicked(panic))
            }
        }
    }
}

/// A response that was not ready at once. A panic of its future becomes a response, too.
pub struct PendingHandler {
    future: Option<ServingFuture>,
    call: Rc<CallSlot>,
}

impl PendingHandler {
    /// A response from this future.
    pub fn new<F: Future<Output = Response> + 'static>(future: F) -> Self {
        let call = Rc::new(CallSlot::default());
        let place = Rc::clone(&call);
        let future = Box::pin(async move {
            let response = future.await;
            place.respond(response);
            future::pending().await
        });
        PendingHandler {
            future: Some(future),
            call,
        }
    }
}

impl Future for PendingHandler {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let this = &mut *self;
        let future = this
            .future
            .as_mut()
            .expect("a pending handler keeps its future until it is dropped");
        match this.call.poll(future, context) {
            Ok(true) => Poll::Ready(this.call.response()),
            Ok(false) => Poll::Pending,
            Err(panic) => Poll::Ready(panicked(panic)),
        }
    }
}

impl Drop for PendingHandler {
    fn drop(&mut self) {
        // A panic of a destructor must not reach the connection.
        discard(self.future.take());
    }
}

/// 500, with the panic's message in the log.
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    Problem::panicked(&message(panic)).into_response()
}
