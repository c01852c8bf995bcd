//! TLS 1.2 and 1.3 over any stream, blocking or not, by rustls. RFC 8446.
//!
//! [`TlsServer`] and [`TlsClient`] contain the configuration that connections share: certificates, trusted issuers,
//! protocols. A [`TlsStream`] is one connection over any stream that implements `Read` and `Write`.
//!
//! ```no_run
//! use conduit_net::TcpStream;
//! use conduit_net::tls::{TlsClient, TlsStream};
//! use std::io::{Read, Write};
//! use std::time::Duration;
//!
//! let trusted = TlsClient::builder().trust_pem_file("/etc/ssl/certs/ca-certificates.crt")?.protocols(&["http/1.1"]).build()?;
//! let stream = TcpStream::connect_host("www.rust-lang.org:443", Duration::from_secs(5))?;
//! stream.set_blocking(true)?;
//! let mut stream = TlsStream::connect(&trusted, "www.rust-lang.org", stream)?;
//! stream.write_all(b"GET / HTTP/1.1\r\nHost: www.rust-lang.org\r\nConnection: close\r\n\r\n")?;
//! let mut answer = Vec::new();
//! stream.read_to_end(&mut answer)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod error;
mod pem;
mod stream;
mod validity;

pub use config::{Identity, TlsClient, TlsClientBuilder, TlsServer, TlsServerBuilder};
pub use error::{Side, TlsError};
pub use pem::read_pem_file;
pub use stream::TlsStream;
pub use validity::Validity;
