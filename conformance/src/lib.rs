//! What a live Conduit server answers to raw bytes.
//!
//! [`cases`] is a table of bytes and of what RFC 9110, 9112 and 3986 want to be answered to them;
//! [`run`] brings each row to a server on loopback, whole and cut in two at every byte, over TCP,
//! TLS or a Unix socket; [`server`] is the application that is asked. The tests of the package run
//! the table, and attack the server with real clients beside.
//!
//! A row, and what became of it:
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
