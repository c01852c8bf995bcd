//! Stubs for a build without the feature `openapi`.

use super::{App, Routed};
use crate::built_in::BuiltIn;
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
}
