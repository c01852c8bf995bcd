//! Values that layers provide for the routes inside of them: the types by which the compiler finds them, and [`Provided`].

use std::any::type_name;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::extract::FromRequest;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;

/// A value that a layer around the route provides, cloned.
///
/// The layer takes [`NextWith`](crate::layer::NextWith) in the place of `Next`. The compiler verifies that such a layer
/// is around each route that takes the value: a route outside of it is a compile error at its entry in the list.
///
/// # Example
///
/// A layer that identifies the tenant, and a handler that takes it:
///
/// ```
/// use conduit::prelude::*;
///
/// #[derive(Clone)]
/// struct Tenant(String);
///
/// async fn of_the_host(request: Request, next: NextWith<Tenant>) -> Result<Response, Problem> {
///     let host = request.header("host").and_then(|host| str::from_utf8(host).ok());
///     let Some((tenant, _)) = host.and_then(|host| host.split_once('.')) else {
///         return Err(Problem::not_found("the host has no tenant"));
///     };
///     let tenant = Tenant(tenant.to_owned());
///     Ok(next.run(request, tenant).await)
/// }
///
/// #[get("/")]
/// async fn home(tenant: Provided<Tenant>) -> String {
///     format!("this is {}", tenant.0.0)
/// }
///
/// let app = App::new(()).routes(routes![#[layer(of_the_host)] home]);
/// # let client = conduit::testing::TestClient::new(app);
/// # client.get("/").header("host", "acme.example").send().assert_text("this is acme");
/// ```
///
/// Outside of the layer it does not compile:
///
/// ```compile_fail,E0277
/// # use conduit::prelude::*;
/// # #[derive(Clone)]
/// # struct Tenant(String);
/// # #[get("/")]
/// # async fn home(tenant: Provided<Tenant>) -> String {
/// #     tenant.0.0
/// # }
/// // error[E0277]: no layer around this route provides `Tenant`
/// App::new(()).routes(routes![home]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Provided<T>(pub T);

impl<T> Deref for Provided<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Provided<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// A value that handlers can take as [`Provided`]. Implemented for every type that is `Clone` and `'static`; the trait exists
/// for the messages of the compiler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be `Provided`",
    label = "a provided value must be `Clone` and `'static`",
    note = "each handler gets a clone: write `#[derive(Clone)]` on `{Self}`, or wrap it in an `Rc` or `Arc`"
)]
pub trait Providable: Clone + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + 'static> Providable for T {}

impl<S, V, I, T> FromRequest<S, FromLayer<V, I>> for Provided<T>
where
    T: Providable,
    V: Provides<T, I>,
{
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        match request.provided::<T>() {
            Some(value) => Ok(Provided(value.clone())),
            None => Err(Problem::internal(&Lost(type_name::<T>()))),
        }
    }

    /// The layer describes its input.
    fn describe(_: &mut Operation) {}
}

/// The error if a layer inside of the providing one has called the handler with a different request.
#[derive(Debug)]
struct Lost(&'static str);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the request has lost the `{}` that a layer provides: an inner layer has passed another request to \
             `next.run`: pass the received one, changed if necessary",
            self.0
        )
    }
}

impl Error for Lost {}

/// The values that layers around a route provide: `T`, and those of `V`. Part of the type of a list whose handlers take values
/// from layers of the list that mounts it.
///
/// The order is irrelevant, and the layers around the list may provide more.
///
/// # Example
///
/// A list that only signed-in users reach:
///
/// ```
/// use conduit::prelude::*;
///
/// #[derive(Clone)]
/// struct User(String);
///
/// async fn signed_in(request: Request, next: NextWith<User>) -> Result<Response, Problem> {
///     match request.header("x-user").and_then(|name| str::from_utf8(name).ok()) {
///         Some(name) => {
///             let user = User(name.to_owned());
///             Ok(next.run(request, user).await)
///         }
///         None => Err(Problem::unauthorized("sign in first")),
///     }
/// }
///
/// mod account {
///     use super::User;
///     use conduit::prelude::*;
///
///     #[get("/")]
///     async fn show(user: Provided<User>) -> String {
///         user.0.0
///     }
///
///     pub const ROUTES: Routes<(), With<User>> = routes![show];
/// }
///
/// # fn main() {
/// let app = App::new(()).routes(routes![#[layer(signed_in)] "/account" => account::ROUTES]);
/// # let client = conduit::testing::TestClient::new(app);
/// # client.get("/account").header("x-user", "ada").send().assert_text("ada");
/// # }
/// ```
///
/// Two values are `With<User, With<Tenant>>`.
pub struct With<T, V = ()>(PhantomData<fn() -> (T, V)>);

/// The values of the layers around a route, with a `T` among them. `I` is its place, which the compiler infers.
///
/// A custom extractor that reads a value is generic in both; see [`FromLayer`].
#[diagnostic::on_unimplemented(
    message = "no layer around this route provides `{T}`",
    label = "no layer provides `{T}` here",
    note = "write the layer before the entry, as in `routes![#[layer(sign_in)] [show, edit]]`; it takes `next: NextWith<{T}>` \
            and calls `next.run(request, value)`",
    note = "for a list whose layers are in another list, name the value in its type: `Routes<State, With<{T}>>`"
)]
pub trait Provides<T, I>: 'static {}

#[diagnostic::do_not_recommend]
impl<T: 'static, V: 'static> Provides<T, Here> for With<T, V> {}

#[diagnostic::do_not_recommend]
impl<T, U: 'static, V: Provides<T, I>, I> Provides<T, Further<I>> for With<U, V> {}

/// The place of the value of the innermost layer.
#[derive(Debug)]
pub struct Here(());

/// A place in the values of the outer layers.
#[derive(Debug)]
pub struct Further<I>(PhantomData<fn() -> I>);

/// The values of the layers around a list, with all values `W` that it needs among them. `I` are their places.
pub trait ProvidesAll<W, I>: 'static {}

#[diagnostic::do_not_recommend]
impl<V: 'static> ProvidesAll<(), ()> for V {}

impl<V, T, W, I, J> ProvidesAll<With<T, W>, (I, J)> for V where V: Provides<T, I> + ProvidesAll<W, J> {}

/// The marker of an extractor that reads a value of a layer: the parameter `M` of [`FromRequest`]. `V` are the values around the
/// route, and `I` the places of those that it reads.
///
/// # Example
///
/// An extractor that accepts only some users:
///
/// ```
/// use conduit::extract::{FromLayer, Provides};
/// use conduit::prelude::*;
///
/// #[derive(Clone)]
/// struct User {
///     is_admin: bool,
/// }
///
/// struct Admin(User);
///
/// impl<S, V: Provides<User, I>, I> FromRequest<S, FromLayer<V, I>> for Admin {
///     type Rejection = Problem;
///
///     async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
///         let user = <Provided<User> as FromRequest<S, FromLayer<V, I>>>::from_request(request, state).await?;
///         match user.is_admin {
///             true => Ok(Admin(user.0)),
///             false => Err(Problem::forbidden("this is for administrators")),
///         }
///     }
/// }
///
/// async fn sign_in(request: Request, next: NextWith<User>) -> Response {
///     let is_admin = request.header("x-admin").is_some();
///     next.run(request, User { is_admin }).await
/// }
///
/// #[delete("/everything")]
/// async fn erase(_: Admin) {}
///
/// let app = App::new(()).routes(routes![#[layer(sign_in)] erase]);
/// # let client = conduit::testing::TestClient::new(app);
/// # client.delete("/everything").send().assert_status(403);
/// # client.delete("/everything").header("x-admin", "1").send().assert_status(200);
/// ```
#[derive(Debug)]
pub struct FromLayer<V, I>(PhantomData<fn() -> (V, I)>);

/// The marker of an extractor that works inside of layers with the values `V`: `()`, or [`FromLayer`] with these values.
pub trait MarkerIn<V>: 'static {}

impl<V> MarkerIn<V> for () {}

#[diagnostic::do_not_recommend]
impl<V: 'static, I: 'static> MarkerIn<V> for FromLayer<V, I> {}
