//! The request of a call.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Tool;
use super::input::{BodyKind, ParameterIn, ToolBody, ToolInputs};

/// The request that a call with some arguments is.
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
    /// The request of a call with these arguments. The handler checks their values.
    ///
    /// # Errors
    /// An unknown argument, a missing one that the target needs, and a value without a form in its place of the request.
    pub fn request(&self, mut arguments: Map<String, Value>) -> Result<ToolRequest, String> {
        let inputs = &self.inputs;
        let mut target = inputs.path.clone();
        let mut query = String::new();
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
                ParameterIn::Query if parameter.is_joined => add_pair(&mut query, name, &joined(name, &value)?),
                ParameterIn::Query => add_pairs(&mut query, name, &value)?,
                ParameterIn::Header => headers.push((name.to_owned(), joined(name, &value)?)),
            }
        }
        let (kind, body) = body(inputs, &mut arguments)?;
        if let Some(unknown) = arguments.keys().next() {
            let unknown: String = unknown.chars().take(40).collect();
            return Err(format!("the tool `{}` has no argument `{unknown}`", self.name));
        }
        headers.extend(kind.map(|kind| ("content-type".to_owned(), kind)));
        if !query.is_empty() {
            target.push('?');
            target.push_str(&query);
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
        ToolBody::Members { kind, names } => {
            let members: Map<String, Value> = names.iter().filter_map(|name| arguments.remove_entry(name)).collect();
            (kind, Value::Object(members))
        }
    };
    Ok(match kind {
        BodyKind::Json(kind) => (Some(kind.clone()), value.to_string()),
        BodyKind::Text(kind) => (Some(kind.clone()), scalar("body", &value)?),
        BodyKind::Form => {
            let mut pairs = String::new();
            let empty = Map::new();
            for (name, value) in value.as_object().unwrap_or(&empty) {
                add_pairs(&mut pairs, name, value)?;
            }
            (Some("application/x-www-form-urlencoded".to_owned()), pairs)
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
            "invalid argument `{name}`: expected a text, a number or a boolean"
        )),
    }
}

/// The elements of a list with commas between them.
fn joined(name: &str, value: &Value) -> Result<String, String> {
    let Value::Array(items) = value else {
        return scalar(name, value);
    };
    let items: Result<Vec<String>, String> = items.iter().map(|item| scalar(name, item)).collect();
    Ok(items?.join(","))
}

/// Adds the pairs of a value: a list has one for each element, an object one for each member, with its name in brackets.
fn add_pairs(pairs: &mut String, name: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| add_pairs(pairs, name, item)),
        Value::Object(members) => members
            .iter()
            .try_for_each(|(member, value)| add_pairs(pairs, &format!("{name}[{member}]"), value)),
        Value::Null => Ok(()),
        value => {
            add_pair(pairs, name, &scalar(name, value)?);
            Ok(())
        }
    }
}

fn add_pair(pairs: &mut String, name: &str, value: &str) {
    if !pairs.is_empty() {
        pairs.push('&');
    }
    encode(pairs, name, false);
    pairs.push('=');
    encode(pairs, value, false);
}

/// A segment of the path, or its rest.
fn segment(name: &str, text: &str, is_rest: bool) -> Result<String, String> {
    let leads_elsewhere = match is_rest {
        true => text.split('/').any(|segment| matches!(segment, "." | "..")),
        false => matches!(text, "" | "." | ".."),
    };
    if leads_elsewhere {
        return Err(format!(
            "invalid argument `{name}`: a segment of a path is not empty, `.` or `..`"
        ));
    }
    let mut encoded = String::new();
    encode(&mut encoded, text, is_rest);
    Ok(encoded)
}

/// Adds a text with each byte percent-encoded that is not unreserved (RFC 3986, section 2.3).
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
