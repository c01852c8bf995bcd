//! Types that have a schema.

use std::any::{TypeId, type_name};
use std::borrow::Cow;
use std::cell::Cell;

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// A type whose schema may be known: its identity and its name.
///
/// A document has many types: functions that take this are compiled once, and not for each of them.
#[derive(Clone, Copy)]
pub struct TypeKey {
    id: TypeId,
    name: &'static str,
}

impl TypeKey {
    /// The key of a type.
    pub fn of<T: ?Sized>() -> Self {
        TypeKey {
            id: typeid::of::<T>(),
            name: type_name::<T>(),
        }
    }

    /// The identity of the type; a type and the same type with other lifetimes have one identity.
    pub fn id(self) -> TypeId {
        self.id
    }

    /// The name of the type, for messages.
    pub(crate) fn name(self) -> &'static str {
        self.name
    }
}

/// A type that has a schema: the functions of its `JsonSchema`.
#[derive(Clone, Copy)]
pub struct SchemaType {
    /// The identity, as that of a [`TypeKey`].
    pub type_id: fn() -> TypeId,
    /// Makes the schema itself.
    definition: fn(&mut SchemaGenerator) -> Schema,
    /// The name, which is that of the definition unless another type has it too.
    name: fn() -> Cow<'static, str>,
    /// The id: the path of the type with its arguments.
    pub id: fn() -> Cow<'static, str>,
    /// Returns whether the schema is written in place of a reference.
    pub is_inline: fn() -> bool,
}

impl SchemaType {
    /// The functions of a type.
    pub fn of<T: JsonSchema + ?Sized>() -> Self {
        SchemaType {
            type_id: typeid::of::<T>,
            definition: T::json_schema,
            name: T::schema_name,
            id: T::schema_id,
            is_inline: T::inline_schema,
        }
    }

    /// Makes the schema, or a reference to it.
    pub fn make(self, generator: &mut SchemaGenerator) -> Schema {
        let before = CURRENT.replace(Some(self));
        let schema = generator.subschema_for::<Current>();
        CURRENT.set(before);
        schema
    }
}

thread_local! {
    static CURRENT: Cell<Option<SchemaType>> = const { Cell::new(None) };
}

/// The type whose schema [`SchemaType::make`] makes. The generator has generic functions, which are compiled once for this type
/// and not for each type of a program.
struct Current;

impl Current {
    fn get() -> SchemaType {
        CURRENT.get().expect("a schema is made for a current type")
    }
}

impl JsonSchema for Current {
    fn inline_schema() -> bool {
        (Current::get().is_inline)()
    }

    fn schema_name() -> Cow<'static, str> {
        (Current::get().name)()
    }

    fn schema_id() -> Cow<'static, str> {
        (Current::get().id)()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        (Current::get().definition)(generator)
    }
}
