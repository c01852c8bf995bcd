//! Tests of an application: a client that calls it in this process, and assertions that show the difference.
//!
//! With the feature `testing`, for the dev-dependencies of an application:
//!
//! ```toml
//! [dev-dependencies]
//! conduit-web = { version = "0.1", features = ["testing"] }
//! ```
//!
//! A test is a plain `#[test] fn`. [`TestClient::new`] serves the application on a separate thread, with a pipe in
//! memory instead of a socket: everything above the socket is as in production: the HTTP engine, limits and
//! deadlines, layers and response rules. [`TestClient::over_socket`] is the same on a real port.
//!
//! # Time
//!
//! In process the application's clock, tokio's, can be moved: [`TestClient::advance`] lets an hour pass, for its timers, for
//! the server's deadlines and for the expiry of cookies. With [`TestClient::skip_waiting`] it jumps to the next timer by
//! itself while the test waits for an answer. That is not the default because it would jump over the time-outs of what
//! works outside of the runtime, such as a database.
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
mod cookies;
mod difference;
mod events;
mod reading;
mod request;
mod response;
#[cfg(feature = "websocket")]
mod websocket;
mod wire;

pub use application::TestApplication;
pub use client::TestClient;
pub use connection::TestConnection;
pub use events::ServerEvent;
pub use request::{TestCall, TestRequest, TestUpload};
pub use response::{TestResponse, TestStream};
#[cfg(feature = "websocket")]
pub use websocket::{TestFrame, TestWebSocket, TestWebSocketRequest};

pub use conduit_server::in_process::Resources;
