//! Requests of a test.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;

use bytes::Bytes;
use conduit_core::internal::field_pairs::urlencoded;
use conduit_core::internal::form_data::escaped_name;
use conduit_server::internal::in_process::Opening;
use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;

use super::contract::Expectation;
use super::reading::{Reading, failure_message};
use super::reference::resolved;
use super::response::{TestResponse, TestStream};
use super::session::{Session, header};
use super::wire::Wire;

/// The maximum size of a body that is written before the response is read. A longer one is written while the response is read, so
/// that neither end waits for the other.
const WRITTEN_AT_ONCE_BYTES: usize = 16 * 1024;

/// The maximum number of redirects.
const REDIRECTS: usize = 10;

/// The boundary of a multipart form.
const BOUNDARY: &str = "the-boundary-of-a-test";
const MULTIPART: &str = "multipart/form-data; boundary=the-boundary-of-a-test";

/// A request under construction.
///
/// [`send`](Self::send) waits for the whole response; [`stream`](Self::stream) for its head only, and
/// [`start`](Self::start) for nothing. In an `async` test `client.get("/").await` is `send`.
#[derive(Debug)]
#[must_use = "a request is sent by `send`, `stream`, `start` or `upload`"]
pub struct TestRequest {
    pub(super) session: Session,
    method: Method,
    pub(super) target: String,
    headers: HeaderMap,
    body: Option<Bytes>,
}

impl TestRequest {
    pub(super) fn new(session: Session, method: Method, target: &str) -> Self {
        let headers = session.settings.headers.clone();
        TestRequest {
            session,
            method,
            target: target.to_owned(),
            headers,
            body: None,
        }
    }

    /// Adds a header field.
    #[track_caller]
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let (name, value) = header(name.as_ref(), value.as_ref());
        self.headers.append(name, value);
        self
    }

    /// Sends a bearer token (RFC 6750).
    #[track_caller]
    pub fn bearer(mut self, token: &str) -> Self {
        self.headers.remove(header::AUTHORIZATION);
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds a cookie to this request only.
    #[track_caller]
    pub fn cookie(self, name: &str, value: &str) -> Self {
        self.header("cookie", format!("{name}={value}"))
    }

    /// Adds the fields of a value to the query, as `Query` reads them: a struct, a map, or a list of pairs of a name and a value.
    #[track_caller]
    pub fn query(mut self, fields: &impl Serialize) -> Self {
        match urlencoded(fields) {
            Ok(query) => {
                self.target.push(if self.target.contains('?') { '&' } else { '?' });
                self.target.push_str(&query);
                self
            }
            Err(error) => panic!("the value cannot be written as a query: {error}"),
        }
    }

    /// Accepts a response that the application's OpenAPI document does not describe, for a test of a fault or of a client that
    /// depends on it. Default: such a response fails the test.
    ///
    /// # Example
    ///
    /// A redirect that the handler's type does not name:
    ///
    /// ```
    /// use conduit::prelude::*;
    /// use conduit::testing::TestClient;
    ///
    /// #[get("/moved")]
    /// async fn moved() -> Result<String, StatusCode> {
    ///     Err(StatusCode::NOT_MODIFIED)
    /// }
    ///
    /// let client = TestClient::new(App::new(()).routes(routes![moved]));
    /// client.get("/moved").undocumented().send().assert_status(304);
    /// ```
    pub fn undocumented(mut self) -> Self {
        self.session.contract = None;
        self
    }

    /// Sets the body to a value as JSON.
    #[track_caller]
    pub fn json(self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.typed("application/json", body),
            Err(error) => panic!("the value cannot be written as JSON: {error}"),
        }
    }

    /// Sets the body to the fields of a value as a form, as `Form` reads them: a struct, a map, or a list of pairs of a name and a
    /// value.
    #[track_caller]
    pub fn form(self, fields: &impl Serialize) -> Self {
        match urlencoded(fields) {
            Ok(body) => self.typed("application/x-www-form-urlencoded", body),
            Err(error) => panic!("the value cannot be written as a form: {error}"),
        }
    }

    /// Adds a field to the form with files (`multipart/form-data`, RFC 7578) that is the body.
    ///
    /// # Example
    ///
    /// ```
    /// use conduit::prelude::*;
    /// use conduit::testing::TestClient;
    ///
    /// #[post("/length")]
    /// async fn length(body: Bytes) -> String {
    ///     (body.len() > 3).to_string()
    /// }
    ///
    /// let client = TestClient::new(App::new(()).routes(routes![length]));
    /// let request = client.post("/length").field("title", "A walk").file("picture", "walk.png", "image/png", b"...");
    /// assert_eq!(request.send().text(), "true");
    /// ```
    #[track_caller]
    pub fn field(self, name: &str, text: &str) -> Self {
        let disposition = format!("name=\"{}\"", escaped_name(name));
        self.part(&disposition, text.as_bytes())
    }

    /// Adds a file to the form with files that is the body, as [`field`](TestRequest::field) adds a value.
    #[track_caller]
    pub fn file(self, name: &str, file_name: &str, media_type: &str, content: impl AsRef<[u8]>) -> Self {
        let (name, file_name) = (escaped_name(name), escaped_name(file_name));
        let disposition = format!("name=\"{name}\"; filename=\"{file_name}\"\r\ncontent-type: {media_type}");
        self.part(&disposition, content.as_ref())
    }

    #[track_caller]
    fn part(mut self, disposition: &str, content: &[u8]) -> Self {
        let boundary = content
            .windows(BOUNDARY.len())
            .position(|window| window == BOUNDARY.as_bytes());
        assert!(
            boundary.is_none(),
            "the content contains the form's boundary, {BOUNDARY}: use other content"
        );
        let end = format!("--{BOUNDARY}--\r\n");
        let before = self.body.take().unwrap_or_default();
        let before = before.strip_suffix(end.as_bytes()).unwrap_or_default();
        let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; {disposition}\r\n\r\n");
        let body = [before, head.as_bytes(), content, b"\r\n", end.as_bytes()].concat();
        self.typed(MULTIPART, body)
    }

    /// Sets the body to a string.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.typed("text/plain; charset=utf-8", text.into())
    }

    /// Sets the body, without a content type.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn typed(mut self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let value = http::HeaderValue::from_static(media_type);
        self.headers.entry(header::CONTENT_TYPE).or_insert(value);
        self.body(body)
    }

    /// Sends the request and waits for the whole response.
    #[track_caller]
    pub fn send(mut self) -> TestResponse {
        for _ in 0..=REDIRECTS {
            let next = self.session.settings.follow_redirects.then(|| self.copy());
            let response = self.start().finish();
            match next.and_then(|next| next.redirected(&response)) {
                Some(next) => self = next,
                None => return response,
            }
        }
        panic!("more than {REDIRECTS} redirects, the last to {}", self.target);
    }

    /// Sends the request and waits for the head of the response; its body is read piece by piece.
    #[track_caller]
    pub fn stream(self) -> TestStream {
        self.start().stream()
    }

    /// Sends the request and waits for nothing.
    #[track_caller]
    pub fn start(self) -> TestCall {
        let name = self.name();
        let length = match &self.body {
            Some(body) => format!("content-length: {}\r\n", body.len()),
            None if matches!(self.method, Method::POST | Method::PUT | Method::PATCH) => {
                "content-length: 0\r\n".to_owned()
            }
            None => String::new(),
        };
        let mut bytes = self.head(&length);
        let body = self.body.clone().unwrap_or_default();
        let wire = self.connect(&name);
        if body.len() <= WRITTEN_AT_ONCE_BYTES {
            bytes.extend_from_slice(&body);
            // A server that has closed the connection may have responded before.
            let _ = wire.write_all(&bytes);
        } else {
            let wire = wire.clone();
            std::thread::spawn(move || wire.write_all(&bytes).and_then(|()| wire.write_all(&body)));
        }
        self.call(wire, name)
    }

    /// Sends the head of a request whose body follows piece by piece, with the chunked transfer coding.
    #[track_caller]
    pub fn upload(self) -> TestUpload {
        let name = self.name();
        let wire = self.connect(&name);
        let head = self.head("transfer-encoding: chunked\r\n");
        let _ = wire.write_all(&head);
        TestUpload {
            wire: wire.clone(),
            call: self.call(wire, name),
        }
    }

    fn copy(&self) -> Self {
        TestRequest {
            session: self.session.clone(),
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        }
    }

    /// The request to the target of a response, if that is a redirect to the same host.
    fn redirected(mut self, response: &TestResponse) -> Option<Self> {
        let status = response.status();
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
            _ => return None,
        };
        self.target = resolved(response.header("location")?, &self.target)?;
        if becomes_get {
            self.method = Method::GET;
            self.body = None;
            self.headers.remove(header::CONTENT_TYPE);
        }
        Some(self)
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns the head, which ends with the fields of `framing`.
    pub(super) fn head(&self, framing: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !self.headers.contains_key(header::HOST) {
            head.extend_from_slice(b"host: localhost\r\n");
        }
        let now = self.session.now();
        let mut cookies: Vec<String> = self.session.jar().field(self.path(), now).into_iter().collect();
        for (name, value) in &self.headers {
            if name == header::COOKIE {
                cookies.push(String::from_utf8_lossy(value.as_bytes()).into_owned());
                continue;
            }
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        if !cookies.is_empty() {
            head.extend_from_slice(format!("cookie: {}\r\n", cookies.join("; ")).as_bytes());
        }
        head.extend_from_slice(framing.as_bytes());
        head.extend_from_slice(b"\r\n");
        head
    }

    #[track_caller]
    fn connect(&self, name: &str) -> Wire {
        match self.session.open(Opening::Requests) {
            Ok(wire) => wire,
            Err(error) => panic!("{name}: cannot connect to the application: {error}"),
        }
    }

    fn call(self, wire: Wire, name: String) -> TestCall {
        let path = self.path().to_owned();
        let expectation = self.session.contract.clone().map(|contract| Expectation {
            contract,
            method: self.method.clone(),
            path: path.clone(),
            request_headers: self.headers,
        });
        TestCall {
            path,
            expectation,
            session: self.session,
            method: self.method,
            name,
            reading: Reading::new(wire),
        }
    }
}

impl IntoFuture for TestRequest {
    type Output = TestResponse;
    type IntoFuture = Pin<Box<dyn Future<Output = TestResponse> + Send>>;

    /// Sends the request from a separate thread, so that the runtime of the test continues.
    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        let place = Location::caller();
        let (done, response) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.send()));
            // The test may have dropped the future.
            let _ = done.send(sent);
        });
        Box::pin(async move {
            match response.await {
                Ok(Ok(response)) => response,
                Ok(Err(panic)) => match panic.downcast::<String>() {
                    Ok(message) => panic!("{message}\nthe request is at {place}"),
                    Err(panic) => std::panic::resume_unwind(panic),
                },
                Err(_) => panic!("the thread of the request has ended"),
            }
        })
    }
}

/// A sent request whose response is not read yet. Dropping it closes the connection, like a client that disconnects.
#[must_use = "dropping a call closes its connection"]
pub struct TestCall {
    session: Session,
    method: Method,
    path: String,
    name: String,
    reading: Reading,
    expectation: Option<Expectation>,
}

impl TestCall {
    /// Waits for the whole response.
    #[track_caller]
    pub fn finish(self) -> TestResponse {
        self.stream().finish()
    }

    /// Waits for the head of the response.
    #[track_caller]
    pub fn stream(mut self) -> TestStream {
        let (status, headers) = match self.reading.head(&self.method) {
            Ok(head) => head,
            Err(error) => panic!("{}: {}", self.name, failure_message(&error)),
        };
        let now = self.session.now();
        self.session.jar().keep(&headers, &self.path, now);
        TestStream::new(self.name, status, headers, self.reading, self.expectation)
    }

    /// Closes the connection without waiting for a response.
    pub fn disconnect(self) {
        drop(self);
    }
}

impl fmt::Debug for TestCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestCall").field(&self.name).finish()
    }
}

/// A request whose body is sent piece by piece. Dropping it closes the connection in the middle of the body.
#[derive(Debug)]
#[must_use = "dropping an upload closes its connection"]
pub struct TestUpload {
    wire: Wire,
    call: TestCall,
}

impl TestUpload {
    /// Sends a piece until the application stops reading; an empty piece sends nothing. Returns false if the server has closed the
    /// connection, or if it has read nothing for 30 s.
    pub fn piece(&mut self, piece: impl AsRef<[u8]>) -> bool {
        let piece = piece.as_ref();
        if piece.is_empty() {
            return true;
        }
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        self.wire.write_all(&chunk).is_ok()
    }

    /// Ends the body and waits for the whole response.
    #[track_caller]
    pub fn finish(self) -> TestResponse {
        self.end().finish()
    }

    /// Ends the body.
    pub fn end(self) -> TestCall {
        let _ = self.wire.write_all(b"0\r\n\r\n");
        self.call
    }

    /// Closes the connection in the middle of the body.
    pub fn disconnect(self) {
        drop(self);
    }
}
