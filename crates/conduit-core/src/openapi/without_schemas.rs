//! Stubs for the schemas of types where the feature `openapi` is off.

use std::any::type_name;
use std::marker::PhantomData;

use super::Operation;

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
