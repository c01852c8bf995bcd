//! The description of an application: OpenAPI 3.1, from the types of its handlers.
//!
//! Every extractor, response and handler can describe itself: [`FromRequest::describe`](crate::FromRequest::describe)
//! and [`IntoResponse::describe`](crate::IntoResponse::describe) add their part to an [`Operation`]. They exist
//! with and without the feature `openapi`; without it nothing calls them, and the linker removes them.

// Without the feature the descriptions are never read.
#![cfg_attr(not(feature = "openapi"), allow(dead_code))]

#[cfg(feature = "openapi")]
mod document;
mod info;
#[cfg(feature = "openapi")]
mod names;
#[cfg(feature = "openapi")]
mod page;
#[cfg(feature = "openapi")]
mod shared;
#[cfg(not(feature = "openapi"))]
mod without_document;

#[cfg(feature = "openapi")]
pub(crate) use document::print;
#[cfg(feature = "openapi")]
pub use document::{DescribeRoutes, Document, Gap};
pub use info::Info;
#[cfg(feature = "openapi")]
pub(crate) use page::pages;
#[cfg(not(feature = "openapi"))]
pub(crate) use without_document::{pages, print};

pub(crate) use conduit_core::openapi::TypeKey;
pub use conduit_core::openapi::{
    Descriptions, DocComment, HasNoSchema, NotAResponse, Operation, Parameter, ProblemKind, Returned, SchemaOf,
    SecurityScheme, never_made,
};

use crate::problem::ErrorForm;

/// The parts of an application's document that do not come from its routes.
pub(crate) struct DocumentContext<'a> {
    /// Describes the layers of the application.
    pub(crate) layers: Box<dyn Fn(&mut Operation) + 'a>,
    pub(crate) info: Option<&'a Info>,
    pub(crate) errors: &'a ErrorForm,
}
