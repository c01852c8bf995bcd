//! What an application says about itself: OpenAPI 3.1, from the types of its handlers.
//!
//! Every extractor, response and handler can describe itself: [`FromRequest::describe`](crate::FromRequest::describe)
//! and [`IntoResponse::describe`](crate::IntoResponse::describe) add what they know to an [`Operation`]. They exist
//! whether or not the feature `openapi` is on; without it nobody calls them, and nothing of them is in the program.

// The descriptions are read by the document, which comes next.
#![allow(dead_code)]

mod fields;
mod operation;
mod parameter;
#[cfg(feature = "openapi")]
mod problem;
mod returned;
#[cfg_attr(feature = "openapi", path = "schemas.rs")]
#[cfg_attr(not(feature = "openapi"), path = "without_schemas.rs")]
mod schemas;
mod security;

pub use operation::Operation;
pub use parameter::Parameter;
pub use returned::{NotAResponse, Returned, never_made};
pub(crate) use schemas::Schemas;
pub use schemas::{Descriptions, HasNoSchema, SchemaOf};
pub use security::SecurityScheme;
