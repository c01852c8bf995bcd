//! A limit on the size of request bodies.

use std::borrow::Cow;

use http::StatusCode;

use super::{Layer, Next};
use crate::body::BodyError;
use crate::extract::TOO_LARGE;
use crate::openapi::{LayerLimit, Operation};
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// Sets the maximum body size of requests to the routes that it wraps. It may be below or above the application's
/// [`body_limit`](crate::App::body_limit).
///
/// A request that declares a longer body gets a 413 before the handler is called. A body of undeclared length fails while it is
/// read, which also results in a 413. Inside `Decompression`, the declared length is the compressed one, and the limit also
/// applies to the decompressed body.
///
/// # Example
///
/// Uploads of up to 100 MiB in an application with a default limit of 2 MiB:
///
/// ```
/// use conduit::layer::BodyLimit;
/// use conduit::prelude::*;
///
/// #[put("/backup")]
/// async fn backup(body: Body) -> StatusCode {
///     StatusCode::NO_CONTENT
/// }
///
/// let app = App::new(()).routes(routes![#[layer(BodyLimit::new(100 * 1024 * 1024))] backup]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    bytes: u64,
}

impl BodyLimit {
    /// Limits bodies to `bytes`.
    pub const fn new(bytes: u64) -> Self {
        BodyLimit { bytes }
    }
}

impl Layer for BodyLimit {
    async fn call(&self, mut request: Request, next: Next) -> Response {
        if request.declared_length().is_some_and(|length| length > self.bytes) {
            let limit_bytes = self.bytes;
            return BodyError::TooLarge { limit_bytes }.into_response();
        }
        request.set_body_limit(self.bytes);
        next.run(request).await
    }

    fn describe(&self, operation: &mut Operation) {
        operation
            .problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
            .limit(LayerLimit::BodyBytes(self.bytes));
    }

    fn name(&self) -> Cow<'static, str> {
        format!("BodyLimit({} bytes)", self.bytes).into()
    }
}
