//! The credentials that printed clients send, by the security schemes of a document.

use serde_json::Value;

/// The place of a scheme's credentials in a request.
pub(super) enum Credential<'d> {
    Bearer,
    Basic,
    /// The field `authorization`, with this name of the scheme.
    Http(&'d str),
    /// A header field with this name.
    Header(&'d str),
    /// A parameter of the query with this name.
    Query(&'d str),
    /// A cookie with this name.
    Cookie(&'d str),
}

impl<'d> Credential<'d> {
    /// The credentials of a scheme. `None` for a client certificate: the connection has it, and the
    /// printed client does not open connections.
    pub(super) fn of(scheme: &'d Value) -> Option<Self> {
        let field = |name: &str| scheme.get(name).and_then(Value::as_str).unwrap_or_default();
        Some(match (field("type"), field("scheme"), field("in")) {
            ("http", "bearer", _) | ("oauth2" | "openIdConnect", ..) => Credential::Bearer,
            ("http", "basic", _) => Credential::Basic,
            ("http", scheme, _) => Credential::Http(scheme),
            ("apiKey", _, "header") => Credential::Header(field("name")),
            ("apiKey", _, "query") => Credential::Query(field("name")),
            ("apiKey", _, "cookie") => Credential::Cookie(field("name")),
            _ => return None,
        })
    }
}

/// The alternatives of an operation's guards: the names of the schemes whose credentials a client sends.
pub(super) fn alternatives<'v>(document: &'v Value, operation: &'v Value) -> Vec<Vec<&'v str>> {
    let schemes = &document["components"]["securitySchemes"];
    let is_sent = |name: &&str| Credential::of(&schemes[*name]).is_some();
    let ways = operation["security"].as_array().into_iter().flatten();
    ways.filter_map(Value::as_object)
        .map(|way| way.keys().map(String::as_str).filter(is_sent).collect())
        .collect()
}
