//! Errors of TLS connections and their configuration.

use rustls::{AlertDescription, CertificateError, Error as Cause, InvalidMessage, PeerIncompatible};
use std::fmt;
use std::io;

/// An error of a TLS connection or of its configuration.
///
/// Its text names the side that refused the handshake, the reason and the remedy, for instance: `we refuse the peer's certificate: it has expired;
/// the peer must renew it (or this machine's clock is wrong)`.
#[derive(Debug)]
pub struct TlsError {
    cause: Failure,
}

/// The side at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The peer: this side refuses its message or certificate.
    Peer,
    /// This side: the peer refused its message or certificate with an alert.
    Ours,
    /// The caller's configuration, or the stream below.
    Local,
}

#[derive(Debug)]
pub(crate) enum Failure {
    Tls(Cause),
    Io(io::Error),
    Configuration {
        what: &'static str,
        place: String,
        cause: String,
    },
}

impl TlsError {
    /// The side at fault.
    pub fn side(&self) -> Side {
        match &self.cause {
            Failure::Tls(Cause::AlertReceived(_)) => Side::Ours,
            Failure::Tls(
                Cause::General(_)
                | Cause::InconsistentKeys(_)
                | Cause::FailedToGetRandomBytes
                | Cause::FailedToGetCurrentTime,
            ) => Side::Local,
            Failure::Tls(_) => Side::Peer,
            Failure::Io(_) | Failure::Configuration { .. } => Side::Local,
        }
    }

    pub(crate) fn configuration(what: &'static str, place: impl fmt::Display, cause: impl fmt::Display) -> TlsError {
        TlsError {
            cause: Failure::Configuration {
                what,
                place: place.to_string(),
                cause: cause.to_string(),
            },
        }
    }
}

impl From<Cause> for TlsError {
    fn from(cause: Cause) -> TlsError {
        TlsError {
            cause: Failure::Tls(cause),
        }
    }
}

impl From<io::Error> for TlsError {
    /// Returns the `TlsError` inside an error of reading or writing.
    fn from(error: io::Error) -> TlsError {
        match error.downcast::<TlsError>() {
            Ok(error) => error,
            Err(error) => TlsError {
                cause: Failure::Io(error),
            },
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> io::Error {
        match error.cause {
            Failure::Io(error) => error,
            Failure::Configuration { .. } => io::Error::new(io::ErrorKind::InvalidInput, error),
            Failure::Tls(_) => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Failure::Io(error) => write!(f, "the stream below TLS failed: {error}"),
            Failure::Configuration { what, place, cause } => write!(f, "cannot use {what} {place}: {cause}"),
            Failure::Tls(Cause::InvalidCertificate(error)) => certificate(f, error),
            Failure::Tls(Cause::NoCertificatesPresented) => {
                f.write_str("we refuse the peer: it showed no certificate; give it one that this side trusts")
            }
            Failure::Tls(Cause::AlertReceived(alert)) => refused(f, *alert),
            Failure::Tls(Cause::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                f.write_str("the peer does not speak TLS; check that both sides do, and the port")
            }
            Failure::Tls(Cause::InvalidMessage(fault)) => write!(f, "the peer sent a malformed message: {fault:?}"),
            Failure::Tls(Cause::NoApplicationProtocol) => f.write_str(
                "we refuse the peer: it offers no protocol (ALPN) that this side speaks; let both name one in common",
            ),
            Failure::Tls(Cause::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon)) => f
                .write_str(
                    "we refuse the peer: no kind of signature in common; use a certificate with an ECDSA or RSA key",
                ),
            Failure::Tls(cause) if self.side() == Side::Local => write!(f, "TLS failed on this side: {cause}"),
            Failure::Tls(cause) => write!(f, "we refuse the peer: {cause}"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Failure::Tls(cause) => Some(cause),
            Failure::Io(cause) => Some(cause),
            Failure::Configuration { .. } => None,
        }
    }
}

/// Writes the reason for which this side refuses the peer's certificate.
fn certificate(f: &mut fmt::Formatter<'_>, error: &CertificateError) -> fmt::Result {
    f.write_str("we refuse the peer's certificate: ")?;
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            f.write_str("it has expired; the peer must renew it (or this machine's clock is wrong)")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            f.write_str("it is not valid yet; check both machines' clocks")
        }
        CertificateError::NotValidForName => {
            f.write_str("it is for another host; connect by a name that is in it, or give the peer one for this name")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            write!(
                f,
                "it is for another host: we asked for {}, it is for ",
                expected.to_str()
            )?;
            match presented.as_slice() {
                [] => f.write_str("none")?,
                names => f.write_str(&names.join(", "))?,
            }
            f.write_str("; connect by a name that is in it, or give the peer one for this name")
        }
        CertificateError::UnknownIssuer => f.write_str(
            "its issuer is unknown; trust the issuer's certificate, or let the peer send the chain up to one we trust",
        ),
        CertificateError::Revoked => f.write_str("it was revoked; the peer must use another"),
        CertificateError::BadSignature => f.write_str("its signature is wrong; it is damaged or forged"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            f.write_str("it is not for this purpose; issue it for server or client authentication, as the peer uses it")
        }
        other => write!(f, "{other}"),
    }
}

/// Writes the reason for which the peer refuses this side, as its alert gives it.
fn refused(f: &mut fmt::Formatter<'_>, alert: AlertDescription) -> fmt::Result {
    let why = match alert {
        AlertDescription::CertificateExpired => "our certificate has expired; renew it (or the peer's clock is wrong)",
        AlertDescription::UnknownCA => {
            "the issuer of our certificate is unknown to it; let it trust the issuer, or send the chain up to one it trusts"
        }
        AlertDescription::BadCertificate | AlertDescription::UnsupportedCertificate => {
            "our certificate is not good for it; check its names, purpose and signature"
        }
        AlertDescription::CertificateRevoked => "our certificate was revoked; use another",
        AlertDescription::CertificateUnknown => "it cannot accept our certificate, and does not say why",
        AlertDescription::CertificateRequired => "it wants a certificate of us; configure one that it trusts",
        AlertDescription::UnrecognisedName => "it has no certificate for the name that we asked for; check the name",
        AlertDescription::NoApplicationProtocol => {
            "it speaks none of our protocols (ALPN); let both name one in common"
        }
        AlertDescription::ProtocolVersion => "it speaks no TLS version of ours (1.2, 1.3)",
        AlertDescription::HandshakeFailure => "no cipher, curve or signature in common",
        other => return write!(f, "the peer refused us: alert {other:?}"),
    };
    write!(f, "the peer refused us: {why} (alert {alert:?})")
}
