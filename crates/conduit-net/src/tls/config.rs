//! The configuration that connections share.

use super::{TlsError, Validity, pem, read_pem_file};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::server::{ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error as Cause, RootCertStore, ServerConfig};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A chain of certificates, from the end-entity certificate to one of an issuer, and the private key of the first.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    validity: Validity,
    place: String,
}

impl Identity {
    /// Parses PEM: the chain, and the key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    /// The input contains no certificate or no key, or the key is encrypted or does not belong to the first certificate.
    /// The error names the line or the kind of the fault, and the remedy.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
        Identity::new(chain, "the text", key, "the text")
    }

    /// Reads PEM files of at most 4 MiB: the chain, and the key. Both must be regular files.
    ///
    /// # Errors
    /// As [`from_pem`](Identity::from_pem); the error names the path of the file.
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Identity, TlsError> {
        let (chain, key) = (chain.as_ref(), key.as_ref());
        let places = [chain, key].map(|path| path.display().to_string());
        Identity::new(&read_pem_file(chain)?, &places[0], &read_pem_file(key)?, &places[1])
    }

    fn new(chain: &[u8], chain_place: &str, key: &[u8], key_place: &str) -> Result<Identity, TlsError> {
        let chain = pem::certificates(chain, chain_place)?;
        let key = pem::private_key(key, key_place)?;
        let validity = Validity::of(&chain[0]).filter(|_| ParsedCertificate::try_from(&chain[0]).is_ok());
        let validity = validity.ok_or_else(|| {
            let why = "the first one is not an X.509 certificate; issue it again";
            TlsError::configuration("the certificates in", chain_place, why)
        })?;
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|cause| {
            let why = match cause {
                Cause::InconsistentKeys(_) => format!(
                    "it does not belong to the first certificate in {chain_place}; use the key of this certificate, and put \
                     the end-entity certificate before those of its issuers"
                ),
                _ => "its type is not supported; use a key of RSA (at least 2048 bits), ECDSA (P-256, P-384, P-521) or Ed25519"
                    .to_owned(),
            };
            TlsError::configuration("the private key in", key_place, why)
        })?;
        Ok(Identity {
            certified: Arc::new(certified),
            validity,
            place: chain_place.to_owned(),
        })
    }

    /// The validity of the first certificate. An identity is usable outside of its validity, but peers reject it.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The path of the chain's file, or `the text`, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("place", &self.place)
            .field("certificates", &self.certified.cert.len())
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

/// The configuration of a server's connections. A clone is a reference.
#[derive(Clone, Debug)]
pub struct TlsServer {
    pub(crate) config: Arc<ServerConfig>,
}

impl TlsServer {
    /// A server that presents this certificate to clients that request no name, or a name without a certificate.
    pub fn builder(identity: Identity) -> TlsServerBuilder {
        TlsServerBuilder {
            default: identity,
            named: Vec::new(),
            clients: None,
            clients_required: true,
            protocols: Vec::new(),
        }
    }

    /// Uses a configuration of rustls, for features that this module lacks. Here, a built server that also receives early
    /// data:
    ///
    /// ```
    /// use conduit_net::tls::{Identity, TlsServer};
    /// use std::sync::Arc;
    /// # #[cfg(target_os = "linux")] {
    /// # let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    /// # let (chain, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    /// let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes())?;
    /// let server = TlsServer::builder(identity).protocols(&["http/1.1"]).build()?;
    /// let mut config = rustls::ServerConfig::clone(server.rustls());
    /// config.max_early_data_size = 16 * 1024;
    /// let server = TlsServer::from_rustls(Arc::new(config));
    /// assert_eq!(server.rustls().max_early_data_size, 16 * 1024);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_rustls(config: Arc<ServerConfig>) -> TlsServer {
        TlsServer { config }
    }

    /// The configuration of rustls, for callers that use rustls directly.
    pub fn rustls(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

/// Builds a [`TlsServer`].
#[derive(Debug)]
pub struct TlsServerBuilder {
    default: Identity,
    named: Vec<(String, Identity)>,
    clients: Option<RootCertStore>,
    clients_required: bool,
    protocols: Vec<Vec<u8>>,
}

impl TlsServerBuilder {
    /// Adds a certificate for clients that request this host (SNI, RFC 6066). `*.example.com` matches each name with
    /// one label more than `example.com` that has no separate certificate.
    pub fn identity_for(mut self, host: &str, identity: Identity) -> TlsServerBuilder {
        self.named.push((host.to_owned(), identity));
        self
    }

    /// Sets the supported protocols in order of preference (ALPN, RFC 7301): `&["h2", "http/1.1"]`. Default: none, so
    /// the handshake selects no protocol.
    pub fn protocols(mut self, names: &[&str]) -> TlsServerBuilder {
        self.protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Requires a certificate from clients, by an issuer in this PEM text. Default: the server requests none.
    ///
    /// # Errors
    /// The text has no PEM section with a certificate, a section is damaged, or none of them is an X.509 certificate.
    /// Sections with other content are skipped if at least one is usable.
    pub fn require_client_certificates(mut self, issuers_pem: &[u8]) -> Result<TlsServerBuilder, TlsError> {
        self.clients = Some(roots(RootCertStore::empty(), issuers_pem, "the text")?);
        Ok(self)
    }

    /// Requests a certificate as [`require_client_certificates`](TlsServerBuilder::require_client_certificates) does, but also
    /// accepts clients without a certificate.
    ///
    /// # Errors
    /// The text has no PEM section with a certificate, a section is damaged, or none of them is an X.509 certificate.
    /// Sections with other content are skipped if at least one is usable.
    pub fn accept_client_certificates(mut self, issuers_pem: &[u8]) -> Result<TlsServerBuilder, TlsError> {
        self.clients_required = false;
        self.require_client_certificates(issuers_pem)
    }

    /// Builds the server.
    ///
    /// # Errors
    /// A certificate is not valid for its host.
    pub fn build(self) -> Result<TlsServer, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(issuers) => {
                let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(issuers), provider);
                if !self.clients_required {
                    verifier = verifier.allow_unauthenticated();
                }
                builder.with_client_cert_verifier(
                    verifier
                        .build()
                        .map_err(|cause| TlsError::configuration("the issuers of clients'", "certificates", cause))?,
                )
            }
        };
        let resolver: Arc<dyn ResolvesServerCert> = if self.named.is_empty() {
            Arc::new(SingleCertAndKey::from(self.default.certified))
        } else {
            let mut by_name = HashMap::new();
            for (host, identity) in self.named {
                check_host(&host, &identity.certified)?;
                by_name.insert(host.to_ascii_lowercase(), identity.certified);
            }
            Arc::new(Resolver {
                by_name,
                default: self.default.certified,
            })
        };
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = self.protocols;
        Ok(TlsServer {
            config: Arc::new(config),
        })
    }
}

/// Selects the certificate of the name that the client requests, or the default.
#[derive(Debug)]
struct Resolver {
    /// In lower case.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

/// Returns an error if the certificate is not valid for the host.
fn check_host(host: &str, identity: &CertifiedKey) -> Result<(), TlsError> {
    let failed = |cause: &dyn fmt::Display| TlsError::configuration("the certificate for", host, cause);
    // A wildcard matches one label.
    let name = host.strip_prefix("*.").map(|parent| format!("label.{parent}"));
    let name = ServerName::try_from(name.as_deref().unwrap_or(host)).map_err(|cause| failed(&cause))?;
    let certificate = identity.end_entity_cert().map_err(|cause| failed(&cause))?;
    let certificate = ParsedCertificate::try_from(certificate).map_err(|cause| failed(&cause))?;
    rustls::client::verify_server_name(&certificate, &name).map_err(|cause| failed(&cause))
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| {
            let name = name.to_ascii_lowercase();
            self.by_name.get(&name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.by_name.get(&format!("*.{parent}"))
            })
        });
        Some(named.unwrap_or(&self.default).clone())
    }
}

/// The configuration of a client's connections. A clone is a reference.
#[derive(Clone, Debug)]
pub struct TlsClient {
    pub(crate) config: Arc<ClientConfig>,
}

impl TlsClient {
    /// A client that trusts no issuer yet.
    pub fn builder() -> TlsClientBuilder {
        TlsClientBuilder {
            trusted: RootCertStore::empty(),
            identity: None,
            protocols: Vec::new(),
        }
    }

    /// Uses a configuration of rustls, for features that this module lacks. Here, a built client that sends no name of
    /// the host (SNI):
    ///
    /// ```
    /// use conduit_net::tls::TlsClient;
    /// use std::sync::Arc;
    /// let client = TlsClient::builder().protocols(&["http/1.1"]).build()?;
    /// let mut config = rustls::ClientConfig::clone(client.rustls());
    /// config.enable_sni = false;
    /// let client = TlsClient::from_rustls(Arc::new(config));
    /// assert!(!client.rustls().enable_sni);
    /// # Ok::<(), conduit_net::tls::TlsError>(())
    /// ```
    pub fn from_rustls(config: Arc<ClientConfig>) -> TlsClient {
        TlsClient { config }
    }

    /// The configuration of rustls, for callers that use rustls directly.
    pub fn rustls(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

/// Builds a [`TlsClient`].
#[derive(Debug)]
pub struct TlsClientBuilder {
    trusted: RootCertStore,
    identity: Option<Identity>,
    protocols: Vec<Vec<u8>>,
}

impl TlsClientBuilder {
    /// Trusts the certificates in a PEM text, and certificates that they have issued.
    ///
    /// # Errors
    /// The text has no PEM section with a certificate, a section is damaged, or none of them is an X.509 certificate.
    /// Sections with other content are skipped if at least one is usable.
    pub fn trust_pem(mut self, issuers: &[u8]) -> Result<TlsClientBuilder, TlsError> {
        self.trusted = roots(self.trusted, issuers, "the text")?;
        Ok(self)
    }

    /// Trusts the certificates in a PEM file, and certificates that they have issued. Linux systems have those of
    /// public issuers in `/etc/ssl/certs/ca-certificates.crt` or `/etc/pki/tls/certs/ca-bundle.crt`.
    ///
    /// # Errors
    /// The file cannot be read, or its text is unusable as in [`trust_pem`](TlsClientBuilder::trust_pem). The error names
    /// the path.
    pub fn trust_pem_file(mut self, issuers: impl AsRef<Path>) -> Result<TlsClientBuilder, TlsError> {
        let path = issuers.as_ref();
        self.trusted = roots(self.trusted, &read_pem_file(path)?, &path.display().to_string())?;
        Ok(self)
    }

    /// Sets the certificate for servers that request one. Default: none.
    pub fn identity(mut self, identity: Identity) -> TlsClientBuilder {
        self.identity = Some(identity);
        self
    }

    /// Sets the offered protocols in order of preference (ALPN, RFC 7301). Default: none.
    pub fn protocols(mut self, names: &[&str]) -> TlsClientBuilder {
        self.protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    /// The cryptographic provider supports no version of TLS.
    pub fn build(self) -> Result<TlsClient, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.trusted);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified))),
        };
        config.alpn_protocols = self.protocols;
        Ok(TlsClient {
            config: Arc::new(config),
        })
    }
}

fn roots(mut store: RootCertStore, pem: &[u8], place: &str) -> Result<RootCertStore, TlsError> {
    let (added, _) = store.add_parsable_certificates(pem::certificates(pem, place)?);
    if added == 0 {
        return Err(TlsError::configuration(
            "the certificates in",
            place,
            "none of them is an X.509 certificate; use the certificate of an issuer",
        ));
    }
    Ok(store)
}
