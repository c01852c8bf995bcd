//! Which peers are proxies, and are believed what they say of their clients.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The proxies in front of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    /// Their connections begin with a header of the PROXY protocol.
    pub(crate) header: Networks,
    /// Their requests tell the client in header fields.
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
            if text == "unix" {
                all.unix = true;
                continue;
            }
            let network = parse(text).unwrap_or_else(|| {
                panic!(
                    "`{text}` is no network: write one such as `10.0.0.0/8` or `2001:db8::/32`, an address, or `unix`"
                )
            });
            all.networks.push(network);
        }
        all
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
