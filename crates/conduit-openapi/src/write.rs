//! The document as JSON, in its version of OpenAPI.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::document::Document;
use super::shared::{DescribedOperation, PathItem, without_unused};
use super::version::{Version, has_method, missing_method};

/// The media type of event streams.
const EVENT_STREAM: &str = "text/event-stream";

impl Document {
    /// The same document in another version of OpenAPI.
    pub fn in_version(mut self, version: Version) -> Document {
        self.version = version;
        if version == Version::V3_2 {
            let paths = &self.paths;
            self.gaps.retain(|gap| {
                let mut operations = paths.iter().flat_map(|item| &item.operations);
                !operations.any(|operation| gap.what == missing_method(operation.definition))
            });
        }
        self
    }

    /// The components without the schemas of operations that the version omits.
    fn written_components(&self) -> Value {
        let mut components = self.components.clone();
        let mut parts: Vec<&Value> = self.webhooks.values().collect();
        let mut has_all = true;
        for operation in self.paths.iter().flat_map(|item| &item.operations) {
            if has_method(&operation.method) {
                parts.push(&operation.value);
            } else {
                has_all = false;
            }
        }
        if self.version == Version::V3_1
            && !has_all
            && let Value::Object(schemas) = components["schemas"].take()
        {
            parts.push(&components);
            let schemas = without_unused(schemas, &parts);
            components["schemas"] = schemas;
        }
        components
    }

    /// The paths and components with the operations of all methods, by their names in lower case, and with the schemas of 3.1.
    pub(super) fn complete(&self) -> Value {
        let mut paths = Map::new();
        for item in &self.paths {
            let mut operations = Map::new();
            for operation in &item.operations {
                operations.insert(operation.method.clone(), operation.value.clone());
            }
            paths.insert(item.path.clone(), Value::Object(operations));
        }
        json!({ "info": self.info.value(), "paths": paths, "components": self.components })
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Member::Object(self.members()).serialize(serializer)
    }
}

/// A part of the document. An object has its members in their own order, not in that of their names.
enum Member<'d> {
    Value(Value),
    Borrowed(&'d Value),
    Object(Vec<(&'d str, Member<'d>)>),
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Member::Value(value) => value.serialize(serializer),
            Member::Borrowed(value) => value.serialize(serializer),
            Member::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, member) in members {
                    map.serialize_entry(name, member)?;
                }
                map.end()
            }
        }
    }
}

/// The parts of the document, compiled once for all serializers.
impl Document {
    fn members(&self) -> Vec<(&str, Member<'_>)> {
        let version = match self.version {
            Version::V3_1 => "3.1.0",
            Version::V3_2 => "3.2.0",
        };
        let servers = match self.info.servers() {
            [] => json!([{ "url": "/" }]),
            servers => Value::from(servers),
        };
        let mut members = vec![
            ("openapi", Member::Value(version.into())),
            ("info", Member::Value(self.info.value())),
            ("servers", Member::Value(servers)),
            // An operation without a list of schemes requires no authentication.
            ("security", Member::Value(json!([]))),
            ("paths", Member::Object(self.path_members())),
        ];
        if !self.webhooks.is_empty() {
            members.push(("webhooks", Member::Value(Value::Object(self.webhooks.clone()))));
        }
        members.push(("components", Member::Value(self.written_components())));
        members
    }

    fn path_members(&self) -> Vec<(&str, Member<'_>)> {
        let mut paths = Vec::new();
        let omitted = self.omitted_ids();
        for item in &self.paths {
            let has_methods = || item.operations.iter().any(|operation| has_method(&operation.method));
            if self.version != Version::V3_1 || has_methods() {
                paths.push((&*item.path, Member::Object(self.method_members(item, &omitted))));
            }
        }
        paths
    }

    /// The ids of the operations that the version omits.
    fn omitted_ids(&self) -> Vec<&str> {
        let operations = self.paths.iter().flat_map(|item| &item.operations);
        let omitted = operations.filter(|operation| self.version == Version::V3_1 && !has_method(&operation.method));
        omitted
            .filter_map(|operation| operation.value["operationId"].as_str())
            .collect()
    }

    fn method_members<'d>(&self, item: &'d PathItem, omitted: &[&str]) -> Vec<(&'d str, Member<'d>)> {
        let mut methods = Vec::new();
        let mut others = Map::new();
        for operation in &item.operations {
            let DescribedOperation { method, value, .. } = operation;
            match self.version {
                Version::V3_1 if has_method(method) => {
                    methods.push((&**method, without_links_to(omitted, value)));
                }
                Version::V3_1 => {}
                Version::V3_2 if has_method(method) || method == "query" => {
                    methods.push((method, Member::Value(with_items(value))));
                }
                Version::V3_2 => {
                    others.insert(operation.definition.method.to_owned(), with_items(value));
                }
            }
        }
        if !others.is_empty() {
            methods.push(("additionalOperations", Member::Value(Value::Object(others))));
        }
        methods
    }
}

/// The operation without the links to these operations.
fn without_links_to<'d>(omitted: &[&str], operation: &'d Value) -> Member<'d> {
    let is_omitted = |link: &Value| link["operationId"].as_str().is_some_and(|id| omitted.contains(&id));
    let responses = operation["responses"].as_object().into_iter().flat_map(Map::values);
    let mut links = responses
        .filter_map(|response| response["links"].as_object())
        .flat_map(Map::values);
    if !links.any(is_omitted) {
        return Member::Borrowed(operation);
    }
    let mut operation = operation.clone();
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for response in responses
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
    {
        if let Some(Value::Object(links)) = response.get_mut("links") {
            links.retain(|_, link| !is_omitted(link));
            if links.is_empty() {
                response.remove("links");
            }
        }
    }
    Member::Value(operation)
}

/// The operation with a schema for each event of its event streams (OpenAPI 3.2, "Media Type Object").
fn with_items(operation: &Value) -> Value {
    let mut operation = operation.clone();
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for response in responses.into_iter().flat_map(Map::values_mut) {
        let stream = response
            .get_mut("content")
            .and_then(|content| content.get_mut(EVENT_STREAM));
        let Some(Value::Object(stream)) = stream else { continue };
        if let Some(data) = stream.remove("schema") {
            stream.insert("itemSchema".to_owned(), event(&data));
        }
    }
    operation
}

/// The schema of an event, whose data is JSON with this schema.
fn event(data: &Value) -> Value {
    json!({
        "type": "object",
        "properties": {
            "data": { "type": "string", "contentMediaType": "application/json", "contentSchema": data },
            "event": { "type": "string", "description": "The name of the event; `message` if it has none." },
            "id": { "type": "string", "description": "The client sends it in `last-event-id` to continue an \
                                                      interrupted stream." },
            "retry": { "type": "integer", "minimum": 0, "description": "Milliseconds until the client connects again." },
        },
        "required": ["data"],
    })
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?;
        writeln!(f, "{text}")
    }
}
