//! The schemas of the types in a document, by the generator of schemars.

use std::any::TypeId;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::str::Chars;

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
        let of_signatures: Vec<String> = self.known.values().chain(self.asked.values()).map(id_of).collect();
        [self.input, self.output].map(|mut generator| {
            let schemas = generator.take_definitions(true);
            let mut candidates = quoted(&format!("{generator:?}"));
            candidates.extend_from_slice(&of_signatures);
            Definitions::new(schemas, names(&mut generator, candidates), &self.kinds)
        })
    }
}

fn id_of(kind: &SchemaType) -> String {
    (kind.id)().into_owned()
}

impl Definitions {
    /// The definitions with the ids of their types, as far as they are known. A definition without a known id, such as one of
    /// `kinds`, has its name in place of it: the names in the document are then less precise, and the schemas are the same.
    fn new(schemas: Map<String, Value>, known: NameMap<String>, kinds: &[&'static str]) -> Self {
        let is_id = |name: &str| known.iter().any(|(_, id)| id == name);
        let mut ids = NameMap::new();
        for name in schemas.keys() {
            let id = match known.get(name) {
                Some(id) if !kinds.contains(&&**name) => id.clone(),
                // No id of a type ends with a quotation mark.
                _ if is_id(name) => format!("{name}\""),
                _ => name.clone(),
            };
            ids.insert(name.clone(), id);
        }
        Definitions { schemas, ids }
    }
}

/// The ids of the types that a generator has named, by the names of their definitions.
///
/// schemars has no list of these ids, and the types that are only fields of others are not in a handler's signature, so that neither
/// their `schema_id` nor their `TypeId` is known here: their ids are only in the generator's `Debug` output. Each text in it is a
/// candidate, and the generator decides by its reference whether it is an id: a change of that output can omit ids, but never assign
/// a wrong one.
fn names(generator: &mut SchemaGenerator, candidates: Vec<String>) -> NameMap<String> {
    let place = generator.settings().definitions_path.clone();
    let mut names = NameMap::new();
    for id in candidates {
        CANDIDATE.set(Some(id.clone()));
        let schema = generator.subschema_for::<Candidate>();
        let is_known = CANDIDATE.take().is_some();
        let reference = schema.get("$ref").and_then(Value::as_str);
        if let Some(name) = reference
            .filter(|_| is_known)
            .and_then(|text| reference_in(&place, text))
        {
            names.insert(name, id);
        }
    }
    names
}

thread_local! {
    /// The id of [`Candidate`]; `None` once a generator has asked for its name, so that the id was unknown.
    static CANDIDATE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A type with the id that may be that of another type.
struct Candidate;

impl JsonSchema for Candidate {
    fn schema_id() -> Cow<'static, str> {
        CANDIDATE.with_borrow(|id| id.clone().unwrap_or_default().into())
    }

    /// A generator calls it for the first type with an id.
    fn schema_name() -> Cow<'static, str> {
        CANDIDATE.set(None);
        "Candidate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

/// The strings in quotation marks in a `Debug` output, without its escapes.
fn quoted(output: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut letters = output.chars();
    while letters.any(|letter| letter == '"') {
        let mut text = String::new();
        while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
            text.push(if letter == '\\' { escaped(&mut letters) } else { letter });
        }
        all.push(text);
    }
    all
}

/// The character after a backslash, as `char::escape_debug` writes it.
fn escaped(letters: &mut Chars<'_>) -> char {
    match letters.next() {
        Some('0') => '\0',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            let digits: String = letters.skip(1).take_while(|letter| *letter != '}').collect();
            let number = u32::from_str_radix(&digits, 16).ok();
            number.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        letter => letter.unwrap_or_default(),
    }
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
    use crate::names::Names;

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
            assert_eq!(definitions.ids["in\"ner"], format!("{module}::in\"ner"));
        }
    }

    #[test]
    fn quoted_texts_are_those_of_a_debug_output() {
        let texts = ["", "a::B", "in\"ner", "\\", "\0\n\r\t\u{1}", "e\u{301}", "'"];
        assert_eq!(
            quoted(&format!("{texts:?} {:?}", Some("last"))),
            [&texts[..], &["last"]].concat()
        );
        assert_eq!(quoted("{no_text: 7}"), Vec::<String>::new());
        assert_eq!(quoted("\"open"), ["open"]);
    }

    /// A type with the generator's name of another one as its id.
    struct Handmade;

    impl JsonSchema for Handmade {
        fn schema_name() -> Cow<'static, str> {
            "Later".into()
        }

        fn schema_id() -> Cow<'static, str> {
            "Part".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "format": "handmade" })
        }
    }

    mod one {
        #[derive(schemars::JsonSchema)]
        #[allow(dead_code, reason = "only its schema is used")]
        pub(super) struct Part {
            one: u8,
        }
    }

    mod two {
        #[derive(schemars::JsonSchema)]
        #[allow(dead_code, reason = "only its schema is used")]
        pub(super) struct Part {
            two: u8,
        }
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct OneFirst {
        one: one::Part,
        two: two::Part,
        handmade: Handmade,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct TwoFirst {
        two: two::Part,
        one: one::Part,
        handmade: Handmade,
    }

    /// The two types `Part` have different names in the two generators, as the first type of a name keeps it.
    #[test]
    fn references_are_right_without_the_ids_of_fields() {
        let none = Vec::new();
        let all = vec!["Part".to_owned(), id_of(&SchemaType::of::<OneFirst>())];
        for candidates in [none, all] {
            let mut generators = Generators::default();
            generators.schema(Direction::Input, SchemaType::of::<OneFirst>());
            generators.schema(Direction::Output, SchemaType::of::<TwoFirst>());
            generators.schema(Direction::Output, SchemaType::of::<OneFirst>());
            let definitions = [generators.input, generators.output].map(|mut generator| {
                let schemas = generator.take_definitions(true);
                Definitions::new(schemas, names(&mut generator, candidates.clone()), &[])
            });
            let (schemas, _) = Names::of(definitions, "app");
            let mut references = 0;
            for (name, schema) in schemas.iter().filter(|(name, _)| name.contains("First")) {
                for (field, property) in schema["properties"].as_object().expect("properties") {
                    let reference = property["$ref"].as_str().expect("a reference");
                    let target = &schemas[reference.rsplit('/').next().expect("a name")];
                    let is_right = target["properties"].get(field).is_some() || target["format"] == **field;
                    assert!(is_right, "{name}.{field} is {target}");
                    references += 1;
                }
            }
            assert_eq!(references, 9, "{schemas:?}");
        }
    }
}
