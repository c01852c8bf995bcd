//! The types that handlers name.
//!
//! An extractor or a response such as `Json<T>` has no bound on `T` that would provide a schema: a handler may use
//! types without one. So the route attributes [register](SchemaOf) the schema of each concrete type in a handler's
//! signature, if it has one; `Json<T>` then looks it up by the type.

use std::marker::PhantomData;

use super::Operation;

/// A type in a handler's signature, whose schema is registered if it has one. The route attributes generate the calls.
#[derive(Debug)]
pub struct SchemaOf<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> SchemaOf<T> {
    /// The type.
    pub const NEW: Self = SchemaOf(PhantomData);
}

/// Registers nothing, for a type without a schema.
pub trait HasNoSchema: Sized {
    /// Does nothing.
    fn make_known(self, operation: &mut Operation) {
        let _ = operation;
    }
}

impl<T: ?Sized> HasNoSchema for SchemaOf<T> {}
