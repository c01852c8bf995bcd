//! The parts of a Conduit application that know no server: requests, responses, bodies, problems, layers, routes.
//!
//! Applications use the crate `conduit-web`, which re-exports the public items. Depend on this crate to write a library of extractors,
//! responses or layers. Members that only other crates of the workspace use are hidden in this documentation.

#![forbid(unsafe_code)]

pub mod body;
pub mod built_in;
pub mod connection_info;
pub mod current;
pub mod dispatch;
pub mod endpoint;
pub mod error;
pub mod exchange_id;
pub mod extract;
pub mod fallback;
pub mod file;
#[cfg(feature = "tower")]
pub mod interop;
pub mod layer;
pub mod limit;
pub mod memory;
pub mod nearest;
pub mod networks;
pub mod openapi;
pub mod panics;
pub mod pool;
pub mod problem;
pub mod request;
pub mod response;
pub mod route;
pub mod state;
pub mod target;
