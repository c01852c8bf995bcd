//! HTTPS to the collector, with the server's rustls.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use conduit_net::tls::read_pem_file;
use rustls::crypto::aws_lc_rs;
use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::AgentScope;

use crate::error::{Error, Result};

/// Configures the root certificates for the collector, by default those of browsers, and the client certificate.
pub(super) fn configure(
    config: ConfigBuilder<AgentScope>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<ConfigBuilder<AgentScope>> {
    let file = |traces, all| File::of(&variable, traces).or_else(|| File::of(&variable, all));
    let authorities = file(
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
    );
    let roots = match authorities {
        None => RootCerts::WebPki,
        Some(file) => RootCerts::new_with_certs(&file.certificates()?),
    };
    let chain = file(
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    );
    let key = file("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY");
    let client = match (chain, key) {
        (None, None) => None,
        (Some(chain), Some(key)) => Some(ClientCert::new_with_certs(&chain.certificates()?, key.key()?)),
        (Some(chain), None) => return Err(chain.refused("OTEL_EXPORTER_OTLP_CLIENT_KEY to be set as well")),
        (None, Some(key)) => {
            return Err(key.refused("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE to be set as well"));
        }
    };
    let tls = TlsConfig::builder()
        .root_certs(roots)
        .client_cert(client)
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()));
    Ok(config.tls_config(tls.build()))
}

/// A file named by a variable.
struct File {
    variable: &'static str,
    path: PathBuf,
}

impl File {
    /// Returns `None` if the variable is unset or empty.
    fn of(variable: impl Fn(&str) -> Option<OsString>, name: &'static str) -> Option<Self> {
        let path = variable(name).filter(|path| !path.is_empty())?;
        Some(File {
            variable: name,
            path: path.into(),
        })
    }

    fn certificates(&self) -> Result<Vec<Certificate<'static>>> {
        let pem = self.read()?;
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(self.refused("the path of a file with certificates in PEM"));
        }
        Ok(certificates)
    }

    fn key(&self) -> Result<PrivateKey<'static>> {
        let key = PrivateKey::from_pem(&self.read()?);
        key.map_err(|_| self.refused("the path of a file with a private key in PEM"))
    }

    fn read(&self) -> Result<Vec<u8>> {
        read_pem_file(&self.path).map_err(|_| self.refused("the path of a regular file that can be read"))
    }

    fn refused(&self, expected: &'static str) -> Error {
        Error::variable(self.variable, self.path.to_string_lossy(), expected)
    }
}

#[cfg(test)]
mod tests {
    use ureq::Agent;

    use super::*;

    #[test]
    fn error_of_an_unusable_file_names_the_variable_and_the_expected_content() {
        for (variable, path, expected) in [
            (
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
                "/nowhere",
                "the path of a regular file that can be read",
            ),
            (
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
                "/dev/zero",
                "the path of a regular file that can be read",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
                "Cargo.toml",
                "the path of a file with certificates in PEM",
            ),
            (
                "OTEL_EXPORTER_OTLP_CLIENT_KEY",
                "/key.pem",
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE to be set as well",
            ),
            (
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                "/chain.pem",
                "OTEL_EXPORTER_OTLP_CLIENT_KEY to be set as well",
            ),
        ] {
            // The variable for traces takes precedence over the general one.
            let set = |name: &str| {
                let other = variable.contains("TRACES") && name == "OTEL_EXPORTER_OTLP_CERTIFICATE";
                (name == variable || other).then(|| if other { "/other" } else { path }.into())
            };
            let refused = configure(Agent::config_builder(), set)
                .err()
                .expect("the file is missing");
            assert_eq!(
                refused.to_string(),
                format!("invalid {variable}={path:?}: expected {expected}")
            );
        }
    }
}
