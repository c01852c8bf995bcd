//! The fields of a struct, from its schema: each becomes a separate parameter.

use serde_json::{Map, Value, json};

/// The depth to which references of a schema are followed; a recursive schema ends here.
const DEPTH_LIMIT: usize = 8;

/// Returns the schema that a reference refers to.
pub(super) type Resolve<'r> = &'r dyn Fn(&Value) -> Option<Value>;

/// One field of a struct.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) schema: Value,
    pub(super) required: bool,
    pub(super) description: Option<String>,
    pub(super) deprecated: bool,
}

/// The fields of an object's schema, including those of flattened structs and of each variant; empty for other
/// schemas. `resolve` returns the target of a reference.
pub(super) fn fields(schema: &Value, resolve: Resolve<'_>) -> Vec<Field> {
    let mut all = Vec::new();
    collect(schema, true, resolve, DEPTH_LIMIT, &mut all);
    all
}

fn collect(schema: &Value, required: bool, resolve: Resolve<'_>, depth: usize, all: &mut Vec<Field>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if let Some(target) = schema.get("$ref").and_then(resolve) {
        collect(&target, required, resolve, depth, all);
    }
    let needed: Vec<&str> = list(schema, "required").filter_map(Value::as_str).collect();
    if let Some(Value::Object(properties)) = schema.get("properties") {
        for (name, property) in properties {
            let field = field(name, property, required && needed.contains(&name.as_str()), resolve);
            add(all, field);
        }
    }
    for part in list(schema, "allOf") {
        collect(part, required, resolve, depth, all);
    }
    for keyword in ["anyOf", "oneOf"] {
        for part in list(schema, keyword) {
            collect(part, false, resolve, depth, all);
        }
    }
}

/// Returns whether an object may have fields of other names than those that its schema lists.
pub(super) fn has_further_fields(schema: &Value, resolve: Resolve<'_>) -> bool {
    further_fields(schema, resolve, DEPTH_LIMIT)
}

fn further_fields(schema: &Value, resolve: Resolve<'_>, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let is_open = |keyword: &&str| match schema.get(*keyword) {
        Some(Value::Bool(is_open)) => *is_open,
        further => further.is_some(),
    };
    let further = ["additionalProperties", "patternProperties", "unevaluatedProperties"];
    let target = schema.get("$ref").and_then(resolve);
    let parts = ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .flat_map(|keyword| list(schema, keyword));
    further.iter().any(is_open)
        || target
            .iter()
            .chain(parts)
            .any(|part| further_fields(part, resolve, depth))
}

fn list<'v>(schema: &'v Value, keyword: &str) -> impl Iterator<Item = &'v Value> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

fn field(name: &str, property: &Value, required: bool, resolve: Resolve<'_>) -> Field {
    let mut schema = without_null(property, resolve);
    let mut description = None;
    let mut deprecated = false;
    if let Value::Object(members) = &mut schema {
        // Next to a reference they belong to the field, and so they do everywhere.
        description = match members.remove("description") {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        deprecated = members.remove("deprecated") == Some(Value::Bool(true));
    }
    Field {
        name: name.to_owned(),
        schema,
        required,
        description,
        deprecated,
    }
}

/// A field that several variants have may have the value of any of them.
fn add(all: &mut Vec<Field>, field: Field) {
    match all.iter_mut().find(|known| known.name == field.name) {
        None => all.push(field),
        Some(known) if known.schema == field.schema => known.required &= field.required,
        Some(known) => {
            known.required &= field.required;
            known.schema = any_of(known.schema.take(), field.schema);
        }
    }
}

/// Adds a schema, unless the list contains it.
pub fn insert(schemas: &mut Vec<Value>, schema: Value) {
    if !schemas.contains(&schema) {
        schemas.push(schema);
    }
}

/// A value that one of two schemas describes.
fn any_of(first: Value, second: Value) -> Value {
    match first {
        Value::Object(mut members) if members.len() == 1 && members.contains_key("anyOf") => {
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                insert(choices, second);
            }
            Value::Object(members)
        }
        first => json!({ "anyOf": [first, second] }),
    }
}

/// The schema of a value that is sent as text, in a parameter or a form: an absent value is not sent, so it is never
/// `null`. A nullable reference is replaced by the schema of its target.
pub(super) fn without_null(schema: &Value, resolve: Resolve<'_>) -> Value {
    strip_null(schema, resolve, &mut Vec::new())
}

/// Returns whether a schema allows `null` at any place.
pub(super) fn has_null(schema: &Value, resolve: Resolve<'_>) -> bool {
    find_null(schema, resolve, &mut Vec::new())
}

/// `open` has the references around this schema, and ends the recursion.
fn strip_null(schema: &Value, resolve: Resolve<'_>, open: &mut Vec<Value>) -> Value {
    let mut schema = schema.clone();
    let Value::Object(members) = &mut schema else {
        return schema;
    };
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = members.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = &choices[..] {
            let only = only.clone();
            members.remove("anyOf");
            merge(members, only);
        }
    }
    if members.get("default") == Some(&Value::Null) {
        members.remove("default");
    }
    if let Some(reference) = members.get("$ref").cloned()
        && !open.contains(&reference)
        && let Some(target) = resolve(&reference)
        && find_null(&target, resolve, open)
    {
        members.remove("$ref");
        open.push(reference);
        if let Value::Object(target) = strip_null(&target, resolve, open) {
            merge(members, target);
        }
        open.pop();
        return schema;
    }
    for part in parts(members) {
        *part = strip_null(part, resolve, open);
    }
    schema
}

/// Adds the members that are not there.
fn merge(members: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        members.entry(name).or_insert(value);
    }
}

fn find_null(schema: &Value, resolve: Resolve<'_>, open: &mut Vec<Value>) -> bool {
    let Value::Object(members) = schema else { return false };
    let allows_null = match members.get("type") {
        Some(Value::Array(types)) => types.iter().any(|kind| kind == "null"),
        kind => kind.is_some_and(|kind| kind == "null"),
    };
    if allows_null || list(schema, "enum").any(Value::is_null) {
        return true;
    }
    if let Some(reference) = members.get("$ref")
        && !open.contains(reference)
        && let Some(target) = resolve(reference)
    {
        open.push(reference.clone());
        let found = find_null(&target, resolve, open);
        open.pop();
        if found {
            return true;
        }
    }
    parts(&mut members.clone()).any(|part| find_null(part, resolve, open))
}

/// The schemas that are directly in one.
fn parts(members: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    members
        .iter_mut()
        .flat_map(|(keyword, value)| -> Box<dyn Iterator<Item = &mut Value>> {
            match (keyword.as_str(), value) {
                ("properties" | "patternProperties", Value::Object(all)) => Box::new(all.values_mut()),
                ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(all)) => Box::new(all.iter_mut()),
                ("items" | "additionalProperties" | "unevaluatedProperties", one) => Box::new(std::iter::once(one)),
                _ => Box::new(std::iter::empty()),
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(schema: &Value) -> Vec<(String, bool)> {
        let resolve = |reference: &Value| {
            (reference == "#/page")
                .then(|| json!({ "properties": { "after": {} }, "required": ["after"], "$ref": "#/page" }))
        };
        fields(schema, &resolve)
            .into_iter()
            .map(|field| (field.name, field.required))
            .collect()
    }

    #[test]
    fn a_reference_that_refers_to_itself_ends() {
        assert_eq!(names(&json!({ "$ref": "#/page" })), [("after".to_owned(), true)]);
    }

    #[test]
    fn fields_of_one_variant_are_not_required() {
        let schema = json!({
            "properties": { "name": {} },
            "required": ["name"],
            "anyOf": [{ "$ref": "#/page" }, { "properties": { "name": { "type": "string" } } }],
        });
        assert_eq!(
            names(&schema),
            [("name".to_owned(), false), ("after".to_owned(), false)]
        );
    }

    #[test]
    fn an_optional_parameter_is_not_null() {
        for (schema, expected) in [
            (json!({ "type": ["integer", "null"] }), json!({ "type": "integer" })),
            (
                json!({ "anyOf": [{ "$ref": "#/kind" }, { "type": "null" }], "default": 1 }),
                json!({ "$ref": "#/kind", "default": 1 }),
            ),
            (
                json!({ "type": "array", "items": { "type": ["string", "null"], "default": null } }),
                json!({ "type": "array", "items": { "type": "string" } }),
            ),
        ] {
            assert_eq!(without_null(&schema, &|_| None), expected);
        }
    }

    #[test]
    fn a_reference_to_a_type_with_null_is_replaced_and_any_other_stays() {
        let resolve = |reference: &Value| match reference.as_str()? {
            "#/tree" => Some(json!({
                "type": "object",
                "properties": {
                    "next": { "anyOf": [{ "$ref": "#/tree" }, { "type": "null" }] },
                    "kind": { "$ref": "#/kind" },
                },
            })),
            "#/kind" => Some(json!({ "enum": ["a", "b"] })),
            _ => None,
        };
        assert_eq!(
            without_null(&json!({ "$ref": "#/tree", "description": "A tree." }), &resolve),
            json!({
                "type": "object",
                "description": "A tree.",
                "properties": { "next": { "$ref": "#/tree" }, "kind": { "$ref": "#/kind" } },
            })
        );
        let kind = json!({ "$ref": "#/kind" });
        assert!(!has_null(&kind, &resolve));
        assert_eq!(without_null(&kind, &resolve), kind);
    }
}
