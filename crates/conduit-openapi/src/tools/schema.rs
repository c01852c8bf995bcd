//! Schemas without a document: their references lead to `$defs` instead of the components.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::shared::resolved;

const SCHEMAS: &str = "#/components/schemas/";

/// The components of a document.
pub(super) struct Components<'d> {
    document: &'d Value,
}

impl<'d> Components<'d> {
    pub(super) fn new(document: &'d Value) -> Self {
        Components { document }
    }

    /// The target of a reference, or the value itself.
    pub(super) fn resolved<'v>(&self, value: &'v Value) -> &'v Value
    where
        'd: 'v,
    {
        resolved(self.document, value)
    }

    /// The schema with all definitions that it refers to.
    pub(super) fn with_definitions(&self, mut schema: Value) -> Map<String, Value> {
        let mut open = Vec::new();
        let mut found = BTreeSet::new();
        rewrite(&mut schema, &mut open);
        let mut definitions = Map::new();
        while let Some(name) = open.pop() {
            if !found.insert(name.clone()) {
                continue;
            }
            let mut definition = self.document["components"]["schemas"][&name].clone();
            rewrite(&mut definition, &mut open);
            definitions.insert(name, definition);
        }
        let mut members = match schema {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        if !definitions.is_empty() {
            members.insert("$defs".to_owned(), Value::Object(definitions));
        }
        members
    }
}

/// Changes each reference to one within the schema, and adds the name of its target.
fn rewrite(value: &mut Value, names: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, names)),
        Value::Object(members) => {
            for (key, member) in members {
                let name = member
                    .as_str()
                    .and_then(|text| text.strip_prefix(SCHEMAS))
                    .map(str::to_owned);
                match name {
                    Some(name) if key == "$ref" => {
                        *member = Value::from(format!("#/$defs/{name}"));
                        names.push(name);
                    }
                    _ => rewrite(member, names),
                }
            }
        }
        _ => {}
    }
}
