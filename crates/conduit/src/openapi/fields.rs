//! The fields of a struct, from its schema: each becomes a parameter of its own.

use serde_json::{Map, Value};

/// How many references deep a schema is followed; one that refers to itself ends here.
const DEPTH_LIMIT: usize = 8;

/// One field of a struct.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) schema: Value,
    pub(super) required: bool,
    pub(super) description: Option<String>,
    pub(super) deprecated: bool,
}

/// The fields that a schema of an object has, those of flattened structs and of each variant included; none where it is
/// no object. `resolve` gives what a reference refers to.
pub(super) fn fields(schema: &Value, resolve: &dyn Fn(&Value) -> Option<Value>) -> Vec<Field> {
    let mut all = Vec::new();
    collect(schema, true, resolve, DEPTH_LIMIT, &mut all);
    all
}

fn collect(
    schema: &Value,
    required: bool,
    resolve: &dyn Fn(&Value) -> Option<Value>,
    depth: usize,
    all: &mut Vec<Field>,
) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if let Some(target) = schema.get("$ref").and_then(resolve) {
        collect(&target, required, resolve, depth, all);
    }
    let needed: Vec<&str> = list(schema, "required").filter_map(Value::as_str).collect();
    if let Some(Value::Object(properties)) = schema.get("properties") {
        for (name, property) in properties {
            let field = field(name, property, required && needed.contains(&name.as_str()));
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

fn list<'v>(schema: &'v Value, keyword: &str) -> impl Iterator<Item = &'v Value> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

fn field(name: &str, property: &Value, required: bool) -> Field {
    let mut schema = without_null(property);
    let mut description = None;
    let mut deprecated = false;
    if let Value::Object(members) = &mut schema {
        // Beside a reference they belong to the field; so they do everywhere.
        description = match members.remove("description") {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        deprecated = members.remove("deprecated") == Some(Value::Bool(true));
        if members.get("default") == Some(&Value::Null) {
            members.remove("default");
        }
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
            known.schema = super::operation::any_of(known.schema.take(), field.schema);
        }
    }
}

/// The schema of a parameter: one that is not sent has no value, and none that is sent is `null`.
pub(super) fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(members) = &mut schema {
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
                let only: Map<String, Value> = only.clone();
                members.remove("anyOf");
                for (name, value) in only {
                    members.entry(name).or_insert(value);
                }
            }
        }
    }
    schema
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
    fn what_only_a_variant_has_is_not_required() {
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
        assert_eq!(
            without_null(&json!({ "type": ["integer", "null"] })),
            json!({ "type": "integer" })
        );
        assert_eq!(
            without_null(&json!({ "anyOf": [{ "$ref": "#/kind" }, { "type": "null" }], "default": 1 })),
            json!({ "$ref": "#/kind", "default": 1 })
        );
    }
}
