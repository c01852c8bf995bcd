//! The result of a tool from the response of its handler.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, LOCATION};
use http_body_util::{BodyExt as _, Limited};
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::Value;

use crate::extract::media_type;
use conduit_core::interop::SendBody;
use conduit_openapi::Tool;

/// The maximum length of a response that becomes a result.
const RESULT_BYTES: usize = 4 * 1024 * 1024;

/// Reads the response. An error of the application is a tool error with the problem as its text.
pub(super) async fn result_of(tool: &Tool, response: http::Response<SendBody>) -> CallToolResult {
    let (head, body) = response.into_parts();
    let field = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = head.headers.get(CONTENT_TYPE).and_then(media_type).unwrap_or_default();
    let body = match Limited::new(body, RESULT_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return failed(format!("the response could not be read: {error}")),
    };
    let is_json = media_type == "application/json" || media_type.ends_with("+json");
    let is_text = is_json || media_type.is_empty() || media_type.starts_with("text/");
    let mut content = match std::str::from_utf8(&body) {
        _ if body.is_empty() => vec![ContentBlock::text(head.status.to_string())],
        Ok(text) if is_text => vec![ContentBlock::text(text)],
        _ => vec![binary(tool, &media_type, &body)],
    };
    // The place of a created resource, or the target of a redirect.
    if let Some(location) = field(LOCATION) {
        content.push(ContentBlock::text(format!("location: {location}")));
    }
    if head.status.is_client_error() || head.status.is_server_error() {
        return CallToolResult::error(content);
    }
    let mut result = CallToolResult::success(content);
    if is_json && let Ok(value) = serde_json::from_slice::<Value>(&body) {
        result.structured_content = tool.structured(value);
    }
    result
}

/// A result with the reason, so that a model can call the tool with other arguments.
pub(super) fn failed(reason: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(reason)])
}

fn binary(tool: &Tool, media_type: &str, body: &[u8]) -> ContentBlock {
    let data = STANDARD.encode(body);
    match media_type.split('/').next() {
        Some("image") => ContentBlock::image(data, media_type),
        Some("audio") => ContentBlock::audio(data, media_type),
        _ => {
            let uri = format!("tool:{}", tool.name);
            ContentBlock::resource(ResourceContents::blob(data, uri).with_mime_type(media_type))
        }
    }
}
