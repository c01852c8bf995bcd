//! Stubs for a build without the feature `openapi`.

use super::{App, Routed};
use crate::built_in::BuiltIn;
use crate::error::Result;
use crate::route::Definition;

impl<S: 'static, R: Routed<S>> App<S, R> {
    /// Returns no pages.
    pub(super) fn document_pages(&self) -> Vec<BuiltIn> {
        Vec::new()
    }

    /// Returns no requirements.
    pub(super) fn security_of_routes(&self) -> impl Fn(&Definition) -> Vec<Vec<String>> {
        |_| Vec::new()
    }

    /// Prints nothing.
    pub(super) fn print_document(&self, _is_3_2: bool) -> Result {
        Ok(())
    }

    /// Prints nothing.
    pub(super) fn print_lock(&self) -> Result {
        Ok(())
    }

    /// Prints nothing.
    pub(super) fn print_rust_client(&self) -> Result {
        Ok(())
    }

    /// Prints nothing.
    pub(super) fn print_typescript_client(&self) -> Result {
        Ok(())
    }
}
