//! Stubs for the types that have a schema, where the feature `openapi` is off.

use std::any::type_name;

/// A type whose schema is not known: its name.
#[derive(Clone, Copy)]
pub struct TypeKey(&'static str);

impl TypeKey {
    /// The key of a type.
    pub fn of<T: ?Sized>() -> Self {
        TypeKey(type_name::<T>())
    }

    pub(crate) fn name(self) -> &'static str {
        self.0
    }
}

/// A type that has a schema; no type has one without the feature `openapi`.
#[derive(Clone, Copy)]
pub enum SchemaType {}
