//! The OpenAPI document of a Conduit application, from the types of its handlers, and the page that shows it.
//!
//! Applications use the crate `conduit-web`, which re-exports the public items and adds the methods `openapi` and `docs` to
//! its `App`. [`DescribeRoutes`] and [`Document`] work without an `App`, with the routes of `conduit-core`.
//!
//! With the feature `contract`, [`Contract`] compares the responses of an application with its document. With `lock`,
//! [`Lock`] is a summary of the API for a file under version control. With `codegen`, [`Document::typescript`] and
//! [`Document::rust`] write clients.
//!
//! `document` assembles the operations, `schemas` generates the schemas of their types, `names` names them, `shared`
//! moves repeated parts to `components`, `lock` writes `api.lock` and compares two of them, `write` writes the document as OpenAPI 3.1
//! or 3.2, `typescript` and `rust` write clients, `credential` has the places of their credentials, `tools` derives tools from
//! operations, and `page` has the docs page with Swagger UI.

#![forbid(unsafe_code)]

#[cfg(feature = "contract")]
mod contract;
#[cfg(feature = "codegen")]
mod credential;
mod document;
#[cfg(feature = "lock")]
mod lock;
mod names;
mod ordered;
mod page;
#[cfg(feature = "codegen")]
mod rust;
mod schemas;
mod shared;
mod tools;
#[cfg(feature = "codegen")]
mod typescript;
mod version;
mod write;

#[cfg(feature = "contract")]
pub use contract::{Contract, Difference, SentResponse};
pub use document::{DescribeRoutes, Document, DocumentContext, Gap};
#[cfg(feature = "lock")]
pub use lock::{Lock, LockContext, LockDifference};
pub use page::Page;
pub use tools::{Tool, ToolHints, ToolRequest};
pub use version::Version;
