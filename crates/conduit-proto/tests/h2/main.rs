//! The HTTP/2 engine from outside.

mod hpack;
