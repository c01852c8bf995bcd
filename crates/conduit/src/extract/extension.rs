//! Values that layers add to a request.

use std::any::type_name;
use std::error::Error;
use std::fmt;

use super::FromRequest;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;

/// A value that a layer added to the request ([`Request::extensions_mut`]), cloned.
///
/// # Errors
///
/// Rejects with 500 if no layer has added a `T`, because the fault is the application's; the log names the type and the remedy.
/// An `Option<Extension<T>>` is `None` instead.
///
/// # Example
///
/// A layer that identifies the tenant, and a handler that receives it:
///
/// ```
/// use conduit::Extension;
/// use conduit::prelude::*;
///
/// #[derive(Clone)]
/// struct Tenant(String);
///
/// async fn with_tenant(mut request: Request, next: Next) -> Response {
///     let tenant = Tenant("acme".to_owned());
///     request.extensions_mut().insert(tenant);
///     next.run(request).await
/// }
///
/// #[get("/")]
/// async fn home(tenant: Extension<Tenant>) -> String {
///     format!("this is {}", tenant.0.0)
/// }
///
/// # fn app() -> App<(), Routes> {
/// App::new(()).layer(with_tenant).routes(routes![home])
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Extension<T>(pub T);

/// The error if no layer has added such a value.
#[derive(Debug)]
struct Missing(&'static str);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        write!(
            f,
            "no layer has attached a `{name}` to the request: add one in front of the handler that calls \
             `request.extensions_mut().insert(…)` with it, or take `Option<Extension<{name}>>`"
        )
    }
}

impl Error for Missing {}

/// A value that a layer can add to a request. Implemented for every type that is `Clone`, `Send`, `Sync` and `'static`; the
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
