//! The server's side of HTTP/2 (RFC 9113), in parts: the compression of fields is complete.

pub mod hpack;
