//! The responses of an operation.

use std::mem;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::fields::insert;
use super::super::name_map::NameMap;
use super::super::{ProblemKind, TypeKey};
use super::parts::{Answer, PROBLEM};
use super::{Context, DescribedStatus, Operation, Side};

/// The responses.
impl Operation {
    /// Adds a response with a body of this media type and schema.
    ///
    /// Its status is 200, unless it is inside of [`at_status`](Operation::at_status) or a similar method.
    pub fn response(&mut self, media_type: &str, schema: impl Into<Value>) -> &mut Self {
        let schema = schema.into();
        self.answers(|answer| {
            insert(answer.content.or_default(media_type), schema.clone());
        })
    }

    /// Adds a response with a body of this media type, with the schema that serde writes of a `T`.
    pub fn response_of<T>(&mut self, media_type: &str) -> &mut Self {
        self.response_of_key(TypeKey::of::<T>(), media_type)
    }

    /// Adds a response of which only the status is known.
    pub fn response_without_body(&mut self) -> &mut Self {
        self.answers(|_| ())
    }

    /// Adds a header field to the response.
    pub fn response_header(&mut self, name: &str, description: &str) -> &mut Self {
        let header = text_field(description);
        self.answers(|answer| {
            answer.headers.insert(name.to_owned(), header.clone());
        })
    }

    /// Adds a header field that each response of this status has.
    pub fn required_response_header(&mut self, name: &str, description: &str) -> &mut Self {
        let mut header = text_field(description);
        header["required"] = Value::Bool(true);
        self.answers(|answer| {
            answer.headers.insert(name.to_owned(), header.clone());
        })
    }

    /// Adds the responses that `describe` adds, with header fields that are known only at run time, `content-type` among
    /// them. A comparison with the document accepts any field of these responses.
    pub fn with_open_headers(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        let has_open_headers = true;
        let context = Context {
            has_open_headers,
            ..self.context
        };
        self.within(context, describe)
    }

    /// Adds a header field to every response that is known so far. A layer is described after its inner endpoint, so
    /// these are the responses that it passes on.
    pub fn header_of_every_response(&mut self, name: &str, description: &str) -> &mut Self {
        let named = self
            .parts
            .responses
            .iter_mut()
            .filter(|(status, _)| *status != "default");
        for (_, answer) in named {
            answer.headers.insert(name.to_owned(), text_field(description));
        }
        self
    }

    /// Sets the description of the response, in CommonMark. The default, also for an empty string, is the reason phrase.
    pub fn response_description(&mut self, text: &str) -> &mut Self {
        self.answers(|answer| {
            if !text.is_empty() && !answer.descriptions.iter().any(|known| known == text) {
                answer.descriptions.push(text.to_owned());
            }
        })
    }

    /// Adds a problem (RFC 9457) with this status; the description states its condition.
    pub fn problem(&mut self, status: StatusCode, description: &str) -> &mut Self {
        let schema = self.schemas.problem();
        self.problem_as(status, schema, description)
    }

    /// Adds a problem that lists the faults of the request, as [`Problem::faults`](crate::problem::Problem::faults) makes it.
    pub fn faults(&mut self, status: StatusCode, description: &str) -> &mut Self {
        let schema = self.schemas.faults();
        self.problem_as(status, schema, description)
    }

    /// Adds a problem of a specific kind, with its schema.
    pub fn problem_kind(&mut self, status: StatusCode, kind: ProblemKind) -> &mut Self {
        let description = kind.title.clone().unwrap_or_default();
        let problem = self.schemas.problem();
        let schema = match kind.schema(status, &problem) {
            Some(schema) => match kind.id {
                Some(id) => self.schemas.kind(id, schema),
                None => schema,
            },
            None => problem,
        };
        self.problem_as(status, schema, &description)
    }

    fn problem_as(&mut self, status: StatusCode, schema: Value, description: &str) -> &mut Self {
        self.at_status(status, |operation| {
            operation.response(PROBLEM, schema).response_description(description);
        })
    }

    /// Adds a redirect whose 3xx status is known only at run time.
    pub fn redirect(&mut self) -> &mut Self {
        if !self.context.is_silent {
            let answer = self.parts.responses.or_default("3XX");
            answer.has_open_headers |= self.context.has_open_headers;
            answer
                .headers
                .insert("location".to_owned(), text_field("The target of the redirect."));
        }
        self
    }

    /// Adds that any status may come with a problem. Every operation has this, unless it describes the remaining
    /// statuses itself.
    pub fn any_problem(&mut self) -> &mut Self {
        if self.context.is_silent {
            return self;
        }
        let schema = self.schemas.problem();
        let answer = self.parts.responses.or_default("default");
        insert(answer.content.or_default(PROBLEM), schema);
        self
    }

    /// Adds the responses that `describe` adds; those without an explicit status get this one.
    pub fn at_status(&mut self, status: StatusCode, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        let status = DescribedStatus::Known(status);
        self.within(Context { status, ..self.context }, describe)
    }

    /// Adds the responses that `describe` adds; the status is known only at run time. It is 2xx, unless this is inside of
    /// [`on_failure`](Operation::on_failure).
    pub fn at_unknown_status(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        let status = DescribedStatus::Unknown;
        self.within(Context { status, ..self.context }, describe)
    }

    /// Adds a response without any details.
    pub(crate) fn any_response(&mut self) -> &mut Self {
        let status = DescribedStatus::Any;
        self.within(Context { status, ..self.context }, |operation| {
            operation.response_without_body();
        })
    }

    /// Adds the responses that `describe` adds, as successful ones: an unknown status is 2xx.
    pub fn on_success(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        let side = Side::Success;
        self.within(Context { side, ..self.context }, describe)
    }

    /// Adds the responses that `describe` adds, as failures: an unknown status is 4xx or 5xx.
    pub fn on_failure(&mut self, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        let side = Side::Failure;
        self.within(Context { side, ..self.context }, describe)
    }

    /// Adds the parts that `describe` adds, in another context.
    pub(super) fn within(&mut self, context: Context, describe: impl FnOnce(&mut Operation)) -> &mut Self {
        let before = mem::replace(&mut self.context, context);
        describe(self);
        self.context = before;
        self
    }

    /// Calls a function with each response of the current context.
    fn answers(&mut self, change: impl Fn(&mut Answer)) -> &mut Self {
        let known;
        let keys: &[&str] = match (self.context.status, self.context.side) {
            _ if self.context.is_silent => &[],
            (DescribedStatus::Known(status), _) => {
                known = status;
                &[known.as_str()]
            }
            (DescribedStatus::Any, Side::Either) => &["default"],
            (DescribedStatus::Unknown | DescribedStatus::Any, Side::Failure) => &["4XX", "5XX"],
            (DescribedStatus::Unknown, Side::Either)
            | (DescribedStatus::Unknown | DescribedStatus::Any, Side::Success) => &["2XX"],
        };
        for key in keys {
            let answer = self.parts.responses.or_default(key);
            answer.has_open_headers |= self.context.has_open_headers;
            change(answer);
        }
        self
    }

    /// Adds the responses that `describe` adds for the return type of a handler. The caller passes the name of the type, so
    /// that this is compiled once.
    pub(crate) fn returned_as(&mut self, name: &str, describe: fn(&mut Operation)) {
        let arguments = mem::take(&mut self.parts.responses);
        describe(self);
        let is_success = |status: &str| matches!(status.as_bytes()[0], b'1'..=b'3');
        let is_known = self.parts.responses.keys().any(is_success)
            || self
                .parts
                .responses
                .get("default")
                .is_some_and(|answer| !answer.is_any_problem());
        if !is_known {
            self.gap(format!(
                "`{name}` does not describe its responses: implement `IntoResponse::describe` for its content"
            ));
            self.parts.responses.or_default("2XX");
        }
        self.merge(arguments);
    }

    /// Adds the responses of a layer function itself, from the description of its return type. A success without content is
    /// omitted: the layer passes on the response of the handler.
    pub(crate) fn returned_by_a_layer(&mut self, describe: fn(&mut Operation)) {
        let inner = mem::take(&mut self.parts.responses);
        describe(self);
        let mut own = mem::replace(&mut self.parts.responses, inner);
        own.retain(|status, answer| match status {
            "default" => answer.is_any_problem(),
            "2XX" => !answer.content.is_empty(),
            _ => true,
        });
        self.merge(own);
    }

    fn merge(&mut self, responses: NameMap<Answer>) {
        for (status, answer) in responses {
            if let Some(known) = self.parts.responses.get(&status)
                && status == "default"
                && answer.is_any_problem()
                && !known.is_any_problem()
            {
                // Any response may be a problem, and need not be one.
                continue;
            }
            let known = self.parts.responses.or_default(&status);
            for description in answer.descriptions {
                if !known.descriptions.contains(&description) {
                    known.descriptions.push(description);
                }
            }
            known.headers.extend(answer.headers);
            known.has_open_headers |= answer.has_open_headers;
            for (media_type, schemas) in answer.content {
                let all = known.content.or_default(&media_type);
                schemas.into_iter().for_each(|schema| insert(all, schema));
            }
        }
    }
}

/// A header field with any text.
fn text_field(description: &str) -> Value {
    json!({ "description": description, "schema": { "type": "string" } })
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl Operation {
    pub fn response_of_key(&mut self, of: TypeKey, media_type: &str) -> &mut Self {
        let schema = self.output_schema_of_key(of).unwrap_or(Value::Bool(true));
        self.response(media_type, schema)
    }

    /// Adds a header field to the response with this status, if there is such a response.
    pub fn header_of_known_response(&mut self, status: StatusCode, name: &str, description: &str) {
        if let Some(answer) = self.parts.responses.get_mut(status.as_str()) {
            answer.headers.insert(name.to_owned(), text_field(description));
        }
    }
}
