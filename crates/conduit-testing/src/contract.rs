//! The comparison of responses with the description of the application.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};

/// The documented responses of an application, which each response of a test is compared with.
///
/// `App` of `conduit-web` makes it from its OpenAPI document. Without the feature `openapi` every response is accepted.
pub trait ResponseContract: Send + Sync {
    /// A description of the difference between a response and the documented ones; `None` if they match.
    fn difference(&self, exchange: &TestExchange<'_>) -> Option<String>;
}

/// A request of a test and its response.
#[derive(Clone, Copy, Debug)]
pub struct TestExchange<'e> {
    /// The method of the request.
    pub method: &'e Method,
    /// The path of the request, without the query.
    pub path: &'e str,
    /// The header fields of the request.
    pub request_headers: &'e HeaderMap,
    /// The status of the response.
    pub status: StatusCode,
    /// The header fields of the response.
    pub headers: &'e HeaderMap,
    /// The body of the response; `None` while only the head is known.
    pub body: Option<&'e [u8]>,
}

/// The contract of a response and its request, until the body is read.
#[derive(Clone)]
pub(super) struct Expectation {
    pub(super) contract: Arc<dyn ResponseContract>,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) request_headers: HeaderMap,
}

impl Expectation {
    /// The difference between a response and the documented ones, in words.
    pub(super) fn difference(&self, status: StatusCode, headers: &HeaderMap, body: Option<&[u8]>) -> Option<String> {
        self.contract.difference(&TestExchange {
            method: &self.method,
            path: &self.path,
            request_headers: &self.request_headers,
            status,
            headers,
            body,
        })
    }
}
