//! Routes: what the attributes and [`routes!`](crate::routes) make, and how a request finds its handler.
//!
//! `#[get("/users/{id}")]` and its kin keep the function as it is and add a type of the same name that implements
//! [`Route`] and [`Handler`]. `routes![…]` makes [`Routes`] from such names and from other lists: the compiler sorts
//! their [`Definition`]s into a [`Table`] in static memory, or refuses them.

use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

pub use conduit_route::{Definition, Part, Table, require_names, table};
use http::StatusCode;

use crate::extract::FromRef;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// How many futures of one handler a worker keeps the memory of.
const KEPT_FUTURES: usize = 64;

/// A handler's place in the application: its method and path. The route attributes implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a route",
    label = "no route attribute stands on this",
    note = "put `#[get(\"/path\")]` or one of its kin on the function; the name of a list of routes is in upper case"
)]
pub trait Route {
    /// Method, path, and where the handler stands in the source.
    const DEFINITION: Definition;
}

/// A handler that works in an application whose state is `S`. The route attributes implement it for every state
/// that the handler's arguments can be taken from.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler in an application whose state is `{S}`",
    note = "put `#[get(\"/path\")]` or one of its kin on the function"
)]
pub trait Handler<S>: 'static {
    /// Takes the arguments from the request, calls the function, and makes its return value a response.
    fn call(request: Request, state: Rc<S>) -> impl Future<Output = Response> + 'static;
}

/// One entry of [`Routes`]: a handler as a [`Leaf`], or the `Routes` of another module or crate.
pub trait Node<S>: Sync {
    /// Makes the handlers of this entry ready to serve on a worker, in the order of the table.
    fn connect(&self, state: &Rc<S>, endpoints: &mut Endpoints);
}

/// A handler as an entry of [`Routes`].
pub struct Leaf<H>(PhantomData<fn() -> H>);

impl<H> Leaf<H> {
    /// The entry.
    pub const NEW: Self = Leaf(PhantomData);
}

impl<S: 'static, H: Handler<S>> Node<S> for Leaf<H> {
    fn connect(&self, state: &Rc<S>, endpoints: &mut Endpoints) {
        endpoints.0.push(endpoint(H::call, Rc::clone(state)));
    }
}

impl<S: 'static, Part: FromRef<S> + 'static> Node<S> for Routes<Part> {
    fn connect(&self, state: &Rc<S>, endpoints: &mut Endpoints) {
        let part = Rc::new(Part::from_ref(state));
        for node in self.nodes {
            node.connect(&part, endpoints);
        }
    }
}

/// The routes of an application, or of a module or crate that one mounts; made by [`routes!`](crate::routes).
///
/// `S` is the state that the handlers take their [`State`](crate::State) from. A list with another state can be
/// mounted where the application's state has that one as a part (see [`FromRef`]).
///
/// # Example
///
/// A module's list, mounted under a prefix:
///
/// ```
/// use conduit::prelude::*;
///
/// mod admin {
///     use conduit::prelude::*;
///
///     #[get("/users")]
///     pub async fn users() -> &'static str {
///         "all users"
///     }
///
///     pub const ROUTES: Routes = routes![users];
/// }
///
/// #[get("/")]
/// async fn home() -> &'static str {
///     "home"
/// }
///
/// let app = App::new(()).routes(routes![home, "/admin" => admin::ROUTES]);
/// ```
pub struct Routes<S: 'static = ()> {
    table: &'static Table,
    nodes: &'static [&'static dyn Node<S>],
}

impl<S> Routes<S> {
    /// Routes from a table and an entry for each of its definitions or mounted lists, in the same order; `routes!`
    /// writes the call.
    pub const fn new(table: &'static Table, nodes: &'static [&'static dyn Node<S>]) -> Self {
        Routes { table, nodes }
    }

    /// Method, path, handler and place in the source of each route.
    pub const fn definitions(&self) -> &'static [Definition] {
        self.table.definitions()
    }

    /// The table that finds the route of a request.
    pub(crate) fn table(&self) -> &'static Table {
        self.table
    }

    /// The handlers, ready to serve on this thread.
    pub(crate) fn connect(&self, state: S) -> Endpoints {
        let mut endpoints = Endpoints(Vec::with_capacity(self.definitions().len()));
        let state = Rc::new(state);
        for node in self.nodes {
            node.connect(&state, &mut endpoints);
        }
        assert_eq!(
            endpoints.0.len(),
            self.definitions().len(),
            "a table has one handler for each definition"
        );
        endpoints
    }
}

impl<S> Clone for Routes<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Routes<S> {}

/// The handlers of an application on one worker, in the order of the table.
pub struct Endpoints(Vec<Box<dyn Endpoint>>);

impl Endpoints {
    /// Starts the handler of a route.
    pub(crate) fn call(&self, route: usize, request: Request) -> Outcome {
        self.0[route].call(request)
    }
}

/// What became of a handler that was started.
pub(crate) enum Outcome {
    /// It was ready at once.
    Ready(Response),
    /// It waits for something; the future never panics.
    Pending(Pin<Box<dyn Future<Output = Response>>>),
}

/// One handler with its state, its types erased.
trait Endpoint {
    fn call(&self, request: Request) -> Outcome;
}

/// A future that stays where it is pinned while its memory serves one request after the other.
type Slot<F> = Pin<Box<Option<F>>>;

struct HandlerEndpoint<S, F> {
    start: fn(Request, Rc<S>) -> F,
    state: Rc<S>,
    /// Slots without a future, to be used again.
    free: Rc<RefCell<Vec<Slot<F>>>>,
}

fn endpoint<S, F>(start: fn(Request, Rc<S>) -> F, state: Rc<S>) -> Box<dyn Endpoint>
where
    S: 'static,
    F: Future<Output = Response> + 'static,
{
    Box::new(HandlerEndpoint {
        start,
        state,
        free: Rc::default(),
    })
}

impl<S, F: Future<Output = Response> + 'static> Endpoint for HandlerEndpoint<S, F> {
    /// Polls the handler's future once, in place. Most handlers are ready then, and nothing was allocated. One that
    /// is not will be polled again as a task of its own, with that task's waker, so that here a waker that does
    /// nothing will do.
    fn call(&self, request: Request) -> Outcome {
        let mut slot = self.free.borrow_mut().pop().unwrap_or_else(|| Box::pin(None));
        // After a panic the future is dropped and never polled again, so nobody sees it in a broken state.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            slot.set(Some((self.start)(request, Rc::clone(&self.state))));
            let polled = poll(&mut slot, &mut Context::from_waker(Waker::noop()));
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
                Outcome::Ready(panicked(&*panic))
            }
        }
    }
}

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

/// A handler's future that was not ready at once, in its slot, which goes back when the future has ended or is dropped.
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
        catch_unwind(AssertUnwindSafe(|| poll(slot, context))).unwrap_or_else(|panic| Poll::Ready(panicked(&*panic)))
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
fn panicked(panic: &(dyn std::any::Any + Send)) -> Response {
    let message = panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    tracing::error!(panic = message, "a handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}
