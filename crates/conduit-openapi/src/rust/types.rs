//! JSON Schema as types of Rust.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use conduit_core::internal::openapi::NameMap;
use serde_json::{Map, Value, json};

use super::comment::comment;
use super::value_type::RustType;
use crate::ordered;
use crate::shared::{capitalized, further_members, has_any_members, list, unique};

/// Names of the file itself and of the prelude, which no schema may have.
pub(super) const RESERVED: [&str; 39] = [
    "BTreeMap",
    "Box",
    "Client",
    "Clone",
    "Credentials",
    "Debug",
    "Default",
    "Deserialize",
    "DeserializeOwned",
    "Duration",
    "Err",
    "Error",
    "Events",
    "FormParts",
    "From",
    "HeaderMap",
    "HeaderName",
    "HeaderValue",
    "Into",
    "Lines",
    "Method",
    "None",
    "Ok",
    "Option",
    "PartialEvent",
    "Parts",
    "PhantomData",
    "RawBody",
    "Reply",
    "Response",
    "Result",
    "Scheme",
    "Serialize",
    "ServerEvent",
    "Some",
    "String",
    "Url",
    "Value",
    "Vec",
];

/// Keywords of Rust.
const WORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "union", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// The types of a document's schemas, with their definitions.
pub(super) struct RustTypes<'d> {
    schemas: &'d Map<String, Value>,
    /// The names of the types of the schemas.
    names: NameMap<String>,
    taken: BTreeSet<String>,
    /// The definitions so far.
    pub(super) text: String,
    /// Set once a type contains a map.
    pub(super) has_maps: bool,
}

impl<'d> RustTypes<'d> {
    /// Defines a type for each schema.
    pub(super) fn of(schemas: &'d Map<String, Value>) -> Self {
        let mut taken = ordered::set(RESERVED.iter().map(|name| (*name).to_owned()));
        let mut names = NameMap::new();
        for key in schemas.keys() {
            names.insert(key.clone(), unique(&mut taken, pascal(key), 'X'));
        }
        let mut types = RustTypes {
            schemas,
            names,
            taken,
            text: String::new(),
            has_maps: false,
        };
        for (key, schema) in schemas {
            let name = types.names[key].clone();
            types.define(&name, schema);
        }
        types
    }

    /// Returns an unused type name, and reserves it.
    pub(super) fn name(&mut self, name: String) -> String {
        unique(&mut self.taken, name, 'X')
    }

    /// Defines the type of a schema under a name.
    fn define(&mut self, name: &str, schema: &Value) {
        let documented = comment(schema.get("description").and_then(Value::as_str).unwrap_or(name), 0);
        match self.shape(schema) {
            Shape::Struct(fields) => self.define_struct(name, &documented, &fields),
            Shape::Texts(texts) => self.define_texts(name, &documented, &texts),
            Shape::Choice(ways) => self.define_choice(name, &documented, &ways),
            Shape::Type(_) | Shape::Other => {
                let of_type = self.of_value(schema, &format!("{name}Value"));
                // The compiler rejects an alias that contains itself.
                let _ = match self.is_cyclic(schema, name) {
                    true => write!(
                        self.text,
                        "\n{documented}#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]\npub struct {name}(pub {of_type});\n"
                    ),
                    false => write!(self.text, "\n{documented}pub type {name} = {of_type};\n"),
                };
            }
        }
    }

    fn define_struct(&mut self, name: &str, documented: &str, fields: &Fields) {
        let mut text =
            format!("\n{documented}#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]\npub struct {name} {{\n");
        let mut taken = BTreeSet::new();
        for (key, schema) in &fields.properties {
            let field = unique(&mut taken, snake(key), 'X');
            let mut of_type = self.of_value(schema, &format!("{name}{}", pascal(key)));
            let is_required = fields.required.contains(key);
            // A type without end has no size.
            if self.contains(schema, name) {
                of_type = of_type.sized();
            }
            text.push_str(&comment(
                schema.get("description").and_then(Value::as_str).unwrap_or(key),
                1,
            ));
            let mut options = Vec::new();
            if field != *key {
                options.push(format!("rename = {}", Value::from(key.as_str())));
            }
            if !is_required {
                options.push("default".to_owned());
                options.push(format!(
                    "skip_serializing_if = \"{}\"",
                    stringify!(Option::is_none).replace(' ', "")
                ));
                of_type = of_type.optional();
            }
            if !options.is_empty() {
                let _ = writeln!(text, "    #[serde({})]", options.join(", "));
            }
            let _ = writeln!(text, "    pub {field}: {of_type},");
        }
        for ways in &fields.choices {
            let Some(mut of_type) = self.of_choice(ways, &format!("{name}Variant")) else {
                continue;
            };
            if self.contains(&json!({ "oneOf": ways }), name) {
                of_type = of_type.sized();
            }
            let field = unique(&mut taken, "variant".to_owned(), 'X');
            let _ = writeln!(
                text,
                "    /// The members of one of several forms.\n    #[serde(flatten)]\n    pub {field}: {of_type},"
            );
        }
        if let Some(more) = &fields.more {
            self.has_maps = true;
            let of_type = self.of_value(more, &format!("{name}Member"));
            let field = unique(&mut taken, "members".to_owned(), 'X');
            let _ = writeln!(
                text,
                "    /// Further members.\n    #[serde(flatten)]\n    pub {field}: BTreeMap<String, {of_type}>,"
            );
        }
        text.push_str("}\n");
        self.text.push_str(&text);
    }

    fn define_texts(&mut self, name: &str, documented: &str, texts: &[String]) {
        let _ = write!(
            self.text,
            "\n{documented}#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]\npub enum {name} {{\n"
        );
        let mut taken = BTreeSet::new();
        for text in texts {
            let variant = unique(&mut taken, pascal(text), 'X');
            let _ = write!(
                self.text,
                "{}    #[serde(rename = {})]\n    {variant},\n",
                comment(&format!("`{text}`"), 1),
                Value::from(text.as_str())
            );
        }
        self.text.push_str("}\n");
    }

    fn define_choice(&mut self, name: &str, documented: &str, ways: &[Value]) {
        let mut text = format!(
            "\n{documented}#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]\n#[serde(untagged)]\npub enum {name} {{\n"
        );
        let mut taken = BTreeSet::new();
        for (place, way) in ways.iter().enumerate() {
            let of_type = self.of_value(way, &format!("{name}{}", place + 1));
            let variant = match reference(way) {
                Some(_) => of_type.to_string(),
                None => format!("Variant{}", place + 1),
            };
            let variant = unique(&mut taken, variant, 'X');
            let _ = writeln!(text, "    /// A value of this form.\n    {variant}(Box<{of_type}>),");
        }
        text.push_str("}\n");
        self.text.push_str(&text);
    }

    /// The type of the values of a schema. A type that needs a definition gets this name.
    pub(super) fn of_value(&mut self, schema: &Value, name: &str) -> RustType {
        if let Some(key) = reference(schema) {
            return self
                .names
                .get(key)
                .cloned()
                .map_or_else(RustType::any, RustType::Defined);
        }
        if let Some(inner) = without_null(schema) {
            return RustType::Optional(Box::new(self.of_value(&inner, name)));
        }
        match self.shape(schema) {
            Shape::Type(name) => RustType::Plain(name),
            Shape::Other => self.of_container(schema, name),
            _ => {
                let name = unique(&mut self.taken, name.to_owned(), 'X');
                self.define(&name, schema);
                RustType::Defined(name)
            }
        }
    }

    /// The type of the members that one of these objects has, which is optional if one of them is any object.
    fn of_choice(&mut self, ways: &[Value], name: &str) -> Option<RustType> {
        let is_any = |way: &&Value| way.as_object().map_or(**way == Value::Bool(true), Map::is_empty);
        let others: Vec<Value> = ways.iter().filter(|way| !is_any(way)).cloned().collect();
        let of_type = match &others[..] {
            [] => return None,
            [only] => self.of_value(only, name),
            _ => self.of_value(&json!({ "oneOf": others }), name),
        };
        Some(match others.len() < ways.len() {
            true => of_type.optional(),
            false => of_type,
        })
    }

    fn of_container(&mut self, schema: &Value, name: &str) -> RustType {
        match schema["type"].as_str() {
            Some("array") if schema.get("prefixItems").is_none() => {
                let items = schema.get("items").cloned().unwrap_or(Value::Bool(true));
                RustType::List(Box::new(self.of_value(&items, &format!("{name}Item"))))
            }
            Some("object") => {
                self.has_maps = true;
                let more = further_member(schema);
                let more = more.map_or_else(RustType::any, |more| self.of_value(&more, &format!("{name}Member")));
                RustType::Map(Box::new(more))
            }
            _ => RustType::any(),
        }
    }

    /// Returns whether the alias of a list or map, under this name, would contain itself.
    fn is_cyclic(&self, schema: &Value, name: &str) -> bool {
        let mut open = vec![schema.clone()];
        let mut seen = BTreeSet::new();
        while let Some(schema) = open.pop() {
            if let Some(key) = reference(&schema) {
                if self.names.get(key).is_some_and(|known| known == name) {
                    return true;
                }
                if seen.insert(key.to_owned()) {
                    open.extend(self.schemas.get(key).cloned());
                }
            } else if let Some(inner) = without_null(&schema) {
                open.push(inner);
            } else if let Shape::Other = self.shape(&schema) {
                open.extend(schema.get("items").cloned());
                open.extend(further_member(&schema));
            }
        }
        false
    }

    /// Returns whether a value of the schema contains one of the type with this name directly.
    fn contains(&self, schema: &Value, name: &str) -> bool {
        let mut open: Vec<&Value> = vec![schema];
        let mut seen = BTreeSet::new();
        while let Some(schema) = open.pop() {
            if let Some(key) = target(schema) {
                if self.names.get(key).is_some_and(|known| known == name) {
                    return true;
                }
                if seen.insert(key.to_owned()) {
                    open.extend(self.schemas.get(key));
                }
            }
            for keyword in ["anyOf", "oneOf", "allOf"] {
                open.extend(schema.get(keyword).and_then(Value::as_array).into_iter().flatten());
            }
            open.extend(
                schema
                    .get("properties")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flat_map(Map::values),
            );
        }
        false
    }

    fn shape(&self, schema: &Value) -> Shape {
        let texts = |values: &[Value]| -> Option<Vec<String>> {
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
        };
        if let Some(constant) = schema.get("const") {
            return match constant {
                Value::String(text) => Shape::Texts(vec![text.clone()]),
                Value::Bool(_) => Shape::Type("bool"),
                Value::Number(number) if number.is_i64() => Shape::Type("i64"),
                _ => Shape::Other,
            };
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return texts(values).map_or(Shape::Other, Shape::Texts);
        }
        if let Some(fields) = self.fields(schema) {
            return Shape::Struct(fields);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(ways) = schema.get(keyword).and_then(Value::as_array) {
                let constants: Vec<Value> = ways.iter().filter_map(|way| way.get("const")).cloned().collect();
                if constants.len() == ways.len()
                    && let Some(texts) = texts(&constants)
                {
                    return Shape::Texts(texts);
                }
                return Shape::Choice(ways.clone());
            }
        }
        match (schema["type"].as_str(), schema["format"].as_str()) {
            (Some("string"), _) => Shape::Type("String"),
            (Some("boolean"), _) => Shape::Type("bool"),
            (Some("number"), _) => Shape::Type("f64"),
            (Some("integer"), format) => Shape::Type(match format {
                Some("int8") => "i8",
                Some("int16") => "i16",
                Some("int32") => "i32",
                Some("uint8") => "u8",
                Some("uint16") => "u16",
                Some("uint32") => "u32",
                Some("uint64" | "uint") => "u64",
                Some("int128") => "i128",
                Some("uint128") => "u128",
                _ => "i64",
            }),
            _ => Shape::Other,
        }
    }

    /// The members of an object with a list of them, also if they are in several parts.
    fn fields(&self, schema: &Value) -> Option<Fields> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let is_choice = schema.get("anyOf").is_some() || schema.get("oneOf").is_some();
        let more = further_member(schema);
        let is_listed = properties.is_some_and(|properties| !properties.is_empty()) || schema.get("allOf").is_some();
        let has_members = is_listed || is_choice && more.is_some();
        if !has_members {
            return None;
        }
        let mut fields = Fields::default();
        if !self.add_fields(schema, &mut fields, 0) {
            return None;
        }
        // serde leaves the members of a choice in the map of further members, and would write them twice.
        if fields.more.is_some() && !fields.choices.is_empty() {
            fields.choices.clear();
            fields.more = Some(Value::Bool(true));
        }
        Some(fields)
    }

    /// Adds the members of an object. Returns `false` if the schema describes other values than objects.
    fn add_fields(&self, schema: &Value, fields: &mut Fields, depth: usize) -> bool {
        let is_constant = schema.get("const").is_some() || schema.get("enum").is_some();
        if depth > 8 || is_constant || schema.get("type").is_some_and(|kind| kind != "object") {
            return false;
        }
        let empty = Map::new();
        let members = schema.as_object().unwrap_or(&empty);
        let target = target(schema).map(|key| self.schemas.get(key).unwrap_or(&Value::Null));
        let is_added = |part: &Value, fields: &mut Fields| !part.is_null() && self.add_fields(part, fields, depth + 1);
        if !list(members, "allOf").chain(target).all(|part| is_added(part, fields)) {
            return false;
        }
        for keyword in ["anyOf", "oneOf"] {
            if !list(members, keyword).all(|way| is_added(way, &mut Fields::default())) {
                return false;
            }
            fields
                .choices
                .extend(members.get(keyword).and_then(Value::as_array).cloned());
        }
        let properties = members.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            fields.properties.insert(name.clone(), property.clone());
        }
        let required = list(members, "required").filter_map(Value::as_str);
        fields.required.extend(required.map(str::to_owned));
        if fields.more.is_none() {
            fields.more = further_member(schema);
        }
        true
    }
}

/// The form of a type.
enum Shape {
    Struct(Fields),
    /// One of several constant strings.
    Texts(Vec<String>),
    /// A value that one of several schemas describes.
    Choice(Vec<Value>),
    /// A type without a definition.
    Type(&'static str),
    /// A list, a map, or any value.
    Other,
}

#[derive(Default)]
struct Fields {
    properties: Map<String, Value>,
    required: BTreeSet<String>,
    /// The alternatives of each part with alternatives: an object has the members of one of them.
    choices: Vec<Vec<Value>>,
    /// The schema of further members.
    more: Option<Value>,
}

/// The name of the schema that this one is. A reference with properties is an object with the members of both.
fn reference(schema: &Value) -> Option<&str> {
    match schema.get("properties") {
        Some(_) => None,
        None => target(schema),
    }
}

/// The name of the schema that this one refers to.
fn target(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

/// The schema of the members that an object does not list, if it has one. Members of several schemas have any value.
fn further_member(schema: &Value) -> Option<Value> {
    let members = schema.as_object()?;
    if has_any_members(members) {
        return Some(Value::Bool(true));
    }
    let mut schemas = further_members(members);
    let first = schemas.next()?;
    Some(if schemas.all(|schema| schema == first) {
        first.clone()
    } else {
        Value::Bool(true)
    })
}

/// The schema of the values other than null, if null is one.
fn without_null(schema: &Value) -> Option<Value> {
    let members = schema.as_object()?;
    if let Some(kinds) = members.get("type").and_then(Value::as_array) {
        let others: Vec<Value> = kinds.iter().filter(|kind| *kind != "null").cloned().collect();
        if others.len() == kinds.len() {
            return None;
        }
        let mut members = members.clone();
        let kind = if let [only] = &others[..] {
            only.clone()
        } else {
            Value::Array(others)
        };
        members.insert("type".to_owned(), kind);
        if let Some(Value::Array(values)) = members.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        return Some(Value::Object(members));
    }
    for keyword in ["anyOf", "oneOf"] {
        let Some(ways) = members.get(keyword).and_then(Value::as_array) else {
            continue;
        };
        let others: Vec<Value> = ways.iter().filter(|way| way["type"] != "null").cloned().collect();
        if others.len() == ways.len() {
            return None;
        }
        if let [only] = &others[..] {
            return Some(only.clone());
        }
        let mut members = members.clone();
        members.insert(keyword.to_owned(), Value::Array(others));
        return Some(Value::Object(members));
    }
    None
}

/// A name in the case of types: `users.User-Input` is `UsersUserInput`.
pub(super) fn pascal(name: &str) -> String {
    let text = capitalized(name, |letter| !letter.is_ascii_alphanumeric());
    match text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true if text != "Self" => text,
        _ => format!("V{text}"),
    }
}

/// A name in the case of functions and fields.
pub(super) fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter {
            'A'..='Z' => {
                if !text.is_empty() && !text.ends_with('_') {
                    text.push('_');
                }
                text.push(letter.to_ascii_lowercase());
            }
            'a'..='z' | '0'..='9' => text.push(letter),
            _ if text.ends_with('_') => {}
            _ => text.push('_'),
        }
    }
    if !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        text.insert_str(0, "v_");
    }
    if WORDS.contains(&&*text) {
        text.push('_');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_case_of_their_kind() {
        assert_eq!(pascal("links.LinkError_SlugTaken"), "LinksLinkErrorSlugTaken");
        assert_eq!((&*pascal("404"), &*pascal("")), ("V404", "V"));
        assert_eq!(snake("createdAt"), "created_at");
        assert_eq!(
            (&*snake("if-match"), &*snake("type"), &*snake("2d")),
            ("if_match", "type_", "v_2d")
        );
    }

    #[test]
    fn a_type_that_contains_itself_has_a_size() {
        let schemas = serde_json::json!({
            "Tree": {
                "type": "object",
                "properties": {
                    "children": { "type": "array", "items": { "$ref": "#/components/schemas/Tree" } },
                    "left": { "anyOf": [{ "$ref": "#/components/schemas/Tree" }, { "type": "null" }] },
                },
                "required": ["children"],
            }
        });
        let types = RustTypes::of(schemas.as_object().expect("an object"));
        assert!(types.text.contains("pub children: Vec<Tree>,"), "{}", types.text);
        assert!(types.text.contains("pub left: Option<Box<Tree>>,"), "{}", types.text);
    }

    fn text_of(schemas: Value) -> String {
        RustTypes::of(schemas.as_object().expect("an object")).text
    }

    #[test]
    fn alias_of_a_cycle_is_a_struct_and_an_alias_of_a_struct_is_an_alias() {
        let list = |key: &str| json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{key}") } });
        let node = json!({ "type": "object", "properties": { "nodes": { "$ref": "#/components/schemas/Nodes" } } });
        let text = text_of(json!({ "A": list("B"), "B": list("A"), "Node": node, "Nodes": list("Node") }));
        for expected in [
            "pub struct A(pub Vec<B>);",
            "pub struct B(pub Vec<A>);",
            "pub type Nodes = Vec<Node>;",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn alternatives_of_other_values_than_objects_are_no_members() {
        let ways = json!([{ "const": "a" }, { "type": "object", "properties": { "b": { "type": "string" } } }]);
        let text = text_of(json!({ "Either": { "anyOf": ways } }));
        assert!(text.contains("#[serde(untagged)]\npub enum Either {"), "{text}");
        assert!(!text.contains("flatten"), "{text}");
    }
}
