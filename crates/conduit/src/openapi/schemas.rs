//! The schemas of the types that handlers name, and the handlers' descriptions.
//!
//! An extractor or a response such as `Json<T>` has no bound on `T` that would let it make a schema: a handler may use
//! types without one. So the route attributes look at each type in a handler's signature, where it is concrete, and
//! make its schema [known](SchemaOf) if it has one; `Json<T>` then asks by the type whether there is one.

use std::any::TypeId;
use std::collections::HashMap;
use std::marker::PhantomData;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::Operation;
use crate::problem::Problem;
use crate::route::Handler;

/// Where the schemas of what requests bring are, until the document is finished.
pub(super) const INPUT: &str = "/components/input";
/// Where the schemas of what responses hold are, until the document is finished.
pub(super) const OUTPUT: &str = "/components/output";

/// The schemas of the types in a document.
///
/// There are two of each type: what serde reads (a field with a default may be missing) and what it writes (it is there).
pub(crate) struct Schemas {
    input: SchemaGenerator,
    output: SchemaGenerator,
    known: HashMap<TypeId, fn(&mut SchemaGenerator) -> Schema>,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = |path: &str| {
            let mut settings = SchemaSettings::draft2020_12();
            settings.definitions_path = path.to_owned().into();
            // OpenAPI says for the whole document which dialect its schemas have.
            settings.meta_schema = None;
            settings
        };
        Schemas {
            input: settings(INPUT).for_deserialize().into_generator(),
            output: settings(OUTPUT).for_serialize().into_generator(),
            known: HashMap::new(),
        }
    }
}

impl Schemas {
    /// What serde reads as a `T`, if its schema is known.
    pub(crate) fn input<T>(&mut self) -> Option<Value> {
        let make = self.known.get(&typeid::of::<T>())?;
        Some(make(&mut self.input).to_value())
    }

    /// What serde writes of a `T`, if its schema is known.
    pub(crate) fn output<T>(&mut self) -> Option<Value> {
        let make = self.known.get(&typeid::of::<T>())?;
        Some(make(&mut self.output).to_value())
    }

    /// The schema of the form that every error has.
    pub(crate) fn problem(&mut self) -> Value {
        self.output.subschema_for::<Problem>().to_value()
    }

    /// What a reference into [`INPUT`] refers to.
    pub(crate) fn inlined(&self, reference: &Value) -> Option<Value> {
        let name = reference
            .as_str()?
            .strip_prefix('#')?
            .strip_prefix(INPUT)?
            .strip_prefix('/')?;
        self.input.definitions().get(name).cloned()
    }

    fn make_known<T: JsonSchema + ?Sized>(&mut self) {
        self.known
            .insert(typeid::of::<T>(), SchemaGenerator::subschema_for::<T>);
    }

    /// All definitions that the schemas refer to: those of [`INPUT`] and of [`OUTPUT`].
    pub(super) fn into_definitions(mut self) -> [serde_json::Map<String, Value>; 2] {
        [self.input.take_definitions(true), self.output.take_definitions(true)]
    }
}

/// A type that a handler names, whose schema is made known if it has one. The route attributes write the calls.
#[derive(Debug)]
pub struct SchemaOf<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> SchemaOf<T> {
    /// The type.
    pub const NEW: Self = SchemaOf(PhantomData);
}

// A method of the type's own comes before one of a trait, where its bound holds: so the schema is found if there is one.
impl<T: JsonSchema + ?Sized> SchemaOf<T> {
    /// Makes the type's schema known.
    pub fn make_known(self, operation: &mut Operation) {
        operation.schemas.make_known::<T>();
    }
}

/// Makes no schema known, for a type that has none.
pub trait HasNoSchema: Sized {
    /// Does nothing.
    fn make_known(self, operation: &mut Operation) {
        let _ = operation;
    }
}

impl<T: ?Sized> HasNoSchema for SchemaOf<T> {}

/// Schemas of types that are known where the description is written.
impl Operation {
    /// The schema of what serde reads as a `T`.
    pub fn input_schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.input.subschema_for::<T>().to_value()
    }

    /// The schema of what serde writes of a `T`.
    pub fn output_schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.output.subschema_for::<T>().to_value()
    }
}

/// The descriptions of an application's handlers, in the order of its table.
#[derive(Debug, Default)]
pub struct Descriptions(pub(super) Vec<fn(&mut Operation)>);

impl Descriptions {
    /// Adds a handler's.
    pub fn add<S, H: Handler<S>>(&mut self) {
        self.0.push(H::describe);
    }
}
