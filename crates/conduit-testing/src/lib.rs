//! Tests of an application: a client that calls it in this process, and assertions that show the difference.
//!
//! With the feature `testing`, for the dev-dependencies of an application:
//!
//! ```toml
//! [dev-dependencies]
//! conduit = { package = "conduit-web", path = "../conduit/crates/conduit", features = ["testing"] }
//! ```
//!
//! A test is a plain `#[test] fn`. [`TestClient::new`] serves the application on a separate thread, with a pipe in memory instead
//! of a socket. Everything above the socket is as in production: the HTTP engine, limits and deadlines, layers and response rules.
//! [`TestClient::over_socket`] is the same on a real port.
//!
//! # Time
//!
//! In process, a test controls the application's clock, which is tokio's: [`TestClient::advance`] lets an hour pass for its timers,
//! for the server's deadlines and for the expiry of cookies. With [`TestClient::skip_waiting`] the clock jumps to the next timer
//! while the test waits for a response. This is not the default, because the clock would also jump over timeouts for work outside
//! of the runtime, such as a database query.
//!
//! # Contract
//!
//! A response that the application's OpenAPI document does not describe fails the test at its line, with the operation, its
//! handler and the handler's place in the source: an undocumented status, content type, header field, or a body that
//! differs from its schema. Requests that no route matches, handlers that the document omits, and responses without a
//! description are not compared. [`TestRequest::undocumented`] and [`TestClient::without_contract`] end the comparison for
//! one request, and for all requests of a client.
//!
//! # Example
//!
//! ```
//! use conduit::prelude::*;
//! use conduit::testing::TestClient;
//! use serde_json::json;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Link {
//!     url: String,
//! }
//!
//! #[post("/links")]
//! async fn create(link: Json<Link>) -> (StatusCode, Json<Link>) {
//!     (StatusCode::CREATED, link)
//! }
//!
//! let client = TestClient::new(App::new(()).routes(routes![create]));
//! client
//!     .post("/links")
//!     .json(&json!({ "url": "https://example.com" }))
//!     .send()
//!     .assert_status(201)
//!     .assert_json(&json!({ "url": "https://example.com" }));
//! client.get("/links").send().assert_status(405).assert_header("allow", "POST, OPTIONS");
//! ```

#![forbid(unsafe_code)]

mod application;
mod client;
mod connection;
mod contract;
mod cookies;
mod difference;
mod events;
mod lock;
mod reading;
mod reference;
mod request;
mod response;
mod session;
#[cfg(feature = "websocket")]
mod websocket;
mod wire;

pub use application::TestApplication;
pub use client::TestClient;
pub use connection::TestConnection;
pub use contract::{ResponseContract, TestExchange};
pub use events::ServerEvent;
pub use lock::assert_lock;
pub use request::{TestCall, TestRequest, TestUpload};
pub use response::{TestResponse, TestStream};
#[cfg(feature = "websocket")]
pub use websocket::{TestFrame, TestWebSocket, TestWebSocketRequest};

pub use conduit_server::internal::in_process::Resources;

/// The README, which is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
