//! Parts of the document that several operations have: each is written once, in `components`, and referenced. Readers of the
//! document use the functions at the end.

use std::collections::BTreeSet;

use conduit_core::openapi::LayerLimit;
use conduit_core::route::Definition;
use serde_json::{Map, Value, json};

/// A path and its operations, in the order of the routes.
#[derive(Clone, Debug)]
pub(super) struct PathItem {
    pub(super) path: String,
    pub(super) operations: Vec<DescribedOperation>,
}

/// The operation of one route.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "contract"),
    expect(dead_code, reason = "contracts read more than the document")
)]
pub(super) struct DescribedOperation {
    /// In lower case.
    pub(super) method: String,
    /// The operation object.
    pub(super) value: Value,
    pub(super) definition: &'static Definition,
    /// The statuses of the responses that may have header fields which no description names.
    pub(super) open_headers: BTreeSet<String>,
    /// A layer around the handler has no description.
    pub(super) has_open_layers: bool,
    /// A part of it is not described.
    pub(super) has_gaps: bool,
    /// The limits of the layers of its route, from the innermost on.
    #[cfg_attr(not(feature = "lock"), expect(dead_code, reason = "only a lock has limits"))]
    pub(super) limits: Vec<LayerLimit>,
}

#[cfg(feature = "codegen")]
impl DescribedOperation {
    /// Returns whether responses have bodies. Those to HEAD have none (RFC 9110, section 9.3.2); the document describes the content
    /// that a GET would return.
    pub(super) fn has_bodies(&self) -> bool {
        self.method != "head"
    }

    /// The media type of the request's body, its schema, and whether it is required. Prefers the first media type in `preferred`
    /// that the operation reads, else takes its first.
    pub(super) fn body(&self, preferred: &[&str]) -> Option<(&str, &Value, bool)> {
        let body = self.value.get("requestBody")?;
        let content = body["content"].as_object()?;
        let found = preferred.iter().find_map(|kind| content.get_key_value(*kind));
        let (kind, media) = found.or_else(|| content.iter().next())?;
        Some((kind, &media["schema"], body["required"] == Value::Bool(true)))
    }

    /// Returns whether the operation is a list in pages: its query has the cursor of a page, and its response that of the next one.
    pub(super) fn has_pages(&self, document: &Value) -> bool {
        let parameters = self.value["parameters"].as_array().into_iter().flatten();
        let mut parameters = parameters.map(|parameter| resolved(document, parameter));
        let response = resolved(document, &self.value["responses"]["200"]);
        let schema = resolved(document, &response["content"]["application/json"]["schema"]);
        self.has_bodies()
            && self.value["x-pages"] == Value::Bool(true)
            && parameters.any(|parameter| parameter["in"] == "query" && parameter["name"] == "cursor")
            && schema["properties"]["next"]["type"] == json!(["string", "null"])
    }
}

/// Moves header fields that are the same in all places to `components`, those of responses and those of requests.
///
/// Each has the name of its field. A name with two meanings stays in the operations.
pub(super) fn share(paths: &mut [PathItem], components: &mut Value) {
    for (section, visit) in [("headers", headers as Visit), ("parameters", parameters as Visit)] {
        let mut values = Map::new();
        let (mut repeated, mut ambiguous) = (BTreeSet::new(), BTreeSet::new());
        visit(paths, &mut |name, value| match values.get(name) {
            None => {
                values.insert(name.to_owned(), value.clone());
            }
            Some(known) => {
                if known != value {
                    ambiguous.insert(name.to_owned());
                }
                repeated.insert(name.to_owned());
            }
        });
        values.retain(|name, _| repeated.contains(name) && !ambiguous.contains(name));
        visit(paths, &mut |name, value| {
            if values.contains_key(name) {
                *value = json!({ "$ref": format!("#/components/{section}/{name}") });
            }
        });
        if !values.is_empty() {
            components[section] = Value::Object(values);
        }
    }
}

/// Calls its second argument with the name and the value of each part of the operations.
type Visit = fn(&mut [PathItem], &mut dyn FnMut(&str, &mut Value));

/// The header fields of responses.
fn headers(paths: &mut [PathItem], each: &mut dyn FnMut(&str, &mut Value)) {
    for operation in operations(paths) {
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        for response in responses.into_iter().flat_map(Map::values_mut) {
            let headers = response.get_mut("headers").and_then(Value::as_object_mut);
            for (name, header) in headers.into_iter().flatten() {
                each(name, header);
            }
        }
    }
}

/// The header fields of requests.
fn parameters(paths: &mut [PathItem], each: &mut dyn FnMut(&str, &mut Value)) {
    for operation in operations(paths) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["in"] == "header"
                && let Some(name) = parameter["name"].as_str().map(str::to_ascii_lowercase)
            {
                each(&name, parameter);
            }
        }
    }
}

fn operations(paths: &mut [PathItem]) -> impl Iterator<Item = &mut Value> {
    paths
        .iter_mut()
        .flat_map(|item| &mut item.operations)
        .map(|operation| &mut operation.value)
}

/// The target of a reference in a document, or the value itself if it has no reference to a part of the document.
pub(super) fn resolved<'v>(document: &'v Value, value: &'v Value) -> &'v Value {
    let target = value.get("$ref").and_then(Value::as_str);
    target
        .and_then(|reference| document.pointer(reference.trim_start_matches('#')))
        .unwrap_or(value)
}

/// The elements of a list in a schema, such as `anyOf`; none without the keyword.
#[cfg(any(feature = "codegen", feature = "lock"))]
pub(super) fn list<'v>(members: &'v Map<String, Value>, keyword: &str) -> impl Iterator<Item = &'v Value> {
    members.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

/// The schemas of an object's members that it does not list: those by the pattern of their names, such as the members of a map whose
/// keys are numbers, and those with any other name.
#[cfg(any(feature = "codegen", feature = "lock"))]
pub(super) fn further_members(members: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let by_pattern = members.get("patternProperties").and_then(Value::as_object);
    let others = OTHERS.iter().filter_map(|keyword| members.get(*keyword));
    let others = others.filter(|others| others.is_object());
    by_pattern.into_iter().flat_map(Map::values).chain(others)
}

/// Returns whether an object has any members besides those that its schema lists.
#[cfg(feature = "codegen")]
pub(super) fn has_any_members(members: &Map<String, Value>) -> bool {
    OTHERS
        .iter()
        .any(|keyword| members.get(*keyword) == Some(&Value::Bool(true)))
}

/// The keywords of members that an object does not list. The second one also considers the other parts of a schema.
#[cfg(any(feature = "codegen", feature = "lock"))]
const OTHERS: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];

/// Returns whether a media type in lower case is that of JSON.
#[cfg(any(feature = "codegen", feature = "contract"))]
pub(super) fn is_json(kind: &str) -> bool {
    kind == "application/json" || kind.ends_with("+json")
}

/// A text on one line.
#[cfg(any(feature = "codegen", feature = "lock"))]
pub(super) fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + " " + line)
}

/// Returns whether a response has problems only.
pub(super) fn is_problem(content: &Map<String, Value>) -> bool {
    content.keys().all(|kind| kind.ends_with("problem+json"))
}

/// The name, with as many marks as make it differ from those in `taken`, to which it is added.
pub(super) fn unique(taken: &mut BTreeSet<String>, mut name: String, mark: char) -> String {
    while !taken.insert(name.clone()) {
        name.push(mark);
    }
    name
}

/// The parts of a name, each with a capital letter: `userName` and `list` of `userName.list` are `UserNameList`.
#[cfg(feature = "codegen")]
pub(super) fn capitalized(name: &str, is_separator: impl Fn(char) -> bool) -> String {
    let mut text = String::new();
    for part in name.split(is_separator) {
        let mut letters = part.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.extend(letters);
    }
    text
}

/// The schemas that these parts of a document refer to, by themselves or through other schemas.
pub(super) fn without_unused(mut schemas: Map<String, Value>, parts: &[&Value]) -> Value {
    let mut found = BTreeSet::new();
    let mut open = Vec::new();
    parts.iter().for_each(|part| referenced(part, &mut open));
    while let Some(name) = open.pop() {
        if let Some(schema) = schemas.get(&name)
            && found.insert(name)
        {
            referenced(schema, &mut open);
        }
    }
    schemas.retain(|name, _| found.contains(name));
    Value::Object(schemas)
}

/// Adds the names of the schemas that a value refers to.
fn referenced(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| referenced(item, names)),
        Value::Object(members) => {
            for (key, member) in members {
                match member.as_str() {
                    Some(text) if key == "$ref" => {
                        names.extend(text.strip_prefix("#/components/schemas/").map(str::to_owned));
                    }
                    _ => referenced(member, names),
                }
            }
        }
        _ => {}
    }
}
