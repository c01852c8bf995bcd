//! The server of Conduit: one worker per core, each with its own listening socket, event loop and connections.
//!
//! Applications use `App` of the crate `conduit-web`, which makes a [`Server`] and re-exports it. This crate serves an application
//! of `conduit-core`; an [`Observer`](observer::Observer) receives its reports. Modules that only those crates need are in
//! `internal`, which its documentation does not show.
//!
//! - `worker`: the event loop
//! - `connection`: one connection; `link`: its byte stream; `protocol`: the protocols on it
//! - `exchange`: one request and its response
//! - `shared`: the state of a worker that these use; `link_shared`: its part for links
//! - `commands`: the messages of tasks; `deadlines`: the timer wheel
//! - `listening`: the listening sockets; `handover`: their transfer to the process that replaces this one
//!
//! Workers share the request to stop, the counters of connections per peer, and the memory budget.

#![forbid(unsafe_code)]

mod address;
mod batch;
mod blocking;
mod clock;
mod cohort;
pub(crate) mod commands;
mod config;
mod connection;
mod counter;
mod counts;
mod current;
mod cut_off;
mod deadlines;
mod descriptors;
pub(crate) mod disk;
mod erased;
mod exchange;
pub mod handle;
mod handover;
mod idle;
#[cfg(feature = "testing")]
mod in_process;
mod instrumentation;
#[cfg(feature = "tower")]
mod job;
#[cfg(feature = "tower")]
mod jobs;
mod latency;
mod link;
mod link_shared;
mod link_times;
mod listener_socket;
mod listening;
mod live;
#[cfg(feature = "tower")]
mod local_service;
mod manager;
pub mod observer;
mod peers;
mod protocol;
mod protocol_timer;
mod proxies;
mod readiness;
mod ready_queue;
mod redirect;
mod running;
mod server;
#[cfg(feature = "tower")]
mod service;
mod shared;
mod signals;
mod thread_runtime;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
#[cfg(any(feature = "testing", feature = "websocket"))]
mod upgrade;
mod watch;
#[cfg(feature = "websocket")]
mod websocket;
mod work;
mod worker;

// The paths of core's modules in this crate.
use conduit_core::internal::{
    connection_info, dispatch, endpoint, exchange_id, file, memory, networks, panics, pool, state, waker_slot,
};
use conduit_core::{error, limit, request, response, route};

/// Bodies, with the items that core has for this crate.
mod body {
    pub(crate) use conduit_core::body::*;
    pub(crate) use conduit_core::internal::body::*;
}

/// Problems, with the function that core has for this crate.
mod problem {
    pub(crate) use conduit_core::internal::problem::with_status;
    pub(crate) use conduit_core::problem::*;
}

pub use address::{ListenAddress, ListenOn};
pub use counts::Statistics;
pub use handle::ServerHandle;
pub use server::Server;

/// Modules for the other crates of the workspace, which may change in every version.
#[doc(hidden)]
pub mod internal {
    pub use crate::server::{main_runtime, refuse_runtime, worker_count};

    macro_rules! modules {
        ($($(#[$condition:meta])* $name:ident)*) => {
            $($(#[$condition])* pub mod $name {
                pub use crate::$name::*;
            })*
        };
    }

    modules! {
        address clock config counts current
        #[cfg(feature = "testing")] in_process
        latency listening live
        #[cfg(feature = "tower")] local_service
        proxies
        #[cfg(feature = "tower")] service
        transport
        #[cfg(feature = "testing")] upgrade
        watch
        #[cfg(feature = "websocket")] websocket
        work
    }
}
