//! The description of an operation, from the types of its handler.
//!
//! Every extractor, response and handler can describe itself: [`FromRequest::describe`](crate::extract::FromRequest::describe)
//! and [`IntoResponse::describe`](crate::response::IntoResponse::describe) add their part to an [`Operation`]. They exist
//! with and without the feature `openapi`; without it nothing calls them, and the linker removes them.

// Without the feature the descriptions are never read.
#![cfg_attr(not(feature = "openapi"), allow(dead_code))]

pub(crate) mod fields;
pub(crate) mod info;
mod kind;
mod layer_limit;
pub(crate) mod name_map;
pub(crate) mod operation;
mod parameter;
mod registry;
mod schema_of;
#[cfg_attr(feature = "openapi", path = "schema_type.rs")]
#[cfg_attr(not(feature = "openapi"), path = "without_schema_type.rs")]
pub(crate) mod schema_type;
#[cfg(feature = "openapi")]
mod schemas;
mod security;

pub use info::Info;
pub use kind::ProblemKind;
pub use layer_limit::LayerLimit;
pub use operation::{Answer, DocComment, Operation};
pub use parameter::{Parameter, name_in_head};
pub use registry::{Direction, SchemaRegistry};
pub use schema_of::{HasNoSchema, SchemaOf};
pub(crate) use schema_type::{SchemaType, TypeKey};
#[cfg(feature = "openapi")]
pub use schemas::{ToolInput, require_tool_input};
pub use security::SecurityScheme;
