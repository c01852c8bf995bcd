//! Layers between the server and the handlers.
//!
//! A layer is an `async` function that takes the request and [`Next`], the rest of the chain, or a type that implements
//! [`Layer`]. It may inspect or change the request, respond without calling the handler, and change the response.
//! `docs/middleware.md` is the guide.
//!
//! # Order
//!
//! A request passes the layers from the outermost to the innermost and then reaches its handler; the response passes them in
//! reverse.
//!
//! - The layers of the application, [`App::layer`](crate::App::layer), wrap everything, including 404 and 405 responses. Each
//!   added layer wraps the previous ones, so the last is the outermost.
//! - The layers in a list of routes wrap the entry that follows them. The first is the outermost, and layers of an outer list
//!   wrap those of a nested list.
//!
//! [`Routes::layers`](crate::Routes::layers) and [`App::layers`](crate::App::layers) return the names in that order.
//!
//! The route look-up precedes the first layer: see [`Request::route`](crate::Request::route). A layer of the application that
//! changes the method or the path causes another look-up.
//!
//! # Cost
//!
//! Each layer reuses the memory of its futures, as handlers do: a layer whose response is ready at once allocates nothing. An
//! application without layers incurs no cost.
//!
//! # Example
//!
//! A function as a layer of the whole application, and a layer for the routes of a module:
//!
//! ```
//! use conduit::prelude::*;
//!
//! #[derive(Clone)]
//! struct AdminKey(&'static str);
//!
//! /// Adds a header field to each response.
//! async fn server_name(request: Request, next: Next) -> Response {
//!     let mut response = next.run(request).await;
//!     response.headers_mut().insert("server", HeaderValue::from_static("conduit"));
//!     response
//! }
//!
//! /// Accepts requests with the key. Extractors come first, then the request.
//! async fn admin(key: State<AdminKey>, request: Request, next: Next) -> Result<Response, Problem> {
//!     match request.header("x-admin-key") {
//!         Some(given) if given == key.0.0.as_bytes() => Ok(next.run(request).await),
//!         _ => Err(Problem::forbidden("this is for administrators")),
//!     }
//! }
//!
//! #[get("/")]
//! async fn home() -> &'static str {
//!     "home"
//! }
//!
//! #[get("/users")]
//! async fn users() -> &'static str {
//!     "all users"
//! }
//!
//! let app = App::new(AdminKey("opensesame"))
//!     .routes(routes![home, #[layer(admin)] "/admin" => [users]])
//!     .layer(server_name);
//! ```

#[cfg(any(feature = "compression", feature = "files"))]
mod accept_encoding;
mod body_limit;
mod budget;
#[cfg(feature = "compression")]
mod coded_tags;
#[cfg(feature = "compression")]
mod coding;
#[cfg(feature = "compression")]
mod compression;
mod concurrency;
mod conditional;
mod cors;
#[cfg(feature = "compression")]
mod decoder;
#[cfg(feature = "compression")]
mod decompression;
mod deprecation;
mod fields;
mod hash;
mod idempotency;
mod idempotency_key;
mod idempotency_record;
mod method_override;
mod nonce;
mod preconditions;
mod rate_limit;
mod reading;
mod request_id;
mod resumed;
mod security_headers;
mod store;
mod timeout;
mod trailing_slash;
mod versions;

#[cfg(feature = "files")]
pub(crate) use accept_encoding::accepted;
pub use body_limit::BodyLimit;
pub use budget::{Budget, Taken};
#[cfg(feature = "compression")]
pub use compression::Compression;
pub use concurrency::ConcurrencyLimit;
#[cfg(feature = "mcp")]
pub(crate) use concurrency::HeldSlots;
pub use conditional::Conditional;
#[cfg(any(feature = "files", feature = "openapi"))]
pub(crate) use conditional::{conditional, strong_tag};
pub use cors::Cors;
#[cfg(feature = "compression")]
pub use decompression::Decompression;
pub use deprecation::Deprecation;
pub use idempotency::Idempotency;
pub use idempotency_key::IdempotencyKey;
pub use method_override::MethodOverride;
pub use nonce::CspNonce;
pub use preconditions::Preconditions;
pub use rate_limit::RateLimit;
pub use reading::Reading;
pub use request_id::{RequestId, RequestIds};
#[cfg(feature = "sessions")]
pub(crate) use resumed::{resumed, whole};
pub use security_headers::SecurityHeaders;
pub use store::{MemoryStore, Store, StoreFull, StoreTransaction, Value};
pub use timeout::Timeout;
pub use trailing_slash::TrailingSlash;
pub use versions::Versions;

#[cfg(feature = "sessions")]
pub(crate) use fields::vary_on;
#[cfg(feature = "sessions")]
pub(crate) use rate_limit::by_address;

pub use conduit_core::layer::{Continuation, Layer, Middleware, Next, NextWith, ProvidesNothing};

/// The description of `retry-after`.
const SECONDS_TO_WAIT: &str = "The number of seconds to wait before the next try.";
