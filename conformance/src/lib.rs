//! The responses of a live Conduit server to raw bytes.
//!
//! [`cases`] is a table of bytes and of the responses that RFC 9110, 9112 and 3986 require;
//! [`run`] sends each row to a server on loopback, at once and split in two at every byte, over TCP, TLS or a Unix socket;
//! [`server`] is the application that responds. The tests of the package run the table, and attack the server while real clients
//! use it.
//!
//! A row and its result:
//!
//! ```
//! use conduit_conformance::case::{Case, case, ok};
//! use conduit_conformance::run::{Delivery, run};
//! use conduit_conformance::server::Running;
//!
//! const ROW: Case = case("an empty line before the request", "9112 2.2", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
//!     .kept(&[ok("root")]);
//! let server = Running::start();
//! assert_eq!(run(&server, &ROW, Delivery::Whole), Ok(()));
//! ```
#![forbid(unsafe_code)]

pub mod case;
pub mod cases;
pub mod certificate;
pub mod client;
pub mod process;
pub mod run;
pub mod server;
pub mod soak;
pub mod stream;
