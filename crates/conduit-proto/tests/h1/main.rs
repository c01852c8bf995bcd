//! Tests of the HTTP/1.1 engine through its public interface.

mod body;
mod compare;
mod connection;
mod drive;
mod head;
mod naive;
mod response;
mod split;
mod twin;
