//! Schemas of types that are known where the description is written.

use schemars::JsonSchema;
use serde_json::Value;

use super::schema_of::SchemaOf;
use super::schema_type::SchemaType;
use super::{Direction, Operation};

// An inherent method takes precedence over a method of a trait, where its bound holds: so an existing schema is found.
impl<T: JsonSchema + ?Sized> SchemaOf<T> {
    /// Makes the type's schema known.
    pub fn make_known(self, operation: &mut Operation) {
        operation.make_known(SchemaType::of::<T>());
    }
}

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
