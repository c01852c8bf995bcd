//! `api.lock`: a readable summary of an API under version control, and the differences of two of them.
//!
//! A section is an operation or a schema, and a line in it has the attributes of one part: a parameter, a body, a response,
//! a field. So a change of a type is a change of few lines, and `differences` compares two files without the programs that
//! wrote them.

mod attributes;
mod compare;
mod limits;
mod nodes;
mod text;

use std::borrow::Cow;

use conduit_core::route::Definition;
use serde_json::{Map, Value};

use self::attributes::Attributes;
use self::limits::LIMITS;
use self::nodes::{REST, nodes};
use self::text::{Line, Section};
pub use self::text::{Lock, LockDifference};
use super::document::{Document, rest_parameter};
use super::shared::{DescribedOperation, one_line, resolved};

/// The section of the application as a whole.
const APPLICATION: &str = "application";

/// The parts of a lock that the document does not have.
#[derive(Debug)]
pub struct LockContext<'a> {
    /// The names of the layers around each route, with the definition of the route.
    pub layers: Vec<(&'a Definition, Vec<Cow<'static, str>>)>,
    /// The names of the layers around the whole application.
    pub application_layers: Vec<Cow<'static, str>>,
    /// The limits of the application, by the variable that sets each.
    pub limits: Vec<(&'static str, String)>,
}

impl Document {
    /// The lock of the API.
    pub fn lock(&self, context: &LockContext<'_>) -> Lock {
        let document = self.complete();
        let mut lock = Lock {
            title: format!(
                "{} {}",
                one_line(self.title()),
                one_line(document["info"]["version"].as_str().unwrap_or_default())
            ),
            ..Lock::default()
        };
        let layers = context.application_layers.iter().map(ToString::to_string);
        let variables = context.limits.iter();
        let variables = variables.map(|(name, value)| Line::of(name, Attributes::text(value)));
        let layers = Line::of("layers", Attributes::texts(layers));
        // Without limits too: its absence marks the lock of an earlier version.
        let of_layers = Line::of(LIMITS, limits::attributes(&self.limits));
        let lines = [layers, of_layers].into_iter().chain(variables).collect();
        lock.sections.push((APPLICATION.to_owned(), lines));
        for item in &self.paths {
            for operation in &item.operations {
                let definition = operation.definition;
                let name = format!("{} {}", definition.method, item.path);
                let layers = context.layers.iter().find(|(route, _)| *route == definition);
                let lines = operation_lines(
                    &document,
                    &item.path,
                    operation,
                    layers.map_or(&[][..], |(_, layers)| layers),
                );
                lock.sources
                    .insert(name.clone(), format!("{}:{}", definition.file, definition.line));
                lock.sections.push((name, lines));
            }
        }
        for (name, item) in &self.webhooks {
            let schema = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
            lock.sections.push((
                format!("webhook {}", word(name)),
                nodes("body application/json", schema, Attributes::default()),
            ));
        }
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            lock.sections
                .push((format!("schema {name}"), nodes("", schema, Attributes::default())));
        }
        lock
    }
}

fn operation_lines(
    document: &Value,
    path: &str,
    operation: &DescribedOperation,
    layers: &[Cow<'static, str>],
) -> Section {
    let value = &operation.value;
    let empty = Map::new();
    let handler = operation.definition.handler;
    let handler = handler.split_once("::").map_or(handler, |(_, rest)| rest);
    let mut lines = vec![Line::of("handler", Attributes::text(handler))];
    if value["deprecated"] == Value::Bool(true) {
        lines.push(Line::of("deprecated", Attributes::default()));
    }
    if let Some(ways) = value["security"].as_array() {
        lines.push(Line::of("guards", Attributes::list(ways.iter().map(guard))));
    }
    if !layers.is_empty() {
        lines.push(Line::of(
            "layers",
            Attributes::texts(layers.iter().map(ToString::to_string)),
        ));
    }
    if !operation.limits.is_empty() {
        lines.push(Line::of(LIMITS, limits::attributes(&operation.limits)));
    }
    if let Some(name) = operation.definition.tool_name() {
        lines.push(Line::of("tool", Attributes::text(&name)));
    }
    if let Some(value) = value.get("x-pages") {
        lines.push(Line::of("pages", Attributes::list([value.to_string()])));
    }
    let rest = rest_parameter(operation.definition, path);
    for parameter in value["parameters"].as_array().into_iter().flatten() {
        let parameter = resolved(document, parameter);
        let (place, name) = (&parameter["in"], &parameter["name"]);
        let (place, name) = (place.as_str().unwrap_or_default(), name.as_str().unwrap_or_default());
        let part = format!("{place} {}", word(name));
        let mut attributes = Attributes::required(parameter["required"] == Value::Bool(true));
        if place == "path" && rest == Some(name) {
            attributes.0.push(REST.to_owned());
        }
        lines.extend(nodes(&part, &parameter["schema"], attributes));
    }
    if let Some(body) = value.get("requestBody") {
        for (kind, media) in body["content"].as_object().unwrap_or(&empty) {
            let attributes = Attributes::required(body["required"] == Value::Bool(true));
            lines.extend(nodes(&format!("body {}", word(kind)), &media["schema"], attributes));
        }
    }
    for (status, response) in value["responses"].as_object().unwrap_or(&empty) {
        let response = resolved(document, response);
        lines.push(Line::of(status, Attributes::default()));
        for (name, header) in response["headers"].as_object().unwrap_or(&empty) {
            let attributes = Attributes::required(resolved(document, header)["required"] == Value::Bool(true));
            lines.push(Line::of(&format!("{status} header {}", word(name)), attributes));
        }
        for (kind, media) in response["content"].as_object().unwrap_or(&empty) {
            lines.extend(nodes(
                &format!("{status} {}", word(kind)),
                &media["schema"],
                Attributes::default(),
            ));
        }
    }
    lines
}

/// The schemes of one alternative of a guard: `session`, `token[read write]+certificate`, `anonymous`.
fn guard(way: &Value) -> String {
    let schemes = way.as_object().into_iter().flatten().map(|(name, scopes)| {
        let scopes: Vec<&str> = scopes
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if scopes.is_empty() {
            name.clone()
        } else {
            format!("{name}[{}]", scopes.join(" "))
        }
    });
    let schemes: Vec<String> = schemes.collect();
    if schemes.is_empty() {
        "anonymous".to_owned()
    } else {
        schemes.join("+")
    }
}

/// A name as one word of a line.
fn word(name: &str) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_control() || "% :".contains(letter) {
            word.push_str(&format!("%{:02X}", u32::from(letter)));
        } else {
            word.push(letter);
        }
    }
    word
}
