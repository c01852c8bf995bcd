#![forbid(unsafe_code)]
//! A web framework that implements every layer between the socket and the handler.
//!
//! # Example
//!
//! A server on 127.0.0.1:8080 with a checked route, a parsed path parameter and a JSON response:
//!
//! ```no_run
//! use conduit::prelude::*;
//!
//! #[derive(serde::Serialize)]
//! struct User {
//!     id: u64,
//!     name: String,
//! }
//!
//! /// Show one user.
//! #[get("/users/{id}")]
//! async fn show(id: Path<u64>) -> Result<Json<User>, Problem> {
//!     if *id == 0 {
//!         return Err(Problem::not_found("no user has the id 0"));
//!     }
//!     Ok(Json(User { id: *id, name: format!("user {id}") }))
//! }
//!
//! fn main() -> conduit::Result {
//!     App::new(()).routes(routes![show]).run()
//! }
//! ```
//!
//! # Map
//!
//! - [`App`]: state, routes, limits; [`Server`]: listening, serving, stopping.
//! - The route attributes [`get`], [`post`], [`put`], [`patch`], [`delete`], [`head`], [`options`], [`query`],
//!   [`route`](macro@route) and the list [`routes!`]; [`mod@route`]: their generated items.
//! - [`extract`]: arguments of handlers. [`response`]: their return values. [`Problem`](struct@Problem): errors.
//! - [`events`]: event streams.
//! - `hub`, with the feature of that name: topics with subscribers, members and a history; `runs`: work that outlives its request.
//! - [`link`]: links to routes, which the compiler checks.
//! - `client`, with the feature of that name: typed calls of handlers.
//! - [`mod@layer`]: middleware as functions and ready-made types.
//! - `Files`, with the feature `files`: files of a directory, or compiled into the program, as an entry of the list of routes.
//! - [`log`]: output that never blocks the server.
//! - [`openapi`]: descriptions of handlers, and the resulting document.
//! - `opentelemetry`, with the feature of that name: requests as spans that are sent to a collector.
//! - `websocket`, with the feature of that name: WebSockets.
//! - `session`, with the feature `sessions`: data of visitors that is kept between requests.
//! - `testing`, with the feature of that name: a client for tests.
//! - [`Request`], [`Response`], [`Body`]: the whole request or response.
//!
//! Each worker thread runs a tokio runtime: a handler may await anything that is made for tokio, and need not be `Send`.

// The route attributes generate paths such as `::conduit::…`, which must resolve in this crate too.
extern crate self as conduit;

mod app;
mod arguments;
#[cfg(any(feature = "files", feature = "multipart"))]
mod blocking;
#[cfg(feature = "client")]
pub mod client;
mod cross_origin;
pub mod events;
pub mod extract;
#[cfg(feature = "files")]
mod files;
#[cfg(doctest)]
mod guides;
pub mod health;
#[cfg(feature = "hub")]
pub mod hub;
pub mod layer;
pub mod link;
pub mod log;
#[cfg(feature = "mcp")]
mod mcp;
pub mod metrics;
mod observer;
pub mod openapi;
#[cfg(feature = "opentelemetry")]
pub mod opentelemetry;
mod origin;
#[cfg(feature = "askama")]
mod page;
mod plain_value;
mod routes_table;
#[cfg(feature = "hub")]
pub mod runs;
#[cfg(feature = "sessions")]
pub mod session;
mod state_source;
#[cfg(feature = "minijinja")]
mod templates;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "websocket")]
pub mod websocket;

// The modules of these crates, under the paths of this crate.
use conduit_core::internal::{built_in, connection_info, dispatch, excerpt, fallback, networks, pool, state};
use conduit_core::{error, limit, request};

/// Bodies, and the internal items of `conduit-core` that this crate uses.
mod body {
    pub use conduit_core::body::*;
    pub(crate) use conduit_core::internal::body::*;
}

/// The server, and the internal modules of `conduit-server` that this crate uses.
mod server {
    pub(crate) use conduit_server::internal::*;
    pub use conduit_server::*;
}

pub use conduit_core::route;
#[cfg(feature = "testing")]
#[doc(inline)]
pub use conduit_testing as testing;

pub use app::{App, NoRoutes, Routed, Routeless};
pub use body::{Body, BodyError, BoxError};
pub use conduit_macros::{
    FromRef, PathParams, Problem, delete, get, head, nested_routes, options, patch, post, put, query, route, routes,
};
pub use error::{Error, Result};
pub use events::Events;
#[cfg(feature = "tls")]
pub use extract::ClientCertificate;
#[cfg(feature = "cookies")]
pub use extract::CookieValues;
#[cfg(feature = "validate")]
pub use extract::Valid;
#[cfg(feature = "jwt")]
pub use extract::auth::jwt::{Jwt, JwtKeyError, JwtRefused, JwtVerifier};
#[cfg(feature = "jwt")]
pub use extract::auth::jwt_signer::{JwtSignError, JwtSigner};
pub use extract::auth::{ApiKey, Auth, Authenticate, Basic, Bearer, Key, KeyPlace, Secret};
pub use extract::{
    Client, Extension, Form, FromRef, FromRequest, Header, Json, Path, PathParams, PeerAddr, Provided, Query, Shutdown,
    State, Tasks, UnixPeer, With,
};
#[cfg(feature = "multipart")]
pub use extract::{Multipart, MultipartForm, MultipartLimits, SaveOptions, Upload, UploadedFile};
pub use fallback::Fallback;
#[cfg(feature = "files")]
pub use files::{Embedded, Files};
#[cfg(feature = "hub")]
pub use hub::Hub;
pub use layer::{Layer, Middleware, Next, NextWith};
pub use limit::Limit;
pub use observer::access_log::AccessLog;
#[cfg(feature = "askama")]
pub use page::Page;
pub use problem::Problem;
pub use request::Request;
pub use response::{Created, Html, IntoHeaders, IntoResponse, NoContent, Redirect, Response, Status};
pub use route::{Disconnect, NestedRoutes, Routes};
pub use routes_table::{RouteRow, RoutesTable, ToolRow};
#[cfg(feature = "tls")]
pub use server::tls::Tls;
pub use server::{ListenAddress, ListenOn};
pub use server::{Server, ServerHandle, Statistics};
pub use state::AppState;
#[cfg(feature = "minijinja")]
pub use templates::Templates;
#[cfg(feature = "websocket")]
pub use websocket::{WebSocket, WebSocketUpgrade};

pub use bytes::Bytes;
#[cfg(feature = "files")]
pub use conduit_macros::embed;
#[cfg(feature = "cookies")]
pub use cookie;
pub use http;
#[cfg(feature = "minijinja")]
pub use minijinja;
#[cfg(feature = "openapi")]
pub use schemars::{self, JsonSchema};

/// Items for the code that the macros generate, which may change in every version.
#[doc(hidden)]
pub mod internal {
    #[cfg(feature = "client")]
    pub use crate::client::argument::has_no_argument;
    #[cfg(feature = "client")]
    pub use crate::client::call_parts::CallParts;
    pub use crate::extract::type_probe::{OtherType, TypeProbe};
    #[cfg(feature = "files")]
    pub use crate::files::embedded::{EmbeddedFile, embedded};
    pub use crate::link::target::{link_path, with_query};
}

/// Error responses: problem details (RFC 9457). [`Problem`](struct@Problem) is an error response.
pub mod problem {
    pub use conduit_core::internal::error_form::ErrorContext;
    #[doc(inline)]
    pub use conduit_core::problem::*;
}

/// Return values of handlers. The module of [`conduit_core`](conduit_core::response) lists the types.
pub mod response {
    pub use conduit_core::headers::IntoHeaders;
    #[doc(inline)]
    pub use conduit_core::response::*;
}

/// The usual imports: `use conduit::prelude::*;`.
pub mod prelude {
    #[cfg(feature = "cookies")]
    pub use crate::CookieValues;
    pub use crate::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
    #[cfg(feature = "openapi")]
    pub use crate::openapi::DescribeRoutes;
    pub use crate::{
        App, Body, Bytes, Created, Form, FromRef, FromRequest, Header, Html, IntoResponse, Json, Layer, NestedRoutes,
        Next, NextWith, NoContent, Path, PathParams, PeerAddr, Problem, Provided, Query, Redirect, Request, Response,
        Routes, State, Status, With,
    };
    #[cfg(feature = "openapi")]
    pub use crate::{JsonSchema, schemars};
    pub use crate::{delete, get, head, nested_routes, options, patch, post, put, query, route, routes};
}
