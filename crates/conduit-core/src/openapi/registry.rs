//! The schemas of types, as an operation requests them while it is described.

use std::borrow::Cow;

use serde_json::Value;

use super::{SchemaType, TypeKey};

/// The direction in which serde passes a value: a field with a default may be missing in a request, and is present in a
/// response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A value of a request, which serde reads.
    Input,
    /// A value of a response, which serde writes.
    Output,
}

/// The schemas of the types in a document.
///
/// The crate `conduit-openapi` implements it with the generator of schemars, so that neither an
/// [`Operation`](super::Operation) nor this crate contains one. A description needs schemas while it runs: it makes
/// parameters of their fields, and may change a schema before it adds it.
pub trait SchemaRegistry {
    /// Makes a type known.
    ///
    /// # Errors
    /// Returns the id of the type if another type with another schema has it too.
    fn make_known(&self, of: SchemaType) -> Result<(), Cow<'static, str>>;

    /// The schema of a type.
    fn schema(&self, direction: Direction, of: SchemaType) -> Value;

    /// The schema of a type, if it is known.
    fn known_schema(&self, direction: Direction, of: TypeKey) -> Option<Value>;

    /// The schema of the form that every error has.
    fn problem(&self) -> Value;

    /// The schema of a problem that lists the faults of a request.
    fn faults(&self) -> Value;

    /// The schema of a kind of problem, as a definition with this id. If another schema has the id, returns the schema itself.
    fn kind(&self, id: &'static str, schema: Value) -> Value;

    /// The target of a reference to the schema of a request.
    fn inlined(&self, reference: &Value) -> Option<Value>;
}
