//! Handlers as tools of language models: the operations with the option `tool`, each with one object as its input.

mod input;
mod request;
mod schema;

use conduit_core::internal::method::is_safe;
use conduit_core::route::Definition;
use serde_json::{Map, Value, json};

use self::input::ToolInputs;
pub use self::request::ToolRequest;
use self::schema::Components;
use super::document::{Document, Gap, gap};
use super::shared::{DescribedOperation, is_problem};

/// A handler as a tool, from its operation in the document.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tool {
    /// The name: `users_show`.
    pub name: String,
    /// The doc comment of the handler.
    pub description: String,
    /// The route of the handler.
    pub definition: &'static Definition,
    /// The JSON Schema of the arguments: an object with the parameters of the path, the query and the header, and with the
    /// members of the body; a body that is not such an object is the member `body`.
    pub input_schema: Map<String, Value>,
    /// The JSON Schema of a successful result, which is an object: another JSON value is its member `result`. `None` if some
    /// response has no JSON.
    pub output_schema: Option<Map<String, Value>>,
    /// The behaviour by the method.
    pub hints: ToolHints,
    /// The names of the security schemes that admit a call: one of the lists.
    pub security: Vec<Vec<String>>,
    inputs: ToolInputs,
    is_wrapped: bool,
}

/// The behaviour of a tool by its method (RFC 9110, section 9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolHints {
    /// It changes nothing: the method is safe.
    pub read_only: bool,
    /// It may replace or remove data: the method is not safe. No method promises that it only adds.
    pub destructive: bool,
    /// A repeated call has no further effect: the method is idempotent.
    pub idempotent: bool,
}

impl ToolHints {
    fn of(method: &str) -> Self {
        let read_only = is_safe(method);
        ToolHints {
            read_only,
            destructive: !read_only,
            idempotent: read_only || matches!(method, "PUT" | "DELETE"),
        }
    }
}

impl Tool {
    /// The result of a successful call as an object, from the JSON of its response.
    pub fn structured(&self, body: Value) -> Option<Value> {
        self.output_schema.as_ref()?;
        Some(match self.is_wrapped {
            true => json!({ "result": body }),
            false => body,
        })
    }
}

impl Document {
    /// The handlers with the option `tool`, in the order of the document.
    ///
    /// # Errors
    /// Returns the handlers that cannot be tools, with the reason and the remedy: two parts of the input have the same
    /// name, the body is neither JSON nor a form nor text, or the document has another handler at the same path.
    pub fn tools(&self) -> Result<Vec<Tool>, Vec<Gap>> {
        let operations = || {
            self.paths()
                .iter()
                .flat_map(|item| item.operations.iter().map(|operation| (&*item.path, operation)))
        };
        if !operations().any(|(_, operation)| operation.definition.tool.is_some()) && self.omitted_tools.is_empty() {
            return Ok(Vec::new());
        }
        let document = self.complete();
        let components = Components::new(&document);
        let (mut tools, mut gaps) = (Vec::new(), self.omitted_tools.clone());
        for (path, operation) in operations() {
            let Some(name) = operation.definition.tool_name() else {
                continue;
            };
            match of_operation(name, path, operation, &components) {
                Ok(tool) => tools.push(tool),
                Err(what) => gaps.push(gap(operation.definition, what)),
            }
        }
        if gaps.is_empty() { Ok(tools) } else { Err(gaps) }
    }
}

fn of_operation(
    name: String,
    path: &str,
    operation: &DescribedOperation,
    components: &Components<'_>,
) -> Result<Tool, String> {
    let value = &operation.value;
    let texts = ["summary", "description"].map(|field| value.get(field).and_then(Value::as_str));
    let texts: Vec<&str> = texts.into_iter().flatten().collect();
    let (inputs, input_schema) = ToolInputs::of(path, operation, components)?;
    let (output_schema, is_wrapped) = output(value, components).unzip();
    let security = value["security"].as_array().into_iter().flatten();
    let names = |way: &Value| way.as_object().map(|way| way.keys().cloned().collect());
    Ok(Tool {
        name,
        description: texts.join("\n\n"),
        definition: operation.definition,
        input_schema,
        output_schema,
        hints: ToolHints::of(operation.definition.method),
        security: security.filter_map(names).collect(),
        inputs,
        is_wrapped: is_wrapped.unwrap_or(false),
    })
}

/// The schema of the successful responses, and whether their value is the member `result` of the object. `None` unless each of
/// them is JSON.
fn output(operation: &Value, components: &Components<'_>) -> Option<(Map<String, Value>, bool)> {
    let mut schemas: Vec<&Value> = Vec::new();
    for (status, response) in operation["responses"].as_object()? {
        let is_error = status.starts_with(['4', '5']) || status == "304";
        let response = components.resolved(response);
        let content = response.get("content").and_then(Value::as_object);
        if is_error || status == "default" && content.is_some_and(is_problem) {
            continue;
        }
        let schema = content
            .filter(|content| content.len() == 1)?
            .get("application/json")?
            .get("schema")?;
        if !schemas.contains(&schema) {
            schemas.push(schema);
        }
    }
    let (schema, is_wrapped) = match schemas[..] {
        [] => return None,
        [schema] if components.resolved(schema)["type"] == "object" => (components.resolved(schema).clone(), false),
        [schema] => (schema.clone(), true),
        _ => (json!({ "anyOf": schemas }), true),
    };
    let schema = match is_wrapped {
        true => json!({ "type": "object", "properties": { "result": schema }, "required": ["result"] }),
        false => schema,
    };
    Some((components.with_definitions(schema), is_wrapped))
}
