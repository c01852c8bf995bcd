//! The HTTP/2 engine from outside.

mod attacks;
mod cases;
mod conformance;
mod drive;
mod frames;
mod hpack;
mod server;
mod twin;
