//! The identity of the connection's peer beyond its address.

use super::FromRequest;
use crate::connection_info::PeerProcess;
use crate::openapi::Operation;
#[cfg(feature = "tls")]
use crate::openapi::SecurityScheme;
use crate::problem::Problem;
use crate::request::Request;
use http::StatusCode;

/// The peer process of a Unix socket at the time of its connection, as reported by the system: unix(7), `SO_PEERCRED`. Linux
/// only.
///
/// Requests over other connections are rejected with 403; `Option<UnixPeer>` accepts them.
///
/// # Example
///
/// A service that identifies users of this machine:
///
/// ```
/// use conduit::prelude::*;
/// use conduit::UnixPeer;
///
/// #[get("/whoami")]
/// async fn whoami(peer: UnixPeer) -> String {
///     format!("user {} by process {}", peer.user, peer.process)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixPeer {
    /// The process ID; 0 for a process in another container.
    pub process: u32,
    /// The effective user ID.
    pub user: u32,
    /// The effective group ID.
    pub group: u32,
}

fn unix_peer(request: &Request) -> Option<UnixPeer> {
    let PeerProcess { process, user, group } = request.connection_info()?.unix?;
    Some(UnixPeer { process, user, group })
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for UnixPeer {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        unix_peer(request).ok_or_else(|| {
            Problem::new(StatusCode::FORBIDDEN).with_detail("this route is available over a Unix socket only")
        })
    }

    fn describe(operation: &mut Operation) {
        if !operation.is_optional() {
            operation.problem(StatusCode::FORBIDDEN, "The route is available over a Unix socket only.");
        }
    }

    fn is_absent(request: &Request) -> bool {
        unix_peer(request).is_none()
    }
}

/// The certificate that the client sent in the TLS handshake. Its issuer is trusted for clients, and the client has proved
/// possession of its key: [`Tls::require_clients`](crate::Tls::require_clients).
///
/// Requests without a certificate are rejected with 403; `Option<ClientCertificate>` accepts them.
///
/// # Example
///
/// A greeting with the name in the certificate:
///
/// ```
/// use conduit::prelude::*;
/// use conduit::ClientCertificate;
///
/// #[get("/whoami")]
/// async fn whoami(certificate: ClientCertificate) -> String {
///     certificate.dns_names().join(", ")
/// }
/// ```
#[cfg(feature = "tls")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    chain: Vec<Box<[u8]>>,
}

#[cfg(feature = "tls")]
impl ClientCertificate {
    /// Returns the certificate in DER (X.509, RFC 5280), for a parser or for comparison with a known one.
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[], |certificate| certificate)
    }

    /// Returns the certificate and the intermediate certificates that the client sent, in DER.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(|certificate| &**certificate)
    }

    /// Returns the DNS names of the certificate (`subjectAltName`).
    pub fn dns_names(&self) -> Vec<String> {
        self.names(|certificate| certificate.valid_dns_names().map(str::to_owned).collect())
    }

    /// Returns the URIs of the certificate (`subjectAltName`), such as a SPIFFE identity.
    pub fn uri_names(&self) -> Vec<String> {
        self.names(|certificate| certificate.valid_uri_names().map(str::to_owned).collect())
    }

    fn names(&self, read: impl FnOnce(webpki::EndEntityCert<'_>) -> Vec<String>) -> Vec<String> {
        let der = rustls::pki_types::CertificateDer::from(self.der());
        let certificate = webpki::EndEntityCert::try_from(&der);
        certificate.map(read).unwrap_or_default()
    }
}

#[cfg(feature = "tls")]
fn client_certificates(request: &Request) -> Option<&[Box<[u8]>]> {
    let certificates = &request.connection_info()?.tls.as_ref()?.certificates;
    (!certificates.is_empty()).then_some(certificates)
}

#[cfg(feature = "tls")]
#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for ClientCertificate {
    const IS_AMBIENT: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let chain = client_certificates(request).ok_or_else(|| {
            Problem::new(StatusCode::FORBIDDEN)
                .with_detail("a client certificate is required: send one in the TLS handshake")
        })?;
        Ok(ClientCertificate { chain: chain.to_vec() })
    }

    fn describe(operation: &mut Operation) {
        if !operation.is_optional() {
            operation.problem(StatusCode::FORBIDDEN, "The client presents no certificate.");
        }
        operation.security("certificate", SecurityScheme::mutual_tls(), &[]);
    }

    fn is_absent(request: &Request) -> bool {
        client_certificates(request).is_none()
    }
}
