//! The request of a call.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Tool;
use super::input::{BodyKind, ParameterIn, ToolBody, ToolInputs};
use crate::ordered;

/// The maximum length of a query. The server accepts no longer target.
const QUERY_BYTES: usize = 64 * 1024;

/// The maximum length of a form: the default body limit.
const FORM_BYTES: usize = 2 * 1024 * 1024;

/// The maximum length of a member's name together with the names around it.
const NAME_BYTES: usize = 1024;

/// The HTTP request of a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolRequest {
    /// The method.
    pub method: &'static str,
    /// The path and the query.
    pub target: String,
    /// Header fields, with the body's `content-type`.
    pub headers: Vec<(String, String)>,
    /// The body, which may be empty.
    pub body: String,
}

impl ToolRequest {
    /// A request without arguments.
    pub fn to(method: &'static str, target: String) -> Self {
        ToolRequest {
            method,
            target,
            headers: Vec::new(),
            body: String::new(),
        }
    }
}

impl Tool {
    /// Returns the request of a call with these arguments. The handler checks their values.
    ///
    /// # Errors
    /// Returns an error for an unknown argument, for a missing argument that the target needs, and for a value that cannot be
    /// written into its part of the request.
    pub fn request(&self, mut arguments: Map<String, Value>) -> Result<ToolRequest, String> {
        let inputs = &self.inputs;
        let mut target = inputs.path.clone();
        let mut query = Pairs::of_query();
        let mut headers = Vec::new();
        for parameter in &inputs.parameters {
            let name = &*parameter.name;
            let value = arguments.remove(name).filter(|value| !value.is_null());
            let Some(value) = value else {
                if parameter.place == ParameterIn::Path {
                    return Err(format!("the argument `{name}` is missing"));
                }
                continue;
            };
            match parameter.place {
                ParameterIn::Path => {
                    let is_rest = inputs.rest.as_deref() == Some(name);
                    let text = segment(name, &scalar(name, &value)?, is_rest)?;
                    target = target.replacen(&format!("{{{name}}}"), &text, 1);
                }
                ParameterIn::Query if parameter.is_joined => query.add_pair(name, &joined(name, &value)?)?,
                ParameterIn::Query => query.add(name, &value)?,
                ParameterIn::Header => headers.push((name.to_owned(), joined(name, &value)?)),
            }
        }
        let (kind, body) = body(inputs, &mut arguments)?;
        if let Some(unknown) = arguments.keys().next() {
            let unknown = start_of(unknown);
            return Err(format!("the tool `{}` has no argument `{unknown}`", self.name));
        }
        headers.extend(kind.map(|kind| ("content-type".to_owned(), kind)));
        if !query.text.is_empty() {
            target.push('?');
            target.push_str(&query.text);
        }
        Ok(ToolRequest {
            method: self.definition.method,
            target,
            headers,
            body,
        })
    }
}

/// The media type and the bytes of the body, whose arguments are removed.
fn body(inputs: &ToolInputs, arguments: &mut Map<String, Value>) -> Result<(Option<String>, String), String> {
    let (kind, value) = match &inputs.body {
        ToolBody::None => return Ok((None, String::new())),
        ToolBody::Whole(kind) => match arguments.remove("body") {
            None => return Ok((None, String::new())),
            Some(value) => (kind, value),
        },
        ToolBody::Members {
            kind,
            names,
            is_required,
        } => {
            let members = names.iter().filter_map(|name| arguments.remove_entry(name));
            let members = ordered::object(members);
            if members.is_empty() && !is_required {
                return Ok((None, String::new()));
            }
            (kind, Value::Object(members))
        }
    };
    Ok(match kind {
        BodyKind::Json(kind) => (Some(kind.clone()), value.to_string()),
        BodyKind::Text(kind) => (Some(kind.clone()), scalar("body", &value)?),
        BodyKind::Form => {
            let mut pairs = Pairs::of_form();
            let empty = Map::new();
            for (name, value) in value.as_object().unwrap_or(&empty) {
                pairs.add(name, value)?;
            }
            (Some("application/x-www-form-urlencoded".to_owned()), pairs.text)
        }
    })
}

/// The text of a value that is neither a list nor an object.
fn scalar(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null => Ok(String::new()),
        Value::Array(_) | Value::Object(_) => Err(format!(
            "invalid argument `{}`: expected a string, a number or a boolean",
            start_of(name)
        )),
    }
}

/// The elements of a list with commas between them.
fn joined(name: &str, value: &Value) -> Result<String, String> {
    let Value::Array(items) = value else {
        return scalar(name, value);
    };
    let mut text = String::new();
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(&scalar(name, item)?);
    }
    Ok(text)
}

/// Pairs of a query or a form. A name repeats for each leaf of its value, so that short arguments can have a long text.
struct Pairs {
    text: String,
    place: &'static str,
    most_bytes: usize,
}

impl Pairs {
    fn of_query() -> Self {
        Pairs {
            text: String::new(),
            place: "query",
            most_bytes: QUERY_BYTES,
        }
    }

    fn of_form() -> Self {
        Pairs {
            text: String::new(),
            place: "form",
            most_bytes: FORM_BYTES,
        }
    }

    /// Adds the pairs of a value: a list has one for each element, an object one for each member, with its name in brackets. An
    /// element that is a list or an object has its index in brackets.
    fn add(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match value {
            Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| match item {
                Value::Array(_) | Value::Object(_) => self.add_member(name, &index.to_string(), item),
                item => self.add(name, item),
            }),
            Value::Object(members) => members
                .iter()
                .try_for_each(|(member, value)| self.add_member(name, member, value)),
            Value::Null => Ok(()),
            value => self.add_pair(name, &scalar(name, value)?),
        }
    }

    fn add_member(&mut self, name: &str, member: &str, value: &Value) -> Result<(), String> {
        if name.len() + member.len() > NAME_BYTES {
            return Err(format!(
                "invalid argument `{}`: the names of its members have more than {NAME_BYTES} bytes",
                start_of(name)
            ));
        }
        self.add(&format!("{name}[{member}]"), value)
    }

    fn add_pair(&mut self, name: &str, value: &str) -> Result<(), String> {
        // The encoded text is at least as long; the second check counts its escapes.
        if self.text.len() + name.len() + value.len() > self.most_bytes {
            return Err(self.too_long(name));
        }
        if !self.text.is_empty() {
            self.text.push('&');
        }
        encode(&mut self.text, name, false);
        self.text.push('=');
        encode(&mut self.text, value, false);
        if self.text.len() > self.most_bytes {
            return Err(self.too_long(name));
        }
        Ok(())
    }

    #[cold]
    fn too_long(&self, name: &str) -> String {
        format!(
            "invalid argument `{}`: the {} of the request has more than {} bytes",
            start_of(name),
            self.place,
            self.most_bytes
        )
    }
}

/// The part of a name that an error quotes.
fn start_of(name: &str) -> String {
    name.chars().take(40).collect()
}

/// A segment of the path, or its rest.
fn segment(name: &str, text: &str, is_rest: bool) -> Result<String, String> {
    let leads_elsewhere = match is_rest {
        true => text.split('/').any(|segment| matches!(segment, "." | "..")),
        false => matches!(text, "" | "." | ".."),
    };
    if leads_elsewhere {
        return Err(format!(
            "invalid argument `{name}`: expected a path segment other than the empty text, `.` and `..`"
        ));
    }
    let mut encoded = String::new();
    encode(&mut encoded, text, is_rest);
    Ok(encoded)
}

/// Adds a string with each byte percent-encoded that is not unreserved (RFC 3986, section 2.3).
fn encode(to: &mut String, text: &str, keeps_slashes: bool) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => to.push(char::from(byte)),
            b'/' if keeps_slashes => to.push('/'),
            _ => {
                let _ = write!(to, "%{byte:02X}");
            }
        }
    }
}
