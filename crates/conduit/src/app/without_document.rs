//! Stubs for the document where the feature `openapi` is off.

use super::{App, Routed};
use crate::built_in::BuiltIn;
use crate::error::Result;

impl<S: 'static, R: Routed<S>> App<S, R> {
    /// There is no docs page.
    pub(super) fn document_pages(&self) -> Vec<BuiltIn> {
        Vec::new()
    }

    /// There is no document to print.
    pub(super) fn print_document(&self) -> Result {
        Ok(())
    }

    /// There is no document to make a client of.
    pub(super) fn print_typescript_client(&self) -> Result {
        Ok(())
    }
}
