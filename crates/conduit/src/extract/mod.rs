//! Extractors: the arguments of handlers.
//!
//! | argument | value | rejected with |
//! | --- | --- | --- |
//! | [`Path<T>`] | a parameter of the path, decoded and parsed | 400 |
//! | [`Query<T>`] | the query, parsed | 400 |
//! | [`Paging<C>`], [`Sort<F>`] | the part of a list that the client requests, and its order | 400, 422 |
//! | [`Json<T>`] | the body, from JSON | 400, 413, 415, 422 |
//! | [`Form<T>`] | the body, from a form | 400, 413, 415, 422 |
//! | [`Submission<Form<T>>`](Submission) | the same, or its fields with the errors, to redisplay the form | 400, 413, 415 |
//! | [`Header<T>`] | fields of the head, parsed | 400 |
//! | `CookieValues<T>` (feature `cookies`) | the values of cookies, parsed | 400 |
//! | `Multipart`, `MultipartForm<T>` (feature `multipart`) | a form with files: as a stream, in a struct | 400, 413, 415, 422 |
//! | `Upload` (feature `multipart`) | the body, to be saved as a file | when saved: 400, 413, 507 |
//! | [`State<T>`] | the application's state, or a part of it | – |
//! | `Valid<Json<T>>` and similar (feature `validate`) | the same, with validated values | 422, or as `Json` |
//! | `FormToken` (feature `sessions`) | the token of a form, for old browsers | 503 |
//! | `Session<T>`, `ActiveSession<T>` (feature `sessions`) | the data of a visitor's session | 503; `ActiveSession` also 401; when written: 409, 503 |
//! | `Cookies`, `SignedCookies`, `PrivateCookies` (feature `cookies`) | the cookies, to read and set | – |
//! | [`Provided<T>`] | a value that a layer around the route provides | never; a route outside of the layer does not compile |
//! | [`Extension<T>`] | a value that a layer of tower has added | 500 |
//! | [`Bytes`](crate::Bytes), [`String`], [`Body`](crate::Body) | the body: whole, as text, as a stream | 400, 413 |
//! | [`HeaderMap`](http::HeaderMap), [`Method`](http::Method), [`Uri`](http::Uri), [`Version`](http::Version) | parts of the request's head | – |
//! | [`Auth<T>`](auth::Auth), [`Bearer`](auth::Bearer), [`Basic`](auth::Basic), [`ApiKey`](auth::ApiKey) | the authenticated client, or its credentials | 400, 401 |
//! | `Jwt<C>` (feature `jwt`) | the claims of a verified JSON Web Token | 400, 401 |
//! | [`PeerAddr`] | the address of the peer | – |
//! | `ClientCertificate` (feature `tls`) | the client's certificate | 403 without one |
//! | `WebSocketUpgrade` (feature `websocket`) | the request for a WebSocket | 400, 426, 501 |
//! | [`Preconditions`](crate::layer::Preconditions) | `if-match` and similar fields, which the handler checks | when checked: 412 |
//! | [`IdempotencyKey`](crate::layer::IdempotencyKey) | the key of the layer `Idempotency` | 400; 500 without the layer |
//! | [`RequestId`](crate::layer::RequestId) | the id of the request | never |
//! | [`CspNonce`](crate::layer::CspNonce) | the nonce of a page | 500 without the layer `SecurityHeaders` |
//! | `Templates` (feature `minijinja`) | the templates of the state | – |
//! | [`LastEventId`](crate::events::LastEventId) | the last event that the client of an event stream has received | never |
//! | [`Shutdown`] | the shutdown of the server, to await | – |
//! | [`Tasks`] | spawns work that continues after the response | – |
//! | [`Client`] | the client of a request, also through trusted proxies: address, scheme, host | never |
//! | [`UnixPeer`] | the peer process of a Unix socket | 403 for other sockets |
//! | [`Request`] | the whole request | – |
//! | `Option<T>` | `None` if the request has no input for `T` | as `T` |
//! | `Result<T, T::Rejection>` | the value or the rejection, for the handler to process | – |
//!
//! At most one argument may consume the body; two are a compile error. The order of the arguments is free: they are extracted
//! from left to right, [`Request`] last, and the first rejection is the response.

mod attempts;
pub mod auth;
mod client;
#[cfg(feature = "validate")]
mod client_names;
mod connection;
mod content;
#[cfg(feature = "cookies")]
mod cookie_values;
#[cfg(feature = "cookies")]
mod cookies;
mod error;
mod extension;
mod fields;
mod header;
mod lines;
mod located;
#[cfg(feature = "multipart")]
mod multipart;
mod paging;
mod pairs;
mod path;
mod readable;
mod refusals;
mod sent_cookies;
mod shutdown;
mod submission;
mod tasks;
mod text;
pub(crate) mod type_probe;
#[cfg(feature = "validate")]
mod valid;

use std::convert::Infallible;
use std::ops::{Deref, DerefMut};

pub use client::Client;
#[cfg(feature = "validate")]
pub use client_names::ClientInput;
#[cfg(feature = "tls")]
pub use connection::ClientCertificate;
pub use connection::UnixPeer;
pub(crate) use content::essence;
#[cfg(feature = "sessions")]
pub(crate) use content::has_form;
#[cfg(any(feature = "compression", feature = "mcp"))]
pub(crate) use content::media_type;
pub use content::{Form, Json, Query};
#[cfg(feature = "cookies")]
pub use cookie_values::CookieValues;
#[cfg(feature = "cookies")]
pub use cookies::{CookieKey, Cookies, PrivateCookies, ShortSecret, SignedCookies};
pub use extension::{Attachable, Extension};
pub use header::Header;
#[cfg(feature = "multipart")]
pub use multipart::{Field, Multipart, MultipartForm, MultipartLimits, SaveOptions, Upload, UploadedFile};
pub use paging::{Direction, Paged, Paging, Sort};
pub use path::{Path, PathArgument, PathParams};
pub use readable::Readable;
pub use shutdown::Shutdown;
pub use submission::{FormFields, Submission, SubmittedForm};
pub use tasks::Tasks;
#[cfg(feature = "validate")]
pub use valid::{Content, HasRules, Valid};

#[cfg(feature = "sessions")]
pub(crate) use sent_cookies::{sent_cookies, sent_values};

pub(crate) use conduit_core::extract::TOO_LARGE;
pub use conduit_core::extract::{FromLayer, FromRef, FromRequest, MarkerIn, PeerAddr, Provided, Provides, With};

use crate::openapi::Operation;
use crate::request::Request;

/// The application's state, or a part that [`FromRef`] derives from it.
///
/// Each worker thread has a clone of the state passed to [`App::new`](crate::App::new): share values between workers through an
/// `Arc`, a pool, or another handle.
#[derive(Clone, Copy, Debug)]
pub struct State<T>(pub T);

impl<S, T: FromRef<S>> FromRequest<S> for State<T> {
    type Rejection = Infallible;

    async fn from_request(_: &mut Request, state: &S) -> Result<Self, Infallible> {
        Ok(State(T::from_ref(state)))
    }

    /// The state does not depend on the request's content.
    fn describe(_: &mut Operation) {}
}

macro_rules! reads_as_its_content {
    ($($type:ident),*) => {$(
        impl<T> Deref for $type<T> {
            type Target = T;
            fn deref(&self) -> &T {
                &self.0
            }
        }

        impl<T> DerefMut for $type<T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.0
            }
        }
    )*};
}

use auth::Auth;

reads_as_its_content!(Path, Query, Json, Form, Header, State, Auth, Extension);
#[cfg(feature = "multipart")]
reads_as_its_content!(MultipartForm);
#[cfg(feature = "cookies")]
reads_as_its_content!(CookieValues);
