//! The schemas of the types that handlers name, and the handlers' descriptions.
//!
//! An extractor or a response such as `Json<T>` has no bound on `T` that would let it make a schema: a handler may use
//! types without one. So the route attributes look at each type in a handler's signature, where it is concrete, and
//! make its schema [known](SchemaOf) if it has one; `Json<T>` then asks by the type whether there is one.

use std::any::TypeId;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use percent_encoding::percent_decode_str;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::Operation;
use super::problem::ProblemWithFaults;
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
    known: HashMap<TypeId, Type>,
    /// The types that were asked for: whether to be read or to be written, by their ids.
    asked: BTreeMap<(Side, Cow<'static, str>), Type>,
    /// The definitions in `output` that are of no type.
    kinds: Vec<&'static str>,
}

/// A type that has a schema.
#[derive(Clone, Copy)]
struct Type {
    id: fn() -> Cow<'static, str>,
    name: fn() -> Cow<'static, str>,
    make: fn(&mut SchemaGenerator) -> Schema,
}

impl Type {
    fn of<T: JsonSchema + ?Sized>() -> Self {
        Type {
            id: T::schema_id,
            name: T::schema_name,
            make: SchemaGenerator::subschema_for::<T>,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Input,
    Output,
}

/// All definitions of what is read, or of what is written, by the names that the generator gave them.
pub(super) struct Definitions {
    pub(super) schemas: Map<String, Value>,
    /// Which types they are of, as far as that is known.
    pub(super) identities: BTreeMap<String, Identity>,
}

/// Which type a definition is of.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    /// The type with its modules and arguments: `app::Page<app::User>`.
    pub(super) id: String,
    /// Its name without them, or one that the user gave it.
    pub(super) name: String,
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
            asked: BTreeMap::new(),
            kinds: Vec::new(),
        }
    }
}

impl Schemas {
    /// Schemas with those that were asked for here, made in the order of the types' ids: the generator numbers types of the
    /// same name in the order in which they come.
    pub(super) fn in_order(self) -> Self {
        let mut ordered = Schemas {
            known: self.known,
            ..Schemas::default()
        };
        for ((side, _), kind) in self.asked {
            ordered.schema(side, kind);
        }
        ordered
    }

    fn schema(&mut self, side: Side, kind: Type) -> Value {
        self.asked.insert((side, (kind.id)()), kind);
        let generator = match side {
            Side::Input => &mut self.input,
            Side::Output => &mut self.output,
        };
        (kind.make)(generator).to_value()
    }

    /// What serde reads as a `T`, if its schema is known.
    pub(crate) fn input<T>(&mut self) -> Option<Value> {
        let kind = *self.known.get(&typeid::of::<T>())?;
        Some(self.schema(Side::Input, kind))
    }

    /// What serde writes of a `T`, if its schema is known.
    pub(crate) fn output<T>(&mut self) -> Option<Value> {
        let kind = *self.known.get(&typeid::of::<T>())?;
        Some(self.schema(Side::Output, kind))
    }

    /// The schema of the form that every error has.
    pub(crate) fn problem(&mut self) -> Value {
        self.schema(Side::Output, Type::of::<Problem>())
    }

    /// The schema of a problem that lists what is wrong with a request.
    pub(crate) fn faults(&mut self) -> Value {
        self.schema(Side::Output, Type::of::<ProblemWithFaults>())
    }

    /// The schema of a kind of problem, as a definition with this id. Where another one has the id, as those of one generic
    /// type have, it is the schema itself.
    pub(crate) fn kind(&mut self, id: &'static str, schema: Value) -> Value {
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

    /// What a reference into [`INPUT`] refers to.
    pub(crate) fn inlined(&self, reference: &Value) -> Option<Value> {
        let name = reference_in(INPUT, reference)?;
        self.input.definitions().get(&name).cloned()
    }

    fn make_known<T: JsonSchema + ?Sized>(&mut self) {
        self.known.insert(typeid::of::<T>(), Type::of::<T>());
    }

    /// All definitions that the schemas refer to: those of [`INPUT`] and of [`OUTPUT`].
    pub(super) fn into_definitions(mut self) -> [Definitions; 2] {
        let types: BTreeMap<Cow<'static, str>, Type> = self
            .known
            .into_values()
            .map(|kind| ((kind.id)(), kind))
            .chain(self.asked.into_iter().map(|((_, id), kind)| (id, kind)))
            .collect();
        let kinds = self.kinds;
        [(&mut self.input, INPUT), (&mut self.output, OUTPUT)].map(|(generator, place)| {
            // A type that is asked for once more gets the name that it has; others may be new to the copy, and are none of
            // the definitions.
            let mut copy = generator.clone();
            let schemas = generator.take_definitions(true);
            let of_types = types.iter().filter_map(|(id, kind)| {
                let schema = (kind.make)(&mut copy).to_value();
                let name = reference_in(place, schema.get("$ref")?)?;
                let identity = Identity {
                    id: id.to_string(),
                    name: (kind.name)().into_owned(),
                };
                schemas.contains_key(&name).then_some((name, identity))
            });
            let of_kinds = kinds.iter().map(|id| {
                let identity = Identity {
                    id: (*id).to_owned(),
                    name: id.rsplit("::").next().unwrap_or(id).to_owned(),
                };
                ((*id).to_owned(), identity)
            });
            let identities = of_types.chain(of_kinds);
            Definitions {
                identities: identities.filter(|(name, _)| schemas.contains_key(name)).collect(),
                schemas,
            }
        })
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

/// The name of the definition that a reference into `place` refers to.
pub(super) fn reference_in(place: &str, reference: &Value) -> Option<String> {
    let name = reference.as_str()?.strip_prefix('#')?.strip_prefix(place)?;
    let name = percent_decode_str(name.strip_prefix('/')?).decode_utf8_lossy();
    Some(name.replace("~1", "/").replace("~0", "~"))
}

/// Schemas of types that are known where the description is written.
impl Operation {
    /// The schema of what serde reads as a `T`.
    pub fn input_schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.schema(Side::Input, Type::of::<T>())
    }

    /// The schema of what serde writes of a `T`.
    pub fn output_schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.schema(Side::Output, Type::of::<T>())
    }
}

/// The descriptions of an application's handlers, in the order of its table.
#[derive(Default)]
pub struct Descriptions {
    handlers: Vec<Description>,
    /// The layers around the next handler, the outermost first.
    open: Vec<Layer>,
}

/// How a handler describes itself, and the layers around it, the outermost first.
struct Description {
    handler: fn(&mut Operation),
    layers: Vec<Layer>,
}

/// How a layer describes itself.
type Layer = Rc<dyn Fn(&mut Operation)>;

impl Descriptions {
    /// Adds a handler's.
    pub fn add<S, H: Handler<S>>(&mut self) {
        self.handlers.push(Description {
            handler: H::describe,
            layers: self.open.clone(),
        });
    }

    /// Begins what the layer that `make` makes is around.
    pub(crate) fn begin_layer<L: 'static>(&mut self, make: impl FnOnce() -> L, describe: fn(&L, &mut Operation)) {
        let layer = make();
        self.open.push(Rc::new(move |operation| describe(&layer, operation)));
    }

    /// Ends what the innermost layer that has begun is around.
    pub(crate) fn end_layer(&mut self) {
        self.open.pop();
    }

    /// How many handlers there are.
    pub(super) fn len(&self) -> usize {
        self.handlers.len()
    }

    /// Adds what a handler, and the layers around it from the innermost on, say of themselves.
    pub(super) fn describe(&self, index: usize, operation: &mut Operation) {
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
