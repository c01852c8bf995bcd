//! `Operation`: the requests and responses of a handler, from its arguments and its return type.

mod answers;
mod documentation;
mod examples;
mod parts;

use std::mem;
use std::rc::Rc;

use conduit_route::ParameterPlace;
use http::StatusCode;
use serde_json::{Map, Value, json};

pub use self::documentation::DocComment;
pub use self::parts::{Answer, BodyExample, Content, OperationLink, OperationParts, PROBLEM};
use super::fields::{fields, has_further_fields, has_null, insert, without_null};
use super::name_map::NameMap;
use super::parameter::name_in_head;
use super::{Direction, LayerLimit, Parameter, SchemaRegistry, SecurityScheme, TypeKey};

/// The requests and responses of a handler: an operation of OpenAPI 3.1 under construction.
///
/// Extractors and responses add to it in their `describe` functions.
///
/// # Example
///
/// An extractor that reads a header field, and a response with a custom media type:
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
    method: &'static str,
    #[doc(hidden)]
    pub parts: OperationParts,
    /// The security requirements of a request: one alternative of each must hold.
    security: Vec<Vec<Alternative>>,
    /// The schemas of types, which the document keeps.
    pub(super) schemas: Rc<dyn SchemaRegistry>,
    context: Context,
}

/// Security schemes that admit a request together, each with its scopes; an empty list admits every request.
pub(super) type Alternative = NameMap<Vec<String>>;

/// The position in a type that is being described.
#[derive(Clone, Copy, Debug)]
struct Context {
    /// The statuses of a response that names none.
    status: DescribedStatus,
    side: Side,
    is_optional: bool,
    /// An alternative part of a request may replace it.
    is_alternative: bool,
    is_silent: bool,
    /// The response has header fields that are known only at run time.
    has_open_headers: bool,
}

#[derive(Clone, Copy, Debug)]
enum DescribedStatus {
    Known(StatusCode),
    /// The status is known only at run time.
    Unknown,
    /// A success or a failure: neither is known.
    Any,
}

/// The meaning of the status of a response.
#[derive(Clone, Copy, Debug)]
enum Side {
    Either,
    Success,
    Failure,
}

impl Operation {
    /// The schema of any text.
    pub fn text() -> Value {
        json!({ "type": "string" })
    }
}

/// The operation as a whole.
impl Operation {
    /// Returns the method, such as `GET`: the behaviour of a layer may depend on it.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// Sets the summary: a few words.
    pub fn summary(&mut self, text: impl Into<String>) -> &mut Self {
        self.parts.summary = Some(text.into());
        self
    }

    /// Sets the description; CommonMark.
    pub fn description(&mut self, text: impl Into<String>) -> &mut Self {
        self.parts.description = Some(text.into());
        self
    }

    /// Marks the operation as deprecated.
    pub fn deprecated(&mut self) -> &mut Self {
        self.parts.deprecated = true;
        self
    }

    /// Leaves the operation out of the document.
    pub fn hide(&mut self) -> &mut Self {
        self.parts.hidden = true;
        self
    }

    /// Records that a layer around the handler has no description, such as one of tower: a comparison with the document
    /// accepts any header field, and any response that has no status in the document.
    pub fn open_layer(&mut self) -> &mut Self {
        self.parts.has_open_layers = true;
        self
    }

    /// Adds a limit of a layer. A comparison with an earlier `api.lock` reports a limit that is added or lower than before as
    /// breaking.
    ///
    /// # Example
    ///
    /// A layer that rejects bodies of more than a megabyte:
    ///
    /// ```
    /// use conduit::openapi::{LayerLimit, Operation};
    /// use conduit::prelude::*;
    ///
    /// const LIMIT: u64 = 1_000_000;
    ///
    /// #[derive(Clone)]
    /// struct SmallBodies;
    ///
    /// impl Layer for SmallBodies {
    ///     async fn call(&self, mut request: Request, next: Next) -> Response {
    ///         request.set_body_limit(LIMIT);
    ///         next.run(request).await
    ///     }
    ///
    ///     fn describe(&self, operation: &mut Operation) {
    ///         operation
    ///             .problem(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.")
    ///             .limit(LayerLimit::BodyBytes(LIMIT));
    ///     }
    /// }
    /// ```
    pub fn limit(&mut self, limit: LayerLimit) -> &mut Self {
        self.parts.limits.push(limit);
        self
    }

    /// Records that a part of the operation could not be described, with the remedy: it is logged when the
    /// application starts, and a test can check it.
    pub fn gap(&mut self, what: impl Into<String>) -> &mut Self {
        let what = what.into();
        if !self.parts.gaps.contains(&what) {
            self.parts.gaps.push(what);
        }
        self
    }

    /// Adds a security scheme that a request must satisfy, under its name in the document. A request must satisfy all schemes that
    /// are added; use [`any_of`](Operation::any_of) where one of several is enough.
    pub fn security(&mut self, name: impl Into<String>, scheme: SecurityScheme, scopes: &[&str]) -> &mut Self {
        let name = name.into();
        self.parts.security_schemes.entry(name.clone()).or_insert(scheme.into());
        let mut scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        scopes.sort();
        scopes.dedup();
        let mut alternative = Alternative::new();
        alternative.insert(name, scopes);
        self.require_any(vec![alternative])
    }

    /// Adds several alternative ways of authentication, of which a request needs one. Each is the `describe` of an
    /// extractor.
    ///
    /// # Example
    ///
    /// A token that programs send in `authorization`, and browsers in a cookie:
    ///
    /// ```
    /// use conduit::openapi::Operation;
    /// use conduit::prelude::*;
    /// use conduit::{ApiKey, Bearer, Key, KeyPlace, Secret};
    ///
    /// struct Session;
    ///
    /// impl Key for Session {
    ///     const PLACE: KeyPlace = KeyPlace::Cookie("session");
    /// }
    ///
    /// struct Token(Secret);
    ///
    /// impl<S> FromRequest<S> for Token {
    ///     type Rejection = Problem;
    ///
    ///     async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
    ///         match Option::<ApiKey<Session>>::from_request(request, state).await? {
    ///             Some(cookie) => Ok(Token(cookie.key)),
    ///             None => Bearer::from_request(request, state).await.map(|bearer| Token(bearer.token)),
    ///         }
    ///     }
    ///
    ///     fn describe(operation: &mut Operation) {
    ///         operation.any_of(&[
    ///             <Bearer as FromRequest<S>>::describe,
    ///             <ApiKey<Session> as FromRequest<S>>::describe,
    ///         ]);
    ///     }
    /// }
    ///
    /// #[get("/me")]
    /// async fn me(token: Token) -> String {
    ///     format!("your token has {} bytes", token.0.reveal().len())
    /// }
    /// ```
    pub fn any_of(&mut self, ways: &[fn(&mut Operation)]) -> &mut Self {
        let before = mem::take(&mut self.security);
        let mut alternatives = Vec::new();
        for describe in ways {
            let alone = Context {
                is_optional: false,
                is_alternative: true,
                ..self.context
            };
            self.within(alone, describe);
            alternatives.extend(all_of(&mem::take(&mut self.security)));
        }
        self.security = before;
        self.require_any(alternatives)
    }

    fn require_any(&mut self, mut alternatives: Vec<Alternative>) -> &mut Self {
        // A request without credentials is served too, where the handler itself takes the rejection.
        if self.context.is_optional || self.context.is_silent {
            alternatives.push(Alternative::new());
        }
        if !alternatives.is_empty() && !self.security.contains(&alternatives) {
            self.security.push(alternatives);
        }
        self
    }
}

/// The alternatives of a request that must satisfy one of each.
fn all_of(security: &[Vec<Alternative>]) -> Vec<Alternative> {
    let mut all = vec![Alternative::new()];
    for alternatives in security {
        let mut next: Vec<Alternative> = Vec::new();
        for (known, more) in all
            .iter()
            .flat_map(|known| alternatives.iter().map(move |more| (known, more)))
        {
            let mut both = known.clone();
            for (name, scopes) in more {
                let known = both.or_default(name);
                known.extend(scopes.iter().cloned());
                known.sort();
                known.dedup();
            }
            if !next.contains(&both) {
                next.push(both);
            }
        }
        all = next;
    }
    all
}

/// The parts that are read from the request.
impl Operation {
    /// Adds a parameter. An existing one of the same place and name is kept, and becomes required if the new
    /// one is.
    pub fn parameter(&mut self, mut parameter: Parameter) -> &mut Self {
        if self.may_be_missing() && parameter.place != "path" {
            parameter.required = false;
        }
        match self
            .parts
            .parameters
            .iter_mut()
            .find(|known| known.is_same_as(&parameter))
        {
            Some(known) => known.required |= parameter.required,
            None => self.parts.parameters.push(parameter),
        }
        self
    }

    fn may_be_missing(&self) -> bool {
        self.context.is_optional || self.context.is_alternative
    }

    /// Adds a field of the query for each field that serde reads of a `T`. A nested field is sent with the names
    /// of its fields in brackets (`style: deepObject`).
    pub fn query_fields<T>(&mut self) -> &mut Self {
        self.query_fields_of(TypeKey::of::<T>())
    }

    /// Adds a header field for each field that serde reads of a `T`, with hyphens for the underscores in its name.
    pub fn header_fields<T>(&mut self) -> &mut Self {
        self.fields_of(TypeKey::of::<T>(), header_parameter)
    }

    /// Adds a cookie for each field that serde reads of a `T`. The elements of a list share one cookie, separated by commas.
    pub fn cookie_fields<T>(&mut self) -> &mut Self {
        self.fields_of(TypeKey::of::<T>(), cookie_parameter)
    }

    /// Adds a parameter for each field in the schema of a type, if it is known; `make` takes its name and its type in JSON.
    fn fields_of(&mut self, of: TypeKey, make: fn(&str, &str) -> Parameter) -> &mut Self {
        let Some(schema) = self.input_schema_of_key(of) else {
            return self;
        };
        let fields = fields(&schema, &|reference| self.schemas.inlined(reference));
        if fields.is_empty()
            && schema.get("properties").is_none()
            && !schema.get("type").is_some_and(|kind| kind == "object")
        {
            self.gap(format!("the schema of `{}` does not list its fields", of.name()));
        }
        if has_further_fields(&schema, &|reference| self.schemas.inlined(reference)) {
            self.gap(format!(
                "`{}` takes fields of any name, and the document lists none of these: name them, or describe them with \
                 `describe = …`",
                of.name()
            ));
        }
        for field in fields {
            let kind = self.kind_of(&field.schema);
            let mut parameter = make(&field.name, &kind).required(field.required).schema(field.schema);
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

    /// The `type` of a schema, or of the target of its reference; empty unless there is exactly one.
    fn kind_of(&self, schema: &Value) -> String {
        let target = schema.get("$ref").and_then(|reference| self.schemas.inlined(reference));
        let kind = target.as_ref().unwrap_or(schema).get("type");
        kind.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Adds parameters of the path: all that one argument takes as a `T`, from left to right. The route attributes write
    /// the call.
    pub fn path_parameters<T>(&mut self, names: &[(&str, ParameterPlace)]) -> &mut Self {
        self.path_parameters_of(TypeKey::of::<T>(), names)
    }

    /// Adds a media type in which the request's body may be sent, with the schema of its content.
    pub fn body(&mut self, media_type: &str, schema: impl Into<Value>) -> &mut Self {
        let schemas = self.parts.body.get_or_insert_default().or_default(media_type);
        insert(schemas, schema.into());
        self.parts.body_is_required |= !self.may_be_missing();
        self
    }

    /// Adds a media type in which the request's body may be sent, with the schema that serde reads as a `T`.
    pub fn body_of<T>(&mut self, media_type: &str) -> &mut Self {
        self.body_of_key(TypeKey::of::<T>(), media_type)
    }

    /// Adds a media type of forms in which the request's body may be sent, with the schema that serde reads as a `T`. A
    /// nested field is sent with the names of its fields in brackets.
    pub fn form_of<T>(&mut self, media_type: &str) -> &mut Self {
        self.form_of_key(TypeKey::of::<T>(), media_type)
    }

    fn form_of_key(&mut self, of: TypeKey, media_type: &str) -> &mut Self {
        let known = self.schemas.known_schema(Direction::Input, of);
        if let Some(schema) = &known {
            let fields = fields(schema, &|reference| self.schemas.inlined(reference));
            let mut encoding = Map::new();
            for field in fields {
                if self.kind_of(&field.schema) == "object" {
                    encoding.insert(field.name, json!({ "style": "deepObject", "explode": true }));
                }
            }
            if !encoding.is_empty() {
                self.parts
                    .encodings
                    .insert(media_type.to_owned(), Value::Object(encoding));
            }
        }
        let resolve = |reference: &Value| self.schemas.inlined(reference);
        match known.filter(|schema| has_null(schema, &resolve)) {
            Some(schema) => {
                let schema = without_null(&schema, &resolve);
                self.body(media_type, schema)
            }
            None => self.body_of_key(of, media_type),
        }
    }

    /// Adds the description by `describe` as optional parts of a request.
    pub fn optional(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        let context = Context {
            is_optional: true,
            ..self.context
        };
        self.within(context, describe)
    }

    /// Adds the parts that `describe` adds, without the responses, where the handler takes a rejection itself. Its security
    /// is optional then, since the handler may serve a request without credentials.
    pub fn without_responses(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        let context = Context {
            is_silent: true,
            ..self.context
        };
        self.within(context, describe)
    }

    /// The schema that serde reads as a `T`, if the handler's signature names `T` and it has one; otherwise there is
    /// a gap.
    pub fn input_schema_of<T>(&mut self) -> Option<Value> {
        self.input_schema_of_key(TypeKey::of::<T>())
    }

    fn input_schema_of_key(&mut self, of: TypeKey) -> Option<Value> {
        let schema = self.schemas.known_schema(Direction::Input, of);
        self.require(of.name(), schema)
    }

    /// The schema that serde writes of a `T`, if the handler's signature names `T` and it has one; otherwise there is
    /// a gap.
    pub fn output_schema_of<T>(&mut self) -> Option<Value> {
        self.output_schema_of_key(TypeKey::of::<T>())
    }

    fn output_schema_of_key(&mut self, of: TypeKey) -> Option<Value> {
        let schema = self.schemas.known_schema(Direction::Output, of);
        self.require(of.name(), schema)
    }

    /// The schema that serde writes of a `T`, as the member `name` of a problem; if the schema is unknown, a schema of any value,
    /// with a gap. `#[derive(Problem)]` writes the call.
    pub fn member_schema_of<T>(&mut self, name: &str) -> Value {
        let of = TypeKey::of::<T>();
        self.schemas.known_schema(Direction::Output, of).unwrap_or_else(|| {
            self.gap(format!(
                "the schema of `{}`, the member `{name}` of a problem, is not known: derive `JsonSchema` for it",
                of.name()
            ));
            Value::Bool(true)
        })
    }

    fn require(&mut self, name: &str, schema: Option<Value>) -> Option<Value> {
        if schema.is_none() {
            self.gap(format!(
                "the schema of `{name}` is not known: derive `JsonSchema` for it, and write the type out in the \
                 handler's signature, not as an alias or `impl Trait`"
            ));
        }
        schema
    }
}

fn query_parameter(name: &str, kind: &str) -> Parameter {
    match (Parameter::query(name), kind) {
        (parameter, "object") => parameter.member("style", "deepObject").member("explode", true),
        (parameter, _) => parameter,
    }
}

fn header_parameter(name: &str, _: &str) -> Parameter {
    Parameter::header(name_in_head(name))
}

fn cookie_parameter(name: &str, kind: &str) -> Parameter {
    match (Parameter::cookie(name), kind) {
        (parameter, "array") => parameter.member("explode", false),
        (parameter, _) => parameter,
    }
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl Operation {
    pub fn new(method: &'static str, schemas: Rc<dyn SchemaRegistry>) -> Self {
        Operation {
            method,
            parts: OperationParts::default(),
            security: Vec::new(),
            schemas,
            context: Context {
                status: DescribedStatus::Known(StatusCode::OK),
                side: Side::Either,
                is_optional: false,
                is_alternative: false,
                is_silent: false,
                has_open_headers: false,
            },
        }
    }

    /// The alternatives of which a request must satisfy one. Empty if there is no requirement.
    pub fn alternatives(&self) -> Vec<Alternative> {
        match &self.security[..] {
            [] => Vec::new(),
            security => all_of(security),
        }
    }

    /// Returns whether this is inside of [`optional`](Operation::optional): a request without it is not rejected.
    pub fn is_optional(&self) -> bool {
        self.context.is_optional
    }

    /// Returns whether the response may have this status, as far as it is known.
    pub fn may_answer(&self, status: StatusCode) -> bool {
        let any = self
            .parts
            .responses
            .get("default")
            .is_some_and(|answer| !answer.is_any_problem());
        let of_class = format!("{}XX", status.as_u16() / 100);
        any || self.parts.responses.contains(status.as_str()) || self.parts.responses.contains(&of_class)
    }

    /// Returns whether the body of the request is read.
    pub fn reads_a_body(&self) -> bool {
        self.parts.body.is_some()
    }

    pub fn query_fields_of(&mut self, of: TypeKey) -> &mut Self {
        self.fields_of(of, query_parameter)
    }

    pub fn path_parameters_of(&mut self, of: TypeKey, names: &[(&str, ParameterPlace)]) -> &mut Self {
        let schema = self.input_schema_of_key(of).unwrap_or_else(Operation::text);
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
                parameter = parameter.schema(without_null(item, &|reference| self.schemas.inlined(reference)));
            } else if names.len() == 1 {
                parameter = parameter.schema(without_null(&schema, &|reference| self.schemas.inlined(reference)));
            }
            self.parameter(parameter);
        }
        self
    }

    pub fn body_of_key(&mut self, of: TypeKey, media_type: &str) -> &mut Self {
        let schema = self.input_schema_of_key(of).unwrap_or(Value::Bool(true));
        self.body(media_type, schema)
    }
}
