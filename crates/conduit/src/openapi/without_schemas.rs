//! Stubs for the schemas of types and the descriptions of handlers where the feature `openapi` is off.

#![allow(
    clippy::extra_unused_type_parameters,
    reason = "the twin of this file, with the feature, asks for the type"
)]

use std::marker::PhantomData;

use serde_json::Value;

use super::{DocumentContext, Operation};
use crate::built_in::BuiltIn;
use crate::error::Result;
use crate::route::{Handler, Routes};

/// The schemas of the types in a document.
#[derive(Debug, Default)]
pub(crate) struct Schemas;

impl Schemas {
    pub(crate) fn input<T>(&mut self) -> Option<Value> {
        None
    }

    pub(crate) fn output<T>(&mut self) -> Option<Value> {
        None
    }

    pub(crate) fn problem(&mut self) -> Value {
        Value::Bool(true)
    }

    pub(crate) fn faults(&mut self) -> Value {
        Value::Bool(true)
    }

    pub(crate) fn kind(&mut self, _: &'static str, schema: Value) -> Value {
        schema
    }

    pub(crate) fn inlined(&self, _: &Value) -> Option<Value> {
        None
    }
}

/// A type that a handler names; without the feature `openapi` it has no schema.
#[derive(Debug)]
pub struct SchemaOf<T: ?Sized>(PhantomData<fn() -> Box<T>>);

/// Makes no schema known.
pub trait HasNoSchema: Sized {
    /// Does nothing.
    fn make_known(self, operation: &mut Operation) {
        let _ = operation;
    }
}

impl<T: ?Sized> HasNoSchema for SchemaOf<T> {}

impl<T: ?Sized> SchemaOf<T> {
    /// The type.
    pub const NEW: Self = SchemaOf(PhantomData);
}

/// There is no docs page.
pub(crate) fn pages<S>(_: &Routes<S>, _: &DocumentContext<'_>, _: Option<&str>) -> Vec<BuiltIn> {
    Vec::new()
}

/// There is no document to print.
pub(crate) fn print<S>(_: &Routes<S>, _: &DocumentContext<'_>) -> Result {
    Ok(())
}

/// The descriptions of an application's handlers; without the feature `openapi` it stays empty.
#[derive(Debug, Default)]
pub struct Descriptions;

impl Descriptions {
    /// Adds a handler's.
    pub fn add<S, H: Handler<S>>(&mut self) {}

    pub(crate) fn begin_layer<L: 'static>(&mut self, _: impl FnOnce() -> L, _: fn(&L, &mut Operation)) {}

    pub(crate) fn end_layer(&mut self) {}
}
