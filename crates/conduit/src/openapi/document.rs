//! The document: the operations of all routes, and the schemas that they refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};

use percent_encoding::percent_decode_str;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::operation::{Answer, Content, PROBLEM};
use super::schemas::{INPUT, OUTPUT};
use super::{Descriptions, Info, Operation, Schemas};
use crate::app::App;
use crate::error::{Error, Result};
use crate::route::{Definition, Package, Routes};

/// The methods that OpenAPI 3.1 knows.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// An OpenAPI 3.1 document. It serializes as one; as text (`to_string`) it is JSON for people.
#[derive(Clone, Debug)]
pub struct Document {
    info: Info,
    /// In the order of the routes.
    paths: Vec<(String, Vec<(String, Value)>)>,
    components: Value,
    gaps: Vec<Gap>,
}

/// Something that a document does not say, because a type does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The handler: `app::users::show`.
    pub handler: &'static str,
    /// Its source file.
    pub file: &'static str,
    /// Its line, counted from 1.
    pub line: u32,
    /// What is missing, and what to do about it.
    pub what: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{}): {}", self.handler, self.file, self.line, self.what)
    }
}

impl Document {
    /// What the document does not say. A test that asks for none keeps it whole.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    pub(super) fn title(&self) -> &str {
        &self.info.title
    }

    pub(super) fn server_urls(&self) -> impl Iterator<Item = &str> {
        self.info.servers().iter().filter_map(|server| server["url"].as_str())
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("openapi", "3.1.0")?;
        map.serialize_entry("info", &self.info.value())?;
        if !self.info.servers().is_empty() {
            map.serialize_entry("servers", self.info.servers())?;
        }
        map.serialize_entry("paths", &Paths(&self.paths))?;
        map.serialize_entry("components", &self.components)?;
        map.end()
    }
}

/// Paths and methods in their own order.
struct Paths<'d>(&'d [(String, Vec<(String, Value)>)]);

impl Serialize for Paths<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(path, methods)| (path, Methods(methods))))
    }
}

struct Methods<'d>(&'d [(String, Value)]);

impl Serialize for Methods<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(method, operation)| (method, operation)))
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?;
        writeln!(f, "{text}")
    }
}

impl<S> Routes<S> {
    /// The OpenAPI 3.1 document of these routes; no state is needed for it.
    pub fn openapi(&self, info: Info) -> Document {
        let mut descriptions = Descriptions::default();
        self.describe_all(&mut descriptions);
        Builder::default().document(self.definitions(), &descriptions, info)
    }
}

impl<S: 'static> App<S, Routes<S>> {
    /// The OpenAPI 3.1 document of the application.
    ///
    /// # Example
    ///
    /// A test that the document says everything:
    ///
    /// ```
    /// use conduit::prelude::*;
    ///
    /// #[derive(serde::Serialize, JsonSchema)]
    /// struct User {
    ///     id: u64,
    /// }
    ///
    /// /// Show one user.
    /// #[get("/users/{id}")]
    /// async fn show(id: Path<u64>) -> Json<User> {
    ///     Json(User { id: *id })
    /// }
    ///
    /// let document = App::new(()).routes(routes![show]).openapi();
    /// assert_eq!(document.gaps(), []);
    /// assert!(document.to_string().contains("Show one user."));
    /// ```
    pub fn openapi(&self) -> Document {
        document_of(&self.routes, self.info.as_ref())
    }
}

pub(super) fn document_of<S>(routes: &Routes<S>, info: Option<&Info>) -> Document {
    routes.openapi(info.cloned().unwrap_or_else(|| of_package(routes.package())))
}

fn of_package(package: Package) -> Info {
    let info = Info::new(package.name, package.version);
    if package.description.is_empty() {
        info
    } else {
        info.description(package.description)
    }
}

/// Prints the document, and what it lacks to standard error.
pub(crate) fn print<S>(routes: &Routes<S>, info: Option<&Info>) -> Result {
    let document = document_of(routes, info);
    let print = || -> io::Result<()> {
        for gap in document.gaps() {
            writeln!(io::stderr(), "{gap}")?;
        }
        write!(io::stdout(), "{document}")
    };
    print().map_err(|cause| Error::system("print the document", cause))
}

/// A document while it is put together.
#[derive(Default)]
struct Builder {
    schemas: Schemas,
    paths: Vec<(String, Vec<(String, Value)>)>,
    security_schemes: Map<String, Value>,
    operation_ids: BTreeSet<String>,
    gaps: Vec<Gap>,
}

impl Builder {
    fn document(mut self, definitions: &'static [Definition], descriptions: &Descriptions, info: Info) -> Document {
        assert_eq!(
            definitions.len(),
            descriptions.0.len(),
            "each route has one description"
        );
        for (definition, describe) in definitions.iter().zip(&descriptions.0) {
            let mut operation = Operation::new(std::mem::take(&mut self.schemas));
            describe(&mut operation);
            self.schemas = std::mem::take(&mut operation.schemas);
            self.add(definition, operation);
        }
        let problem = json!({
            "description": "Any other answer is a problem.",
            "content": { PROBLEM: { "schema": self.schemas.problem() } },
        });
        let (schemas, names) = Names::of(self.schemas.into_definitions());
        let mut components = json!({ "responses": { "Problem": problem }, "schemas": schemas });
        if !self.security_schemes.is_empty() {
            components["securitySchemes"] = Value::Object(self.security_schemes);
        }
        names.rewrite(&mut components);
        for (_, operation) in self.paths.iter_mut().flat_map(|(_, methods)| methods) {
            names.rewrite(operation);
        }
        Document {
            info,
            paths: self.paths,
            components,
            gaps: self.gaps,
        }
    }

    fn add(&mut self, definition: &'static Definition, mut operation: Operation) {
        if operation.hidden {
            return;
        }
        let method = definition.method.to_ascii_lowercase();
        if !METHODS.contains(&&*method) {
            operation.gap(format!(
                "OpenAPI 3.1 has no operations of the method {}",
                definition.method
            ));
        }
        let gaps = std::mem::take(&mut operation.gaps);
        self.gaps.extend(gaps.into_iter().map(|what| Gap {
            handler: definition.handler,
            file: definition.file,
            line: definition.line,
            what,
        }));
        if !METHODS.contains(&&*method) {
            return;
        }
        for needed in &operation.security {
            let scheme = needed.scheme.clone().into_value();
            self.security_schemes.entry(needed.name.clone()).or_insert(scheme);
        }
        // The rest of a path is a parameter like any other here: OpenAPI has no other.
        let path = definition.path.replace("{*", "{");
        let place = self
            .paths
            .iter()
            .position(|(known, _)| without_names(known) == without_names(&path));
        let place = place.unwrap_or_else(|| {
            self.paths.push((path.clone(), Vec::new()));
            self.paths.len() - 1
        });
        // Paths that differ only in the names of their parameters are the same path, which has one set of names.
        let names: Vec<(String, String)> = names(&path)
            .zip(names(&self.paths[place].0))
            .map(|(own, known)| (own.to_owned(), known.to_owned()))
            .collect();
        for parameter in operation
            .parameters
            .iter_mut()
            .filter(|parameter| parameter.place == "path")
        {
            if let Some((_, known)) = names.iter().find(|(own, _)| *own == parameter.name) {
                parameter.name.clone_from(known);
            }
        }
        let id = self.operation_id(definition, &path);
        self.paths[place]
            .1
            .push((method, value(operation, id, tag(definition.handler))));
    }

    /// Module and function, without the crate; a handler with several routes has the path behind it.
    fn operation_id(&mut self, definition: &Definition, path: &str) -> String {
        let handler = definition
            .handler
            .split_once("::")
            .map_or(definition.handler, |(_, rest)| rest);
        let mut id = handler.replace("::", "_");
        if !self.operation_ids.insert(id.clone()) {
            id.push('_');
            id.extend(path.chars().filter_map(|letter| match letter {
                '/' | '-' | '.' => Some('_'),
                '{' | '}' => None,
                other => Some(other),
            }));
            while !self.operation_ids.insert(id.clone()) {
                id.push('_');
            }
        }
        id
    }
}

/// The last module of a handler's path; none at the root of a crate.
fn tag(handler: &str) -> Option<&str> {
    let mut segments = handler.rsplit("::").skip(1);
    let module = segments.next()?;
    segments.next().map(|_| module)
}

/// The names of a path's parameters.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

fn without_names(path: &str) -> String {
    names(path).fold(path.to_owned(), |path, name| path.replace(&format!("{{{name}}}"), "{}"))
}

/// The operation object.
fn value(operation: Operation, id: String, tag: Option<&str>) -> Value {
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("operationId", Value::String(id));
    if let Some(tag) = tag {
        set("tags", json!([tag]));
    }
    if let Some(summary) = operation.summary {
        set("summary", Value::String(summary));
    }
    if let Some(description) = operation.description {
        set("description", Value::String(description));
    }
    if operation.deprecated {
        set("deprecated", Value::Bool(true));
    }
    if !operation.parameters.is_empty() {
        let parameters = operation.parameters.into_iter().map(|parameter| parameter.into_value());
        set("parameters", parameters.collect());
    }
    if let Some(body) = operation.body {
        let mut body = json!({ "required": operation.body_is_required, "content": content(body) });
        for (kind, encoding) in operation.encodings {
            body["content"][&kind]["encoding"] = encoding;
        }
        set("requestBody", body);
    }
    if !operation.security.is_empty() {
        let all = |only_needed: bool| -> Value {
            let chosen = operation
                .security
                .iter()
                .filter(|needed| !(only_needed && needed.optional));
            Value::Object(
                chosen
                    .map(|needed| (needed.name.clone(), json!(needed.scopes)))
                    .collect(),
            )
        };
        let alternatives = [all(false), all(true)];
        let is_same = alternatives[0] == alternatives[1];
        set(
            "security",
            alternatives.into_iter().take(if is_same { 1 } else { 2 }).collect(),
        );
    }
    set("responses", responses(operation.responses));
    Value::Object(members)
}

fn responses(mut answers: BTreeMap<String, Answer>) -> Value {
    let is_any_problem = answers.get("default").is_none_or(|answer| {
        answer.descriptions.is_empty()
            && answer.headers.is_empty()
            && answer.content.keys().all(|kind| kind == PROBLEM)
            && !answer.content.is_empty()
    });
    if is_any_problem {
        answers.remove("default");
    }
    let mut all: Map<String, Value> = answers
        .into_iter()
        .map(|(status, answer)| {
            let value = response(&status, answer);
            (status, value)
        })
        .collect();
    if is_any_problem {
        all.insert(
            "default".to_owned(),
            json!({ "$ref": "#/components/responses/Problem" }),
        );
    }
    Value::Object(all)
}

fn response(status: &str, answer: Answer) -> Value {
    let description = if answer.descriptions.is_empty() {
        meaning(status).to_owned()
    } else {
        answer.descriptions.join(" ")
    };
    let mut value = json!({ "description": description });
    if !answer.headers.is_empty() {
        value["headers"] = Value::Object(answer.headers);
    }
    if !answer.content.is_empty() {
        value["content"] = content(answer.content);
    }
    value
}

fn meaning(status: &str) -> &str {
    match status {
        "default" => "The handler's answer.",
        "2XX" => "Success.",
        "3XX" => "A redirect.",
        "4XX" => "The request is refused.",
        "5XX" => "The server failed.",
        code => code
            .parse()
            .ok()
            .and_then(|code| http::StatusCode::from_u16(code).ok()?.canonical_reason())
            .unwrap_or("An answer."),
    }
}

fn content(content: Content) -> Value {
    let media = content.into_iter().map(|(kind, mut schemas)| {
        let schema = match schemas.len() {
            1 => schemas.remove(0),
            _ => json!({ "anyOf": schemas }),
        };
        // Not every reader of documents knows that `true` is a schema too.
        let schema = if schema == Value::Bool(true) { json!({}) } else { schema };
        (kind, json!({ "schema": schema }))
    });
    Value::Object(media.collect())
}

/// What the schemas are called in the document. A type that serde reads and writes in the same form has one schema;
/// otherwise what is read has `Input` behind its name.
struct Names {
    input: BTreeMap<String, String>,
    output: BTreeMap<String, String>,
}

impl Names {
    fn of([input, output]: [Map<String, Value>; 2]) -> (Value, Names) {
        let mut different: BTreeSet<&str> = BTreeSet::new();
        loop {
            let more: Vec<&str> = input
                .iter()
                .filter(|(name, _)| !different.contains(&***name))
                .filter(|(name, read)| {
                    output.get(&**name).is_some_and(|written| {
                        let mut both = [(*read).clone(), written.clone()];
                        both.iter_mut()
                            .for_each(|schema| references(schema, &mut |_, name| Some(name.to_owned())));
                        let mut refers = false;
                        references(&mut (*read).clone(), &mut |_, name| {
                            refers |= different.contains(name);
                            None
                        });
                        both[0] != both[1] || refers
                    })
                })
                .map(|(name, _)| &**name)
                .collect();
            if more.is_empty() {
                break;
            }
            different.extend(more);
        }
        let mut taken = BTreeSet::new();
        let mut fresh = |name: String| {
            let mut name: String = name
                .chars()
                .map(|letter| {
                    if letter.is_ascii_alphanumeric() || "._-".contains(letter) {
                        letter
                    } else {
                        '_'
                    }
                })
                .collect();
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            name
        };
        let written: BTreeMap<String, String> = output.keys().map(|name| (name.clone(), fresh(name.clone()))).collect();
        let read = input.keys().map(|name| {
            let own = match written.get(name) {
                Some(same) if !different.contains(&**name) => same.clone(),
                Some(_) => fresh(format!("{name}Input")),
                None => fresh(name.clone()),
            };
            (name.clone(), own)
        });
        let read: BTreeMap<String, String> = read.collect();
        let mut schemas = Map::new();
        for (names, definitions) in [(&read, &input), (&written, &output)] {
            schemas.extend(
                definitions
                    .iter()
                    .map(|(name, schema)| (names[name].clone(), schema.clone())),
            );
        }
        (
            Value::Object(schemas),
            Names {
                input: read,
                output: written,
            },
        )
    }

    /// Makes references refer to where the schemas are in the document.
    fn rewrite(&self, value: &mut Value) {
        references(value, &mut |place, name| {
            let names = if place == INPUT { &self.input } else { &self.output };
            Some(format!("#/components/schemas/{}", names.get(name)?))
        });
    }
}

/// Calls `change` with the place and the name of each reference to a schema, and replaces it by what is returned.
fn references(value: &mut Value, change: &mut dyn FnMut(&'static str, &str) -> Option<String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| references(item, change)),
        Value::Object(members) => {
            for (key, member) in members {
                if let (true, Value::String(text)) = (key == "$ref", &mut *member) {
                    for place in [INPUT, OUTPUT] {
                        let name = text
                            .strip_prefix('#')
                            .and_then(|rest| rest.strip_prefix(place)?.strip_prefix('/'));
                        let Some(name) = name else { continue };
                        let name = percent_decode_str(name)
                            .decode_utf8_lossy()
                            .replace("~1", "/")
                            .replace("~0", "~");
                        if let Some(new) = change(place, &name) {
                            *text = new;
                        }
                        break;
                    }
                } else {
                    references(member, change);
                }
            }
        }
        _ => {}
    }
}
