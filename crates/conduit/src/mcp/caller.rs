//! The caller of a tool: its credentials and its connection.

use std::net::SocketAddr;

use http::header::{self, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::body::Body;
use crate::connection_info::ConnectionInfo;
use crate::request::Request;
use crate::server::service::InternalCaller;
use conduit_core::interop::SendBody;
use conduit_openapi::ToolRequest;

/// Header fields of the request of MCP that the request of a call does not have: they describe the message and its connection.
const OF_THE_MESSAGE: [HeaderName; 18] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("last-event-id"),
];

/// The client of an MCP server, as the application sees it.
#[derive(Clone)]
pub(super) struct Caller {
    application: InternalCaller,
    peer: SocketAddr,
    info: Option<ConnectionInfo>,
    /// The credentials among them.
    headers: HeaderMap,
}

impl Caller {
    /// The client that has sent a request of MCP.
    pub(super) fn of_request(application: InternalCaller, request: &Request) -> Self {
        let mut headers = request.headers().clone();
        for name in &OF_THE_MESSAGE {
            headers.remove(name);
        }
        let of_protocol: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with("mcp-"))
            .cloned()
            .collect();
        for name in &of_protocol {
            headers.remove(name);
        }
        let authority = request.uri().authority();
        if let Some(Ok(host)) = authority.map(|authority| HeaderValue::try_from(authority.as_str())) {
            headers.insert(HOST, host);
        }
        Caller {
            application,
            peer: request.peer_address(),
            info: request.connection_info().cloned(),
            headers,
        }
    }

    /// A client on this machine with these credentials.
    pub(super) fn local(application: InternalCaller, mut headers: HeaderMap) -> Self {
        headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        Caller {
            application,
            peer: SocketAddr::from(([127, 0, 0, 1], 0)),
            info: None,
            headers,
        }
    }

    /// Sends a request to the application.
    ///
    /// # Errors
    /// Returns the reason in words if the request cannot be sent.
    pub(super) async fn send(
        &self,
        request: ToolRequest,
        accept: &'static str,
    ) -> Result<http::Response<SendBody>, String> {
        let uri = Uri::try_from(&request.target).map_err(|error| format!("invalid arguments: {error}"))?;
        let method = http::Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
        let mut headers = self.headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        for (name, value) in &request.headers {
            let invalid = |_| format!("invalid argument `{name}`: a header field has no such value");
            let value = HeaderValue::from_str(value).map_err(invalid)?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            headers.insert(name, value);
        }
        let body = request.body;
        // A body belongs to the thread of the application.
        let make = move || {
            let mut request = http::Request::new(if body.is_empty() {
                Body::empty()
            } else {
                Body::from(body)
            });
            *request.method_mut() = method;
            *request.uri_mut() = uri;
            *request.headers_mut() = headers;
            request
        };
        let response = self.application.call(make, self.peer, self.info.clone()).await;
        response.ok_or_else(|| "the server stops".to_owned())
    }
}
