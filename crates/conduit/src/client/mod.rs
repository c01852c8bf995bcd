//! Typed calls of handlers: a program of the workspace calls a service with the types of its handlers. Requires the feature
//! `client`.
//!
//! With the option `client`, `#[get("/users/{id}", client)]`, the type of a handler has a function `call`. Its arguments are a
//! [`TypedClient`], the values of the path's parameters, and the input of the other extractors in the order of the handler:
//!
//! | extractor | argument |
//! | --- | --- |
//! | `Query<T>`, `Header<T>`, `CookieValues<T>`, `Json<T>`, `Form<T>` | `&T`, which implements `serde::Serialize` |
//! | `Paging<C>` | [`PageRequest`]; [`Pages`] iterates over all pages |
//! | `Sort<F>` | `&[(F, Direction)]` |
//! | `String` | `&str` |
//! | `Bytes`, `Body`, `Upload` | `Bytes`, the whole body |
//! | `Multipart`, `MultipartForm<T>` | [`FormParts`] |
//! | `Option<E>` | an `Option` of the argument for `E` |
//! | `Result<E, _>`, `Valid<E>`, `Submission<E>` | the argument for `E` |
//!
//! State, guards, sessions, cookies and other values of the server or of the credentials have no argument. A custom extractor for
//! such a value implements [`NoArgument`]; any other custom extractor is a compile error, as is `Request`.
//!
//! The result is the content of the handler's response, whose type implements `serde::Deserialize`; an error of the handler is a
//! [`CallError`] with the problem. The function `show` and the type `show` share the handler's name; `call` belongs to the type:
//! `show::call(&client, 7)`.
//!
//! A [`Transport`] sends the request: `TestClient`, with the feature `testing`, or [`ReqwestTransport`] over HTTP, with the feature
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

pub(crate) mod argument;
pub(crate) mod call_parts;
mod error;
mod form_parts;
mod pages;
mod reply;
mod transport;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::argument::{CallArgument, NoArgument};
use self::call_parts::CallParts;
pub use self::error::{CallError, ReceivedProblem};
pub use self::form_parts::FormParts;
pub use self::pages::{PageRequest, Pages, ReceivedPage};
pub use self::reply::FromReply;
#[cfg(feature = "reqwest")]
pub use self::transport::ReqwestTransport;
pub use self::transport::Transport;

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

    /// Sets a header field of each request, such as `accept`, which is `*/*` by default. The value is marked as sensitive: the
    /// output of `Debug` does not contain it, and HTTP/2 does not index it.
    ///
    /// # Panics
    ///
    /// Panics if the name or the value is invalid in a header field.
    #[track_caller]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("the name of a header field");
        let mut value = HeaderValue::try_from(value).expect("the value of a header field");
        // A field of any name may contain a secret, such as an API key.
        value.set_sensitive(true);
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
    /// Sends a request and reads its response. The route attributes generate the call. With the client as the receiver, the
    /// compiler reports a type that a client cannot read once.
    #[doc(hidden)]
    pub async fn call<R: FromReply>(&self, call: CallParts) -> Result<R::Value, CallError> {
        let mut request = http::Request::new(call.body);
        *request.method_mut() = call.method;
        *request.uri_mut() = http::Uri::try_from(&call.target).map_err(CallError::input)?;
        let mut headers = self.headers.clone();
        headers.extend(call.headers);
        if !call.cookies.is_empty() {
            let mut cookies = call.cookies;
            if let Some(known) = headers.get(COOKIE) {
                let known = known.to_str().map_err(CallError::input)?;
                cookies = format!("{known}; {cookies}");
            }
            let mut cookies = HeaderValue::try_from(cookies).map_err(CallError::input)?;
            cookies.set_sensitive(true);
            headers.insert(COOKIE, cookies);
        }
        let any = HeaderValue::from_static("*/*");
        headers.entry(ACCEPT).or_insert(any);
        if let Some(media_type) = call.raw_type {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(media_type));
        }
        *request.headers_mut() = headers;
        let response = self.transport.send(request).await.map_err(CallError::Transport)?;
        reply::read::<R>(response)
    }
}
