//! JSON Schema as types of TypeScript.

use conduit_core::internal::openapi::NameMap;
use serde_json::{Map, Value};

use crate::ordered;
use crate::shared::{capitalized, further_members, has_any_members, list, unique};

/// Names of the file itself and of the environment, which no schema may have.
const RESERVED: [&str; 53] = [
    "AbortSignal",
    "Array",
    "AsyncGenerator",
    "AsyncIterableIterator",
    "Blob",
    "BodyInit",
    "Boolean",
    "CallOptions",
    "Client",
    "Credentials",
    "Date",
    "Error",
    "EventStream",
    "EventStreamError",
    "Exclude",
    "Extract",
    "File",
    "FormData",
    "Function",
    "Headers",
    "JSON",
    "Map",
    "Math",
    "Number",
    "Object",
    "PageError",
    "Promise",
    "Provided",
    "ReadableStream",
    "Record",
    "Reply",
    "Request",
    "RequestCredentials",
    "RequestInit",
    "RequestParts",
    "RequestRedirect",
    "Response",
    "Scheme",
    "ServerEvent",
    "Set",
    "Status1XX",
    "Status2XX",
    "Status3XX",
    "Status4XX",
    "Status5XX",
    "String",
    "Symbol",
    "TextDecoder",
    "TextEncoder",
    "TypeError",
    "URLSearchParams",
    "Uint8Array",
    "Webhooks",
];

/// The names of the types of a document's schemas.
pub(super) struct TypeNames(NameMap<String>);

impl TypeNames {
    pub(super) fn of(schemas: &Map<String, Value>) -> Self {
        let mut taken = ordered::set(RESERVED.iter().map(|name| (*name).to_owned()));
        let mut names = NameMap::new();
        for key in schemas.keys() {
            names.insert(key.clone(), unique(&mut taken, pascal(key), '_'));
        }
        TypeNames(names)
    }

    /// The name of the type of a schema.
    pub(super) fn of_schema(&self, key: &str) -> &str {
        self.0.get(key).map_or("unknown", |name| name)
    }

    /// Returns whether a schema has this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        RESERVED.contains(&name) || self.0.iter().any(|(_, known)| known == name)
    }

    /// The type of the values of a schema, on one line or, for an object, on several with this indentation.
    pub(super) fn of_value(&self, schema: &Value, indent: usize) -> String {
        let Value::Object(members) = schema else {
            return if schema == &Value::Bool(false) {
                "never"
            } else {
                "unknown"
            }
            .to_owned();
        };
        let mut parts = Vec::new();
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let key = reference.rsplit('/').next().unwrap_or_default();
            parts.push(self.of_schema(key).to_owned());
        }
        if let Some(value) = members.get("const") {
            parts.push(value.to_string());
        } else if let Some(Value::Array(values)) = members.get("enum") {
            let mut values: Vec<String> = values.iter().map(Value::to_string).collect();
            values.dedup();
            parts.push(union(values));
        } else if let Some(text) = self.of_types(members, indent) {
            parts.push(text);
        }
        for part in list(members, "allOf") {
            parts.push(self.of_value(part, indent));
        }
        for keyword in ["anyOf", "oneOf"] {
            let is_object = members.get("type").is_some_and(|kind| kind == "object");
            let ways = list(members, keyword).map(|way| match self.of_value(way, indent) {
                // An object without the members of the other ways.
                kind if kind == "unknown" && is_object => "{}".to_owned(),
                kind => kind,
            });
            let ways: Vec<String> = ways.collect();
            if !ways.is_empty() {
                parts.push(union(ways));
            }
        }
        parts.retain(|part| part != "unknown");
        match &mut parts[..] {
            [] => "unknown".to_owned(),
            [only] => std::mem::take(only),
            _ => {
                let parts: Vec<String> = parts.iter().map(|part| in_parentheses(part, '|')).collect();
                parts.join(" & ")
            }
        }
    }

    /// The type by the keyword `type`, or by the keywords of objects.
    fn of_types(&self, members: &Map<String, Value>, indent: usize) -> Option<String> {
        let kinds: Vec<&str> = match members.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ if members.contains_key("properties") => vec!["object"],
            _ => return None,
        };
        Some(union(kinds.into_iter().map(|kind| self.of_kind(kind, members, indent))))
    }

    fn of_kind(&self, kind: &str, members: &Map<String, Value>, indent: usize) -> String {
        match kind {
            "string" => {
                let is_binary = members.get("format").is_some_and(|format| format == "binary")
                    || members.contains_key("contentMediaType") && !members.contains_key("contentEncoding");
                if is_binary { "Blob" } else { "string" }.to_owned()
            }
            "integer" | "number" => "number".to_owned(),
            "boolean" => "boolean".to_owned(),
            "null" => "null".to_owned(),
            "array" => match members.get("prefixItems") {
                Some(Value::Array(items)) => {
                    let items: Vec<String> = items.iter().map(|item| self.of_value(item, indent)).collect();
                    format!("[{}]", items.join(", "))
                }
                _ => {
                    let item = members
                        .get("items")
                        .map_or_else(|| "unknown".to_owned(), |item| self.of_value(item, indent));
                    let is_plain = item.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
                    if is_plain {
                        format!("{item}[]")
                    } else {
                        format!("Array<{item}>")
                    }
                }
            },
            "object" => self.of_object(members, indent),
            _ => "unknown".to_owned(),
        }
    }

    fn of_object(&self, members: &Map<String, Value>, indent: usize) -> String {
        let required: Vec<&str> = list(members, "required").filter_map(Value::as_str).collect();
        let empty = Map::new();
        let properties = members.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let more = self.of_further_members(members, indent);
        if properties.is_empty() {
            // A value is an object of any kind where its schema lists no members.
            let any = if members.get("additionalProperties") == Some(&Value::Bool(false)) {
                "never"
            } else {
                "unknown"
            };
            return match more.as_deref() {
                None | Some("unknown") => format!("Record<string, {any}>"),
                // An alias may contain itself here, and not in an argument of `Record`.
                Some(more) => format!("{{ [key: string]: {more} }}"),
            };
        }
        let mut kinds = Vec::new();
        let mut text = "{\n".to_owned();
        let margin = "  ".repeat(indent + 1);
        for (name, schema) in properties {
            text.push_str(&doc(
                schema.get("description").and_then(Value::as_str),
                schema,
                indent + 1,
            ));
            let mark = if required.contains(&&**name) { "" } else { "?" };
            let kind = self.of_value(schema, indent + 1);
            text.push_str(&format!("{margin}{}{mark}: {kind};\n", key(name)));
            kinds.push(kind);
            if mark == "?" {
                kinds.push("undefined".to_owned());
            }
        }
        if let Some(more) = more {
            // The type of all members includes those of the listed ones.
            let kinds = union(std::iter::once(more).chain(kinds));
            text.push_str(&format!("{margin}[key: string]: {kinds};\n"));
        }
        text.push_str(&format!("{}}}", "  ".repeat(indent)));
        text
    }

    /// The type of the members that an object does not list, if it has one.
    fn of_further_members(&self, members: &Map<String, Value>, indent: usize) -> Option<String> {
        let kinds = union(further_members(members).map(|schema| self.of_value(schema, indent)));
        match kinds.is_empty() {
            // The members of other parts have other types.
            false
                if ["$ref", "allOf", "anyOf", "oneOf"]
                    .iter()
                    .any(|part| members.contains_key(*part)) =>
            {
                Some("unknown".to_owned())
            }
            false => Some(kinds),
            true => has_any_members(members).then(|| "unknown".to_owned()),
        }
    }
}

/// The union of types, each once.
pub(super) fn union(parts: impl IntoIterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for part in parts {
        let part = in_parentheses(&part, '&');
        if !all.contains(&part) {
            all.push(part);
        }
    }
    // `unknown` includes every other type.
    if all.iter().any(|part| part == "unknown") {
        return "unknown".to_owned();
    }
    all.join(" | ")
}

/// Puts a type with this operator outside of its braces in parentheses.
fn in_parentheses(part: &str, operator: char) -> String {
    let (mut rest, mut depth) = (part, 0_i32);
    while let Some(letter) = rest.chars().next() {
        let end = match letter {
            '"' => end_of_string(rest),
            '/' if rest.starts_with("/*") => rest.find("*/").map(|end| end + 2),
            _ => Some(letter.len_utf8()),
        };
        match letter {
            '{' | '<' | '[' | '(' => depth += 1,
            '}' | '>' | ']' | ')' => depth -= 1,
            letter if letter == operator && depth == 0 => return format!("({part})"),
            _ => {}
        }
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    part.to_owned()
}

/// The length of the string literal at the start of a text.
fn end_of_string(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map(|end| end + 2)
}

/// The name of a member, in quotation marks if necessary.
pub(super) fn key(name: &str) -> String {
    let mut letters = name.chars();
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_plain = letters
        .next()
        .is_some_and(|first| is_word(first) && !first.is_ascii_digit())
        && letters.all(is_word);
    if is_plain {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

/// A doc comment, with the schema's deprecation and default; empty if there is nothing to write.
pub(super) fn doc(text: Option<&str>, schema: &Value, indent: usize) -> String {
    let mut lines: Vec<String> = text.into_iter().flat_map(str::lines).map(str::to_owned).collect();
    if schema.get("deprecated") == Some(&Value::Bool(true)) {
        lines.push("@deprecated".to_owned());
    }
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        lines.push(format!("@default {default}"));
    }
    comment(&lines, indent)
}

/// A doc comment of these lines, none of which ends it.
pub(super) fn comment(lines: &[String], indent: usize) -> String {
    let margin = "  ".repeat(indent);
    let lines: Vec<String> = lines.iter().map(|line| line.replace("*/", "*\\/")).collect();
    match &*lines {
        [] => String::new(),
        [line] => format!("{margin}/** {line} */\n"),
        lines => {
            let mut text = format!("{margin}/**\n");
            for line in lines {
                text.push_str(format!("{margin} * {line}").trim_end());
                text.push('\n');
            }
            text + &format!("{margin} */\n")
        }
    }
}

/// A name in the case of types: `users.User-Input` is `UsersUserInput`.
pub(super) fn pascal(name: &str) -> String {
    identifier(capitalized(name, |letter| {
        !letter.is_ascii_alphanumeric() && letter != '_'
    }))
}

/// An identifier with these ASCII letters, digits and `_`.
fn identifier(mut text: String) -> String {
    if text.starts_with(|first: char| first.is_ascii_digit()) || text.is_empty() {
        text.insert(0, '_');
    }
    text
}

/// A name in the case of functions: `users_show_all` is `usersShowAll`.
pub(super) fn camel(name: &str) -> String {
    let mut text = String::new();
    for (place, part) in name
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .enumerate()
    {
        let mut letters = part.chars();
        let first = letters.next();
        text.extend(first.map(|first| {
            if place == 0 {
                first.to_ascii_lowercase()
            } else {
                first.to_ascii_uppercase()
            }
        }));
        text.extend(letters);
    }
    identifier(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn type_of(schema: Value) -> String {
        let schemas = Map::from_iter([
            ("users.User".to_owned(), Value::Null),
            ("Response".to_owned(), Value::Null),
        ]);
        TypeNames::of(&schemas).of_value(&schema, 0)
    }

    #[test]
    fn a_schema_is_a_type() {
        for (schema, expected) in [
            (json!({}), "unknown"),
            (json!(false), "never"),
            (json!({ "type": ["integer", "null"] }), "number | null"),
            (json!({ "enum": ["a|b", 1, null] }), "\"a|b\" | 1 | null"),
            (
                json!({ "$ref": "#/components/schemas/users.User", "description": "Ada." }),
                "UsersUser",
            ),
            (json!({ "$ref": "#/components/schemas/Response" }), "Response_"),
            (
                json!({ "type": "array", "items": { "type": ["string", "null"] } }),
                "Array<string | null>",
            ),
            (json!({ "type": "array", "items": { "type": "string" } }), "string[]"),
            // Marks in strings and comments are not operators.
            (
                json!({
                    "$ref": "#/components/schemas/users.User",
                    "oneOf": [
                        { "properties": { "a": { "description": "It is >= 0, \"5." } } },
                        { "enum": ["\\\"<"] },
                    ],
                }),
                "UsersUser & ({\n  /** It is >= 0, \"5. */\n  a?: unknown;\n} | \"\\\\\\\"<\")",
            ),
            (
                json!({ "prefixItems": [{ "type": "string" }, {}], "type": "array" }),
                "[string, unknown]",
            ),
            (json!({ "type": "object" }), "Record<string, unknown>"),
            (
                json!({ "type": "object", "additionalProperties": { "type": "number" } }),
                "{ [key: string]: number }",
            ),
            (
                json!({ "type": "object", "properties": { "a": { "type": "string" } }, "additionalProperties": { "type": "number" } }),
                "{\n  a?: string;\n  [key: string]: number | string | undefined;\n}",
            ),
            (
                json!({ "type": "object", "properties": { "a": {} }, "required": ["a"], "additionalProperties": true }),
                "{\n  a: unknown;\n  [key: string]: unknown;\n}",
            ),
            (
                json!({ "type": "object", "properties": { "a": { "const": 1 } }, "anyOf": [{ "properties": { "b": {} } }, {}] }),
                "{\n  a?: 1;\n} & ({\n  b?: unknown;\n} | {})",
            ),
            (
                json!({ "type": "object", "patternProperties": { "^\\d+$": { "type": "boolean" } }, "additionalProperties": false }),
                "{ [key: string]: boolean }",
            ),
            (json!({ "type": "string", "format": "binary" }), "Blob"),
            (
                json!({ "properties": { "a-b": { "const": 1 }, "c": {} }, "required": ["a-b"] }),
                "{\n  \"a-b\": 1;\n  c?: unknown;\n}",
            ),
            (
                json!({ "allOf": [{ "type": "string" }, { "anyOf": [{ "const": "a" }, { "const": "b" }] }] }),
                "string & (\"a\" | \"b\")",
            ),
        ] {
            assert_eq!(type_of(schema), expected);
        }
    }

    #[test]
    fn names_have_the_case_of_their_kind() {
        assert_eq!(pascal("links.LinkError_SlugTaken"), "LinksLinkError_SlugTaken");
        assert_eq!(pascal("Page-users.User"), "PageUsersUser");
        assert_eq!(camel("links_list"), "linksList");
        assert_eq!(camel("a_b__c"), "aBC");
        // Other letters are omitted.
        assert_eq!((&*camel("数"), &*camel("é1"), &*pascal("数")), ("_", "_1", "_"));
    }

    #[test]
    fn a_text_ends_no_comment() {
        assert_eq!(doc(Some("a */ b"), &Value::Null, 0), "/** a *\\/ b */\n");
        assert_eq!(comment(&["a */ b".to_owned()], 0), "/** a *\\/ b */\n");
        assert_eq!(doc(None, &json!({ "default": "*/" }), 0), "/** @default \"*\\/\" */\n");
    }
}
