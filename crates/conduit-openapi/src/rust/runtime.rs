
use std::fmt;
use std::marker::PhantomData;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The server, and the requests that all functions send to it.
#[derive(Clone, Debug)]
pub struct Client {
    /// The address of the server, without a slash at its end.
    pub base_url: String,
    /// Sends the requests. It follows redirects unless it has another policy.
    pub http: reqwest::Client,
    /// Added to each request, such as `user-agent`.
    pub headers: HeaderMap,
    /// The credentials, by the name of their scheme.
    pub credentials: Credentials,
}

impl Client {
    /// A client without credentials.
    pub fn new(base_url: impl Into<String>, http: reqwest::Client) -> Self {
        Client {
            base_url: base_url.into(),
            http,
            headers: HeaderMap::new(),
            credentials: Credentials::default(),
        }
    }
}

/// The reason why a call has no documented response.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request could not be sent, or the response could not be received.
    Http(reqwest::Error),
    /// The input has no form in the request.
    Input(String),
    /// The response does not have its documented form.
    Unexpected {
        /// The status.
        status: u16,
        /// The reason.
        reason: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Http(error) => error.fmt(f),
            Error::Input(reason) => f.write_str(reason),
            Error::Unexpected { status, reason } => write!(f, "unexpected response {status}: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Http(error) => Some(error),
            _ => None,
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        Error::Http(error)
    }
}

/// A response: its header fields, and its status with the body.
#[derive(Clone, Debug)]
pub struct Reply<B> {
    /// The header fields.
    pub headers: HeaderMap,
    /// The status selects the type of the body.
    pub body: B,
}

/// A body of another media type than JSON.
#[derive(Clone, Debug, Default)]
pub struct RawBody {
    /// The media type, with its parameters.
    pub content_type: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerEvent<T> {
    /// Its identity, for the header field `last-event-id` of a later call; empty unless the server sends one.
    pub id: String,
    /// Its name; `message` unless the server sends one.
    pub event: String,
    /// Its data.
    pub data: T,
}

/// The events of a response, which end with it.
#[derive(Debug)]
pub struct Events<T> {
    response: reqwest::Response,
    buffer: Vec<u8>,
    data: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Events<T> {
    /// The next event; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or the data is not of the documented form.
    pub async fn next(&mut self) -> Result<Option<ServerEvent<T>>, Error> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|bytes| bytes == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(event) = self.event(&String::from_utf8_lossy(&block))? {
                    return Ok(Some(event));
                }
            }
            match self.response.chunk().await? {
                None => return Ok(None),
                Some(piece) => self.buffer.extend(piece.iter().filter(|byte| **byte != b'\r')),
            }
        }
    }

    fn event(&self, block: &str) -> Result<Option<ServerEvent<T>>, Error> {
        let mut event = ServerEvent {
            id: String::new(),
            event: "message".to_owned(),
            data: Vec::new(),
        };
        for line in block.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" => value.clone_into(&mut event.id),
                "event" => value.clone_into(&mut event.event),
                "data" => event.data.push(value),
                _ => {}
            }
        }
        if event.data.is_empty() {
            return Ok(None);
        }
        let text = event.data.join("\n");
        // Data that is not JSON is a text.
        let data = serde_json::from_str(&text).or_else(|error| match serde_json::from_value(Value::String(text)) {
            Ok(data) => Ok(data),
            Err(_) => Err(unexpected(self.response.status().as_u16(), error)),
        });
        Ok(Some(ServerEvent {
            id: event.id,
            event: event.event,
            data: data?,
        }))
    }
}

fn unexpected(status: u16, reason: impl fmt::Display) -> Error {
    Error::Unexpected {
        status,
        reason: reason.to_string(),
    }
}

/// The kinds of credentials and their places in a request.
#[derive(Clone, Copy)]
#[allow(dead_code)]
enum Scheme {
    Bearer,
    Basic,
    Http(&'static str),
    Header(&'static str),
    Query(&'static str),
    Cookie(&'static str),
}

/// A request that is being put together.
struct Parts {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Vec<u8>,
}

#[allow(dead_code)]
impl Parts {
    fn new(method: &str, path: &str) -> Result<Self, Error> {
        Ok(Parts {
            method: Method::from_bytes(method.as_bytes()).map_err(|error| Error::Input(error.to_string()))?,
            path: path.to_owned(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        })
    }

    /// Replaces a parameter of the path by its value.
    fn path(&mut self, name: &str, value: &impl Serialize, is_rest: bool) -> Result<(), Error> {
        let text = scalar(&value_of(value)?);
        let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
        let leads_here = match is_rest {
            true => text.split('/').all(|segment| !matches!(segment, "." | "..")),
            false => is_plain(&text),
        };
        if !leads_here {
            return Err(Error::Input(format!("the parameter {name} leads to another route: it is {text:?}")));
        }
        let mut encoded = String::new();
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
                b'/' if is_rest => encoded.push('/'),
                _ => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
        self.path = self.path.replacen(&format!("{{{name}}}"), &encoded, 1);
        Ok(())
    }

    /// Adds a field of the query: a list repeats its name, an object has the names of its members in brackets.
    fn query(&mut self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        pairs(name, &value_of(value)?, &mut self.query);
        Ok(())
    }

    fn header(&mut self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let text = match value_of(value)? {
            Value::Null => return Ok(()),
            Value::Array(items) => items.iter().map(scalar).collect::<Vec<_>>().join(", "),
            value => scalar(&value),
        };
        set(&mut self.headers, name, &text)
    }

    fn json(&mut self, media_type: &str, value: &impl Serialize) -> Result<(), Error> {
        self.body = serde_json::to_vec(value).map_err(|error| Error::Input(error.to_string()))?;
        set(&mut self.headers, CONTENT_TYPE.as_str(), media_type)
    }

    fn form(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let mut fields = Vec::new();
        if let Value::Object(members) = value_of(value)? {
            for (name, value) in &members {
                pairs(name, value, &mut fields);
            }
        }
        let mut form = Url::parse("http://form").map_err(|error| Error::Input(error.to_string()))?;
        form.query_pairs_mut().extend_pairs(fields);
        self.body = form.query().unwrap_or_default().into();
        set(&mut self.headers, CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")
    }

    fn raw(&mut self, body: &RawBody) -> Result<(), Error> {
        self.body.clone_from(&body.bytes);
        set(&mut self.headers, CONTENT_TYPE.as_str(), &body.content_type)
    }

    /// Sends the request with the credentials of the first of these ways for which the client has all.
    async fn send(mut self, client: &Client, ways: &[&[&str]]) -> Result<Response, Error> {
        let has_all = |way: &&&[&str]| way.iter().all(|name| client.credentials.find(name).is_some());
        let way = ways.iter().filter(|way| !way.is_empty()).find(has_all);
        for name in way.copied().unwrap_or_default() {
            if let Some((scheme, value)) = client.credentials.find(name) {
                self.authorize(scheme, &value)?;
            }
        }
        let address = format!("{}{}", client.base_url, self.path);
        let mut url = Url::parse(&address).map_err(|error| Error::Input(format!("{address}: {error}")))?;
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut headers = client.headers.clone();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        let request = client.http.request(self.method, url).headers(headers).body(self.body);
        Ok(Response(request.send().await?))
    }

    fn authorize(&mut self, scheme: Scheme, value: &str) -> Result<(), Error> {
        let headers = &mut self.headers;
        match scheme {
            Scheme::Bearer => set(headers, AUTHORIZATION.as_str(), &format!("Bearer {value}")),
            Scheme::Basic => set(headers, AUTHORIZATION.as_str(), &format!("Basic {}", base64(value.as_bytes()))),
            Scheme::Http(name) => set(headers, AUTHORIZATION.as_str(), &format!("{name} {value}")),
            Scheme::Header(name) => set(headers, name, value),
            Scheme::Query(name) => {
                self.query.push((name.to_owned(), value.to_owned()));
                Ok(())
            }
            Scheme::Cookie(name) => set(headers, COOKIE.as_str(), &format!("{name}={value}")),
        }
    }
}

/// A response whose body is not read yet.
struct Response(reqwest::Response);

#[allow(dead_code)]
impl Response {
    fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    fn headers(&self) -> HeaderMap {
        self.0.headers().clone()
    }

    async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let status = self.status();
        let bytes = self.0.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| unexpected(status, error))
    }

    async fn text(self) -> Result<String, Error> {
        Ok(self.0.text().await?)
    }

    async fn raw(self) -> Result<RawBody, Error> {
        let content_type = self.0.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(RawBody {
            content_type: content_type.unwrap_or_default().to_owned(),
            bytes: self.0.bytes().await?.to_vec(),
        })
    }

    fn events<T>(self) -> Events<T> {
        Events {
            response: self.0,
            buffer: Vec::new(),
            data: PhantomData,
        }
    }
}

fn value_of(value: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::Input(error.to_string()))
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

fn pairs(name: &str, value: &Value, to: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| pairs(name, item, to)),
        Value::Object(members) => members.iter().for_each(|(member, value)| pairs(&format!("{name}[{member}]"), value, to)),
        value => to.push((name.to_owned(), scalar(value))),
    }
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Error> {
    let invalid = |error: &dyn fmt::Display| Error::Input(format!("the header field {name}: {error}"));
    let field = HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(&error))?;
    let value = HeaderValue::from_str(value).map_err(|error| invalid(&error))?;
    headers.insert(field, value);
    Ok(())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut number = 0_u32;
        for place in 0..3 {
            number = number << 8 | u32::from(group.get(place).copied().unwrap_or(0));
        }
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}
