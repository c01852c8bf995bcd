//! The parts of an operation, as data.

use http::StatusCode;
use serde_json::{Map, Value};

use super::super::name_map::NameMap;
use super::super::{LayerLimit, Parameter};

/// The media type of problems (RFC 9457, section 6.1).
pub const PROBLEM: &str = "application/problem+json";

/// Media types and the schemas of their content; one media type may have several.
pub type Content = NameMap<Vec<Value>>;

/// The parts of an operation that the document takes over.
#[derive(Default)]
pub struct OperationParts {
    /// The first line of the doc comment.
    pub summary: Option<String>,
    /// The rest of the doc comment.
    pub description: Option<String>,
    /// The handler is deprecated.
    pub deprecated: bool,
    /// The document omits the operation.
    pub hidden: bool,
    /// The parameters of the request.
    pub parameters: Vec<Parameter>,
    /// The body of the request.
    pub body: Option<Content>,
    /// A request without a body is rejected.
    pub body_is_required: bool,
    /// The encoding of the fields of forms, by media type.
    pub encodings: Map<String, Value>,
    /// The responses by status: `200`, `4XX`, `default`.
    pub responses: NameMap<Answer>,
    /// The response is a page of a list, whose `cursor` is in the query.
    pub is_paged: bool,
    /// Examples of bodies.
    pub examples: Vec<BodyExample>,
    /// Links from responses.
    pub links: Vec<OperationLink>,
    /// The security schemes that the alternatives name.
    pub security_schemes: Map<String, Value>,
    /// A layer without a description is around the handler.
    pub has_open_layers: bool,
    /// The limits of the layers around the handler, from the innermost on.
    pub limits: Vec<LayerLimit>,
    /// The parts that could not be described, in words.
    pub gaps: Vec<String>,
}

/// The known responses with one status.
#[derive(Debug, Default)]
pub struct Answer {
    /// The descriptions, each a sentence.
    pub descriptions: Vec<String>,
    /// Header objects by name.
    pub headers: Map<String, Value>,
    /// Schemas by media type.
    pub content: Content,
    /// Set if the response may have header fields that are known only at run time.
    pub has_open_headers: bool,
}

impl Answer {
    /// Returns whether this is a problem of which no detail is known.
    pub(crate) fn is_any_problem(&self) -> bool {
        !self.content.is_empty() && self.content.keys().all(|kind| kind == PROBLEM)
    }
}

/// An example of a body.
#[derive(Clone, Debug)]
pub struct BodyExample {
    /// The status of a response; `None` for the request.
    pub status: Option<StatusCode>,
    /// The "Example Object".
    pub name: String,
    /// The value.
    pub value: Value,
}

/// A link from a response to another operation.
#[derive(Clone, Debug)]
pub struct OperationLink {
    /// The status of the response.
    pub status: StatusCode,
    /// The handler of the other operation: `app::users::show`.
    pub handler: &'static str,
    /// The values of its parameters, by name.
    pub parameters: Value,
}
