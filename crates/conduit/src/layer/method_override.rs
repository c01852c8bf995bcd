//! Method overrides.

use http::Method;

use super::{Layer, Next};
use crate::problem::{Excerpt, Problem};
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// Replaces the method of a `POST` with the `PUT`, `PATCH` or `DELETE` in its header field `x-http-method-override`, for
/// clients and proxies that can send only `GET` and `POST`.
///
/// It is opt-in, because a method filter in front of the application, such as a firewall, does not see the new method. Any
/// other method in the field is rejected with a 400. It must be a layer of the application, since layers of a list run after
/// the route look-up.
///
/// # Example
///
/// A form that sends a `DELETE`:
///
/// ```
/// use conduit::layer::MethodOverride;
/// use conduit::prelude::*;
///
/// #[delete("/users/{id}")]
/// async fn remove(id: Path<u64>) -> StatusCode {
///     StatusCode::NO_CONTENT
/// }
///
/// let app = App::new(()).routes(routes![remove]).layer(MethodOverride::new());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MethodOverride(());

impl MethodOverride {
    /// Reads `x-http-method-override`.
    pub const fn new() -> Self {
        MethodOverride(())
    }
}

impl Layer for MethodOverride {
    async fn call(&self, mut request: Request, next: Next) -> Response {
        if request.method() == Method::POST
            && let Some(wanted) = request.header("x-http-method-override")
        {
            let method = match wanted {
                b"PUT" => Method::PUT,
                b"PATCH" => Method::PATCH,
                b"DELETE" => Method::DELETE,
                other => {
                    let other = Excerpt::new(other);
                    let detail = format!(
                        "invalid x-http-method-override {other:?}: expected PUT, PATCH or DELETE, in upper case"
                    );
                    return Problem::bad_request(detail).into_response();
                }
            };
            request.set_method(method);
        }
        next.run(request).await
    }
}
