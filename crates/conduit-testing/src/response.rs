//! Responses, and the assertions of tests.

use std::fmt::{self, Write as _};

use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::contract::Expectation;
use super::difference::differences;
use super::events::{EventBuffer, ServerEvent};
use super::reading::{Reading, failure_message, is_cut_short};

/// The number of characters of a body in a failed assertion.
const SHOWN: usize = 4000;

/// A whole response. Assertions return it, so that they can be chained, and panic at the line of the test with the request, the
/// difference, and the response.
#[derive(Clone, Debug)]
pub struct TestResponse {
    request: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl TestResponse {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first header field with this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// Panics if the body is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        match str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => self.fail(format_args!("the body is not text: {error}")),
        }
    }

    /// The body, parsed as JSON.
    ///
    /// # Panics
    ///
    /// Panics if the body is not the expected JSON.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => self.fail(format_args!("the body is not the expected JSON: {error}")),
        }
    }

    /// Asserts that the body is problem details (RFC 9457), and returns it.
    #[track_caller]
    pub fn problem(&self) -> Value {
        self.assert_header("content-type", "application/problem+json");
        self.json()
    }

    /// Asserts the status: `201`, or a [`StatusCode`].
    #[track_caller]
    pub fn assert_status(&self, expected: impl PartialEq<StatusCode> + fmt::Display) -> &Self {
        if expected != self.status {
            self.fail(format_args!("expected the status {expected}, found {}", self.status));
        }
        self
    }

    /// Asserts a status of success, 200 to 299.
    #[track_caller]
    pub fn assert_success(&self) -> &Self {
        if !self.status.is_success() {
            self.fail(format_args!("expected a status of success, found {}", self.status));
        }
        self
    }

    /// Asserts the value of the first header field with this name.
    #[track_caller]
    pub fn assert_header(&self, name: &str, expected: &str) -> &Self {
        match self.header(name) {
            Some(found) if found == expected => self,
            Some(found) => self.fail(format_args!("{name}: expected {expected:?}, found {found:?}")),
            None => self.fail(format_args!("{name}: expected {expected:?}, found no such field")),
        }
    }

    /// Asserts that the body is this text.
    #[track_caller]
    pub fn assert_text(&self, expected: &str) -> &Self {
        let found = self.text();
        if found != expected {
            let place = found
                .chars()
                .zip(expected.chars())
                .take_while(|(found, expected)| found == expected);
            let same = place.count();
            self.fail(format_args!(
                "the text differs from character {same} on (counted from 0): expected {expected:?}, found {found:?}"
            ));
        }
        self
    }

    /// Asserts that the body contains this text.
    #[track_caller]
    pub fn assert_text_contains(&self, expected: &str) -> &Self {
        if !self.text().contains(expected) {
            self.fail(format_args!("expected {expected:?} in the body"));
        }
        self
    }

    /// Asserts that the body is this value as JSON.
    #[track_caller]
    pub fn assert_json(&self, expected: &impl Serialize) -> &Self {
        self.compare(expected, false)
    }

    /// Asserts that the body is this value as JSON, with any further members of objects.
    #[track_caller]
    pub fn assert_json_contains(&self, expected: &impl Serialize) -> &Self {
        self.compare(expected, true)
    }

    #[track_caller]
    fn compare(&self, expected: &impl Serialize, subset: bool) -> &Self {
        let expected = match serde_json::to_value(expected) {
            Ok(expected) => expected,
            Err(error) => self.fail(format_args!("cannot write the expected value as JSON: {error}")),
        };
        let differences = differences(&expected, &self.json(), subset);
        if !differences.is_empty() {
            self.fail(format_args!("the JSON differs:\n  {}", differences.join("\n  ")));
        }
        self
    }

    /// Asserts that the document describes the received part of the response.
    #[track_caller]
    fn assert_documented(&self, expectation: Option<&Expectation>, body: Option<&[u8]>) {
        let difference = expectation.and_then(|all| all.difference(self.status, &self.headers, body));
        if let Some(difference) = difference {
            self.fail(format_args!(
                "{difference}\nCorrect the description or the handler; `undocumented()` accepts the response of this request"
            ));
        }
    }

    #[track_caller]
    fn fail(&self, what: fmt::Arguments<'_>) -> ! {
        panic!("{}: {what}\n{self}", self.request);
    }
}

impl fmt::Display for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--- the response: {}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        f.write_char('\n')?;
        let body = match serde_json::from_slice::<Value>(&self.body) {
            Ok(value) => format!("{value:#}"),
            Err(_) => String::from_utf8_lossy(&self.body).into_owned(),
        };
        let shown: String = body.chars().take(SHOWN).collect();
        f.write_str(&shown)?;
        if shown.len() < body.len() {
            write!(f, "\n… {} bytes in all", self.body.len())?;
        }
        Ok(())
    }
}

/// A response with a streamed body. Dropping it closes the connection, like a client that disconnects.
pub struct TestStream {
    response: TestResponse,
    reading: Reading,
    /// The received part of the next event.
    events: EventBuffer,
    /// The documented responses, until the whole body is read.
    expectation: Option<Expectation>,
    /// The test has received a piece of the body.
    is_begun: bool,
}

impl TestStream {
    /// # Panics
    /// Panics if the document does not describe the head.
    #[track_caller]
    pub(super) fn new(
        request: String,
        status: StatusCode,
        headers: HeaderMap,
        reading: Reading,
        expectation: Option<Expectation>,
    ) -> Self {
        let response = TestResponse {
            request,
            status,
            headers,
            body: Vec::new(),
        };
        response.assert_documented(expectation.as_ref(), None);
        TestStream {
            response,
            reading,
            events: EventBuffer::default(),
            expectation,
            is_begun: false,
        }
    }

    /// The response without a body, to assert its head.
    pub fn head(&self) -> &TestResponse {
        &self.response
    }

    /// Waits for the next piece of the body; `None` at its end. Pieces that arrive together may be joined.
    #[track_caller]
    pub fn piece(&mut self) -> Option<Vec<u8>> {
        self.is_begun = true;
        match self.reading.piece() {
            Ok(piece) => piece,
            Err(error) => panic!("{}: {}", self.response.request, failure_message(&error)),
        }
    }

    /// Waits for the next server-sent event; `None` at the end of the stream.
    #[track_caller]
    pub fn event(&mut self) -> Option<ServerEvent> {
        loop {
            if let Some(event) = self.events.take_event() {
                return Some(event);
            }
            let piece = self.piece()?;
            self.events.push(&piece);
        }
    }

    /// Reads the rest of the body, and returns whether the server ends it prematurely.
    ///
    /// # Panics
    ///
    /// Panics if nothing arrives within the timeout, or if the framing of the body is invalid.
    #[track_caller]
    pub fn is_incomplete(mut self) -> bool {
        loop {
            match self.reading.piece() {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(error) if is_cut_short(&error) => return true,
                Err(error) => panic!("{}: {}", self.response.request, failure_message(&error)),
            }
        }
    }

    /// Waits for the rest of the body.
    #[track_caller]
    pub fn finish(mut self) -> TestResponse {
        let is_whole = !self.is_begun;
        let mut body = std::mem::take(&mut self.events).into_rest();
        while let Some(piece) = self.piece() {
            body.extend(piece);
        }
        let mut response = self.response;
        response.body = body;
        if is_whole {
            response.assert_documented(self.expectation.as_ref(), Some(&response.body));
        }
        response
    }

    /// Closes the connection.
    pub fn disconnect(self) {
        drop(self);
    }
}

impl fmt::Debug for TestStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestStream").field(&self.response.request).finish()
    }
}
