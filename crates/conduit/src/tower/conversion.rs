//! Conversions between the requests and responses of Conduit and of the `http` crate.

use std::future::poll_fn;

use tower_service::Service;

use crate::body::{Body, BoxError};
use crate::extract::PeerAddr;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// Calls a service when it is ready.
pub(super) async fn call<T, R, B>(mut service: T, request: http::Request<R>) -> Response
where
    T: Service<http::Request<R>, Response = http::Response<B>, Error: Into<BoxError>>,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    let answer = match poll_fn(|context| service.poll_ready(context)).await {
        Ok(()) => service.call(request).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(response) => response.map(Body::from_http_body),
        Err(error) => Problem::internal(&*error.into()).into_response(),
    }
}

/// Converts a request to the `http` crate's type, and returns its remaining parts.
pub(super) fn into_http(mut request: Request) -> (http::Request<Body>, Request) {
    let mut converted = http::Request::new(request.take_body());
    *converted.method_mut() = request.method().clone();
    *converted.uri_mut() = request.uri().clone();
    *converted.version_mut() = request.version();
    *converted.extensions_mut() = std::mem::take(request.extensions_mut());
    converted.extensions_mut().insert(PeerAddr(request.peer_address()));
    *converted.headers_mut() = request.take_headers();
    (converted, request)
}

/// Converts a request back, with the layer's changes.
pub(super) fn from_http(mut shell: Request, request: http::Request<Body>) -> Request {
    let (parts, body) = request.into_parts();
    if parts.method != *shell.method() {
        shell.set_method(parts.method);
    }
    if parts.uri != *shell.uri() {
        shell.set_uri(parts.uri);
    }
    *shell.headers_mut() = parts.headers;
    *shell.extensions_mut() = parts.extensions;
    shell.set_body(body);
    shell
}
