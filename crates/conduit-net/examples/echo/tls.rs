//! TLS, with the feature `tls`.

use crate::streams::{Accepted, Wire, watch};
use conduit_net::tls::{Identity, TlsServer, TlsStream};
use conduit_net::{Interest, Poller, TcpStream};
use std::error::Error;

impl Wire for TlsStream<TcpStream> {
    fn watch(&self, poller: &Poller, key: u64, interest: Interest, new: bool) -> std::io::Result<()> {
        watch(self.stream(), poller, key, interest, new)
    }

    fn wants(&self) -> Interest {
        self.interest()
    }

    fn finish(&mut self) -> std::io::Result<()> {
        TlsStream::finish(self)
    }
}

/// Turns an accepted connection into a TLS connection.
pub(crate) fn server(certificates: &str, key: &str) -> Result<impl Fn(TcpStream) -> Accepted, Box<dyn Error>> {
    let server = TlsServer::builder(Identity::from_pem_files(certificates, key)?).build()?;
    Ok(move |stream| Ok(Box::new(TlsStream::accept(&server, stream)?) as Box<dyn Wire>))
}
