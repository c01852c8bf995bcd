//! A certificate for `localhost`, for servers of any kind, and the clients that trust it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conduit::Tls;
use rustls::{ClientConfig, RootCertStore};

/// A self-signed certificate, with its key.
pub struct Certificate {
    chain_pem: String,
    key_pem: String,
    clients: Arc<ClientConfig>,
}

impl Certificate {
    /// Creates a certificate. Clients verify it, and use TLS 1.3, the default of rustls.
    ///
    /// # Panics
    ///
    /// Panics if the system provides no randomness.
    #[must_use]
    pub fn make() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a certificate");
        let clients = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            chain_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            clients: Arc::new(clients),
        }
    }

    /// Returns the configuration of a server in this process.
    #[must_use]
    pub fn tls(&self) -> Tls {
        Tls::pem(self.chain_pem.as_str(), self.key_pem.as_str())
    }

    /// Returns the configuration of clients.
    #[must_use]
    pub fn clients(&self) -> &Arc<ClientConfig> {
        &self.clients
    }

    /// Writes the certificate and the key to files, for servers in separate processes.
    ///
    /// # Panics
    ///
    /// Panics if the directory for temporary files is not writable.
    #[must_use]
    pub fn files(&self) -> Files {
        static DIRECTORIES: AtomicUsize = AtomicUsize::new(0);
        let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let name = format!("conduit-certificate-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory can be created");
        let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
        std::fs::write(&chain, &self.chain_pem).expect("a file can be written");
        std::fs::write(&key, &self.key_pem).expect("a file can be written");
        Files { directory, chain, key }
    }
}

/// The files of a certificate, removed when they go out of scope.
pub struct Files {
    directory: PathBuf,
    chain: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Returns the path of the certificate.
    #[must_use]
    pub fn chain(&self) -> &Path {
        &self.chain
    }

    /// Returns the path of the key.
    #[must_use]
    pub fn key(&self) -> &Path {
        &self.key
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // The system cleans files that cannot be removed.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
