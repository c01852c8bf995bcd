//! Connections with TLS.

use redis::{Client, ConnectionAddr, ConnectionInfo, RedisResult, TlsCertificates};
use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// A server at a URL such as `rediss://cache.internal:6379/0`, whose certificate is signed by one of these authorities in PEM
/// instead of one that the system trusts. [`RedisEngine`](crate::RedisEngine), [`RedisStore`](crate::RedisStore) and
/// [`Engines::at`](crate::Engines::at) accept it in place of the URL.
///
/// # Errors
///
/// Returns an error if the URL is malformed or has another scheme, or if the PEM contains no certificate.
///
/// # Example
///
/// The authority of a private network:
///
/// ```no_run
/// use conduit_redis::{Engines, with_authorities};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let authorities = std::fs::read("/etc/ssl/internal.pem")?;
/// let engines = Engines::at(with_authorities("rediss://cache.internal:6379/0", &authorities)?)?;
/// # Ok(())
/// # }
/// ```
pub fn with_authorities(url: &str, pem: &[u8]) -> RedisResult<ConnectionInfo> {
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(pem.to_vec()),
    };
    Ok(Client::build_with_tls(url, certificates)?.get_connection_info().clone())
}

/// Installs aws-lc-rs as the default cryptography provider for a URL with TLS, unless the program has installed a provider.
pub(crate) fn prepare(info: &ConnectionInfo) {
    if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) && CryptoProvider::get_default().is_none() {
        // Another thread may have been first.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}
