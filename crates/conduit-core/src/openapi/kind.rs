//! Kinds of problems that have more in common than their status.

use http::StatusCode;
use serde_json::{Map, Value, json};

/// A kind of problem, with its schema: the constant members of a variant of `#[derive(Problem)]`, and its other members.
#[derive(Clone, Debug)]
pub struct ProblemKind {
    /// `None` where the schema has no name.
    pub(super) id: Option<&'static str>,
    pub(super) title: Option<String>,
    uri: Option<String>,
    members: Vec<(String, Value)>,
}

impl ProblemKind {
    /// A kind with the status only. The schema's name is made of `id`, a path such as `app::users::SignUpError_NameTaken`.
    pub fn new(id: &'static str) -> Self {
        ProblemKind {
            id: Some(id),
            title: None,
            uri: None,
            members: Vec::new(),
        }
    }

    /// Writes the schema in each operation, without a name: for a kind with schemas that differ.
    pub fn inline(mut self) -> Self {
        self.id = None;
        self
    }

    /// Sets the title that every problem of this kind has.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets the URI that names the kind.
    pub fn type_uri(mut self, uri: impl Into<String>) -> Self {
        self.uri = Some(uri.into());
        self
    }

    /// Adds a member that every problem of this kind has, with the schema of its value.
    pub fn member(mut self, name: impl Into<String>, schema: impl Into<Value>) -> Self {
        self.members.push((name.into(), schema.into()));
        self
    }

    /// The schema; `None` of a problem that is like any other of its status.
    pub(super) fn schema(&self, status: StatusCode, problem: &Value) -> Option<Value> {
        if self.title.is_none() && self.uri.is_none() && self.members.is_empty() {
            return None;
        }
        let mut properties = Map::from_iter([("status".to_owned(), json!({ "const": status.as_u16() }))]);
        let constant = |text: &String| json!({ "const": text });
        properties.extend(self.title.as_ref().map(|title| ("title".to_owned(), constant(title))));
        properties.extend(self.uri.as_ref().map(|uri| ("type".to_owned(), constant(uri))));
        for (name, schema) in &self.members {
            // Not every reader of documents knows that `true` is a schema too.
            let schema = if *schema == Value::Bool(true) {
                json!({})
            } else {
                schema.clone()
            };
            properties.insert(name.clone(), schema);
        }
        let required: Vec<String> = properties.keys().cloned().collect();
        Some(json!({ "allOf": [problem], "properties": properties, "required": required }))
    }
}
