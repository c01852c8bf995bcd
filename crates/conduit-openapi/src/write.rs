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

    /// The components without the schemas of operations that the version leaves out.
    fn written_components(&self) -> Value {
        let mut components = self.components.clone();
        let operations = self.paths.iter().flat_map(|item| &item.operations);
        let is_written = |operation: &&DescribedOperation| has_method(&operation.method);
        if self.version == Version::V3_1
            && !operations.clone().all(|operation| is_written(&operation))
            && let Value::Object(schemas) = components["schemas"].take()
        {
            let values = operations.filter(is_written).map(|operation| &operation.value);
            let schemas = without_unused(schemas, values.chain(self.webhooks.values()).chain([&components]));
            components["schemas"] = schemas;
        }
        components
    }

    /// The paths and components with the operations of all methods, by their names in lower case, and with the schemas of 3.1.
    pub(super) fn complete(&self) -> Value {
        let operations = |item: &PathItem| -> Map<String, Value> {
            let all = item.operations.iter();
            all.map(|operation| (operation.method.clone(), operation.value.clone()))
                .collect()
        };
        let paths = self.paths.iter();
        let paths: Map<String, Value> = paths
            .map(|item| (item.path.clone(), Value::Object(operations(item))))
            .collect();
        json!({ "info": self.info.value(), "paths": paths, "components": self.components })
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let version = match self.version {
            Version::V3_1 => "3.1.0",
            Version::V3_2 => "3.2.0",
        };
        map.serialize_entry("openapi", version)?;
        map.serialize_entry("info", &self.info.value())?;
        match self.info.servers() {
            [] => map.serialize_entry("servers", &[json!({ "url": "/" })])?,
            servers => map.serialize_entry("servers", servers)?,
        }
        // An operation without a list of schemes requires no authentication.
        map.serialize_entry("security", &[(); 0])?;
        map.serialize_entry("paths", &Paths(self))?;
        if !self.webhooks.is_empty() {
            map.serialize_entry("webhooks", &self.webhooks)?;
        }
        map.serialize_entry("components", &self.written_components())?;
        map.end()
    }
}

/// Paths and methods in their own order.
struct Paths<'d>(&'d Document);

impl Serialize for Paths<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Paths(document) = self;
        let items = document.paths.iter().filter(|item| {
            let mut operations = item.operations.iter();
            document.version != Version::V3_1 || operations.any(|operation| has_method(&operation.method))
        });
        serializer.collect_map(items.map(|item| {
            let operations = &item.operations[..];
            (
                &item.path,
                Methods {
                    operations,
                    version: document.version,
                },
            )
        }))
    }
}

struct Methods<'d> {
    operations: &'d [DescribedOperation],
    version: Version,
}

impl Serialize for Methods<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_named = |method: &str| has_method(method) || self.version == Version::V3_2 && method == "query";
        let mut map = serializer.serialize_map(None)?;
        for operation in self.operations.iter().filter(|operation| is_named(&operation.method)) {
            match self.version {
                Version::V3_1 => map.serialize_entry(&operation.method, &operation.value)?,
                Version::V3_2 => map.serialize_entry(&operation.method, &with_items(&operation.value))?,
            }
        }
        let others = self.operations.iter().filter(|operation| !is_named(&operation.method));
        let others: Map<String, Value> = others
            .map(|operation| (operation.definition.method.to_owned(), with_items(&operation.value)))
            .collect();
        if self.version == Version::V3_2 && !others.is_empty() {
            map.serialize_entry("additionalOperations", &others)?;
        }
        map.end()
    }
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
            "id": { "type": "string", "description": "With it in `last-event-id`, an interrupted stream continues." },
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
