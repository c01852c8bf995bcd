//! `Operation`: what a handler reads and answers, as its arguments and its return type tell it.

use std::any::type_name;
use std::collections::BTreeMap;
use std::mem;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::fields::{fields, without_null};
use super::{Parameter, Schemas, SecurityScheme};
use crate::extract::name_in_head;
use crate::response::IntoResponse;

/// The media type of problems (RFC 9457, section 6.1).
pub(super) const PROBLEM: &str = "application/problem+json";

/// What a handler reads and answers: an operation of OpenAPI 3.1 while it is put together.
///
/// Extractors and responses add to it in their `describe` functions.
///
/// # Example
///
/// An extractor that reads a header field, and a response with a media type of its own:
///
/// ```
/// use conduit::openapi::{Operation, Parameter};
/// use conduit::prelude::*;
///
/// struct Tenant(String);
///
/// impl<S> FromRequest<S> for Tenant {
///     type Rejection = Problem;
///
///     async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
///         match request.header("x-tenant").and_then(|name| str::from_utf8(name).ok()) {
///             Some(name) => Ok(Tenant(name.to_owned())),
///             None => Err(Problem::bad_request("the header field x-tenant is missing")),
///         }
///     }
///
///     fn describe(operation: &mut Operation) {
///         operation
///             .parameter(Parameter::header("x-tenant").required(true).description("Whose data it is."))
///             .problem(StatusCode::BAD_REQUEST, "The header field `x-tenant` is missing.");
///     }
/// }
///
/// struct Csv(String);
///
/// impl IntoResponse for Csv {
///     fn into_response(self) -> Response {
///         ([("content-type", "text/csv")], self.0).into_response()
///     }
///
///     fn describe(operation: &mut Operation) {
///         operation.response("text/csv", Operation::text());
///     }
/// }
///
/// #[get("/report.csv")]
/// async fn report(tenant: Tenant) -> Csv {
///     Csv(format!("tenant\n{}\n", tenant.0))
/// }
/// ```
pub struct Operation {
    pub(super) summary: Option<String>,
    pub(super) description: Option<String>,
    pub(super) deprecated: bool,
    pub(super) hidden: bool,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Content>,
    pub(super) body_is_required: bool,
    /// How the fields of forms are written, by media type.
    pub(super) encodings: BTreeMap<String, Value>,
    /// By status: `200`, `4XX`, `default`.
    pub(super) responses: BTreeMap<String, Answer>,
    pub(super) security: Vec<Requirement>,
    pub(super) schemas: Schemas,
    /// What could not be described, in words.
    pub(super) gaps: Vec<String>,
    context: Context,
}

/// Media types and the schemas of what is in them; one media type may have several.
pub(super) type Content = BTreeMap<String, Vec<Value>>;

/// What is known of one status.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) descriptions: Vec<String>,
    pub(super) headers: Map<String, Value>,
    pub(super) content: Content,
}

/// One security scheme that an operation needs.
#[derive(Debug)]
pub(super) struct Requirement {
    pub(super) name: String,
    pub(super) scheme: SecurityScheme,
    pub(super) scopes: Vec<String>,
    pub(super) optional: bool,
}

/// Where in a type the description is.
#[derive(Clone, Copy, Debug)]
struct Context {
    /// The statuses of a response that does not name its own.
    status: Status,
    side: Side,
    is_optional: bool,
    is_silent: bool,
}

#[derive(Clone, Copy, Debug)]
enum Status {
    Known(StatusCode),
    Unknown,
}

/// Whether a response is one of success.
#[derive(Clone, Copy, Debug)]
enum Side {
    Either,
    Success,
    Failure,
}

impl Operation {
    pub(super) fn new(schemas: Schemas) -> Self {
        Operation {
            summary: None,
            description: None,
            deprecated: false,
            hidden: false,
            parameters: Vec::new(),
            body: None,
            body_is_required: false,
            encodings: BTreeMap::new(),
            responses: BTreeMap::new(),
            security: Vec::new(),
            schemas,
            gaps: Vec::new(),
            context: Context {
                status: Status::Known(StatusCode::OK),
                side: Side::Either,
                is_optional: false,
                is_silent: false,
            },
        }
    }

    /// The schema of any text.
    pub fn text() -> Value {
        json!({ "type": "string" })
    }
}

/// About the operation as a whole.
impl Operation {
    /// Takes a doc comment: its first paragraph is the summary, the rest the description. Each element is what one
    /// `#[doc]` attribute says.
    pub fn documentation(&mut self, attributes: &[&str]) -> &mut Self {
        let mut lines: Vec<&str> = attributes.iter().flat_map(|text| text.split('\n')).collect();
        // What stands behind `///` has a space before it, which is no part of it.
        let is_indented = |line: &&str| line.is_empty() || line.starts_with(' ');
        if lines.iter().all(is_indented) {
            lines
                .iter_mut()
                .for_each(|line| *line = line.strip_prefix(' ').unwrap_or(line));
        }
        let text = lines.join("\n");
        let (summary, description) = text.trim().split_once("\n\n").unwrap_or((text.trim(), ""));
        self.summary = (!summary.is_empty()).then(|| summary.replace('\n', " "));
        self.description = (!description.trim().is_empty()).then(|| description.trim().to_owned());
        self
    }

    /// Sets the summary: a few words.
    pub fn summary(&mut self, text: impl Into<String>) -> &mut Self {
        self.summary = Some(text.into());
        self
    }

    /// Sets the description; CommonMark.
    pub fn description(&mut self, text: impl Into<String>) -> &mut Self {
        self.description = Some(text.into());
        self
    }

    /// Marks the operation as one that new clients should not use.
    pub fn deprecated(&mut self) -> &mut Self {
        self.deprecated = true;
        self
    }

    /// Leaves the operation out of the document.
    pub fn hide(&mut self) -> &mut Self {
        self.hidden = true;
        self
    }

    /// Says that a part of the operation could not be described, and what to do about it: it is logged when the
    /// application starts, and a test can ask for it.
    pub fn gap(&mut self, what: impl Into<String>) -> &mut Self {
        let what = what.into();
        if !self.gaps.contains(&what) {
            self.gaps.push(what);
        }
        self
    }

    /// Adds a security scheme that a request must satisfy, under the name that the document knows it by. Several that
    /// are added must all be satisfied.
    pub fn security(&mut self, name: impl Into<String>, scheme: SecurityScheme, scopes: &[&str]) -> &mut Self {
        let name = name.into();
        if let Some(known) = self.security.iter_mut().find(|known| known.name == name) {
            known.optional &= self.context.is_optional;
            let more = scopes.iter().map(|scope| (*scope).to_owned());
            known.scopes.extend(more);
            known.scopes.sort();
            known.scopes.dedup();
            return self;
        }
        self.security.push(Requirement {
            name,
            scheme,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            optional: self.context.is_optional,
        });
        self
    }
}

/// What is read from the request.
impl Operation {
    /// Adds a parameter. One of the same place and name that is there already stays as it is, and is required if either
    /// of them is.
    pub fn parameter(&mut self, mut parameter: Parameter) -> &mut Self {
        if self.context.is_optional && parameter.place != "path" {
            parameter.required = false;
        }
        match self.parameters.iter_mut().find(|known| known.is_same_as(&parameter)) {
            Some(known) => known.required |= parameter.required,
            None => self.parameters.push(parameter),
        }
        self
    }

    /// Adds a field of the query for each field that serde reads of a `T`. One that has fields of its own is sent with their
    /// names in brackets (`style: deepObject`).
    pub fn query_fields<T>(&mut self) -> &mut Self {
        self.fields_of::<T>(|name, is_nested| match Parameter::query(name) {
            parameter if is_nested => parameter.member("style", "deepObject").member("explode", true),
            parameter => parameter,
        })
    }

    /// Adds a header field for each field that serde reads of a `T`, with hyphens for the underscores in its name.
    pub fn header_fields<T>(&mut self) -> &mut Self {
        self.fields_of::<T>(|name, _| Parameter::header(name_in_head(name)))
    }

    /// Adds a parameter for each field of a `T`; `make` is told its name and whether it has fields of its own.
    fn fields_of<T>(&mut self, make: impl Fn(&str, bool) -> Parameter) -> &mut Self {
        let Some(schema) = self.input_schema_of::<T>() else {
            return self;
        };
        let fields = fields(&schema, &|reference| self.schemas.inlined(reference));
        if fields.is_empty()
            && schema.get("properties").is_none()
            && !schema.get("type").is_some_and(|kind| kind == "object")
        {
            self.gap(format!(
                "the fields of `{}` cannot be told from its schema",
                type_name::<T>()
            ));
        }
        for field in fields {
            let is_nested = self.is_object(&field.schema);
            let mut parameter = make(&field.name, is_nested)
                .required(field.required)
                .schema(field.schema);
            if let Some(text) = field.description {
                parameter = parameter.description(text);
            }
            self.parameter(if field.deprecated {
                parameter.deprecated()
            } else {
                parameter
            });
        }
        self
    }

    /// Whether a schema, or what it refers to, is one of an object.
    fn is_object(&self, schema: &Value) -> bool {
        let target = schema.get("$ref").and_then(|reference| self.schemas.inlined(reference));
        let kind = target.as_ref().unwrap_or(schema).get("type");
        kind.is_some_and(|kind| kind == "object")
    }

    /// Adds parameters of the path: all that one argument takes as a `T`, from left to right. The route attributes write
    /// the call.
    pub fn path_parameters<T>(&mut self, names: &[(&str, usize)]) -> &mut Self {
        let schema = self.input_schema_of::<T>().unwrap_or_else(Operation::text);
        let fields = fields(&schema, &|reference| self.schemas.inlined(reference));
        let items = schema.get("prefixItems").and_then(Value::as_array);
        for (place, (name, _)) in names.iter().enumerate() {
            let mut parameter = Parameter::path(*name);
            if let Some(field) = fields.iter().find(|field| field.name == *name) {
                parameter = parameter.schema(field.schema.clone());
                if let Some(text) = &field.description {
                    parameter = parameter.description(text);
                }
            } else if let Some(item) = items.and_then(|items| items.get(place)) {
                parameter = parameter.schema(without_null(item));
            } else if names.len() == 1 {
                parameter = parameter.schema(without_null(&schema));
            }
            self.parameter(parameter);
        }
        self
    }

    /// Adds a media type in which the request's body may be sent, with the schema of its content.
    pub fn body(&mut self, media_type: &str, schema: impl Into<Value>) -> &mut Self {
        let schemas = self
            .body
            .get_or_insert_default()
            .entry(media_type.to_owned())
            .or_default();
        insert(schemas, schema.into());
        self.body_is_required |= !self.context.is_optional;
        self
    }

    /// Adds a media type in which the request's body may be sent, as what serde reads as a `T`.
    pub fn body_of<T>(&mut self, media_type: &str) -> &mut Self {
        let schema = self.input_schema_of::<T>().unwrap_or(Value::Bool(true));
        self.body(media_type, schema)
    }

    /// Adds a media type of forms in which the request's body may be sent, as what serde reads as a `T`. A field that has
    /// fields of its own is sent with their names in brackets.
    pub fn form_of<T>(&mut self, media_type: &str) -> &mut Self {
        if let Some(schema) = self.schemas.input::<T>() {
            let fields = fields(&schema, &|reference| self.schemas.inlined(reference));
            let nested = fields.into_iter().filter(|field| self.is_object(&field.schema));
            let encoding: Map<String, Value> = nested
                .map(|field| (field.name, json!({ "style": "deepObject", "explode": true })))
                .collect();
            if !encoding.is_empty() {
                self.encodings.insert(media_type.to_owned(), Value::Object(encoding));
            }
        }
        self.body_of::<T>(media_type)
    }

    /// Adds what `describe` adds, as what a request may leave out.
    pub fn optional(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        self.within(|context| context.is_optional = true, describe)
    }

    /// Adds what `describe` adds, without the responses: nobody sends them.
    pub fn without_responses(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        self.within(|context| context.is_silent = true, describe)
    }

    /// The schema of what serde reads as a `T`, if the handler's signature names `T` and it has one; otherwise there is
    /// a gap.
    pub fn input_schema_of<T>(&mut self) -> Option<Value> {
        let schema = self.schemas.input::<T>();
        self.require::<T>(schema)
    }

    /// The schema of what serde writes of a `T`, if the handler's signature names `T` and it has one; otherwise there is
    /// a gap.
    pub fn output_schema_of<T>(&mut self) -> Option<Value> {
        let schema = self.schemas.output::<T>();
        self.require::<T>(schema)
    }

    fn require<T>(&mut self, schema: Option<Value>) -> Option<Value> {
        if schema.is_none() {
            let name = type_name::<T>();
            self.gap(format!(
                "the schema of `{name}` is not known: derive `JsonSchema` for it, and write the type out in the \
                 handler's signature, not as an alias or `impl Trait`"
            ));
        }
        schema
    }
}

/// What is answered.
impl Operation {
    /// Adds a response with a body of this media type and schema.
    ///
    /// Its status is 200, unless it is inside of [`at_status`](Operation::at_status) and its kin.
    pub fn response(&mut self, media_type: &str, schema: impl Into<Value>) -> &mut Self {
        let schema = schema.into();
        self.answers(|answer| {
            insert(answer.content.entry(media_type.to_owned()).or_default(), schema.clone());
        })
    }

    /// Adds a response with a body of this media type, as what serde writes of a `T`.
    pub fn response_of<T>(&mut self, media_type: &str) -> &mut Self {
        let schema = self.output_schema_of::<T>().unwrap_or(Value::Bool(true));
        self.response(media_type, schema)
    }

    /// Adds a response of which no more is known than its status.
    pub fn response_without_body(&mut self) -> &mut Self {
        self.answers(|_| ())
    }

    /// Adds a header field to the response.
    pub fn response_header(&mut self, name: &str, description: &str) -> &mut Self {
        let header = json!({ "description": description, "schema": { "type": "string" } });
        self.answers(|answer| {
            answer.headers.insert(name.to_owned(), header.clone());
        })
    }

    /// Says what the response means; CommonMark. Without it the status does.
    pub fn response_description(&mut self, text: &str) -> &mut Self {
        self.answers(|answer| {
            if !answer.descriptions.iter().any(|known| known == text) {
                answer.descriptions.push(text.to_owned());
            }
        })
    }

    /// Adds a problem (RFC 9457) with this status; the description says when.
    pub fn problem(&mut self, status: StatusCode, description: &str) -> &mut Self {
        let schema = self.schemas.problem();
        self.at_status(status, |operation| {
            operation.response(PROBLEM, schema).response_description(description);
        })
    }

    /// Adds a redirect; which status of the 300s it has is known only at run time.
    pub fn redirect(&mut self) -> &mut Self {
        if !self.context.is_silent {
            let answer = self.responses.entry("3XX".to_owned()).or_default();
            let header = json!({ "description": "Where to go.", "schema": { "type": "string" } });
            answer.headers.insert("location".to_owned(), header);
        }
        self
    }

    /// Adds that any status may come with a problem. Every operation has this, if it says nothing else of the statuses
    /// that it does not name.
    pub fn any_problem(&mut self) -> &mut Self {
        if self.context.is_silent {
            return self;
        }
        let schema = self.schemas.problem();
        let answer = self.responses.entry("default".to_owned()).or_default();
        insert(answer.content.entry(PROBLEM.to_owned()).or_default(), schema);
        self
    }

    /// Adds what `describe` adds; responses that do not name a status of their own have this one.
    pub fn at_status(&mut self, status: StatusCode, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        self.within(|context| context.status = Status::Known(status), describe)
    }

    /// Adds what `describe` adds; the status is known only at run time.
    pub fn at_unknown_status(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        self.within(|context| context.status = Status::Unknown, describe)
    }

    /// Adds what `describe` adds, as responses of success: an unknown status is one of the 200s.
    pub fn on_success(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        self.within(|context| context.side = Side::Success, describe)
    }

    /// Adds what `describe` adds, as responses of failure: an unknown status is one of the 400s or 500s.
    pub fn on_failure(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        self.within(|context| context.side = Side::Failure, describe)
    }

    fn within(&mut self, change: impl FnOnce(&mut Context), describe: impl FnOnce(&mut Operation)) -> &mut Self {
        let before = self.context;
        change(&mut self.context);
        describe(self);
        self.context = before;
        self
    }

    /// Does the same to each response that the context means.
    fn answers(&mut self, change: impl Fn(&mut Answer)) -> &mut Self {
        let known;
        let keys: &[&str] = match (self.context.status, self.context.side) {
            _ if self.context.is_silent => &[],
            (Status::Known(status), _) => {
                known = status;
                &[known.as_str()]
            }
            (Status::Unknown, Side::Either) => &["default"],
            (Status::Unknown, Side::Success) => &["2XX"],
            (Status::Unknown, Side::Failure) => &["4XX", "5XX"],
        };
        for key in keys {
            change(self.responses.entry((*key).to_owned()).or_default());
        }
        self
    }

    /// Adds what a handler returns.
    pub(super) fn returned<R: IntoResponse>(&mut self) {
        let arguments = mem::take(&mut self.responses);
        R::describe(self);
        let is_success = |status: &String| matches!(status.as_bytes()[0], b'1'..=b'3');
        let is_known = self.responses.keys().any(is_success)
            || self
                .responses
                .get("default")
                .is_some_and(|answer| !answer.content.contains_key(PROBLEM));
        if !is_known {
            let name = type_name::<R>();
            self.gap(format!(
                "`{name}` does not say what it answers: implement `IntoResponse::describe` for what is in it"
            ));
            self.responses.entry("2XX".to_owned()).or_default();
        }
        for (status, answer) in arguments {
            let known = self.responses.entry(status).or_default();
            let more = answer.descriptions.into_iter();
            known.descriptions.extend(more);
            known.headers.extend(answer.headers);
            for (media_type, schemas) in answer.content {
                let all = known.content.entry(media_type).or_default();
                schemas.into_iter().for_each(|schema| insert(all, schema));
            }
        }
    }
}

/// Adds a schema, unless it is there already.
fn insert(schemas: &mut Vec<Value>, schema: Value) {
    if !schemas.contains(&schema) {
        schemas.push(schema);
    }
}

/// A value that one of two schemas describes.
pub(super) fn any_of(first: Value, second: Value) -> Value {
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
