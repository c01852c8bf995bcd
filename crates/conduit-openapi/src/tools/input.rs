//! The input of a tool: one object for all parts of a request.

use conduit_core::internal::openapi::NameMap;
use serde_json::{Map, Value, json};

use super::schema::Components;
use crate::document::rest_parameter;
use crate::shared::DescribedOperation;

/// Header fields that belong to the exchange with the server rather than to the meaning of a call, unless they are required.
const TRANSPORT_HEADERS: [&str; 15] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "content-encoding",
    "cookie",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "origin",
    "range",
    "traceparent",
    "tracestate",
];

/// The places of the arguments in a request.
#[derive(Clone, Debug)]
pub(super) struct ToolInputs {
    pub(super) path: String,
    /// The parameter that is the rest of the path, with its slashes.
    pub(super) rest: Option<String>,
    pub(super) parameters: Vec<ToolParameter>,
    pub(super) body: ToolBody,
}

#[derive(Clone, Debug)]
pub(super) struct ToolParameter {
    pub(super) place: ParameterIn,
    pub(super) name: String,
    /// A list is one value with commas.
    pub(super) is_joined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParameterIn {
    Path,
    Query,
    Header,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToolBody {
    None,
    /// The arguments that are not parameters are its members.
    Members {
        kind: BodyKind,
        names: Vec<String>,
        /// The request has a body even if no member is present.
        is_required: bool,
    },
    /// The argument `body`.
    Whole(BodyKind),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    Json(String),
    Form,
    Text(String),
}

impl ToolInputs {
    /// The inputs of an operation and their schema.
    pub(super) fn of(
        path: &str,
        operation: &DescribedOperation,
        components: &Components<'_>,
    ) -> Result<(Self, Map<String, Value>), String> {
        let mut members = Members::default();
        let mut parameters = Vec::new();
        for parameter in operation.value["parameters"].as_array().into_iter().flatten() {
            let parameter = components.resolved(parameter);
            let name = parameter["name"].as_str().unwrap_or_default();
            let (place, words) = match parameter["in"].as_str() {
                Some("path") => (ParameterIn::Path, "a parameter of the path"),
                Some("query") => (ParameterIn::Query, "a field of the query"),
                Some("header")
                    if parameter["required"] == true || !TRANSPORT_HEADERS.contains(&&*name.to_ascii_lowercase()) =>
                {
                    (ParameterIn::Header, "a header field")
                }
                // Cookies are those of the caller.
                _ => continue,
            };
            let mut schema = parameter["schema"].clone();
            if let (Some(members), Some(text)) = (schema.as_object_mut(), parameter.get("description")) {
                members.insert("description".to_owned(), text.clone());
            }
            members.add(name, schema, parameter["required"] == true, words)?;
            parameters.push(ToolParameter {
                place,
                name: name.to_owned(),
                is_joined: place == ParameterIn::Header || parameter["explode"] == false,
            });
        }
        let body = match operation.value.get("requestBody") {
            None => ToolBody::None,
            Some(body) => body_members(body, &mut members, components)?,
        };
        let mut schema = json!({ "type": "object", "properties": members.properties, "additionalProperties": false });
        if !members.required.is_empty() {
            schema["required"] = json!(members.required);
        }
        let inputs = ToolInputs {
            path: path.to_owned(),
            rest: rest_parameter(operation.definition, path).map(str::to_owned),
            parameters,
            body,
        };
        Ok((inputs, components.with_definitions(schema)))
    }
}

/// The members of the object, and the part of the request of each in words.
#[derive(Default)]
struct Members {
    properties: Map<String, Value>,
    required: Vec<String>,
    parts: NameMap<&'static str>,
}

impl Members {
    fn add(&mut self, name: &str, schema: Value, is_required: bool, part: &'static str) -> Result<(), String> {
        if let Some(known) = self.parts.get(name) {
            return Err(format!(
                "two inputs of the tool have the name `{name}`, {known} and {part}: rename one of them, for example by \
                 `#[serde(rename = \"…\")]`"
            ));
        }
        self.parts.insert(name.to_owned(), part);
        // Some readers of schemas reject `true`.
        let schema = if schema == Value::Bool(true) { json!({}) } else { schema };
        self.properties.insert(name.to_owned(), schema);
        if is_required {
            self.required.push(name.to_owned());
        }
        Ok(())
    }
}

/// Adds the members of the body, or the body as one.
fn body_members(body: &Value, members: &mut Members, components: &Components<'_>) -> Result<ToolBody, String> {
    const PLACE: &str = "a member of the body";
    let empty = Map::new();
    let content = body["content"].as_object().unwrap_or(&empty);
    let find = |is: &dyn Fn(&str) -> bool| content.iter().find(|(kind, _)| is(kind));
    let found = find(&|kind| kind == "application/json")
        .or_else(|| find(&|kind| kind.ends_with("+json")))
        .or_else(|| find(&|kind| kind == "application/x-www-form-urlencoded"))
        .or_else(|| find(&|kind| kind.starts_with("text/")));
    let Some((kind, media)) = found else {
        let kinds: Vec<&str> = content.keys().map(String::as_str).collect();
        return Err(format!(
            "the body of a tool is JSON, a form without files or a text, and this one is {}: take `Json<…>`, or remove \
             `tool`",
            kinds.join(", ")
        ));
    };
    let is_required = body["required"] == true;
    let kind = match &**kind {
        "application/x-www-form-urlencoded" => BodyKind::Form,
        kind if kind.starts_with("text/") => BodyKind::Text(kind.to_owned()),
        kind => BodyKind::Json(kind.to_owned()),
    };
    let schema = components.resolved(&media["schema"]);
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .filter(|_| is_plain(schema));
    let Some(properties) = properties.filter(|_| !matches!(kind, BodyKind::Text(_))) else {
        members.add("body", media["schema"].clone(), is_required, "the body")?;
        return Ok(ToolBody::Whole(kind));
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, schema) in properties {
        members.add(name, schema.clone(), is_required && required.contains(&&**name), PLACE)?;
    }
    let names = properties.keys().cloned().collect();
    Ok(ToolBody::Members {
        kind,
        names,
        is_required,
    })
}

/// Returns whether a schema is that of an object with a fixed list of members.
fn is_plain(schema: &Value) -> bool {
    let has = |keyword: &str| schema.get(keyword).is_some();
    schema["type"] == "object"
        && ![
            "anyOf",
            "oneOf",
            "allOf",
            "not",
            "if",
            "patternProperties",
            "unevaluatedProperties",
        ]
        .into_iter()
        .any(has)
        && schema
            .get("additionalProperties")
            .is_none_or(|further| further == false)
}
