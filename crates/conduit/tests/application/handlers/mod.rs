//! Arguments and return values of handlers, and routing, at the socket.

mod answers;
mod arguments;
mod bodies;
#[cfg(feature = "testing")]
mod links;
mod routing;
mod targets;

/// A request without a body.
fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: test\r\n\r\n")
}

/// A request with this content type and body.
fn post(target: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// The detail of a problem response.
fn detail(response: &crate::support::Response) -> String {
    response.problem()["detail"]
        .as_str()
        .unwrap_or_else(|| panic!("no detail: {response:?}"))
        .to_owned()
}
