//! TCP: tcp(7), ip(7), ipv6(7).

mod listener;
mod stream;

pub use listener::TcpListener;
pub use stream::{Shutdown, TcpStream};
