//! Networks of IP addresses, such as those of trusted proxies.

use std::net::{IpAddr, SocketAddr};

/// The header fields in which proxies send the client of a request.
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    /// The trusted proxies.
    pub trusted: Networks,
    /// Set if the proxies send `Forwarded` instead of `X-Forwarded-For`, `-Proto` and `-Host`.
    pub standard: bool,
}

/// Networks of IP addresses, and whether Unix sockets are among them.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    networks: Vec<(IpAddr, u32)>,
    unix: bool,
}

impl Networks {
    /// Networks such as `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7` and `unix`.
    ///
    /// # Panics
    /// Panics if a string is not a network, or if its host bits are not zero.
    pub fn of<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
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

    /// Parses a comma-separated list of networks, which may be empty; `None` if an item is not a network.
    pub fn listed(text: &str) -> Option<Self> {
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
    pub fn contains_peer(&self, peer: SocketAddr) -> bool {
        if peer.ip().is_unspecified() {
            return self.unix;
        }
        self.contains(peer.ip())
    }

    /// Returns whether the address is in one of them; an IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
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
            assert!(networks.contains(inside.parse().expect("an address")), "{inside}");
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
            assert!(!networks.contains(outside.parse().expect("an address")), "{outside}");
        }
        let everybody = Networks::of(["0.0.0.0/0"]);
        assert!(everybody.contains("192.0.2.7".parse().expect("an address")));
        assert!(!everybody.contains("::1".parse().expect("an address")));
    }

    #[test]
    fn unix_sockets_are_meant_only_where_they_are_named() {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        assert!(Networks::of(["unix"]).contains_peer(unspecified));
        assert!(!Networks::of(["0.0.0.0/0", "::/0"]).contains_peer(unspecified));
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
