//! The request of a typed call, built from its arguments.

use bytes::Bytes;
#[cfg(feature = "cookies")]
use conduit_core::internal::field_pairs::RESERVED;
use conduit_core::internal::field_pairs::urlencoded;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
#[cfg(feature = "cookies")]
use percent_encoding::utf8_percent_encode;
use serde::Serialize;

use super::error::CallError;
#[cfg(feature = "multipart")]
use super::form_parts::FormParts;
use crate::link::target::try_path;
use crate::link::{FieldPairs, LinkValue as _};

/// The request of a call.
#[derive(Debug)]
pub struct CallParts {
    pub(super) method: Method,
    pub(super) target: String,
    has_query: bool,
    pub(super) headers: HeaderMap,
    /// The pairs of the field `cookie`, which are added to those of the client.
    pub(super) cookies: String,
    pub(super) body: Bytes,
    /// The media type of a body whose type a header field of the client may name.
    pub(super) raw_type: Option<&'static str>,
}

impl CallParts {
    /// Creates a request to a route with this path, whose parameters have these values.
    pub fn new(
        method: &'static str,
        path: &'static str,
        values: &[(&'static str, FieldPairs)],
    ) -> Result<Self, CallError> {
        Ok(CallParts {
            method: Method::from_bytes(method.as_bytes()).map_err(CallError::input)?,
            target: try_path(path, values).map_err(CallError::input)?,
            has_query: false,
            headers: HeaderMap::new(),
            cookies: String::new(),
            body: Bytes::new(),
            raw_type: None,
        })
    }

    pub(super) fn query<Q: Serialize>(&mut self, query: &Q) -> Result<(), CallError> {
        let pairs = FieldPairs::of(query).map_err(CallError::input)?.urlencoded();
        if !pairs.is_empty() {
            self.target.push(if self.has_query { '&' } else { '?' });
            self.target.push_str(&pairs);
            self.has_query = true;
        }
        Ok(())
    }

    pub(super) fn headers<H: Serialize>(&mut self, fields: &H) -> Result<(), CallError> {
        for (name, value) in fields.pairs().named() {
            let name = HeaderName::try_from(name.replace('_', "-")).map_err(CallError::input)?;
            self.headers
                .append(name, HeaderValue::try_from(value).map_err(CallError::input)?);
        }
        Ok(())
    }

    #[cfg(feature = "cookies")]
    pub(super) fn cookies<C: Serialize>(&mut self, cookies: &C) -> Result<(), CallError> {
        let more = cookies_of(cookies);
        if !self.cookies.is_empty() && !more.is_empty() {
            self.cookies.push_str("; ");
        }
        self.cookies.push_str(&more);
        Ok(())
    }

    pub(super) fn json<B: Serialize>(&mut self, body: &B) -> Result<(), CallError> {
        self.body = serde_json::to_vec(body).map_err(CallError::input)?.into();
        self.set_type(HeaderValue::from_static("application/json"));
        Ok(())
    }

    pub(super) fn form<B: Serialize>(&mut self, body: &B) -> Result<(), CallError> {
        self.body = urlencoded(body).map_err(CallError::input)?.into();
        self.set_type(HeaderValue::from_static("application/x-www-form-urlencoded"));
        Ok(())
    }

    #[cfg(feature = "multipart")]
    pub(super) fn form_parts(&mut self, form: &FormParts) -> Result<(), CallError> {
        let (media_type, body) = form.encoded();
        self.body = body;
        self.set_type(HeaderValue::try_from(media_type).map_err(CallError::input)?);
        Ok(())
    }

    pub(super) fn text(&mut self, body: &str) {
        self.body = Bytes::copy_from_slice(body.as_bytes());
        self.raw_type = Some("text/plain; charset=utf-8");
    }

    pub(super) fn bytes(&mut self, body: Bytes) {
        self.body = body;
        self.raw_type = Some("application/octet-stream");
    }

    fn set_type(&mut self, media_type: HeaderValue) {
        self.headers.insert(CONTENT_TYPE, media_type);
    }
}

/// The cookies of a struct, as `CookieValues` reads them: a list has one value with commas.
#[cfg(feature = "cookies")]
fn cookies_of<T: Serialize>(value: &T) -> String {
    let pairs = value.pairs();
    let mut cookies: Vec<(&str, String)> = Vec::new();
    for (name, value) in pairs.named() {
        let value = utf8_percent_encode(value, RESERVED).to_string();
        match cookies.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = format!("{known},{value}"),
            None => cookies.push((name, value)),
        }
    }
    let cookies: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    cookies.join("; ")
}
