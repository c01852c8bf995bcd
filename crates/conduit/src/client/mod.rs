//! Typed calls of handlers: a program of the workspace calls a service with the types of its handlers. Requires the feature
//! `client`.
//!
//! With the option `client`, `#[get("/users/{id}", client)]`, the type of a handler has a function `call`. Its arguments are a
//! [`TypedClient`], the values of the path's parameters, and references to the content of `Query`, `Header`, `Json` and `Form`; the
//! types implement `serde::Serialize`. Its result is the content of the handler's response, whose type implements
//! `serde::Deserialize`; an error of the handler is a [`CallError`] with the problem. A function and a type share the handler's
//! name, and a value `show` is the function, so that the call is `show::call(&client, 7)`.
//!
//! A [`Transport`] sends the request: the client for tests, with the feature `testing`, or [`Server`] over HTTP, with the feature
//! `reqwest`. Other programs use the output of `program --client rust` or `program --client typescript`.
//!
//! # Example
//!
//! A test that calls a handler with its types:
//!
//! ```
//! use conduit::client::{CallError, TypedClient};
//! use conduit::prelude::*;
//! use conduit::testing::TestClient;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct User {
//!     id: u64,
//!     name: String,
//! }
//!
//! #[get("/users/{id}", client)]
//! async fn show(id: Path<u64>) -> Result<Json<User>, Problem> {
//!     match *id {
//!         7 => Ok(Json(User { id: 7, name: "Ada".to_owned() })),
//!         id => Err(Problem::not_found(format!("no user has the id {id}"))),
//!     }
//! }
//!
//! # fn main() {
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
//! # runtime.block_on(async {
//! let client = TypedClient::new(TestClient::new(App::new(()).routes(routes![show])));
//! assert_eq!(show::call(&client, 7).await.expect("a user").name, "Ada");
//! let missing = show::call(&client, 8).await;
//! assert!(matches!(missing, Err(CallError::Problem(problem)) if problem.status == StatusCode::NOT_FOUND));
//! # });
//! # }
//! ```

mod reply;
mod transport;

use std::fmt;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;

pub use self::reply::{CallError, FromReply, ReceivedProblem};
#[cfg(feature = "reqwest")]
pub use self::transport::Server;
pub use self::transport::Transport;
use crate::link::{LinkPairs, LinkValue as _, pairs_of_fields, try_path, with_query};

/// Calls handlers of one service.
#[derive(Clone, Debug)]
pub struct TypedClient<T> {
    transport: T,
    headers: HeaderMap,
}

impl<T> TypedClient<T> {
    /// A client without credentials.
    pub fn new(transport: T) -> Self {
        TypedClient {
            transport,
            headers: HeaderMap::new(),
        }
    }

    /// Sets a header field of each request, such as `accept`, which is `*/*` by default.
    ///
    /// # Panics
    ///
    /// Panics if the name or the value is invalid in a header field.
    #[track_caller]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("the name of a header field");
        let mut value = HeaderValue::try_from(value).expect("the value of a header field");
        // A sensitive value is not in the output of `Debug`.
        value.set_sensitive([AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(&name));
        self.headers.insert(name, value);
        self
    }

    /// Sends a bearer token with each request (RFC 6750).
    ///
    /// # Panics
    ///
    /// Panics if the token cannot be in a header field.
    #[track_caller]
    pub fn with_bearer(self, token: &str) -> Self {
        self.with_header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }
}

impl<T: Transport> TypedClient<T> {
    /// Sends a request and reads its response. The route attributes write the call.
    #[doc(hidden)]
    pub async fn call<R: FromReply>(&self, call: CallParts) -> Result<R::Value, CallError> {
        let mut request = http::Request::new(call.body);
        *request.method_mut() = call.method;
        *request.uri_mut() = http::Uri::try_from(&call.target).map_err(CallError::input)?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(call.headers);
        let any = HeaderValue::from_static("*/*");
        request.headers_mut().entry(ACCEPT).or_insert(any);
        let response = self.transport.send(request).await.map_err(CallError::Transport)?;
        reply::read::<R>(response)
    }
}

/// The request of a call.
#[derive(Debug)]
#[doc(hidden)]
pub struct CallParts {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

#[doc(hidden)]
impl CallParts {
    pub fn new(
        method: &'static str,
        path: &'static str,
        values: &[(&'static str, LinkPairs)],
    ) -> Result<Self, CallError> {
        Ok(CallParts {
            method: Method::from_bytes(method.as_bytes()).map_err(CallError::input)?,
            target: try_path(path, values).map_err(CallError::input)?,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        })
    }

    pub fn query<Q: Serialize>(&mut self, query: &Q) -> Result<(), CallError> {
        self.target = with_query(std::mem::take(&mut self.target), &query.pairs());
        Ok(())
    }

    pub fn headers<H: Serialize>(&mut self, fields: &H) -> Result<(), CallError> {
        for (name, value) in pairs_of_fields(&fields.pairs()) {
            let name = HeaderName::try_from(name.replace('_', "-")).map_err(CallError::input)?;
            self.headers
                .append(name, HeaderValue::try_from(value).map_err(CallError::input)?);
        }
        Ok(())
    }

    pub fn json<B: Serialize>(&mut self, body: &B) -> Result<(), CallError> {
        let body = serde_json::to_vec(body).map_err(CallError::input)?;
        self.set_body("application/json", body);
        Ok(())
    }

    pub fn form<B: Serialize>(&mut self, body: &B) -> Result<(), CallError> {
        let form = with_query(String::new(), &body.pairs());
        self.set_body(
            "application/x-www-form-urlencoded",
            form.trim_start_matches('?').to_owned(),
        );
        Ok(())
    }

    pub fn text(&mut self, body: &str) -> Result<(), CallError> {
        self.set_body("text/plain; charset=utf-8", body.to_owned());
        Ok(())
    }

    fn set_body(&mut self, media_type: &'static str, body: impl Into<Bytes>) {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        self.body = body.into();
    }
}

impl CallError {
    fn input(error: impl fmt::Display) -> Self {
        CallError::Input(error.to_string())
    }
}
