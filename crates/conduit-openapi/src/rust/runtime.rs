
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The server, and the requests that all functions send to it.
#[derive(Clone, Debug)]
pub struct Client {
    /// The URL of the server, without a trailing slash.
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
    /// The input cannot be written into the request.
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
    /// The status.
    pub status: u16,
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
    /// The ID of the event, for the header field `last-event-id` of a later call; empty unless the server sends one.
    pub id: String,
    /// The name of the event; `message` unless the server sends one.
    pub event: String,
    /// The data of the event.
    pub data: T,
}

/// The text fields and files of a form.
#[derive(Clone, Debug, Default)]
pub struct FormParts {
    /// The head of each part without its end, and the content.
    parts: Vec<(String, Vec<u8>)>,
}

impl FormParts {
    /// A form without parts.
    pub fn new() -> Self {
        FormParts::default()
    }

    /// Adds a text field.
    pub fn text(mut self, name: &str, text: impl Into<String>) -> Self {
        let head = format!("content-disposition: form-data; name=\"{}\"", FormParts::escaped(name));
        self.parts.push((head, text.into().into_bytes()));
        self
    }

    /// Adds a file. Control characters in the media type are omitted.
    pub fn file(mut self, name: &str, file_name: &str, media_type: &str, content: impl Into<Vec<u8>>) -> Self {
        let (name, file_name) = (FormParts::escaped(name), FormParts::escaped(file_name));
        let media_type: String = media_type.chars().filter(|character| !character.is_control()).collect();
        let head = format!(
            "content-disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\ncontent-type: {media_type}"
        );
        self.parts.push((head, content.into()));
        self
    }

    /// A name in a head, as browsers write it (WHATWG HTML, section 4.10.21.8).
    fn escaped(name: &str) -> String {
        name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
    }

    /// A boundary that no content contains.
    fn boundary(&self) -> String {
        let is_taken = |boundary: &str| {
            let mut contents = self.parts.iter();
            contents.any(|(_, content)| content.windows(boundary.len()).any(|window| window == boundary.as_bytes()))
        };
        let mut boundary = "form-boundary".to_owned();
        while is_taken(&boundary) {
            boundary.push('x');
        }
        boundary
    }
}

/// The pauses before a stream connects again have at least these lengths, and double until an event arrives.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The events of a stream. The stream of a GET or QUERY reconnects after a lost connection, continues after the last event, and
/// ends when the server responds with 204. The stream of any other method, which may have effects, ends with its response. Dropping
/// `Events` closes the stream.
pub struct Events<T> {
    http: reqwest::Client,
    /// The request that connects again, if its method is safe.
    request: Option<Box<reqwest::Request>>,
    response: Option<Box<reqwest::Response>>,
    lines: Lines,
    /// The fields of the event whose end is not received yet.
    partial: PartialEvent,
    last_id: String,
    retry: Duration,
    /// The minimum pause before the next attempt to connect.
    pause: Duration,
    of_type: PhantomData<fn() -> T>,
}

#[derive(Debug, Default)]
struct PartialEvent {
    id: Option<String>,
    event: String,
    data: Vec<String>,
}

/// Without the request, whose URL may have credentials.
impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("last_id", &self.last_id).finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Events<T> {
    /// The next event; `None` at the end of the stream. An event that a lost connection truncates is received again.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses to continue the stream, if the connection of a stream that cannot be continued is
    /// lost, or if the data does not have the documented form.
    pub async fn next(&mut self) -> Result<Option<ServerEvent<T>>, Error> {
        loop {
            while let Some(line) = self.lines.next() {
                if let Some(event) = self.line(&line)? {
                    return Ok(Some(event));
                }
            }
            let piece = match &mut self.response {
                Some(response) => match response.chunk().await {
                    Err(error) if self.request.is_none() => {
                        self.response = None;
                        return Err(error.into());
                    }
                    received => received.ok().flatten(),
                },
                None => None,
            };
            match piece {
                Some(piece) => self.lines.bytes.extend_from_slice(&piece),
                None if self.connect().await? => {}
                None => return Ok(None),
            }
        }
    }

    /// Connects again. Returns `false` at the end of the stream.
    async fn connect(&mut self) -> Result<bool, Error> {
        (self.response, self.lines, self.partial) = (None, Lines::default(), PartialEvent::default());
        loop {
            let Some(mut request) = self.request.as_deref().and_then(reqwest::Request::try_clone) else {
                return Ok(false);
            };
            tokio::time::sleep(self.retry.max(self.pause)).await;
            self.pause = LONGEST_PAUSE.min(2 * self.pause);
            if !self.last_id.is_empty() {
                set(request.headers_mut(), "last-event-id", &self.last_id)?;
            }
            let Ok(response) = self.http.execute(request).await else { continue };
            let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            match response.status().as_u16() {
                204 => {
                    self.request = None;
                    return Ok(false);
                }
                200 if kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) => {
                    self.response = Some(Box::new(response));
                    return Ok(true);
                }
                500..=599 => {}
                status => return Err(unexpected(status, "the event stream cannot be continued")),
            }
        }
    }

    /// Reads one line of the stream (WHATWG HTML, section 9.2.6).
    fn line(&mut self, line: &str) -> Result<Option<ServerEvent<T>>, Error> {
        if line.is_empty() {
            return self.end_of_event();
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" if !value.contains('\0') => self.partial.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.partial.event),
            "data" => self.partial.data.push(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().map_or(self.retry, Duration::from_millis);
            }
            _ => {}
        }
        Ok(None)
    }

    fn end_of_event(&mut self) -> Result<Option<ServerEvent<T>>, Error> {
        let PartialEvent { id, event, data } = std::mem::take(&mut self.partial);
        // The ID takes effect at the end of its event: the server sends a truncated event again.
        self.last_id = id.unwrap_or_else(|| std::mem::take(&mut self.last_id));
        if data.is_empty() {
            return Ok(None);
        }
        let text = data.join("\n");
        // Data that is not JSON is a string.
        let data = serde_json::from_str(&text).or_else(|error| match serde_json::from_value(Value::String(text)) {
            Ok(data) => Ok(data),
            Err(_) => Err(unexpected(200, error)),
        })?;
        self.pause = FIRST_PAUSE;
        let event = match event.is_empty() {
            true => "message".to_owned(),
            false => event,
        };
        let id = self.last_id.clone();
        Ok(Some(ServerEvent { id, event, data }))
    }
}

/// The lines of a stream of bytes, which end in LF, CR or CRLF.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// The number of bytes before the next line.
    start: usize,
}

impl Lines {
    fn next(&mut self) -> Option<String> {
        let rest = &self.bytes[self.start..];
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let ending = match end.map(|end| &rest[end..]) {
            Some([b'\r', b'\n', ..]) => 2,
            // The next piece may begin with LF.
            Some([b'\r']) | None => {
                self.bytes.drain(..self.start);
                self.start = 0;
                return None;
            }
            Some(_) => 1,
        };
        let line = &rest[..end?];
        let text = String::from_utf8_lossy(line).into_owned();
        self.start += line.len() + ending;
        Some(text)
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

/// A request under construction.
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
            return Err(Error::Input(format!("the parameter {name} is {text:?}, which leads to another route: pass a value without an empty segment, `.` or `..`")));
        }
        self.path = self.path.replacen(&format!("{{{name}}}"), &encoded(&text, is_rest), 1);
        Ok(())
    }

    /// Adds a field of the query: a list repeats its name, an object has the names of its members in brackets.
    fn query(&mut self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        pairs(name, &value_of(value)?, &mut self.query);
        Ok(())
    }

    /// Adds a cookie; a list has one value with commas.
    fn cookie(&mut self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let text = match value_of(value)? {
            Value::Null => return Ok(()),
            Value::Array(items) => items.iter().map(|item| encoded(&scalar(item), false)).collect::<Vec<_>>().join(","),
            value => encoded(&scalar(&value), false),
        };
        add_cookie(&mut self.headers, &format!("{name}={text}"))
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

    fn form_parts(&mut self, form: &FormParts) -> Result<(), Error> {
        let boundary = form.boundary();
        for (head, content) in &form.parts {
            self.body.extend_from_slice(format!("--{boundary}\r\n{head}\r\n\r\n").as_bytes());
            self.body.extend_from_slice(content);
            self.body.extend_from_slice(b"\r\n");
        }
        self.body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        set(&mut self.headers, CONTENT_TYPE.as_str(), &format!("multipart/form-data; boundary={boundary}"))
    }

    fn raw(&mut self, body: &RawBody) -> Result<(), Error> {
        self.body.clone_from(&body.bytes);
        set(&mut self.headers, CONTENT_TYPE.as_str(), &body.content_type)
    }

    /// Sends the request with the credentials of the first alternative in `ways` for which the client has all schemes.
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
            match value.to_str() {
                Ok(cookies) if name == COOKIE => add_cookie(&mut headers, cookies)?,
                _ => drop(headers.insert(name, value.clone())),
            }
        }
        let request = client.http.request(self.method, url).headers(headers).body(self.body).build()?;
        let http = client.http.clone();
        // Only a safe method is repeated without the consent of the caller (RFC 9110, section 9.2).
        let is_safe = matches!(request.method().as_str(), "GET" | "HEAD" | "QUERY");
        let again = if is_safe { request.try_clone() } else { None };
        let response = http.execute(request).await?;
        Ok(Response { http, again, response })
    }

    fn authorize(&mut self, scheme: Scheme, value: &str) -> Result<(), Error> {
        let headers = &mut self.headers;
        match scheme {
            Scheme::Bearer => set_secret(headers, AUTHORIZATION.as_str(), &format!("Bearer {value}")),
            Scheme::Basic => set_secret(headers, AUTHORIZATION.as_str(), &format!("Basic {}", base64(value.as_bytes()))),
            Scheme::Http(name) => set_secret(headers, AUTHORIZATION.as_str(), &format!("{name} {value}")),
            Scheme::Header(name) => set_secret(headers, name, value),
            Scheme::Query(name) => {
                self.query.push((name.to_owned(), value.to_owned()));
                Ok(())
            }
            Scheme::Cookie(name) => add_cookie(headers, &format!("{name}={value}")),
        }
    }
}

/// A response whose body is not read yet.
struct Response {
    http: reqwest::Client,
    /// The request of a safe method, for a stream that connects again.
    again: Option<reqwest::Request>,
    response: reqwest::Response,
}

#[allow(dead_code)]
impl Response {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn headers(&self) -> HeaderMap {
        self.response.headers().clone()
    }

    async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let status = self.status();
        let bytes = self.response.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| unexpected(status, error))
    }

    async fn text(self) -> Result<String, Error> {
        Ok(self.response.text().await?)
    }

    async fn raw(self) -> Result<RawBody, Error> {
        let content_type = self.response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(RawBody {
            content_type: content_type.unwrap_or_default().to_owned(),
            bytes: self.response.bytes().await?.to_vec(),
        })
    }

    fn events<T>(self) -> Events<T> {
        Events {
            http: self.http,
            request: self.again.map(Box::new),
            response: Some(Box::new(self.response)),
            lines: Lines::default(),
            partial: PartialEvent::default(),
            last_id: String::new(),
            retry: Duration::from_secs(3),
            pause: FIRST_PAUSE,
            of_type: PhantomData,
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
        // A list of single values repeats its name; other elements have their index.
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| match item {
            Value::Array(_) | Value::Object(_) => pairs(&format!("{name}[{index}]"), item, to),
            item => pairs(name, item, to),
        }),
        Value::Object(members) => members.iter().for_each(|(member, value)| pairs(&format!("{name}[{member}]"), value, to)),
        value => to.push((name.to_owned(), scalar(value))),
    }
}

/// Percent-encodes all bytes but the unreserved characters (RFC 3986, section 2.3), and slashes where they stay.
fn encoded(text: &str, keeps_slashes: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            b'/' if keeps_slashes => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Adds cookies to those of a request.
fn add_cookie(headers: &mut HeaderMap, cookies: &str) -> Result<(), Error> {
    let known = headers.get(COOKIE).and_then(|known| known.to_str().ok());
    let cookies = known.map_or_else(|| cookies.to_owned(), |known| format!("{known}; {cookies}"));
    set_secret(headers, COOKIE.as_str(), &cookies)
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Error> {
    let invalid = |error: &dyn fmt::Display| Error::Input(format!("the header field {name}: {error}"));
    let field = HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(&error))?;
    let value = HeaderValue::from_str(value).map_err(|error| invalid(&error))?;
    headers.insert(field, value);
    Ok(())
}

/// Sets a field whose value `Debug` omits, and HTTP/2 does not index (RFC 7541, section 7.1.3).
fn set_secret(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Error> {
    set(headers, name, value)?;
    if let Some(value) = headers.get_mut(name) {
        value.set_sensitive(true);
    }
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
