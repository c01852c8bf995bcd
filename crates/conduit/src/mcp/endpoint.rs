//! The endpoint of the protocol over HTTP.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use rmcp::model::{ClientJsonRpcMessage, ErrorCode};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;

use super::caller::Caller;
use super::cancellation::unless;
use super::disconnect::{Connected, begun, disconnect_of, without_cancellation};
use super::message;
use super::server::ToolServer;
use crate::body::Body;
use crate::events::is_event_stream;
use crate::extract::{FromRequest, Json};
use crate::origin::PageOrigin;
use crate::problem::{Excerpt, Problem};
use crate::request::Request;
use crate::response::{IntoResponse as _, Response};
use crate::route::Disconnect;
use crate::server::service::InternalCaller;

/// The service of `rmcp` at a path of the application.
#[derive(Clone)]
pub(crate) struct McpEndpoint {
    service: Arc<StreamableHttpService<ToolServer, NeverSessionManager>>,
    trusted_origins: Arc<[String]>,
    /// The action of the application at the end of a client.
    disconnect: Disconnect,
}

impl McpEndpoint {
    pub(crate) fn new(server: ToolServer, trusted_origins: Vec<String>, disconnect: Disconnect) -> Self {
        // Without sessions each worker can serve each message. The origin is checked below, with a problem as the response.
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .disable_allowed_hosts();
        let factory = move || Ok(server.clone());
        McpEndpoint {
            service: Arc::new(StreamableHttpService::new(factory, Arc::default(), config)),
            trusted_origins: trusted_origins.into(),
            disconnect,
        }
    }

    /// The response to a message.
    pub(crate) async fn answer(self, mut request: Request) -> Response {
        if let Err(problem) = self.check_origin(&request) {
            return problem.into_response();
        }
        let Some(application) = InternalCaller::of_this_thread() else {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE)
                .with_detail("tools cannot be called in an application from App::into_local_service: use a server or App::into_service")
                .into_response();
        };
        let (client, client_end) = Connected::new();
        let caller = Caller::of_request(application, &request, client_end);
        let body = match <Bytes as FromRequest<()>>::from_request(&mut request, &()).await {
            Ok(body) => body,
            Err(rejection) => return rejection.into_response(),
        };
        let is_json = request
            .header("content-type")
            .is_some_and(|value| value.starts_with(b"application/json"));
        if is_json {
            match serde_json::from_slice::<ClientJsonRpcMessage>(&body) {
                Ok(message) => {
                    if let Err(reason) = message::check(&message, body.len()) {
                        return refusal(ErrorCode::INVALID_REQUEST, reason);
                    }
                }
                Err(error) => return not_a_message(&error),
            }
        }
        let mut message = http::Request::new(Full::new(body));
        *message.method_mut() = request.method().clone();
        *message.uri_mut() = request.uri().clone();
        *message.headers_mut() = request.headers().clone();
        message.extensions_mut().insert(caller.clone());
        let disconnect = disconnect_of(&request, self.disconnect);
        let service = self.service;
        let mut handled = Box::pin(async move { service.handle(message).await });
        let mut response = match unless(client.followed(), handled.as_mut()).await {
            Ok(response) => readable(response, client, disconnect).await,
            Err(_) => begun(handled, client),
        };
        for cookie in caller.cookies_of_response() {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    /// Checks the origin of a page that sends a message. After DNS rebinding, a page has the same origin as the request, so only
    /// trusted origins and loopback origins are accepted.
    fn check_origin(&self, request: &Request) -> Result<(), Problem> {
        let origin = PageOrigin::of(request);
        let Some(value) = &origin.sent else { return Ok(()) };
        let is_local = is_loopback(value)
            && request.header("host").is_some_and(|host| {
                let host = String::from_utf8_lossy(host);
                is_loopback(&format!("http://{host}"))
            });
        if is_local || origin.is_among(&self.trusted_origins) {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "pages of the origin {:?} may not call tools: permit the origin with App::trusted_origin",
            Excerpt::new(value)
        )))
    }
}

/// Converts an error of `rmcp`, a body without a content type, to a problem. Any other response is unchanged.
async fn readable(
    response: http::Response<BoxBody<Bytes, Infallible>>,
    client: Connected,
    disconnect: Disconnect,
) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.headers().contains_key(CONTENT_TYPE) {
        let is_stream = is_event_stream(response.headers());
        return response.map(|body| match is_stream && disconnect == Disconnect::Finish {
            true => without_cancellation(body, client),
            false => Body::from_http_body(body),
        });
    }
    let (mut head, body) = response.into_parts();
    let Ok(text) = body.collect().await;
    let text = String::from_utf8_lossy(&text.to_bytes()).trim().to_owned();
    let mut problem = Problem::new(status).with_detail(text).into_response();
    head.headers.remove(CONTENT_LENGTH);
    problem.headers_mut().extend(head.headers);
    problem
}

/// The error of JSON-RPC for a body that is not a message (JSON-RPC 2.0, section 5.1).
fn not_a_message(error: &serde_json::Error) -> Response {
    match error.is_data() {
        true => refusal(
            ErrorCode::INVALID_REQUEST,
            format!("the body is not a message of JSON-RPC: {error}"),
        ),
        false => refusal(ErrorCode::PARSE_ERROR, format!("the body is not JSON: {error}")),
    }
}

/// An error of JSON-RPC without the id of a request.
fn refusal(code: ErrorCode, message: String) -> Response {
    let error = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } });
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}

/// Returns whether the host of an origin is a loopback name or address.
fn is_loopback(origin: &str) -> bool {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|local| name.eq_ignore_ascii_case(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_machine_have_its_names() {
        for (origin, is_local) in [
            ("http://localhost", true),
            ("http://LOCALHOST:8080", true),
            ("https://127.0.0.1:1", true),
            ("http://[::1]:8080", true),
            ("http://[::1]", true),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com:80", false),
            ("http://example.com:127", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(origin), is_local, "{origin}");
        }
    }
}
