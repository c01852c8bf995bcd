//! The peers that are proxies, and whose forwarding headers are trusted.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::panics::emit;

/// The environment variables that list proxies, unless the program does.
const TRUSTED: &str = "CONDUIT_TRUSTED_PROXIES";
const HEADER: &str = "CONDUIT_PROXY_PROTOCOL";

/// The proxies in front of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    /// Their connections begin with a header of the PROXY protocol. `None`: not set by the program.
    pub(crate) header: Option<Networks>,
    /// Their requests have the client in header fields. `None`: not set by the program.
    pub(crate) forwarding: Option<Arc<Forwarding>>,
    /// The fields are those of RFC 7239.
    pub(crate) standard: bool,
}

/// The header fields in which proxies send the client of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forwarding {
    /// The trusted proxies.
    pub(crate) trusted: Networks,
    /// In `Forwarded`, and not in `X-Forwarded-For` and its companions.
    pub(crate) standard: bool,
}

impl Proxies {
    /// The proxies of the program, and those of the environment if the program sets none.
    ///
    /// # Errors
    ///
    /// When a variable's value is not a list of networks; a variable that the program overrides is ignored.
    pub(crate) fn with_environment(mut self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let read = |name: &'static str, is_chosen: bool| -> Result<Option<Networks>> {
            let Some(value) = variable(name).filter(|_| !is_chosen) else {
                return Ok(None);
            };
            let networks = value.to_str().and_then(Networks::listed).ok_or_else(|| {
                let expected = "a list such as `10.0.0.0/8, 2001:db8::1, unix`, of networks that have no bits behind their \
                                prefix, addresses, and `unix`,";
                Error::variable(name, value.to_string_lossy(), expected)
            })?;
            let value = value.to_string_lossy();
            emit(|| tracing::info!(name, %value, "set by the environment"));
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
    pub(crate) fn send_header(&self, peer: SocketAddr) -> bool {
        self.header.as_ref().is_some_and(|known| known.have(peer))
    }

    /// The forwarding fields to read from requests of this hop, if it is a trusted proxy.
    pub(crate) fn forwarding_of(&self, hop: SocketAddr) -> Option<Arc<Forwarding>> {
        self.forwarding
            .as_ref()
            .filter(|known| known.trusted.have(hop))
            .cloned()
    }
}

/// Networks of IP addresses, and whether Unix sockets are among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks {
    networks: Vec<(IpAddr, u32)>,
    unix: bool,
}

impl Networks {
    /// Networks such as `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7` and `unix`.
    ///
    /// # Panics
    /// When a text is not a network, or has bits after its prefix.
    pub(crate) fn of<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        let mut all = Networks::default();
        for text in texts {
            let text = text.as_ref();
            assert!(
                all.add(text).is_some(),
                "`{text}` is not a network: write one such as `10.0.0.0/8` or `2001:db8::/32`, an address, or `unix`"
            );
        }
        all
    }

    /// As [`of`](Self::of), of a comma-separated text, which may be empty. `None` if an item is not a network.
    fn listed(text: &str) -> Option<Self> {
        let mut all = Networks::default();
        if !text.trim().is_empty() {
            text.split(',').try_for_each(|text| all.add(text.trim()))?;
        }
        Some(all)
    }

    /// Adds one; `None` if the text is not a network.
    fn add(&mut self, text: &str) -> Option<()> {
        match text {
            "unix" => self.unix = true,
            text => self.networks.push(parse(text)?),
        }
        Some(())
    }

    /// Returns whether this end of a connection is in one of them. A Unix socket has the unspecified address.
    pub(crate) fn have(&self, peer: SocketAddr) -> bool {
        if peer.ip().is_unspecified() {
            return self.unix;
        }
        self.contain(peer.ip())
    }

    /// Returns whether the address is in one of them; an IPv4-mapped IPv6 address counts as IPv4.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !address.is_unspecified()
            && self.networks.iter().any(|&(network, prefix)| {
                masked(address, prefix) == Some(network) && network.is_ipv4() == address.is_ipv4()
            })
    }
}

/// An address, or a prefix with zero bits after it.
fn parse(text: &str) -> Option<(IpAddr, u32)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
            (address, Some(prefix.parse().ok()?))
        }
        Some(_) => return None,
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(bits);
    (masked(address, prefix)? == address).then_some((address, prefix))
}

/// The address with zero bits after the prefix; `None` if the prefix is longer than the address.
fn masked(address: IpAddr, prefix: u32) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(prefix)?).unwrap_or(0);
            IpAddr::from((address.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(prefix)?).unwrap_or(0);
            IpAddr::from((address.to_bits() & mask).to_be_bytes())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let networks = Networks::of(["10.0.0.0/8", "192.0.2.7", "2001:db8::/33", "::1"]);
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "192.0.2.7",
            "2001:db8:7fff::1",
            "::1",
            "::ffff:10.1.2.3",
        ] {
            assert!(networks.contain(inside.parse().expect("an address")), "{inside}");
        }
        for outside in [
            "11.0.0.0",
            "9.255.255.255",
            "192.0.2.8",
            "2001:db8:8000::",
            "::2",
            "0.0.0.0",
            "::",
        ] {
            assert!(!networks.contain(outside.parse().expect("an address")), "{outside}");
        }
        let everybody = Networks::of(["0.0.0.0/0"]);
        assert!(everybody.contain("192.0.2.7".parse().expect("an address")));
        assert!(!everybody.contain("::1".parse().expect("an address")));
    }

    #[test]
    fn unix_sockets_are_meant_only_where_they_are_named() {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        assert!(Networks::of(["unix"]).have(nobody));
        assert!(!Networks::of(["0.0.0.0/0", "::/0"]).have(nobody));
    }

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
        assert!(proxies.send_header(outside) && !proxies.send_header(inside));

        // The program takes precedence, also with an empty list.
        let proxies = Proxies {
            header: Some(Networks::of(["10.0.0.0/8"])),
            forwarding: Some(Arc::default()),
            standard: false,
        };
        let proxies = proxies.with_environment(environment).expect("nothing is looked at");
        assert!(proxies.forwarding_of(inside).is_none());
        assert!(proxies.send_header(inside) && !proxies.send_header(outside));

        let empty = Proxies::default()
            .with_environment(|_| Some(" ".into()))
            .expect("nobody");
        assert!(!empty.send_header(inside) && empty.forwarding_of(inside).is_none());
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
                    "the environment variable {variable} is {value:?}: a list such as `10.0.0.0/8, 2001:db8::1, unix`, of \
                     networks that have no bits behind their prefix, addresses, and `unix`, is expected"
                )
            );
        }
    }

    #[test]
    fn an_invalid_network_is_rejected() {
        for text in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "localhost",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
