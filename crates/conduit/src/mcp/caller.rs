//! The caller of a tool: its credentials and its connection.

use std::net::SocketAddr;

use http::header::{self, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::cookies::SetCookies;
use super::disconnect::ClientEnd;
use crate::body::Body;
use crate::connection_info::ConnectionInfo;
use crate::layer::HeldSlots;
use crate::problem::Excerpt;
use crate::request::Request;
use crate::server::service::InternalCaller;
use conduit_core::interop::SendBody;
use conduit_openapi::ToolRequest;

/// Header fields of the request of MCP that the request of a call does not have: they describe the message and its connection.
const MESSAGE_HEADERS: [HeaderName; 21] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
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
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
];

/// The client of an MCP server, as the application sees it.
#[derive(Clone)]
pub(super) struct Caller {
    application: InternalCaller,
    peer: SocketAddr,
    info: Option<ConnectionInfo>,
    /// The credentials in the header fields of the message.
    headers: HeaderMap,
    /// The receiver of the cookies that responses set.
    cookies: SetCookies,
    /// The slots of the message in limits that apply to its calls, too.
    slots: Option<HeldSlots>,
    /// The end of the client over HTTP.
    end: Option<ClientEnd>,
}

impl Caller {
    /// The client that has sent a request of MCP.
    pub(super) fn of_request(application: InternalCaller, request: &Request, end: ClientEnd) -> Self {
        let mut headers = request.headers().clone();
        for name in &MESSAGE_HEADERS {
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
        // A layer may have set a target with another authority than `host`.
        let authority = request.uri().authority();
        if let Some(Ok(host)) = authority.map(|authority| HeaderValue::try_from(authority.as_str())) {
            headers.insert(HOST, host);
        }
        Caller {
            application,
            peer: request.peer_address(),
            info: request.connection_info().cloned(),
            headers,
            cookies: SetCookies::relayed(),
            slots: Some(HeldSlots::of_this_request()),
            end: Some(end),
        }
    }

    /// A client on this machine with these credentials.
    pub(super) fn local(application: InternalCaller, mut headers: HeaderMap) -> Self {
        headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        let cookies = SetCookies::kept(headers.remove(header::COOKIE).as_ref());
        Caller {
            application,
            peer: SocketAddr::from(([127, 0, 0, 1], 0)),
            info: None,
            headers,
            cookies,
            slots: None,
            end: None,
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
            let invalid =
                |_| format!("invalid argument `{name}`: the value has characters that a header field cannot contain");
            let value = HeaderValue::from_str(value).map_err(invalid)?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            headers.insert(name, value);
        }
        if let Some(cookies) = self.cookies.of_call() {
            headers.insert(header::COOKIE, cookies);
        }
        let (body, slots) = (request.body, self.slots.clone());
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
            if let Some(slots) = slots {
                request.extensions_mut().insert(slots);
            }
            request
        };
        let response = self.application.call(make, self.peer, self.info.clone()).await;
        let response = response.ok_or("the server is shutting down: try again later")?;
        for field in response.headers().get_all(header::SET_COOKIE) {
            if !self.cookies.set(field) {
                let name = field.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
                return Err(format!(
                    "the response sets the cookie {:?} after the head of the message's response: call the route without MCP",
                    Excerpt::new(&*String::from_utf8_lossy(name))
                ));
            }
        }
        Ok(response)
    }

    /// Waits until the client over HTTP has disconnected. Never returns for a client over standard input and output.
    pub(super) async fn disconnected(&self) {
        match self.end.clone() {
            Some(end) => end.wait().await,
            None => std::future::pending().await,
        }
    }

    /// Returns the cookies for the response to the message, whose head is about to be sent.
    pub(super) fn cookies_of_response(&self) -> Vec<HeaderValue> {
        self.cookies.of_response()
    }
}
