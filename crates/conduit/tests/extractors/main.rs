//! What handlers take beside path, query and body, at the socket.

#[path = "../support/mod.rs"]
mod support;

mod extension;
