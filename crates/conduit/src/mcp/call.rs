//! One call of a tool: its request to the application, and the result from the response.

use http::StatusCode;
use http::header::LOCATION;
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, ErrorData};
use rmcp::service::RequestContext;
use serde_json::{Map, Value};

use super::caller::Caller;
use super::cancellation::until_cancelled;
use super::result::{failed, result_of};
use super::run::follow;
use conduit_openapi::Tool;

/// Calls the handler of a tool. A cancelled call drops the request to the application, as a client that disconnects does.
pub(super) async fn call(
    tool: &Tool,
    arguments: Map<String, Value>,
    caller: &Caller,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let request = match tool.request(arguments) {
        Ok(request) => request,
        Err(reason) => return Ok(failed(reason)),
    };
    let response = caller.send(request, "application/json, application/problem+json, */*;q=0.5");
    let response = match until_cancelled(context, response).await? {
        Ok(response) => response,
        Err(reason) => return Ok(failed(reason)),
    };
    // The handler has started work, whose progress is at this location.
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok());
    if response.status() == StatusCode::ACCEPTED
        && let Some(location) = location.filter(|location| location.starts_with('/') && !location.starts_with("//"))
        && let Some(result) = follow(location, caller, context).await?
    {
        return Ok(result);
    }
    until_cancelled(context, result_of(tool, response)).await
}
