//! Parameters of an operation: its input from the path, the query, header fields and cookies.

use serde_json::{Map, Value, json};

/// A parameter of an operation (OpenAPI 3.1, "Parameter Object").
///
/// It is optional unless [`required`](Parameter::required) is set; a parameter of the path is always required.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub(super) place: &'static str,
    pub(super) name: String,
    pub(super) required: bool,
    members: Map<String, Value>,
}

impl Parameter {
    fn new(place: &'static str, name: impl Into<String>) -> Self {
        Parameter {
            place,
            name: name.into(),
            required: place == "path",
            members: Map::from_iter([("schema".to_owned(), json!({ "type": "string" }))]),
        }
    }

    /// A parameter of the path, by its name in `{…}`.
    pub fn path(name: impl Into<String>) -> Self {
        Parameter::new("path", name)
    }

    /// A field of the query.
    pub fn query(name: impl Into<String>) -> Self {
        Parameter::new("query", name)
    }

    /// A header field of the request. OpenAPI ignores `accept`, `content-type` and `authorization` here.
    pub fn header(name: impl Into<String>) -> Self {
        Parameter::new("header", name)
    }

    /// A cookie.
    pub fn cookie(name: impl Into<String>) -> Self {
        Parameter::new("cookie", name)
    }

    /// Sets whether a request without it is rejected.
    pub fn required(mut self, required: bool) -> Self {
        self.required = required || self.place == "path";
        self
    }

    /// Sets the description, in CommonMark.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.members
            .insert("description".to_owned(), Value::String(text.into()));
        self
    }

    /// Sets the JSON Schema of its value. Without one it is a string.
    pub fn schema(mut self, schema: impl Into<Value>) -> Self {
        self.members.insert("schema".to_owned(), schema.into());
        self
    }

    /// Marks it as deprecated.
    pub fn deprecated(mut self) -> Self {
        self.members.insert("deprecated".to_owned(), Value::Bool(true));
        self
    }

    /// Sets another member of the parameter object, such as `style`, `explode` or `example`.
    pub fn member(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }

    pub(crate) fn is_same_as(&self, other: &Parameter) -> bool {
        // The names of header fields are case-insensitive (RFC 9110, section 5.1).
        self.place == other.place
            && (self.name == other.name || self.place == "header" && self.name.eq_ignore_ascii_case(&other.name))
    }
}

impl Parameter {
    /// The name of a parameter of the path; `None` for one in another place.
    pub fn path_name_mut(&mut self) -> Option<&mut String> {
        (self.place == "path").then_some(&mut self.name)
    }
}

/// The "Parameter Object".
impl From<Parameter> for Value {
    fn from(parameter: Parameter) -> Self {
        let mut members = parameter.members;
        members.insert("in".to_owned(), Value::from(parameter.place));
        members.insert("name".to_owned(), Value::String(parameter.name));
        if parameter.required {
            members.insert("required".to_owned(), Value::Bool(true));
        }
        Value::Object(members)
    }
}

/// The name of a header field that a struct's field of this name takes.
pub fn name_in_head(name: &str) -> String {
    name.replace('_', "-").to_ascii_lowercase()
}
