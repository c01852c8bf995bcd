//! The schemas of the types in a document, by the generator of schemars.

use std::any::TypeId;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use conduit_core::internal::openapi::{NameMap, SchemaType, TypeKey};
use conduit_core::openapi::{Direction, SchemaRegistry};
use conduit_core::problem::{Fault, Problem};
use percent_encoding::percent_decode_str;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// The location of request schemas, until the document is finished.
pub(crate) const INPUT: &str = "/components/input";
/// The location of response schemas, until the document is finished.
pub(crate) const OUTPUT: &str = "/components/output";

/// The schemas of the types in a document, which its operations share while they are described.
#[derive(Default)]
pub(crate) struct Schemas(RefCell<Generators>);

impl Schemas {
    /// All definitions: those of [`INPUT`] and of [`OUTPUT`]. No schemas are left.
    pub(crate) fn take_definitions(&self) -> [Definitions; 2] {
        self.0.take().into_definitions()
    }
}

impl SchemaRegistry for Schemas {
    fn make_known(&self, of: SchemaType) -> Result<(), Cow<'static, str>> {
        self.0.borrow_mut().make_known(of)
    }

    fn schema(&self, direction: Direction, of: SchemaType) -> Value {
        self.0.borrow_mut().schema(direction, of)
    }

    fn known_schema(&self, direction: Direction, of: TypeKey) -> Option<Value> {
        self.0.borrow_mut().known_schema(direction, of)
    }

    fn problem(&self) -> Value {
        self.schema(Direction::Output, SchemaType::of::<Problem>())
    }

    fn faults(&self) -> Value {
        self.schema(Direction::Output, SchemaType::of::<ProblemWithFaults>())
    }

    fn kind(&self, id: &'static str, schema: Value) -> Value {
        self.0.borrow_mut().kind(id, schema)
    }

    fn inlined(&self, reference: &Value) -> Option<Value> {
        self.0.borrow().inlined(reference)
    }
}

/// The generators and their registered types.
///
/// There are two schemas of each type: for reading (a field with a default may be missing) and for writing (it is
/// present).
struct Generators {
    input: SchemaGenerator,
    output: SchemaGenerator,
    known: HashMap<TypeId, SchemaType>,
    /// The types whose schemas were requested, for reading or for writing.
    asked: HashMap<TypeId, SchemaType>,
    /// The definitions in `output` that are of no type.
    kinds: Vec<&'static str>,
}

/// All definitions for reading, or for writing, by the names that the generator assigned.
pub(crate) struct Definitions {
    pub(crate) schemas: Map<String, Value>,
    /// The id of the type of each: its path and its arguments.
    pub(crate) ids: NameMap<String>,
}

impl Default for Generators {
    fn default() -> Self {
        Generators {
            input: generator(Direction::Input),
            output: generator(Direction::Output),
            known: HashMap::new(),
            asked: HashMap::new(),
            kinds: Vec::new(),
        }
    }
}

/// The schema of a type for input, and the definitions that it refers to.
fn alone(kind: SchemaType) -> (Value, Map<String, Value>) {
    let mut generator = generator(Direction::Input);
    let schema = kind.make(&mut generator).to_value();
    (schema, generator.take_definitions(false))
}

fn generator(side: Direction) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12().with_transform(with_bounds());
    // OpenAPI declares the dialect of the schemas for the whole document.
    settings.meta_schema = None;
    match side {
        Direction::Input => {
            settings.definitions_path = INPUT.into();
            settings.for_deserialize()
        }
        Direction::Output => {
            settings.definitions_path = OUTPUT.into();
            settings.for_serialize()
        }
    }
    .into_generator()
}

/// Adds the bounds of integers that schemars omits, up to 32 bits. Bounds of 64 bits exceed the numbers of
/// some JSON parsers (RFC 8259, section 6), and the literals of some generators of clients.
fn with_bounds() -> RecursiveTransform<fn(&mut Schema)> {
    RecursiveTransform(|schema| {
        let (minimum, maximum) = match schema.get("format").and_then(Value::as_str) {
            Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
            Some("uint32") => (0, i64::from(u32::MAX)),
            _ => return,
        };
        for (keyword, bound) in [("minimum", minimum), ("maximum", maximum)] {
            if schema.get(keyword).is_none() {
                schema.insert(keyword.to_owned(), bound.into());
            }
        }
    })
}

impl Generators {
    fn schema(&mut self, side: Direction, kind: SchemaType) -> Value {
        self.asked.insert((kind.type_id)(), kind);
        let generator = match side {
            Direction::Input => &mut self.input,
            Direction::Output => &mut self.output,
        };
        let mut schema = kind.make(generator);
        with_bounds().transform(&mut schema);
        schema.to_value()
    }

    fn known_schema(&mut self, side: Direction, of: TypeKey) -> Option<Value> {
        let kind = *self.known.get(&of.id())?;
        Some(self.schema(side, kind))
    }

    /// The schema of a kind of problem, as a definition with this id. If another schema has the id, returns the schema itself.
    fn kind(&mut self, id: &'static str, schema: Value) -> Value {
        let definitions = self.output.definitions_mut();
        match definitions.get(id) {
            Some(known) if *known != schema => return schema,
            Some(_) => {}
            None => {
                definitions.insert(id.to_owned(), schema);
                self.kinds.push(id);
            }
        }
        json!({ "$ref": format!("#{OUTPUT}/{id}") })
    }

    /// The schema that a reference into [`INPUT`] refers to.
    fn inlined(&self, reference: &Value) -> Option<Value> {
        let name = reference_in(INPUT, reference.as_str()?)?;
        let mut schema = Schema::try_from(self.input.definitions().get(&name)?.clone()).ok()?;
        with_bounds().transform(&mut schema);
        Some(schema.to_value())
    }

    /// Makes a type known. The error is the id that another type with another schema has too.
    fn make_known(&mut self, kind: SchemaType) -> Result<(), Cow<'static, str>> {
        let (key, id) = ((kind.type_id)(), (kind.id)());
        if self.known.insert(key, kind).is_some() || (kind.is_inline)() {
            return Ok(());
        }
        let mut same = self.known.values().filter(|known| (known.id)() == id);
        match same.find(|known| (known.type_id)() != key && alone(**known) != alone(kind)) {
            Some(_) => Err(id),
            None => Ok(()),
        }
    }

    /// All definitions: those of [`INPUT`] and of [`OUTPUT`]. Both have all requested types, so that the
    /// difference between them does not depend on the use of a type.
    fn into_definitions(mut self) -> [Definitions; 2] {
        for kind in self.asked.values() {
            kind.make(&mut self.input);
            kind.make(&mut self.output);
        }
        let kinds = self.kinds;
        [self.input, self.output].map(|mut generator| {
            let schemas = generator.take_definitions(true);
            let known = ids(&generator);
            let id = |name: &String| match known.get(&format!("{name:?}")) {
                Some(id) if !kinds.contains(&&**name) => id.clone(),
                _ => name.clone(),
            };
            let mut ids = NameMap::new();
            for name in schemas.keys() {
                ids.insert(name.clone(), id(name));
            }
            Definitions { schemas, ids }
        })
    }
}

/// The ids of the types that a generator has named, by the names in quotation marks.
///
/// schemars returns the name of a type in a handler's signature, but not of a type that is only a field: the latter is
/// only in the generator's `Debug` output. If a version changes that output, such types keep the generator's names.
fn ids(generator: &SchemaGenerator) -> NameMap<String> {
    let text = format!("{generator:?}");
    let mut ids = NameMap::new();
    let mut rest = text.split_once("schema_id_to_name: {").map_or("", |(_, rest)| rest);
    let mut next = || -> Option<(String, String)> {
        let (id, after) = quoted(rest.strip_prefix("SchemaUid(")?)?;
        let (name, after) = quoted(after.split_once("): ")?.1)?;
        rest = after.strip_prefix(", ").unwrap_or_default();
        Some((name.to_owned(), id.trim_matches('"').to_owned()))
    };
    while let Some((name, id)) = next() {
        ids.insert(name, id);
    }
    ids
}

/// The text in quotation marks that `text` begins with, and the rest.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let mut letters = text.char_indices().skip(1);
    let end = letters.find(|(_, letter)| {
        let is_end = !is_escaped && *letter == '"';
        is_escaped = !is_escaped && *letter == '\\';
        is_end
    });
    text.starts_with('"')
        .then(|| text.split_at_checked(end?.0 + 1))
        .flatten()
}

/// The name of the definition that a reference into `place` refers to.
pub(crate) fn reference_in(place: &str, reference: &str) -> Option<String> {
    let name = reference.strip_prefix('#')?.strip_prefix(place)?;
    let name = percent_decode_str(name.strip_prefix('/')?).decode_utf8_lossy();
    Some(name.replace("~1", "/").replace("~0", "~"))
}

/// A problem that lists the faults of a request.
struct ProblemWithFaults;

impl JsonSchema for ProblemWithFaults {
    fn schema_name() -> Cow<'static, str> {
        "ProblemWithFaults".into()
    }

    fn schema_id() -> Cow<'static, str> {
        "conduit::ProblemWithFaults".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A problem with the faults of the request and their locations.",
            "allOf": [generator.subschema_for::<Problem>()],
            "properties": {
                "errors": { "type": "array", "items": generator.subschema_for::<Fault>() },
                "more_errors": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "The number of further faults that are not listed.",
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Outer {
        inner: Inner,
    }

    #[derive(JsonSchema)]
    #[schemars(rename = "in\"ner")]
    struct Inner {}

    /// A new version of schemars that fails here writes the `Debug` form of a generator in another way.
    #[test]
    fn a_type_that_is_only_a_field_has_an_id() {
        let schemas = Schemas::default();
        schemas.schema(Direction::Output, SchemaType::of::<Outer>());
        for definitions in schemas.take_definitions() {
            let module = module_path!();
            assert_eq!(definitions.ids["Outer"], format!("{module}::Outer"));
            assert_eq!(definitions.ids["in\"ner"], format!("{module}::in\\\"ner"));
        }
    }
}
