//! Tests of the HTTP/2 engine through its public interface.

mod agreement;
mod attacks;
mod cases;
mod compare;
mod conformance;
mod drive;
mod frames;
mod hpack;
mod indexed;
mod server;
mod twin;
mod typed;
