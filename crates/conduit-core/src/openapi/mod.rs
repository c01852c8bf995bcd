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
pub(crate) mod name_map;
pub(crate) mod operation;
mod parameter;
mod registry;
#[cfg_attr(feature = "openapi", path = "schemas.rs")]
#[cfg_attr(not(feature = "openapi"), path = "without_schemas.rs")]
pub(crate) mod schemas;
mod security;

pub use info::Info;
pub use kind::ProblemKind;
pub use operation::{Answer, DocComment, Operation};
pub use parameter::{Parameter, name_in_head};
pub use registry::{Direction, SchemaRegistry};
pub use schemas::{HasNoSchema, SchemaOf};
pub(crate) use schemas::{SchemaType, TypeKey};
#[cfg(feature = "openapi")]
pub use schemas::{ToolInput, require_tool_input};
pub use security::SecurityScheme;
