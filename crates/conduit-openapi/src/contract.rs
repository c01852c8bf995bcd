//! The contract of an application: its responses, compared with the operations of its document.

mod fields;
mod schemas;

use std::collections::HashMap;
use std::fmt;

use conduit_core::route::Definition;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value};

use self::schemas::CompiledSchemas;
use super::document::Document;
use super::shared::{DescribedOperation, is_json};

/// The number of differences that a message lists.
const LISTED: usize = 10;

/// The documented responses of an application.
///
/// A response matches the document if its operation has its status, by itself, by its class (`4XX`) or by `default`, and
/// that response has its media type, its header fields, and a schema that its JSON satisfies. A response without
/// a description, such as that of a handler that returns `Response`, may be of any kind. Fields of the framing, caching and
/// security of HTTP need no description.
pub struct Contract {
    /// By method and path of the route.
    operations: HashMap<(&'static str, &'static str), OperationContract>,
    /// The parts that several operations share.
    document: Value,
    schemas: CompiledSchemas,
}

struct OperationContract {
    described: DescribedOperation,
    /// The place of its responses in the document.
    pointer: String,
}

impl OperationContract {
    /// Returns whether the fields of the response with this status are known only at run time.
    fn has_open_headers(&self, key: &str) -> bool {
        self.described.has_open_layers || self.described.open_headers.contains(key)
    }
}

/// A response that was sent.
#[derive(Clone, Copy, Debug)]
pub struct SentResponse<'r> {
    /// The method of the request.
    pub method: &'r Method,
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: &'r HeaderMap,
    /// The body; `None` while only the head is known.
    pub body: Option<&'r [u8]>,
}

/// The difference between a response and the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The operation's method and path: `GET /users/{id}`.
    pub operation: String,
    /// The handler: `app::users::show`.
    pub handler: &'static str,
    /// Its source file.
    pub file: &'static str,
    /// Its line, counted from 1.
    pub line: u32,
    /// The undocumented parts of the response, each with the documented ones.
    pub parts: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            operation,
            handler,
            file,
            line,
            parts,
        } = self;
        write!(
            f,
            "the response is not documented by the operation {operation} of `{handler}` ({file}:{line})"
        )?;
        parts.iter().take(LISTED).try_for_each(|part| write!(f, "\n  {part}"))?;
        match parts.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

/// A documented response.
#[derive(Clone, Copy)]
struct Documented<'d> {
    /// Its status in the document: `200`, `4XX`, `default`.
    key: &'d str,
    response: &'d Value,
}

impl Contract {
    /// The contract of a document.
    pub fn of(document: &Document) -> Self {
        let value = document.complete();
        let mut operations = HashMap::new();
        for item in document.paths() {
            for operation in &item.operations {
                let Definition { method, path, .. } = *operation.definition;
                let pointer = format!("/paths/{}/{}/responses", escaped(&item.path), operation.method);
                let described = operation.clone();
                operations.insert((method, path), OperationContract { described, pointer });
            }
        }
        Contract {
            operations,
            schemas: CompiledSchemas::of(&value),
            document: value,
        }
    }

    /// Compares the response of a route with its operation. A route that the document omits may send any response.
    pub fn difference(&self, route: &Definition, response: &SentResponse<'_>) -> Option<Difference> {
        let operation = self.operations.get(&(route.method, route.path))?;
        let parts = self.parts(operation, response);
        (!parts.is_empty()).then(|| {
            let Definition {
                handler, file, line, ..
            } = *operation.described.definition;
            Difference {
                operation: format!("{} {}", route.method, route.path),
                handler,
                file,
                line,
                parts,
            }
        })
    }

    fn parts(&self, operation: &OperationContract, response: &SentResponse<'_>) -> Vec<String> {
        let Some(responses) = operation.described.value["responses"].as_object() else {
            return Vec::new();
        };
        let Some((key, place)) = find(responses, response.status) else {
            return vec![undocumented_status(responses, response)];
        };
        let pointer = match place["$ref"].as_str() {
            Some(reference) => reference.trim_start_matches('#').to_owned(),
            None => format!("{}/{}", operation.pointer, escaped(key)),
        };
        let Some(documented) = self.document.pointer(&pointer) else {
            return Vec::new();
        };
        let known = Documented {
            key,
            response: documented,
        };
        // Only a response that a handler makes itself has neither, such as that of a function that returns `Response`.
        if key == "default" && documented.get("content").is_none() && documented.get("headers").is_none() {
            return Vec::new();
        }
        if key == "default" && operation.described.has_open_layers {
            return Vec::new();
        }
        if key == "default" && is_of_another_type(documented, response) {
            return vec![undocumented_status(responses, response)];
        }
        let mut parts = self.header_differences(operation, &pointer, known, response);
        parts.extend(self.content_differences(operation, &pointer, known, response));
        parts
    }

    fn header_differences(
        &self,
        operation: &OperationContract,
        pointer: &str,
        documented: Documented<'_>,
        response: &SentResponse<'_>,
    ) -> Vec<String> {
        let empty = Map::new();
        let headers = documented.response["headers"].as_object().unwrap_or(&empty);
        let mut parts = Vec::new();
        for (name, header) in headers {
            let pointer = match header["$ref"].as_str() {
                Some(reference) => reference.trim_start_matches('#').to_owned(),
                None => format!("{pointer}/headers/{}", escaped(name)),
            };
            let is_required = self.document.pointer(&format!("{pointer}/required")) == Some(&Value::Bool(true));
            if is_required && !response.headers.contains_key(name) {
                parts.push(format!("the header field {name} is missing: the document requires it"));
            }
        }
        // A field of every response is in the document for the named statuses only, since operations share `default`.
        let responses = operation.described.value["responses"]
            .as_object()
            .unwrap_or(&empty)
            .values();
        let others = responses
            .filter(|_| documented.key == "default")
            .filter_map(|other| other["headers"].as_object());
        let known: Vec<&String> = others.chain([headers]).flat_map(Map::keys).collect();
        let is_documented = |name: &str| known.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !operation.has_open_headers(documented.key) {
            let names = response.headers.keys().map(http::HeaderName::as_str);
            let unknown = names.filter(|name| !fields::need_no_description(name) && !is_documented(name));
            parts.extend(unknown.map(|name| {
                format!(
                    "the header field {name} is not documented: add `response_header` to the `describe` of its handler or layer"
                )
            }));
        }
        parts
    }

    fn content_differences(
        &self,
        operation: &OperationContract,
        pointer: &str,
        documented: Documented<'_>,
        response: &SentResponse<'_>,
    ) -> Vec<String> {
        let has_open_headers = operation.has_open_headers(documented.key);
        let has_no_body = *response.method == Method::HEAD
            || response.status.is_informational()
            || [
                StatusCode::NO_CONTENT,
                StatusCode::RESET_CONTENT,
                StatusCode::NOT_MODIFIED,
            ]
            .contains(&response.status);
        let found = essence(response.headers);
        let Some(content) = documented.response["content"].as_object() else {
            // A class of statuses without content is that of an unknown response, as is a gap.
            let is_unknown = documented.key.ends_with("XX") || operation.described.has_gaps || has_open_headers;
            return match response.body {
                Some(body) if !body.is_empty() && !is_unknown => {
                    let found = found.unwrap_or_else(|| "no content type".to_owned());
                    vec![format!(
                        "the status {} has no content in the document, found {} bytes ({found})",
                        response.status,
                        body.len()
                    )]
                }
                _ => Vec::new(),
            };
        };
        if has_no_body {
            return Vec::new();
        }
        let Some(found) = found else {
            let is_any = content.contains_key("*/*");
            return match response.body {
                Some(_) if !is_any && !has_open_headers => {
                    let expected = names(content);
                    vec![format!("content-type: expected {expected}, found no such field")]
                }
                _ => Vec::new(),
            };
        };
        let Some(media_type) = matching(content, &found) else {
            if has_open_headers {
                return Vec::new();
            }
            let (expected, status) = (names(content), response.status);
            return vec![format!(
                "content-type: expected {expected} at the status {status}, found {found}"
            )];
        };
        let is_json = is_json(&found);
        let is_coded = response.headers.contains_key(CONTENT_ENCODING);
        match response.body {
            Some(body) if is_json && !is_coded => {
                let pointer = format!("{pointer}/content/{}/schema", escaped(media_type));
                self.schemas.check_json(&pointer, body)
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Debug for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contract")
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}

/// The documented response for a status, and its key (OpenAPI 3.1, "Responses Object").
fn find(responses: &Map<String, Value>, status: StatusCode) -> Option<(&str, &Value)> {
    let class = format!("{}XX", status.as_u16() / 100);
    [status.as_str(), &class, "default"]
        .into_iter()
        .find_map(|key| responses.get_key_value(key))
        .map(|(key, response)| (&**key, response))
}

/// The response for other statuses has content, and none of the type that was sent.
fn is_of_another_type(documented: &Value, response: &SentResponse<'_>) -> bool {
    let Some(content) = documented["content"].as_object() else {
        return false;
    };
    match essence(response.headers) {
        Some(found) => matching(content, &found).is_none(),
        None => response.status.is_success() || response.status.is_redirection(),
    }
}

fn undocumented_status(responses: &Map<String, Value>, response: &SentResponse<'_>) -> String {
    let known = responses.keys().filter(|key| *key != "default");
    let mut known: Vec<&str> = known.map(|key| &**key).collect();
    if responses.contains_key("default") {
        known.push("a problem");
    }
    let (expected, status) = (known.join(" or "), response.status.as_u16());
    match essence(response.headers) {
        Some(found) => format!("the status: expected {expected}, found {status} with {found}"),
        None => format!("the status: expected {expected}, found {status}"),
    }
}

/// The media type of a response without its parameters, in lower case.
fn essence(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next()?.trim().to_ascii_lowercase())
}

/// The documented media type that matches one: the same, or a range such as `image/*`.
fn matching<'c>(content: &'c Map<String, Value>, found: &str) -> Option<&'c str> {
    let range = found.split_once('/').map(|(kind, _)| format!("{kind}/*"));
    let candidates = [Some(found), range.as_deref(), Some("*/*")];
    candidates.into_iter().flatten().find_map(|candidate| {
        let mut names = content.keys().map(|name| &**name);
        names.find(|name| {
            name.split(';')
                .next()
                .is_some_and(|name| name.trim().eq_ignore_ascii_case(candidate))
        })
    })
}

fn names(content: &Map<String, Value>) -> String {
    let names: Vec<&str> = content.keys().map(|name| &**name).collect();
    names.join(" or ")
}

/// A key as a part of a JSON Pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
