//! The description of an application: OpenAPI 3.1 or 3.2, from the types of its handlers.
//!
//! Every extractor, response and handler can describe itself: [`FromRequest::describe`](crate::FromRequest::describe)
//! and [`IntoResponse::describe`](crate::IntoResponse::describe) add their part to an [`Operation`]. They exist
//! with and without the feature `openapi`; without it nothing calls them, and the linker removes them.

pub(crate) use conduit_core::internal::openapi::TypeKey;
pub use conduit_core::openapi::{
    DocComment, HasNoSchema, Info, LayerLimit, Operation, Parameter, ProblemKind, SchemaOf, SecurityScheme,
};
#[cfg(feature = "openapi")]
pub use conduit_core::openapi::{ToolInput, require_tool_input};
pub use conduit_core::response::{NotAResponse, Returned, never_made};
pub use conduit_core::route::Descriptions;
#[cfg(feature = "openapi")]
pub use conduit_openapi::{DescribeRoutes, Document, Gap, Tool, ToolHints, Version};
#[cfg(feature = "lock")]
pub use conduit_openapi::{Lock, LockDifference};
