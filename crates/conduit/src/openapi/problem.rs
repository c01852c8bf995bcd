//! The schema of problems (RFC 9457, section 3.1).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::problem::Problem;

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
