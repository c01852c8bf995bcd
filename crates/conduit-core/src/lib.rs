//! The parts of a Conduit application that know no server: requests, responses, bodies, problems, layers, routes.
//!
//! Applications use the crate `conduit-web`, which re-exports the public items. Depend on this crate to write a library of extractors,
//! responses or layers. Members that only other crates of the workspace use are hidden in this documentation.

#![forbid(unsafe_code)]

pub mod body;
#[doc(hidden)]
pub mod built_in;
#[doc(hidden)]
pub mod charge;
pub mod connection_info;
mod cross_origin;
#[doc(hidden)]
pub mod current;
#[doc(hidden)]
pub mod dispatch;
#[doc(hidden)]
pub mod endpoint;
pub mod error;
pub mod error_form;
mod excerpt;
#[doc(hidden)]
pub mod exchange_id;
pub mod extract;
pub mod fallback;
#[doc(hidden)]
pub mod file;
pub mod headers;
#[cfg(feature = "tower")]
pub mod interop;
pub mod layer;
pub mod limit;
#[doc(hidden)]
pub mod memory;
#[doc(hidden)]
pub mod nearest;
#[doc(hidden)]
pub mod networks;
pub mod openapi;
#[doc(hidden)]
pub mod panics;
#[doc(hidden)]
pub mod pool;
pub mod problem;
pub mod request;
pub mod response;
pub mod route;
pub mod state;
#[doc(hidden)]
pub mod target;
