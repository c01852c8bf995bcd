//! Authentication schemes of clients.

use serde_json::{Value, json};

/// An authentication scheme of clients (OpenAPI 3.1, "Security Scheme Object").
#[derive(Clone, Debug, PartialEq)]
pub struct SecurityScheme(Value);

impl SecurityScheme {
    /// A token in `authorization: Bearer …` (RFC 6750); `format` names its format, such as `JWT`.
    pub fn bearer(format: Option<&str>) -> Self {
        let mut scheme = SecurityScheme(json!({ "type": "http", "scheme": "bearer" }));
        if let Some(format) = format {
            scheme = scheme.member("bearerFormat", format);
        }
        scheme
    }

    /// Credentials in the field `authorization` after the name of a scheme (RFC 9110, section 11.6.2).
    pub fn http(scheme: &str) -> Self {
        SecurityScheme(json!({ "type": "http", "scheme": scheme.to_ascii_lowercase() }))
    }

    /// Name and password in `authorization: Basic …` (RFC 7617).
    pub fn basic() -> Self {
        SecurityScheme(json!({ "type": "http", "scheme": "basic" }))
    }

    /// A key in a header field.
    pub fn api_key_in_header(name: &str) -> Self {
        SecurityScheme::api_key("header", name)
    }

    /// A key in a field of the query.
    pub fn api_key_in_query(name: &str) -> Self {
        SecurityScheme::api_key("query", name)
    }

    /// A key, or the name of a session, in a cookie.
    pub fn api_key_in_cookie(name: &str) -> Self {
        SecurityScheme::api_key("cookie", name)
    }

    fn api_key(place: &str, name: &str) -> Self {
        SecurityScheme(json!({ "type": "apiKey", "in": place, "name": name }))
    }

    /// A certificate that the client presents in the TLS handshake.
    pub fn mutual_tls() -> Self {
        SecurityScheme(json!({ "type": "mutualTLS" }))
    }

    /// OpenID Connect, discovered at this URL.
    pub fn open_id_connect(url: &str) -> Self {
        SecurityScheme(json!({ "type": "openIdConnect", "openIdConnectUrl": url }))
    }

    /// OAuth 2.0 with these flows (OpenAPI 3.1, "OAuth Flows Object").
    pub fn oauth2(flows: impl Into<Value>) -> Self {
        SecurityScheme(json!({ "type": "oauth2", "flows": flows.into() }))
    }

    /// Sets the description, such as instructions to obtain the credentials, in CommonMark.
    pub fn description(self, text: &str) -> Self {
        self.member("description", text)
    }

    fn member(mut self, name: &str, value: &str) -> Self {
        self.0[name] = Value::from(value);
        self
    }
}

/// The "Security Scheme Object".
impl From<SecurityScheme> for Value {
    fn from(scheme: SecurityScheme) -> Self {
        scheme.0
    }
}
