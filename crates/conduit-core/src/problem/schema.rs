//! The schemas of problems (RFC 9457, section 3.1).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Fault, Problem};

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
            "description": "One fault of a request.",
            "properties": {
                "path": {
                    "type": "string",
                    "description": "The part of the request and the path of the value, such as `body.items[3].price`.",
                },
                "pointer": {
                    "type": "string",
                    "description": "The location of a value in a JSON body, such as `#/items/3/price` (RFC 6901).",
                },
                "message": { "type": "string", "description": "The expected value, and the value that was received." },
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
            "description": "A problem details object (RFC 9457). A kind of problem may have additional members.",
            "properties": {
                "type": {
                    "type": "string",
                    "format": "uri-reference",
                    "default": "about:blank",
                    "description": "A URI that identifies the kind of problem; `about:blank` for a problem without \
                                    more meaning than its status.",
                },
                "title": { "type": "string", "description": "A short summary of the kind of problem." },
                "status": { "type": "integer", "minimum": 100, "maximum": 599, "description": "The response's status." },
                "detail": { "type": "string", "description": "An explanation of this occurrence of the problem." },
                "instance": {
                    "type": "string",
                    "format": "uri-reference",
                    "description": "A URI that identifies this occurrence of the problem.",
                },
            },
            "required": ["status"],
        })
    }
}
