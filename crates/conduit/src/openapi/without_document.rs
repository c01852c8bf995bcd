//! Stubs for the document where the feature `openapi` is off.

use super::DocumentContext;
use crate::built_in::BuiltIn;
use crate::error::Result;
use crate::route::Routes;

/// There is no docs page.
pub(crate) fn pages<S>(_: &Routes<S>, _: &DocumentContext<'_>, _: Option<&str>) -> Vec<BuiltIn> {
    Vec::new()
}

/// There is no document to print.
pub(crate) fn print<S>(_: &Routes<S>, _: &DocumentContext<'_>) -> Result {
    Ok(())
}
