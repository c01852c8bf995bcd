//! A tool that starts a run: the call ends with the run, whose progress is that of the call.

use http_body_util::BodyExt as _;
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, ContentBlock, ErrorData, ProgressNotificationParam};
use rmcp::service::RequestContext;
use serde_json::Value;

use super::caller::Caller;
use super::cancellation::{unless, until_cancelled};
use super::result::failed;
use crate::events::{MEDIA_TYPE, is_event_stream};
use crate::runs::FollowsRun;
use conduit_core::interop::SendBody;
use conduit_openapi::ToolRequest;

/// The maximum length of a run's event.
const EVENT_BYTES: usize = 256 * 1024;

/// Follows the work at a location until it ends. `None` if the location has no event stream.
///
/// A cancelled call cancels a run of [`Runs`](crate::runs::Runs), and sends nothing to any other resource: a DELETE removes it.
/// The stream of any other resource may have no end, so a disconnect cancels the call in all revisions; the response to the message
/// begins with it.
pub(super) async fn follow(
    location: &str,
    caller: &Caller,
    context: &RequestContext<RoleServer>,
) -> Result<Option<CallToolResult>, ErrorData> {
    let request = |method| ToolRequest::to(method, location.to_owned());
    // A call that is cancelled before this response waits for it, because only the response shows that the location is a run.
    let Ok(response) = caller.send(request("GET"), MEDIA_TYPE).await else {
        return Ok(None);
    };
    let is_run = response.extensions().get::<FollowsRun>().is_some();
    if !is_event_stream(response.headers()) {
        return Ok(None);
    }
    let update = until_cancelled(context, last_update(response.into_body(), is_run, context));
    let ended = match is_run {
        true => update.await,
        false => unless(caller.disconnected(), update).await.flatten(),
    };
    if ended.is_err() && is_run {
        // The client does not wait for the response.
        let _ = caller.send(request("DELETE"), "*/*").await;
    }
    ended.map(Some)
}

/// Reports the progress of a run, and returns its last update.
async fn last_update(mut body: SendBody, is_run: bool, context: &RequestContext<RoleServer>) -> CallToolResult {
    let mut buffer = Vec::new();
    let mut count = 0.0;
    while let Some(Ok(frame)) = body.frame().await {
        buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        while let Some(end) = buffer.windows(2).position(|bytes| bytes == b"\n\n") {
            let event: Vec<u8> = buffer.drain(..end + 2).collect();
            let Some(update) = data(&event) else { continue };
            if update["state"] == "running" {
                count += 1.0;
                report(&update["progress"], count, context).await;
                continue;
            }
            let end = match update["state"].as_str() {
                Some("succeeded") => CallToolResult::success,
                Some("failed" | "cancelled" | "cut_off") => CallToolResult::error,
                // Missed updates: the run continues.
                _ => continue,
            };
            if is_run {
                // Its stream ends after the last update, and the record of its request with the stream.
                let _ = body.frame().await;
            }
            return end(vec![ContentBlock::text(update.to_string())]);
        }
        if buffer.len() > EVENT_BYTES {
            return failed("an update of the run is longer than the limit of 256 KiB");
        }
    }
    failed("the event stream of the run ended before the run")
}

/// The data of an event as JSON.
fn data(event: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(event).ok()?;
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data:")).collect();
    serde_json::from_str(&lines.join("\n")).ok()
}

/// Sends progress to a client that requested it: the number that the run reports, or else the number of its updates.
async fn report(progress: &Value, count: f64, context: &RequestContext<RoleServer>) {
    let Some(token) = context.meta.get_progress_token() else {
        return;
    };
    let percent = progress["percent"].as_f64();
    let value = progress.as_f64().or(percent).unwrap_or(count);
    let mut notification = ProgressNotificationParam::new(token, value).with_message(progress.to_string());
    if percent.is_some() {
        notification = notification.with_total(100.0);
    }
    // A client that has disconnected receives no progress.
    let _ = context.peer.notify_progress(notification).await;
}
