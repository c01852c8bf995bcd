//! The limits of a message. `rmcp` writes ids into the log as they are, and the names of unknown methods, notifications and the
//! information about a client in their full length.

use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, JsonRpcMessage, JsonRpcNotification, JsonRpcRequest,
    NumberOrString,
};

use crate::problem::Excerpt;

/// The maximum length of an id, in bytes.
const ID_BYTES: usize = 256;
/// The maximum length of a message other than a call of a tool, in bytes.
const OTHER_BYTES: usize = 64 * 1024;

/// Checks a message of this length in bytes.
///
/// # Errors
/// Returns the reason why the message is invalid.
pub(super) fn check(message: &ClientJsonRpcMessage, bytes: usize) -> Result<(), String> {
    let ids = match message {
        JsonRpcMessage::Request(JsonRpcRequest { id, .. }) => [Some(id), None],
        JsonRpcMessage::Response(response) => [Some(&response.id), None],
        JsonRpcMessage::Error(error) => [error.id.as_ref(), None],
        JsonRpcMessage::Notification(JsonRpcNotification {
            notification: ClientNotification::CancelledNotification(cancelled),
            ..
        }) => [None, cancelled.params.request_id.as_ref()],
        JsonRpcMessage::Notification(_) => [None, None],
    };
    for id in ids.into_iter().flatten() {
        check_id(id)?;
    }
    let is_call = matches!(
        message,
        JsonRpcMessage::Request(JsonRpcRequest {
            request: ClientRequest::CallToolRequest(_),
            ..
        })
    );
    if !is_call && bytes > OTHER_BYTES {
        return Err(format!(
            "a message other than a call of a tool has at most {OTHER_BYTES} bytes, this one has {bytes}"
        ));
    }
    Ok(())
}

fn check_id(id: &NumberOrString) -> Result<(), String> {
    let NumberOrString::String(id) = id else { return Ok(()) };
    if id.len() > ID_BYTES {
        return Err(format!("an id has at most {ID_BYTES} bytes, this one has {}", id.len()));
    }
    if id.chars().any(char::is_control) {
        return Err(format!("the id {:?} contains a control character", Excerpt::new(&**id)));
    }
    Ok(())
}
