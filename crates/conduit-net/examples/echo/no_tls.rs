//! Without the feature `tls`, TLS is an error with the remedy.

use crate::streams::Accepted;
use conduit_net::TcpStream;
use std::error::Error;

pub(crate) fn server(_certificates: &str, _key: &str) -> Result<impl Fn(TcpStream) -> Accepted, Box<dyn Error>> {
    Err::<fn(TcpStream) -> _, _>("this build has no TLS: build it with --features tls".into())
}
