//! Errors of TLS connections and their configuration.

use rustls::{AlertDescription, CertificateError, Error as Cause, InvalidMessage, PeerIncompatible};
use std::fmt;
use std::io;

/// An error of a TLS connection or of its configuration.
///
/// Its text names the side that rejected the handshake, the reason and the remedy, for instance: `rejected the peer's
/// certificate: it has expired; renew it, or correct the clock of this machine`.
#[derive(Debug)]
pub struct TlsError {
    cause: Failure,
}

/// The side at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The peer: this side rejects its message or certificate.
    Peer,
    /// This side: the peer rejected its message or certificate by an alert.
    Ours,
    /// The configuration, or the underlying stream.
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
                | Cause::Other(_)
                | Cause::InconsistentKeys(_)
                | Cause::InvalidCertRevocationList(_)
                | Cause::InvalidEncryptedClientHello(_)
                | Cause::UnsupportedNameType
                | Cause::BadMaxFragmentSize
                | Cause::HandshakeNotComplete
                | Cause::EncryptError
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
    /// Returns the `TlsError` that the error contains, or else wraps the error.
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
            Failure::Io(error) => write!(f, "the underlying stream failed: {error}"),
            Failure::Configuration { what, place, cause } => write!(f, "cannot use {what} {place}: {cause}"),
            Failure::Tls(Cause::InvalidCertificate(error)) => certificate(f, error),
            Failure::Tls(Cause::NoCertificatesPresented) => {
                f.write_str("rejected the peer: it presented no certificate; configure one that this side trusts")
            }
            Failure::Tls(Cause::AlertReceived(alert)) => refused(f, *alert),
            Failure::Tls(Cause::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                f.write_str("the peer does not use TLS; check the port, and that both sides use TLS")
            }
            Failure::Tls(Cause::InvalidMessage(fault)) => write!(f, "the peer sent a malformed message: {fault:?}"),
            Failure::Tls(Cause::NoApplicationProtocol) => {
                f.write_str("rejected the peer: it offers no protocol (ALPN) of this side; configure a common one")
            }
            Failure::Tls(Cause::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon)) => {
                f.write_str("rejected the peer: no common signature scheme; use a certificate with an ECDSA or RSA key")
            }
            Failure::Tls(cause) if self.side() == Side::Local => write!(f, "TLS failed on this side: {cause}"),
            Failure::Tls(cause) => write!(f, "rejected the peer: {cause}"),
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

/// Formats the reason why this side rejects the peer's certificate.
fn certificate(f: &mut fmt::Formatter<'_>, error: &CertificateError) -> fmt::Result {
    f.write_str("rejected the peer's certificate: ")?;
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            f.write_str("it has expired; renew it, or correct the clock of this machine")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            f.write_str("it is not valid yet; check the clocks of both machines")
        }
        CertificateError::NotValidForName => {
            f.write_str("it is not valid for the host; connect by a name in the certificate, or add the name to the certificate")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            write!(
                f,
                "it is not valid for the host: expected {}, found ",
                expected.to_str()
            )?;
            match presented.as_slice() {
                [] => f.write_str("no names")?,
                names => f.write_str(&names.join(", "))?,
            }
            f.write_str("; connect by a name in the certificate, or add the name to the certificate")
        }
        CertificateError::UnknownIssuer => f.write_str(
            "its issuer is unknown; trust the certificate of the issuer, or add the missing certificates to the peer's chain",
        ),
        CertificateError::Revoked => f.write_str("it was revoked; configure another one"),
        CertificateError::BadSignature => f.write_str("its signature is invalid; it is damaged or forged"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            f.write_str("it is not valid for this purpose; issue it for server authentication or client authentication")
        }
        other => write!(f, "{other}"),
    }
}

/// Formats the reason why the peer rejects the handshake or aborts the connection, according to its alert.
fn refused(f: &mut fmt::Formatter<'_>, alert: AlertDescription) -> fmt::Result {
    let why = match alert {
        AlertDescription::CertificateExpired => {
            "the certificate of this side has expired; renew it, or correct the clock of the peer"
        }
        AlertDescription::UnknownCA => {
            "the issuer of this side's certificate is unknown; trust it there, or add the missing certificates to the chain"
        }
        AlertDescription::BadCertificate | AlertDescription::UnsupportedCertificate => {
            "the certificate of this side is not acceptable; check its names, purpose and signature"
        }
        AlertDescription::CertificateRevoked => "the certificate of this side was revoked; configure another one",
        AlertDescription::CertificateUnknown => {
            "the certificate of this side is not acceptable; the log of the peer may have the reason"
        }
        AlertDescription::CertificateRequired => "a certificate is required; configure one that the peer trusts",
        AlertDescription::UnrecognisedName => "it has no certificate for the requested name; check the name",
        AlertDescription::NoApplicationProtocol => {
            "it supports none of the offered protocols (ALPN); configure a common one"
        }
        AlertDescription::ProtocolVersion => "it supports neither TLS 1.2 nor TLS 1.3; enable one of them at the peer",
        AlertDescription::HandshakeFailure => {
            "no common cipher suite, key exchange group or signature scheme; compare the TLS settings of both sides"
        }
        // Others also occur after the handshake.
        other => return write!(f, "the peer aborted the connection: alert {other:?}"),
    };
    write!(f, "the peer rejected the handshake: {why} (alert {alert:?})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_faults_do_not_blame_the_peer() {
        for cause in [
            Cause::EncryptError,
            Cause::HandshakeNotComplete,
            Cause::BadMaxFragmentSize,
            Cause::UnsupportedNameType,
        ] {
            let error = TlsError::from(cause);
            assert_eq!(error.side(), Side::Local, "{error}");
            assert!(error.to_string().starts_with("TLS failed on this side: "), "{error}");
        }
        assert_eq!(TlsError::from(Cause::DecryptError).side(), Side::Peer);
    }

    #[test]
    fn alerts_that_also_occur_after_the_handshake_do_not_name_it() {
        for (alert, expected) in [
            (
                AlertDescription::BadRecordMac,
                "the peer aborted the connection: alert BadRecordMac",
            ),
            (
                AlertDescription::InternalError,
                "the peer aborted the connection: alert InternalError",
            ),
            (
                AlertDescription::CertificateRequired,
                "the peer rejected the handshake: a certificate is required; configure one that the peer trusts (alert \
                 CertificateRequired)",
            ),
        ] {
            assert_eq!(TlsError::from(Cause::AlertReceived(alert)).to_string(), expected);
        }
    }
}
