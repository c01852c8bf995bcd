//! The last argument of a layer: the inner layers and the handler.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::endpoint::{Endpoint, Outcome};
use crate::provided::With;
use crate::request::Request;
use crate::response::Response;

/// The number of places for values that a layer keeps for reuse.
const KEPT: usize = 64;

/// The inner layers and the handler.
#[derive(Clone)]
pub struct Next(Rc<dyn Endpoint>);

impl Next {
    /// Calls the inner layers and the handler, and returns their response. A panic becomes a 500.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops that of the handler, at its current `await`.
    pub async fn run(self, request: Request) -> Response {
        let mut request = Some(request);
        let outcome = poll_fn(|context| match request.take() {
            Some(request) => Poll::Ready(self.0.call(request, context)),
            // It was ready at its first poll.
            None => Poll::Pending,
        });
        match outcome.await {
            Outcome::Ready(response) => response,
            Outcome::Pending(response) => response.await,
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl Next {
    pub fn new(inner: Rc<dyn Endpoint>) -> Self {
        Next(inner)
    }

    /// Starts the call. A pending future has been polled once; the caller polls it again.
    pub fn start(&self, request: Request, context: &mut Context<'_>) -> Outcome {
        self.0.call(request, context)
    }
}

/// The inner layers and the handler, which take a `T` of this layer as [`Provided`](crate::extract::Provided).
///
/// A layer with `NextWith<T>` in the place of `Next` cannot call the handler without a `T`, so that no handler inside of it lacks
/// the value. It belongs in a list of routes, because the application's layers are also around responses without a route.
///
/// # Example
///
/// A layer as a type:
///
/// ```
/// use conduit::prelude::*;
///
/// #[derive(Clone, PartialEq, Debug)]
/// struct Plan(&'static str);
///
/// #[derive(Clone)]
/// struct PlanOf(&'static str);
///
/// impl Layer<NextWith<Plan>> for PlanOf {
///     async fn call(&self, request: Request, next: NextWith<Plan>) -> Response {
///         next.run(request, Plan(self.0)).await
///     }
/// }
///
/// #[get("/plan")]
/// async fn plan(plan: Provided<Plan>) -> &'static str {
///     plan.0.0
/// }
///
/// let app = App::new(()).routes(routes![#[layer(PlanOf("free"))] plan]);
/// # let client = conduit::testing::TestClient::new(app);
/// # client.get("/plan").send().assert_text("free");
/// ```
pub struct NextWith<T> {
    next: Next,
    places: Rc<Places<T>>,
}

impl<T: 'static> NextWith<T> {
    /// Calls the inner layers and the handler with this value, and returns their response. A panic becomes a 500.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops that of the handler, at its current `await`.
    pub async fn run(self, mut request: Request, value: T) -> Response {
        let place = self.places.fill(value);
        request.provide(Rc::clone(&place) as Rc<dyn Any>);
        let response = self.next.run(request).await;
        self.places.clear(place);
        response
    }
}

impl<T> Clone for NextWith<T> {
    fn clone(&self) -> Self {
        NextWith {
            next: self.next.clone(),
            places: Rc::clone(&self.places),
        }
    }
}

impl<T> fmt::Debug for NextWith<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextWith")
    }
}

/// Memory for the values of one layer on one worker, so that a request allocates none.
pub struct Places<T> {
    free: RefCell<Vec<Rc<Option<T>>>>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Places {
            free: RefCell::default(),
        }
    }
}

impl<T> fmt::Debug for Places<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Places")
    }
}

impl<T> Places<T> {
    fn fill(&self, value: T) -> Rc<Option<T>> {
        let Some(mut place) = self.free.borrow_mut().pop() else {
            return Rc::new(Some(value));
        };
        match Rc::get_mut(&mut place) {
            Some(empty) => {
                *empty = Some(value);
                place
            }
            None => Rc::new(Some(value)),
        }
    }

    /// Drops the value, unless the request that shares it still exists.
    fn clear(&self, mut place: Rc<Option<T>>) {
        let Some(value) = Rc::get_mut(&mut place) else { return };
        *value = None;
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT {
            free.push(place);
        }
    }
}

/// The last argument of a layer: [`Next`], or [`NextWith`] in a layer that provides a value.
#[diagnostic::on_unimplemented(
    message = "the last argument of a layer cannot be `{Self}`",
    label = "not `Next`",
    note = "write `next: Next`, or `next: NextWith<User>` in a layer that provides a `User`"
)]
pub trait Continuation: MakeContinuation {
    /// The values around the routes inside of the layer, with those around the layer.
    type Values<V: 'static>: 'static;
}

impl Continuation for Next {
    type Values<V: 'static> = V;
}

impl<T: 'static> Continuation for NextWith<T> {
    type Values<V: 'static> = With<T, V>;
}

/// Makes the last argument of a layer. No other crate can name the trait, so that none adds a [`Continuation`].
pub trait MakeContinuation: 'static {
    /// Memory of one layer on one worker.
    type Memory: Default + 'static;

    fn new(next: Next, memory: &Rc<Self::Memory>) -> Self;
}

impl MakeContinuation for Next {
    type Memory = ();

    fn new(next: Next, _: &Rc<()>) -> Self {
        next
    }
}

impl<T: 'static> MakeContinuation for NextWith<T> {
    type Memory = Places<T>;

    fn new(next: Next, places: &Rc<Places<T>>) -> Self {
        NextWith {
            next,
            places: Rc::clone(places),
        }
    }
}

/// The last argument of a layer of the whole application, which provides no value: [`Next`].
#[diagnostic::on_unimplemented(
    message = "a layer of the whole application cannot provide a value",
    label = "this layer provides a value",
    note = "its handlers would include the 404, which no list contains: write the layer in the list of routes, as in \
            `routes![#[layer(sign_in)] [home, users::ROUTES]]`"
)]
pub trait ProvidesNothing: Continuation {}

impl ProvidesNothing for Next {}
