//! The description of an application: OpenAPI 3.1, from the types of its handlers.
//!
//! Every extractor, response and handler can describe itself: [`FromRequest::describe`](crate::FromRequest::describe)
//! and [`IntoResponse::describe`](crate::IntoResponse::describe) add their part to an [`Operation`]. They exist
//! whether or not the feature `openapi` is on; without it they are never called, and the linker removes them.

// Without the feature the descriptions are never read.
#![cfg_attr(not(feature = "openapi"), allow(dead_code))]

#[cfg(feature = "openapi")]
mod document;
mod fields;
mod info;
mod kind;
#[cfg(feature = "openapi")]
mod names;
mod operation;
#[cfg(feature = "openapi")]
mod page;
mod parameter;
#[cfg(feature = "openapi")]
mod problem;
mod returned;
#[cfg_attr(feature = "openapi", path = "schemas.rs")]
#[cfg_attr(not(feature = "openapi"), path = "without_schemas.rs")]
mod schemas;
mod security;
#[cfg(feature = "openapi")]
mod shared;

#[cfg(feature = "openapi")]
pub(crate) use document::print;
#[cfg(feature = "openapi")]
pub use document::{Document, Gap};
pub use info::Info;
pub use kind::ProblemKind;
pub use operation::{DocComment, Operation};
#[cfg(feature = "openapi")]
pub(crate) use page::pages;
pub use parameter::Parameter;
pub use returned::{NotAResponse, Returned, never_made};
pub(crate) use schemas::Schemas;
pub use schemas::{Descriptions, HasNoSchema, SchemaOf};
#[cfg(not(feature = "openapi"))]
pub(crate) use schemas::{pages, print};
pub use security::SecurityScheme;

use crate::problem::ErrorForm;

/// The parts of an application's document that do not come from its routes.
pub(crate) struct DocumentContext<'a> {
    /// Describes the layers of the application.
    pub(crate) layers: Box<dyn Fn(&mut Operation) + 'a>,
    pub(crate) info: Option<&'a Info>,
    pub(crate) errors: &'a ErrorForm,
}
