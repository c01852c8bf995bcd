//! The types that handlers name.
//!
//! An extractor or a response such as `Json<T>` has no bound on `T` that would provide a schema: a handler may use
//! types without one. So the route attributes [register](SchemaOf) the schema of each concrete type in a handler's
//! signature, if it has one; `Json<T>` then looks it up by the type.

use std::any::{TypeId, type_name};
use std::borrow::Cow;
use std::cell::Cell;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::{Direction, Operation};

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

/// A type in a handler's signature, whose schema is registered if it has one. The route attributes generate the calls.
#[derive(Debug)]
pub struct SchemaOf<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> SchemaOf<T> {
    /// The type.
    pub const NEW: Self = SchemaOf(PhantomData);
}

// An inherent method takes precedence over a method of a trait, where its bound holds: so an existing schema is found.
impl<T: JsonSchema + ?Sized> SchemaOf<T> {
    /// Makes the type's schema known.
    pub fn make_known(self, operation: &mut Operation) {
        operation.make_known(SchemaType::of::<T>());
    }
}

/// Registers nothing, for a type without a schema.
pub trait HasNoSchema: Sized {
    /// Does nothing.
    fn make_known(self, operation: &mut Operation) {
        let _ = operation;
    }
}

impl<T: ?Sized> HasNoSchema for SchemaOf<T> {}

/// The content of an extractor of a tool: a type with a schema.
#[diagnostic::on_unimplemented(
    message = "the input of a tool needs a schema, and `{Self}` has none",
    label = "no `JsonSchema`",
    note = "add `#[derive(JsonSchema)]` to the type, or remove `tool` from the attribute"
)]
pub trait ToolInput {}

#[diagnostic::do_not_recommend]
impl<T: JsonSchema + ?Sized> ToolInput for T {}

/// Requires a schema of the input of a tool; the route attributes write the call.
pub const fn require_tool_input<T: ToolInput + ?Sized>() {}

/// Schemas of types that are known where the description is written.
impl Operation {
    /// Makes the schema of a type known.
    fn make_known(&mut self, of: SchemaType) {
        if let Err(id) = self.schemas.make_known(of) {
            self.gap(format!(
                "two types with different schemas have the id `{id}`: rename one of them by `#[schemars(rename = \"…\")]`"
            ));
        }
    }

    /// The schema that serde reads as a `T`.
    pub fn input_schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.schema(Direction::Input, SchemaType::of::<T>())
    }

    /// The schema that serde writes of a `T`.
    pub fn output_schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.schema(Direction::Output, SchemaType::of::<T>())
    }
}
