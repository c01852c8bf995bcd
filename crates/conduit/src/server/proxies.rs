//! Which peers are proxies, and are believed what they say of their clients.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::error::{Error, Result};

/// The environment variables that name proxies where the program names none.
const TRUSTED: &str = "CONDUIT_TRUSTED_PROXIES";
const HEADER: &str = "CONDUIT_PROXY_PROTOCOL";

/// The proxies in front of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    /// Their connections begin with a header of the PROXY protocol. `None`: the program does not say.
    pub(crate) header: Option<Networks>,
    /// Their requests tell the client in header fields. `None`: the program does not say.
    pub(crate) forwarding: Option<Arc<Forwarding>>,
    /// The fields are those of RFC 7239.
    pub(crate) standard: bool,
}

/// How the proxies of a request tell its client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forwarding {
    /// Those who are believed.
    pub(crate) trusted: Networks,
    /// In `Forwarded`, and not in `X-Forwarded-For` and its companions.
    pub(crate) standard: bool,
}

impl Proxies {
    /// The proxies of the program, and those of the environment where the program says nothing.
    ///
    /// # Errors
    ///
    /// When a variable's value is no list of networks; one that the program overrides is not looked at.
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
            tracing::info!(name, %value, "set by the environment");
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

    /// Whether the connections of this peer begin with a header of the PROXY protocol.
    pub(crate) fn send_header(&self, peer: SocketAddr) -> bool {
        self.header.as_ref().is_some_and(|known| known.have(peer))
    }

    /// What the requests of this hop may tell, if it is a trusted proxy.
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
    /// When a text is none of that, or has bits behind its prefix.
    pub(crate) fn of<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        let mut all = Networks::default();
        for text in texts {
            let text = text.as_ref();
            assert!(
                all.add(text).is_some(),
                "`{text}` is no network: write one such as `10.0.0.0/8` or `2001:db8::/32`, an address, or `unix`"
            );
        }
        all
    }

    /// As [`of`](Self::of), of a text in which commas separate them; none if it is empty. `None` if one is no network.
    fn listed(text: &str) -> Option<Self> {
        let mut all = Networks::default();
        if !text.trim().is_empty() {
            text.split(',').try_for_each(|text| all.add(text.trim()))?;
        }
        Some(all)
    }

    /// Adds one; `None` if the text is none.
    fn add(&mut self, text: &str) -> Option<()> {
        match text {
            "unix" => self.unix = true,
            text => self.networks.push(parse(text)?),
        }
        Some(())
    }

    /// Whether this end of a connection is in one of them. The address of a Unix socket shows as unspecified.
    pub(crate) fn have(&self, peer: SocketAddr) -> bool {
        if peer.ip().is_unspecified() {
            return self.unix;
        }
        self.contain(peer.ip())
    }

    /// Whether the address is in one of them; one of IPv4 that is written as one of IPv6 counts as what it is.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !address.is_unspecified()
            && self.networks.iter().any(|&(network, prefix)| {
                masked(address, prefix) == Some(network) && network.is_ipv4() == address.is_ipv4()
            })
    }
}

/// An address, or one with a prefix behind which it has no bits.
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

/// The address without the bits behind the prefix; `None` if the prefix is longer than the address.
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

        // What the program says wins, also that there is none.
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
    fn a_variable_that_is_no_list_of_networks_is_named_with_what_is_expected() {
        for (variable, value) in [(TRUSTED, "10.0.0.1/8"), (HEADER, "10.0.0.0/8,"), (HEADER, "::1 unix")] {
            let error = Proxies::default()
                .with_environment(|name| (name == variable).then(|| value.into()))
                .expect_err("the value is none");
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
    fn what_is_no_network_is_refused() {
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
