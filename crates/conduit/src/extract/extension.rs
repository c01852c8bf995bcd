//! Values in the extensions of a request.

use std::any::type_name;
use std::error::Error;
use std::fmt;

use super::FromRequest;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;

/// A value in the extensions of the request ([`Request::extensions`]), cloned: one that a layer of tower adds, or that a library
/// passes on with a request of `http`. For the value of another layer, take [`Provided`](crate::Provided), which the compiler
/// checks.
///
/// # Errors
///
/// Rejects with 500 if the request has no `T`, because the fault is the application's; the log names the type and the remedy. An
/// `Option<Extension<T>>` is `None` instead.
///
/// # Example
///
/// A layer of tower that identifies the tenant, and a handler that receives it:
///
/// ```
/// use conduit::prelude::*;
/// use conduit::{Extension, http};
///
/// #[derive(Clone)]
/// struct Tenant(&'static str);
///
/// #[get("/")]
/// async fn home(tenant: Extension<Tenant>) -> &'static str {
///     tenant.0.0
/// }
///
/// let tenants = tower::util::MapRequestLayer::new(|mut request: http::Request<Body>| {
///     request.extensions_mut().insert(Tenant("acme"));
///     request
/// });
/// let app = App::new(()).routes(routes![home]).layer(conduit::tower::layer(tenants));
/// # conduit::testing::TestClient::new(app).get("/").send().assert_text("acme");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Extension<T>(pub T);

/// The error if the request has no such value.
#[derive(Debug)]
struct Missing(&'static str);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        write!(
            f,
            "the extensions of the request have no `{name}`: add a layer around the handler that calls \
             `request.extensions_mut().insert(…)` with it, or take `Provided<{name}>`, whose layer the compiler requires"
        )
    }
}

impl Error for Missing {}

/// A value that a layer can add to the extensions of a request. Implemented for every type that is `Clone`, `Send`, `Sync` and `'static`; the
/// trait exists for the compiler's messages.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an `Extension`",
    label = "an extension must be `Clone`, `Send`, `Sync` and `'static`",
    note = "each handler gets a clone: write `#[derive(Clone)]` on `{Self}`, or wrap it in an `Arc`"
)]
pub trait Attachable: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> Attachable for T {}

impl<S, T: Attachable> FromRequest<S> for Extension<T> {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        match request.extensions().get::<T>() {
            Some(value) => Ok(Extension(value.clone())),
            None => Err(Problem::internal(&Missing(type_name::<T>()))),
        }
    }

    /// The value does not depend on the request's content.
    fn describe(_: &mut Operation) {}

    fn is_absent(request: &Request) -> bool {
        request.extensions().get::<T>().is_none()
    }
}
