//! The lines of a schema.

use serde_json::{Map, Value};

use super::attributes::Attributes;
use super::text::Line;
use crate::shared::{further_members, list};

/// The keywords of a schema that are attributes with a value.
const VALUES: [&str; 14] = [
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "multipleOf",
    "propertyNames",
    "const",
    "default",
];

/// The keyword of the pattern of the keys in a map.
pub(super) const KEYS: &str = "keys";

/// The attribute of a parameter of the path that is the rest of it, with slashes.
pub(super) const REST: &str = "rest";

/// The last component of the reference to a schema.
const SCHEMAS: &str = "#/components/schemas/";

/// The lines of a schema: its own and those of the schemas in it, up to references.
pub(super) fn nodes(part: &str, schema: &Value, attributes: Attributes) -> Vec<Line> {
    let mut lines = Vec::new();
    add(part, String::new(), schema, attributes, &mut lines);
    lines
}

fn add(part: &str, pointer: String, schema: &Value, mut attributes: Attributes, lines: &mut Vec<Line>) {
    let empty = Map::new();
    let outer = schema.as_object().unwrap_or(&empty);
    let mut members = outer;
    let mut types: Vec<String> = match &members.get("type") {
        Some(Value::String(kind)) => vec![kind.clone()],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    // A value that may be `null` is written as the value.
    if let Some(value) = nullable(members) {
        types.push("null".to_owned());
        if let Some(Value::String(kind)) = value.get("type") {
            types.insert(0, kind.clone());
        }
        members = value;
    }
    let constants = constants(members);
    if constants.is_some() && types.is_empty() {
        types.push("string".to_owned());
    }
    if let Some(name) = members.get("$ref").and_then(Value::as_str) {
        attributes
            .0
            .push(format!("#{}", name.strip_prefix(SCHEMAS).unwrap_or(name)));
    }
    if !types.is_empty() {
        attributes.0.push(types.join("|"));
    }
    for keyword in VALUES {
        // The default of a value that may be `null` is next to the alternatives.
        if let Some(value) = members.get(keyword).or_else(|| outer.get(keyword)) {
            let is_word = keyword == "format";
            let value = value
                .as_str()
                .filter(|_| is_word)
                .map_or(value.to_string(), str::to_owned);
            attributes.0.push(format!("{keyword} {value}"));
        }
    }
    if let Some(values) = &constants {
        attributes.0.push(format!("enum {}", Value::from(&**values)));
    } else if let Some(values) = members.get("enum") {
        attributes.0.push(format!("enum {values}"));
    }
    if members.get("additionalProperties") == Some(&Value::Bool(false)) {
        attributes.0.push("closed".to_owned());
    }
    lines.push(Line {
        part: part.to_owned(),
        pointer: pointer.clone(),
        attributes,
    });
    if constants.is_none() {
        add_parts(part, &pointer, members, lines);
    }
}

/// The strings of an enum in alphabetical order. Its schema has alternatives in place of a list if variants have doc comments.
fn constants(members: &Map<String, Value>) -> Option<Vec<&str>> {
    let lists: Vec<&Map<String, Value>> = match members.get("oneOf") {
        Some(choices) => choices
            .as_array()?
            .iter()
            .map(Value::as_object)
            .collect::<Option<_>>()?,
        None => vec![members],
    };
    let mut all = Vec::new();
    for list in lists {
        if list.get("type")? != "string" {
            return None;
        }
        match (list.get("enum"), list.get("const")) {
            (Some(Value::Array(values)), None) => {
                all.extend(values.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?)
            }
            // A single constant is an attribute.
            (None, Some(Value::String(value))) if members.contains_key("oneOf") => all.push(value),
            _ => return None,
        }
    }
    all.sort_unstable();
    Some(all)
}

/// Adds the schemas in a schema.
fn add_parts(part: &str, pointer: &str, members: &Map<String, Value>, lines: &mut Vec<Line>) {
    let required: Vec<&str> = list(members, "required").filter_map(Value::as_str).collect();
    for (name, property) in members
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let attributes = Attributes::required(required.contains(&&**name));
        add(part, format!("{pointer}.{}", quoted(name)), property, attributes, lines);
    }
    // The members by a pattern of their names are the first ones.
    let patterns = members.get("patternProperties").and_then(Value::as_object);
    let mut patterns = patterns.into_iter().flat_map(Map::keys);
    for (index, others) in further_members(members).enumerate() {
        let name = if index == 0 {
            "*".to_owned()
        } else {
            format!("*{index}")
        };
        let keys = patterns
            .next()
            .map(|pattern| format!("{KEYS} {}", Value::from(&**pattern)));
        add(part, format!("{pointer}.{name}"), others, Attributes::list(keys), lines);
    }
    if let Some(items) = members.get("items").filter(|items| items.is_object()) {
        add(part, format!("{pointer}[]"), items, Attributes::default(), lines);
    }
    for (index, item) in list(members, "prefixItems").enumerate() {
        add(part, format!("{pointer}[{index}]"), item, Attributes::default(), lines);
    }
    for (keyword, mark) in [("anyOf", '?'), ("oneOf", '?'), ("allOf", '&')] {
        for (index, choice) in list(members, keyword).enumerate() {
            let label = label(choice).unwrap_or_else(|| index.to_string());
            add(
                part,
                format!("{pointer}{mark}{}", quoted(&label)),
                choice,
                Attributes::default(),
                lines,
            );
        }
    }
}

/// The value of a schema that allows it or `null`.
fn nullable(members: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let is_null = |choice: &Value| choice.get("type").is_some_and(|kind| kind == "null");
    let choices = members.get("anyOf")?.as_array()?;
    match &choices[..] {
        [value, null] if is_null(null) => value.as_object(),
        _ => None,
    }
}

/// A name of an alternative that does not depend on its place: its schema, its tag, or its type.
fn label(choice: &Value) -> Option<String> {
    if let Some(name) = choice["$ref"].as_str() {
        return Some(name.strip_prefix(SCHEMAS).unwrap_or(name).to_owned());
    }
    let properties = choice["properties"].as_object();
    let tag = properties.into_iter().flatten().find_map(|(name, property)| {
        let value = property.get("const")?.as_str()?;
        Some(format!("{name}={value}"))
    });
    let only = || {
        let properties = properties.filter(|properties| properties.len() == 1)?;
        properties.keys().next().cloned()
    };
    let constant = || choice.get("const").and_then(Value::as_str).map(str::to_owned);
    let kind = || {
        choice["type"]
            .as_str()
            .filter(|kind| *kind != "object")
            .map(str::to_owned)
    };
    tag.or_else(only).or_else(constant).or_else(kind)
}

/// A name in a pointer, in quotation marks if it has other letters than those of most names.
fn quoted(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-$=#".contains(letter);
    match !name.is_empty() && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => Value::from(name).to_string().replace(": ", "\\u003a "),
    }
}
