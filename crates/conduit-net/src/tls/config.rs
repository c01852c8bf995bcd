//! What many connections share.

use super::TlsError;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A chain of certificates, the own one first, and its private key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// From PEM texts: the chain, and the key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    /// When one is no PEM text or holds none of what is wanted.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
        Ok(Identity {
            chain: certificates(chain, "the text")?,
            key: PrivateKeyDer::from_pem_slice(key)
                .map_err(|cause| TlsError::configuration("the private key in", "the text", cause))?,
        })
    }

    /// From PEM files: the chain, and the key.
    ///
    /// # Errors
    /// With the file's path, when it cannot be read or holds none of what is wanted.
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Identity, TlsError> {
        let key = key.as_ref();
        Ok(Identity {
            chain: certificates(&read(chain.as_ref())?, &chain.as_ref().display().to_string())?,
            key: PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|cause| TlsError::configuration("the private key in", key.display(), cause))?,
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// What a server's connections share. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct TlsServer {
    pub(crate) config: Arc<ServerConfig>,
}

impl TlsServer {
    /// A server with this certificate for whoever asks for no name, or for one that no other certificate is for.
    pub fn builder(identity: Identity) -> TlsServerBuilder {
        TlsServerBuilder {
            default: identity,
            named: Vec::new(),
            clients: None,
            clients_required: true,
            protocols: Vec::new(),
        }
    }

    /// A configuration of rustls, for what this module does not do.
    pub fn from_rustls(config: Arc<ServerConfig>) -> TlsServer {
        TlsServer { config }
    }

    /// The configuration of rustls, for those who drive rustls themselves or change what this module does not.
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
    /// A further certificate, for clients that ask for this host (SNI, RFC 6066). `*.example.com` is for each name with one
    /// label more than `example.com` that has no certificate of its own.
    pub fn identity_for(mut self, host: &str, identity: Identity) -> TlsServerBuilder {
        self.named.push((host.to_owned(), identity));
        self
    }

    /// The protocols that are spoken, the preferred first (ALPN, RFC 7301): `&["h2", "http/1.1"]`. Default: none is agreed on.
    pub fn protocols(mut self, names: &[&str]) -> TlsServerBuilder {
        self.protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Clients must show a certificate whose issuer is in this PEM text. Default: none is asked for.
    ///
    /// # Errors
    /// When it is no PEM text with certificates.
    pub fn require_client_certificates(mut self, issuers_pem: &[u8]) -> Result<TlsServerBuilder, TlsError> {
        self.clients = Some(roots(RootCertStore::empty(), issuers_pem, "the text")?);
        Ok(self)
    }

    /// As [`require_client_certificates`](TlsServerBuilder::require_client_certificates), but a client may show none.
    ///
    /// # Errors
    /// When it is no PEM text with certificates.
    pub fn accept_client_certificates(mut self, issuers_pem: &[u8]) -> Result<TlsServerBuilder, TlsError> {
        self.clients_required = false;
        self.require_client_certificates(issuers_pem)
    }

    /// The server.
    ///
    /// # Errors
    /// When a key does not fit its certificate, or a certificate the host it is given for.
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
        let mut config = if self.named.is_empty() {
            builder.with_single_cert(self.default.chain, self.default.key)?
        } else {
            let mut by_name = HashMap::new();
            for (host, identity) in self.named {
                let identity = certified(identity)?;
                check_host(&host, &identity)?;
                by_name.insert(host.to_ascii_lowercase(), Arc::new(identity));
            }
            builder.with_cert_resolver(Arc::new(Resolver {
                by_name,
                default: Arc::new(certified(self.default)?),
            }))
        };
        config.alpn_protocols = self.protocols;
        Ok(TlsServer {
            config: Arc::new(config),
        })
    }
}

fn certified(identity: Identity) -> Result<CertifiedKey, TlsError> {
    Ok(CertifiedKey::from_der(
        identity.chain,
        identity.key,
        &aws_lc_rs::default_provider(),
    )?)
}

/// The certificate of the name that the client asks for, or the default.
#[derive(Debug)]
struct Resolver {
    /// In lower case.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

/// Fails if the certificate is not for the host.
fn check_host(host: &str, identity: &CertifiedKey) -> Result<(), TlsError> {
    let failed = |cause: &dyn fmt::Display| TlsError::configuration("the certificate for", host, cause);
    // What stands for one label is tried with one.
    let name = host.strip_prefix("*.").map(|parent| format!("label.{parent}"));
    let name = ServerName::try_from(name.as_deref().unwrap_or(host)).map_err(|cause| failed(&cause))?;
    let certificate = identity.end_entity_cert().map_err(|cause| failed(&cause))?;
    let certificate = ParsedCertificate::try_from(certificate).map_err(|cause| failed(&cause))?;
    rustls::client::verify_server_name(&certificate, &name).map_err(|cause| failed(&cause))
}

impl rustls::server::ResolvesServerCert for Resolver {
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

/// What a client's connections share. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct TlsClient {
    pub(crate) config: Arc<ClientConfig>,
}

impl TlsClient {
    /// A client that trusts nobody yet.
    pub fn builder() -> TlsClientBuilder {
        TlsClientBuilder {
            trusted: RootCertStore::empty(),
            identity: None,
            protocols: Vec::new(),
        }
    }

    /// A configuration of rustls, for what this module does not do.
    pub fn from_rustls(config: Arc<ClientConfig>) -> TlsClient {
        TlsClient { config }
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
    /// Trusts the certificates of a PEM text, and what they issued.
    ///
    /// # Errors
    /// When it is no PEM text with certificates.
    pub fn trust_pem(mut self, issuers: &[u8]) -> Result<TlsClientBuilder, TlsError> {
        self.trusted = roots(self.trusted, issuers, "the text")?;
        Ok(self)
    }

    /// Trusts the certificates of a PEM file, and what they issued. Linux systems have the public ones in
    /// `/etc/ssl/certs/ca-certificates.crt` or `/etc/pki/tls/certs/ca-bundle.crt`.
    ///
    /// # Errors
    /// With the path, when it cannot be read or holds no certificates.
    pub fn trust_pem_file(mut self, issuers: impl AsRef<Path>) -> Result<TlsClientBuilder, TlsError> {
        let path = issuers.as_ref();
        self.trusted = roots(self.trusted, &read(path)?, &path.display().to_string())?;
        Ok(self)
    }

    /// Shows this certificate to servers that ask for one. Default: none.
    pub fn identity(mut self, identity: Identity) -> TlsClientBuilder {
        self.identity = Some(identity);
        self
    }

    /// The protocols that are spoken, the preferred first (ALPN, RFC 7301). Default: none is offered.
    pub fn protocols(mut self, names: &[&str]) -> TlsClientBuilder {
        self.protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// The client.
    ///
    /// # Errors
    /// When the key does not fit the certificate.
    pub fn build(self) -> Result<TlsClient, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.trusted);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key)?,
        };
        config.alpn_protocols = self.protocols;
        Ok(TlsClient {
            config: Arc::new(config),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|cause| TlsError::configuration("the file", path.display(), cause))
}

fn certificates(pem: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |cause: &dyn fmt::Display| TlsError::configuration("the certificates in", place, cause);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|cause| failed(&cause))?;
    if chain.is_empty() {
        return Err(failed(
            &"there are none; it must have sections -----BEGIN CERTIFICATE-----",
        ));
    }
    Ok(chain)
}

fn roots(mut store: RootCertStore, pem: &[u8], place: &str) -> Result<RootCertStore, TlsError> {
    let (added, _) = store.add_parsable_certificates(certificates(pem, place)?);
    if added == 0 {
        return Err(TlsError::configuration(
            "the certificates in",
            place,
            "none of them can issue others",
        ));
    }
    Ok(store)
}
