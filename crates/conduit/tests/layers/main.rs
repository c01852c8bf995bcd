//! Layers between the server and the handlers, at the socket.

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "compression")]
mod compression;
mod conditional;
mod cors;
#[cfg(all(feature = "cookies", feature = "openapi", feature = "testing"))]
mod cross_origin;
#[cfg(feature = "tower")]
mod handlers;
mod limits;
mod order;
mod paths;
#[cfg(feature = "testing")]
mod provided;
mod rate_limit;
mod security;
mod stored;
#[cfg(feature = "testing")]
mod stored_content;
#[cfg(feature = "testing")]
mod stored_streams;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "tower")]
mod tower_http;
#[cfg(feature = "tower")]
mod tower_service;
mod trailers;
#[cfg(feature = "compression")]
mod vary;
mod versions;
mod workers;

/// A request without a body, with these header fields.
fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: test\r\n");
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request
}
