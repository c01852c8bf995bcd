//! The schemas of the types that handlers name, and the handlers' descriptions.
//!
//! An extractor or a response such as `Json<T>` has no bound on `T` that would provide a schema: a handler may use
//! types without one. So the route attributes [register](SchemaOf) the schema of each concrete type in a handler's
//! signature, if it has one; `Json<T>` then looks it up by the type.

use std::any::{TypeId, type_name};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use percent_encoding::percent_decode_str;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::Operation;
use super::problem::ProblemWithFaults;
use crate::problem::Problem;
use crate::route::Handler;

/// The location of request schemas, until the document is finished.
#[doc(hidden)]
pub const INPUT: &str = "/components/input";
/// The location of response schemas, until the document is finished.
#[doc(hidden)]
pub const OUTPUT: &str = "/components/output";

/// The schemas of the types in a document.
///
/// There are two of each type: for reading (a field with a default may be missing) and for writing (it is present).
#[doc(hidden)]
pub struct Schemas {
    input: SchemaGenerator,
    output: SchemaGenerator,
    known: HashMap<TypeId, Type>,
    /// The types whose schemas were requested, for reading or for writing.
    asked: HashMap<TypeId, Type>,
    /// The definitions in `output` that are of no type.
    kinds: Vec<&'static str>,
}

/// A type whose schema may be known: its identity and its name.
///
/// A document has many types: functions that take this are compiled once, and not for each of them.
#[derive(Clone, Copy)]
#[doc(hidden)]
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

    /// The name of the type, for messages.
    pub(crate) fn name(self) -> &'static str {
        self.name
    }
}

/// A type that has a schema.
#[derive(Clone, Copy)]
struct Type {
    type_id: fn() -> TypeId,
    make: fn(&mut SchemaGenerator) -> Schema,
    id: fn() -> Cow<'static, str>,
    is_inline: fn() -> bool,
}

impl Type {
    fn of<T: JsonSchema + ?Sized>() -> Self {
        Type {
            type_id: typeid::of::<T>,
            make: SchemaGenerator::subschema_for::<T>,
            id: T::schema_id,
            is_inline: T::inline_schema,
        }
    }

    /// The schema with all that it refers to, to be read.
    fn alone(self) -> (Value, Map<String, Value>) {
        let mut generator = generator(Direction::Input);
        let schema = (self.make)(&mut generator).to_value();
        (schema, generator.take_definitions(false))
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Input,
    Output,
}

/// All definitions for reading, or for writing, by the names that the generator assigned.
#[doc(hidden)]
pub struct Definitions {
    #[doc(hidden)]
    pub schemas: Map<String, Value>,
    /// The id of the type of each: its path and its arguments.
    #[doc(hidden)]
    pub ids: BTreeMap<String, String>,
}

impl Default for Schemas {
    fn default() -> Self {
        Schemas {
            input: generator(Direction::Input),
            output: generator(Direction::Output),
            known: HashMap::new(),
            asked: HashMap::new(),
            kinds: Vec::new(),
        }
    }
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

/// Adds the bounds of integers that schemars leaves out, up to 32 bits. Bounds of 64 bits exceed the numbers of
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

impl Schemas {
    fn schema(&mut self, side: Direction, kind: Type) -> Value {
        self.asked.insert((kind.type_id)(), kind);
        let generator = match side {
            Direction::Input => &mut self.input,
            Direction::Output => &mut self.output,
        };
        let mut schema = (kind.make)(generator);
        with_bounds().transform(&mut schema);
        schema.to_value()
    }

    /// The schema that serde reads as a `T`, if it is known.
    #[doc(hidden)]
    pub fn input(&mut self, of: TypeKey) -> Option<Value> {
        self.known_schema(Direction::Input, of)
    }

    /// The schema that serde writes of a `T`, if it is known.
    #[doc(hidden)]
    pub fn output(&mut self, of: TypeKey) -> Option<Value> {
        self.known_schema(Direction::Output, of)
    }

    fn known_schema(&mut self, side: Direction, of: TypeKey) -> Option<Value> {
        let kind = *self.known.get(&of.id)?;
        Some(self.schema(side, kind))
    }

    /// The schema of the form that every error has.
    #[doc(hidden)]
    pub fn problem(&mut self) -> Value {
        self.schema(Direction::Output, Type::of::<Problem>())
    }

    /// The schema of a problem that lists the faults of a request.
    #[doc(hidden)]
    pub fn faults(&mut self) -> Value {
        self.schema(Direction::Output, Type::of::<ProblemWithFaults>())
    }

    /// The schema of a kind of problem, as a definition with this id. Where another one has the id, it is the schema
    /// itself.
    #[doc(hidden)]
    pub fn kind(&mut self, id: &'static str, schema: Value) -> Value {
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
    #[doc(hidden)]
    pub fn inlined(&self, reference: &Value) -> Option<Value> {
        let name = reference_in(INPUT, reference.as_str()?)?;
        let mut schema = Schema::try_from(self.input.definitions().get(&name)?.clone()).ok()?;
        with_bounds().transform(&mut schema);
        Some(schema.to_value())
    }

    /// Makes a type known. The error is the id that another type with another schema has too.
    fn make_known(&mut self, kind: Type) -> Result<(), Cow<'static, str>> {
        let (key, id) = ((kind.type_id)(), (kind.id)());
        if self.known.insert(key, kind).is_some() || (kind.is_inline)() {
            return Ok(());
        }
        let mut same = self.known.values().filter(|known| (known.id)() == id);
        match same.find(|known| (known.type_id)() != key && known.alone() != kind.alone()) {
            Some(_) => Err(id),
            None => Ok(()),
        }
    }

    /// All definitions: those of [`INPUT`] and of [`OUTPUT`]. Both have all requested types, so that the
    /// difference between them does not depend on the use of a type.
    #[doc(hidden)]
    pub fn into_definitions(mut self) -> [Definitions; 2] {
        for kind in self.asked.values() {
            (kind.make)(&mut self.input);
            (kind.make)(&mut self.output);
        }
        let kinds = self.kinds;
        [self.input, self.output].map(|mut generator| {
            let schemas = generator.take_definitions(true);
            let known = ids(&generator);
            let id = |name: &String| match known.get(&format!("{name:?}")) {
                Some(id) if !kinds.contains(&&**name) => id.clone(),
                _ => name.clone(),
            };
            Definitions {
                ids: schemas.keys().map(|name| (name.clone(), id(name))).collect(),
                schemas,
            }
        })
    }
}

/// The ids of the types that a generator has named, by the names in quotation marks.
///
/// schemars returns the name of a type in a handler's signature, but not of a type that is only a field: the latter is
/// only in the generator's `Debug` output. If a version changes that output, such types keep the generator's names.
fn ids(generator: &SchemaGenerator) -> BTreeMap<String, String> {
    let text = format!("{generator:?}");
    let mut ids = BTreeMap::new();
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
        operation.make_known(Type::of::<T>());
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

/// The name of the definition that a reference into `place` refers to.
#[doc(hidden)]
pub fn reference_in(place: &str, reference: &str) -> Option<String> {
    let name = reference.strip_prefix('#')?.strip_prefix(place)?;
    let name = percent_decode_str(name.strip_prefix('/')?).decode_utf8_lossy();
    Some(name.replace("~1", "/").replace("~0", "~"))
}

/// Schemas of types that are known where the description is written.
impl Operation {
    /// Makes the schema of a type known.
    fn make_known(&mut self, kind: Type) {
        if let Err(id) = self.schemas.make_known(kind) {
            self.gap(format!(
                "two types with different schemas have the id `{id}`: rename one of them by `#[schemars(rename = \"…\")]`"
            ));
        }
    }

    /// The schema that serde reads as a `T`.
    pub fn input_schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.schema(Direction::Input, Type::of::<T>())
    }

    /// The schema that serde writes of a `T`.
    pub fn output_schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.schema(Direction::Output, Type::of::<T>())
    }
}

/// The descriptions of an application's handlers, in the order of its table.
#[derive(Default)]
pub struct Descriptions {
    handlers: Vec<Description>,
    /// The layers around the next handler, the outermost first.
    open: Vec<Layer>,
}

/// The description functions of a handler and of its layers, the outermost first.
struct Description {
    handler: fn(&mut Operation),
    layers: Vec<Layer>,
}

/// The description function of a layer.
type Layer = Rc<dyn Fn(&mut Operation)>;

impl Descriptions {
    /// Adds a handler's.
    pub fn add<S, H: Handler<S>>(&mut self) {
        self.handlers.push(Description {
            handler: H::describe,
            layers: self.open.clone(),
        });
    }

    /// Begins the scope of the layer that `make` makes.
    #[doc(hidden)]
    pub fn begin_layer<L: 'static>(&mut self, make: impl FnOnce() -> L, describe: fn(&L, &mut Operation)) {
        let layer = make();
        self.open.push(Rc::new(move |operation| describe(&layer, operation)));
    }

    /// Ends the scope of the innermost open layer.
    #[doc(hidden)]
    pub fn end_layer(&mut self) {
        self.open.pop();
    }

    /// The number of handlers.
    #[doc(hidden)]
    pub fn handler_count(&self) -> usize {
        self.handlers.len()
    }

    /// Adds the descriptions of a handler and of its layers, from the innermost on.
    #[doc(hidden)]
    pub fn describe(&self, index: usize, operation: &mut Operation) {
        let description = &self.handlers[index];
        (description.handler)(operation);
        for layer in description.layers.iter().rev() {
            layer(operation);
        }
    }
}

impl fmt::Debug for Descriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptions")
            .field("handlers", &self.handlers.len())
            .finish_non_exhaustive()
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
        let mut schemas = Schemas::default();
        schemas.schema(Direction::Output, Type::of::<Outer>());
        for definitions in schemas.into_definitions() {
            let module = module_path!();
            assert_eq!(definitions.ids["Outer"], format!("{module}::Outer"));
            assert_eq!(definitions.ids["in\"ner"], format!("{module}::in\\\"ner"));
        }
    }
}
