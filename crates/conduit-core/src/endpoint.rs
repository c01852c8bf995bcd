//! Endpoints: type-erased handlers, and layers around them.
//!
//! Each endpoint keeps the memory of its futures and writes the next request's future into it, so that a response that is
//! ready at once allocates nothing, through any number of layers.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::panics::message;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The number of futures of one endpoint whose memory a worker keeps.
const KEPT_FUTURES: usize = 64;

/// The result of calling an endpoint with a request.
#[doc(hidden)]
pub enum Outcome {
    /// The response is ready.
    Ready(Response),
    /// The response is pending; the future never panics.
    Pending(Pin<Box<dyn Future<Output = Response>>>),
}

/// One handler with its state, or one layer with its inner endpoint.
#[doc(hidden)]
pub trait Endpoint {
    /// Starts to process the request. A future that is not ready has been polled with `context` once; the caller polls it
    /// again, with another waker if necessary.
    fn call(&self, request: Request, context: &mut Context<'_>) -> Outcome;
}

/// A future that stays where it is pinned while its memory serves one request after the other.
type Slot<F> = Pin<Box<Option<F>>>;

struct FutureEndpoint<Start, F> {
    start: Start,
    /// Slots without a future, to be used again.
    free: Rc<RefCell<Vec<Slot<F>>>>,
}

/// An endpoint whose response comes from the future that `start` makes of the request.
#[doc(hidden)]
pub fn endpoint<Start, F>(start: Start) -> Rc<dyn Endpoint>
where
    Start: Fn(Request) -> F + 'static,
    F: Future<Output = Response> + 'static,
{
    Rc::new(FutureEndpoint {
        start,
        free: Rc::default(),
    })
}

impl<Start, F> Endpoint for FutureEndpoint<Start, F>
where
    Start: Fn(Request) -> F,
    F: Future<Output = Response> + 'static,
{
    /// Polls the future once, in place. Most are ready then, without an allocation. A pending one is polled again by the
    /// outer layer, or as a separate task with that task's waker, so the worker passes a waker that does nothing.
    fn call(&self, request: Request, context: &mut Context<'_>) -> Outcome {
        let mut slot = self.free.borrow_mut().pop().unwrap_or_else(|| Box::pin(None));
        // After a panic the future is dropped and never polled again, so its broken state is not observable.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            slot.set(Some((self.start)(request)));
            let polled = poll(&mut slot, context);
            if polled.is_ready() {
                slot.set(None);
            }
            polled
        }));
        match polled {
            Ok(Poll::Ready(response)) => {
                keep(&self.free, slot);
                Outcome::Ready(response)
            }
            Ok(Poll::Pending) => Outcome::Pending(Box::pin(Running {
                slot: Some(slot),
                free: Rc::clone(&self.free),
            })),
            Err(panic) => {
                // A future that panics may do so again when it is dropped.
                drop(Running {
                    slot: Some(slot),
                    free: Rc::clone(&self.free),
                });
                Outcome::Ready(panicked(panic))
            }
        }
    }
}

// As a part of its caller, which has just put the future there, it knows where the future begins.
#[inline(always)]
fn poll<F: Future>(slot: &mut Slot<F>, context: &mut Context<'_>) -> Poll<F::Output> {
    slot.as_mut()
        .as_pin_mut()
        .expect("a handler is polled until it is ready")
        .poll(context)
}

/// Keeps an empty slot for a later request.
fn keep<F>(free: &RefCell<Vec<Slot<F>>>, slot: Slot<F>) {
    let mut free = free.borrow_mut();
    if free.len() < KEPT_FUTURES {
        free.push(slot);
    }
}

/// A pending future in its slot, which is returned when the future has ended or is dropped.
struct Running<F> {
    slot: Option<Slot<F>>,
    free: Rc<RefCell<Vec<Slot<F>>>>,
}

impl<F: Future<Output = Response>> Future for Running<F> {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let slot = self
            .slot
            .as_mut()
            .expect("a running handler keeps its slot until it is dropped");
        catch_unwind(AssertUnwindSafe(|| poll(slot, context))).unwrap_or_else(|panic| Poll::Ready(panicked(panic)))
    }
}

impl<F> Drop for Running<F> {
    fn drop(&mut self) {
        if let Some(mut slot) = self.slot.take()
            && catch_unwind(AssertUnwindSafe(|| slot.set(None))).is_ok()
        {
            keep(&self.free, slot);
        }
    }
}

/// 500, with the panic's message in the log.
#[doc(hidden)]
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    Problem::panicked(&message(panic)).into_response()
}
