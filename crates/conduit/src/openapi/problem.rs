//! The schemas of problems (RFC 9457, section 3.1).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::problem::{Fault, Problem};

/// A problem that lists what is wrong with a request.
pub(super) struct ProblemWithFaults;

impl JsonSchema for ProblemWithFaults {
    fn schema_name() -> Cow<'static, str> {
        "ProblemWithFaults".into()
    }

    fn schema_id() -> Cow<'static, str> {
        "conduit::ProblemWithFaults".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What is wrong with the request: each fault with its place.",
            "allOf": [generator.subschema_for::<Problem>()],
            "properties": {
                "errors": { "type": "array", "items": generator.subschema_for::<Fault>() },
                "more_errors": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "How many faults there are beside those that are listed.",
                },
            },
        })
    }
}

impl JsonSchema for Fault {
    fn schema_name() -> Cow<'static, str> {
        "Fault".into()
    }

    fn schema_id() -> Cow<'static, str> {
        "conduit::Fault".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "One thing that is wrong with a request.",
            "properties": {
                "path": {
                    "type": "string",
                    "description": "The part of the request and the way to the value, such as `body.items[3].price`.",
                },
                "pointer": {
                    "type": "string",
                    "description": "The way to a value in a JSON body, such as `#/items/3/price` (RFC 6901).",
                },
                "message": { "type": "string", "description": "What was expected, and what came instead." },
            },
            "required": ["path", "message"],
        })
    }
}

impl JsonSchema for Problem {
    fn schema_name() -> Cow<'static, str> {
        "Problem".into()
    }

    fn schema_id() -> Cow<'static, str> {
        "conduit::Problem".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Why a request was not served (RFC 9457). A kind of problem may have members of its own.",
            "properties": {
                "type": {
                    "type": "string",
                    "format": "uri-reference",
                    "default": "about:blank",
                    "description": "The kind of problem; `about:blank` where the status says it all.",
                },
                "title": { "type": "string", "description": "The kind of problem, in words." },
                "status": { "type": "integer", "minimum": 100, "maximum": 599, "description": "The response's status." },
                "detail": { "type": "string", "description": "What went wrong this time." },
                "instance": {
                    "type": "string",
                    "format": "uri-reference",
                    "description": "This occurrence of the problem.",
                },
            },
            "required": ["status"],
        })
    }
}
