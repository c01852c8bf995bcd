//! The peers that are proxies, and whose forwarding headers are trusted.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::networks::{Forwarding, Networks};
use crate::panics::emit;

/// The environment variables that list proxies, unless the program does.
const TRUSTED: &str = "CONDUIT_TRUSTED_PROXIES";
const HEADER: &str = "CONDUIT_PROXY_PROTOCOL";

/// The proxies in front of a server.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Their connections begin with a header of the PROXY protocol. `None`: not set by the program.
    pub header: Option<Networks>,
    /// Their requests have the client in header fields. `None`: not set by the program.
    pub forwarding: Option<Arc<Forwarding>>,
    /// The fields are those of RFC 7239.
    pub standard: bool,
}

impl Proxies {
    /// The proxies of the program, and those of the environment if the program sets none.
    ///
    /// # Errors
    ///
    /// Returns an error if the value of a variable is not a list of networks; a variable that the program overrides is ignored.
    pub fn with_environment(mut self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let read = |name: &'static str, is_chosen: bool| -> Result<Option<Networks>> {
            let Some(value) = variable(name).filter(|_| !is_chosen) else {
                return Ok(None);
            };
            let networks = value.to_str().and_then(Networks::listed).ok_or_else(|| {
                let expected = "a comma-separated list of networks whose host bits are zero, addresses and `unix`, \
                                such as `10.0.0.0/8, 2001:db8::1, unix`";
                Error::variable(name, value.to_string_lossy(), expected)
            })?;
            let value = value.to_string_lossy();
            emit(&|| tracing::info!(name, %value, "set by the environment"));
            Ok(Some(networks))
        };
        if let Some(trusted) = read(TRUSTED, self.forwarding.is_some())? {
            let standard = self.standard;
            self.forwarding = Some(Arc::new(Forwarding { trusted, standard }));
        }
        if let Some(networks) = read(HEADER, self.header.is_some())? {
            self.header = Some(networks);
        }
        Ok(self)
    }

    /// Returns whether the connections of this peer begin with a header of the PROXY protocol.
    pub(crate) fn sends_header(&self, peer: SocketAddr) -> bool {
        self.header.as_ref().is_some_and(|known| known.contains_peer(peer))
    }

    /// The forwarding fields to read from requests of this hop, if it is a trusted proxy.
    pub(crate) fn forwarding_of(&self, hop: SocketAddr) -> Option<Arc<Forwarding>> {
        self.forwarding
            .as_ref()
            .filter(|known| known.trusted.contains_peer(hop))
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_proxies_where_the_program_does_not() {
        let inside = SocketAddr::from(([10, 1, 2, 3], 4));
        let outside = SocketAddr::from(([192, 0, 2, 7], 4));
        let unix = SocketAddr::from(([0, 0, 0, 0], 0));
        let environment = |name: &str| {
            Some(
                if name == TRUSTED {
                    "10.0.0.0/8,unix"
                } else {
                    " 192.0.2.7 , ::1"
                }
                .into(),
            )
        };
        let proxies = Proxies {
            standard: true,
            ..Proxies::default()
        };
        let proxies = proxies.with_environment(environment).expect("lists of networks");
        assert!(proxies.forwarding_of(inside).is_some_and(|known| known.standard));
        assert!(proxies.forwarding_of(unix).is_some());
        assert!(proxies.forwarding_of(outside).is_none());
        assert!(proxies.sends_header(outside) && !proxies.sends_header(inside));

        // The program takes precedence, also with an empty list.
        let proxies = Proxies {
            header: Some(Networks::of(["10.0.0.0/8"])),
            forwarding: Some(Arc::default()),
            standard: false,
        };
        let proxies = proxies
            .with_environment(environment)
            .expect("the environment is not read");
        assert!(proxies.forwarding_of(inside).is_none());
        assert!(proxies.sends_header(inside) && !proxies.sends_header(outside));

        let empty = Proxies::default()
            .with_environment(|_| Some(" ".into()))
            .expect("an empty list");
        assert!(!empty.sends_header(inside) && empty.forwarding_of(inside).is_none());
    }

    #[test]
    fn an_invalid_list_of_networks_is_reported_with_the_expected_form() {
        for (variable, value) in [(TRUSTED, "10.0.0.1/8"), (HEADER, "10.0.0.0/8,"), (HEADER, "::1 unix")] {
            let error = Proxies::default()
                .with_environment(|name| (name == variable).then(|| value.into()))
                .expect_err("the value is invalid");
            assert_eq!(
                error.to_string(),
                format!(
                    "invalid {variable}={value:?}: expected a comma-separated list of networks whose host bits are \
                     zero, addresses and `unix`, such as `10.0.0.0/8, 2001:db8::1, unix`"
                )
            );
        }
    }
}
