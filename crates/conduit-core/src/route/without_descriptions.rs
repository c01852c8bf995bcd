//! A stub for the descriptions of handlers where the feature `openapi` is off: no description is compiled.

#![allow(
    clippy::extra_unused_type_parameters,
    clippy::unused_self,
    reason = "the twin of this file, with the feature, keeps the descriptions"
)]

use super::handler::Handler;
use crate::openapi::Operation;

/// The descriptions of an application's handlers; without the feature `openapi` it stays empty.
#[derive(Debug, Default)]
pub struct Descriptions;

impl Descriptions {
    /// Adds a handler's.
    pub fn add<S, V, M, H: Handler<S, V, M>>(&mut self) {}

    pub(super) fn add_described(&mut self, _: fn(&mut Operation)) {}

    pub(super) fn begin_layer<L: 'static>(&mut self, _: impl FnOnce() -> L, _: fn(&L, &mut Operation), _: bool) {}

    pub(super) fn end_layer(&mut self) {}
}
