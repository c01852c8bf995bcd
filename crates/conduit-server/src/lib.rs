//! The server of Conduit: one worker per core, each with its own listening socket, event loop and connections.
//!
//! Applications use `App` of the crate `conduit-web`, which makes a [`Server`] and re-exports it. This crate serves an application
//! of `conduit-core`; an [`Observer`](observer::Observer) receives what it reports. Items that only those crates need are hidden in
//! its documentation.
//!
//! `worker` is the event loop, `connection` one connection, `link` its byte stream, `protocol` the protocols on it, `exchange`
//! one request and its response, `shared` the state of a worker that these use, `commands` the messages of tasks, `deadlines`
//! the timer wheel; [`listening`] makes the listening sockets, `handover` passes them to the process that replaces this one.
//! Workers share the request to stop, the counters of connections per peer, and the memory budget.

#![forbid(unsafe_code)]

pub mod address;
mod batch;
mod blocking;
#[doc(hidden)]
pub mod clock;
mod cohort;
pub(crate) mod commands;
#[doc(hidden)]
pub mod config;
mod connection;
mod counter;
pub mod counts;
#[doc(hidden)]
pub mod current;
mod cut_off;
mod deadlines;
pub(crate) mod disk;
mod exchange;
pub mod handle;
mod handover;
mod idle;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod in_process;
#[doc(hidden)]
pub mod latency;
mod link;
mod listener_socket;
#[doc(hidden)]
pub mod listening;
#[doc(hidden)]
pub mod live;
mod manager;
pub mod observer;
mod peers;
mod protocol;
#[doc(hidden)]
pub mod proxies;
mod readiness;
mod redirect;
mod running;
mod server;
#[cfg(feature = "tower")]
#[doc(hidden)]
pub mod service;
mod shared;
mod signals;
#[cfg(feature = "tls")]
pub mod tls;
#[doc(hidden)]
pub mod transport;
#[doc(hidden)]
pub mod watch;
#[cfg(feature = "websocket")]
#[doc(hidden)]
pub mod websocket;
#[doc(hidden)]
pub mod work;
mod worker;

// The paths of core's modules in this crate.
use conduit_core::{
    body, connection_info, dispatch, endpoint, error, exchange_id, file, limit, memory, networks, panics, pool,
    problem, request, response, route, state,
};

pub use counts::Statistics;
pub use handle::ServerHandle;
pub use server::Server;
#[doc(hidden)]
pub use server::{main_runtime, refuse_runtime, worker_count};
