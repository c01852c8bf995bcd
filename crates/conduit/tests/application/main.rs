//! The behaviour of an application, at its sockets and on the memory transport.
//!
//! The tests of most areas are one program, because each program is linked with all dependencies. Tests with state of their process,
//! such as an allocator, a signal or a global subscriber, are separate programs, as are those of the larger features.

#[path = "../support/mod.rs"]
mod support;

mod auth;
#[cfg(feature = "testing")]
mod deadlines;
mod development;
mod disconnect;
mod errors;
mod extractors;
mod fragments;
mod handlers;
mod large_bodies;
mod proxies;
#[cfg(feature = "testing")]
mod regressions;
mod routes_table;
mod server;
#[cfg(feature = "testing")]
mod state;
#[cfg(feature = "testing")]
mod testing;
mod tokio_libraries;
#[cfg(feature = "testing")]
mod upgrade;
