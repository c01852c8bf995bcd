//! The HTTP/1.1 engine from outside: what it takes, what it refuses, what it writes.

mod body;
mod compare;
mod connection;
mod drive;
mod head;
mod naive;
mod response;
mod split;
mod twin;
