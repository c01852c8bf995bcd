//! The parts of a Conduit application that are independent of the server: requests, responses, bodies, problems, layers, routes.
//!
//! Applications use the crate `conduit-web`, which re-exports the public items. Depend on this crate to write a library of extractors,
//! responses or layers. Modules that only other crates of the workspace use are in `internal`, which this documentation does not show.

#![forbid(unsafe_code)]

pub mod body;
mod built_in;
mod charge;
mod connection_info;
mod cross_origin;
mod current;
mod dispatch;
mod endpoint;
pub mod error;
mod error_form;
mod excerpt;
mod exchange_id;
pub mod extract;
mod fallback;
mod field_pairs;
mod file;
mod form_data;
pub mod headers;
#[cfg(feature = "tower")]
pub mod interop;
pub mod layer;
pub mod limit;
mod memory;
mod method;
mod nearest;
mod networks;
pub mod openapi;
mod panics;
mod paths;
mod pool;
pub mod problem;
mod provided;
pub mod request;
pub mod response;
pub mod route;
mod state;
mod target;
mod waker_slot;
mod weight;

/// Modules for the other crates of the workspace, which may change in every version.
#[doc(hidden)]
pub mod internal {
    macro_rules! modules {
        ($($name:ident)*) => {
            $(pub mod $name {
                pub use crate::$name::*;
            })*
        };
    }

    modules! {
        built_in charge connection_info current dispatch endpoint error_form excerpt exchange_id fallback field_pairs file form_data memory method
        nearest networks panics pool state target waker_slot weight
    }

    pub mod body {
        pub use crate::body::incoming::{BodyEvent, Channel, ExchangeEventSender, ExchangeEvents, Incoming};
        pub use crate::body::kind::{BodyKind, EndsWithClient, PieceStream};
    }

    pub mod layer {
        pub use crate::layer::ambient::{CrossOriginGuard, PendingCookie};
        pub use crate::layer::erased::*;
        pub use crate::layer::name::short_name;
    }

    pub mod problem {
        pub use crate::problem::with_status;
    }

    pub mod response {
        pub use crate::response::typed::leading_to;
    }

    pub mod openapi {
        pub use crate::openapi::fields::insert;
        pub use crate::openapi::info::Webhook;
        pub use crate::openapi::name_map::NameMap;
        pub use crate::openapi::operation::{BodyExample, Content, OperationLink, OperationParts, PROBLEM};
        pub use crate::openapi::schema_type::{SchemaType, TypeKey};
    }
}

/// The README, which is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
