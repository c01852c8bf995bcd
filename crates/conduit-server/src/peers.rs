//! The number of connections of each peer address, on all workers.
//!
//! An IPv4 address counts by itself, an IPv6 address by its 64-bit prefix, which a single subscriber has.
//! An address is remembered while it has a connection, so the memory is bounded by the connections. The map is divided into
//! shards, so that workers seldom contend for a lock; it is used when a connection opens and closes, never for a
//! request.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of shards.
const SHARDS: usize = 64;

/// The part of an address that is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum PeerPrefix {
    V4(u32),
    V6(u64),
}

impl PeerPrefix {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => PeerPrefix::V4(address.to_bits()),
            IpAddr::V6(address) => PeerPrefix::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// The connections of each address, counted for all workers.
pub(crate) struct Peers {
    limit: u32,
    /// Clients choose their addresses, so the hash has a secret key.
    hasher: RandomState,
    shards: [Mutex<HashMap<PeerPrefix, u32, RandomState>>; SHARDS],
}

impl Peers {
    pub(crate) fn new(limit: usize) -> Self {
        Peers {
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Counts a connection of this address; returns false, without counting it, if the address is at its limit.
    pub(crate) fn enter(&self, address: IpAddr) -> bool {
        if address.is_unspecified() {
            // A peer on a Unix socket has no address, and is usually a proxy for all clients.
            return true;
        }
        let origin = PeerPrefix::of(address);
        let mut shard = self.shard(origin);
        let count = shard.entry(origin).or_insert(0);
        if *count >= self.limit {
            return false;
        }
        *count += 1;
        true
    }

    /// A connection that [`enter`](Self::enter) has counted is closed.
    pub(crate) fn leave(&self, address: IpAddr) {
        if address.is_unspecified() {
            return;
        }
        let origin = PeerPrefix::of(address);
        let mut shard = self.shard(origin);
        if let Some(count) = shard.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&origin);
                // The memory of a map that a flood of addresses has enlarged is freed afterwards.
                if shard.capacity() > 1024 && shard.len() < shard.capacity() / 8 {
                    let kept = shard.len() * 2;
                    shard.shrink_to(kept);
                }
            }
        }
    }

    fn shard(&self, origin: PeerPrefix) -> MutexGuard<'_, HashMap<PeerPrefix, u32, RandomState>> {
        let shard = self.hasher.hash_one(origin) as usize % SHARDS;
        // A count is consistent after each statement, even if a thread has panicked.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_its_limit_and_others_have_theirs() {
        let peers = Peers::new(2);
        assert!(peers.enter(address("192.0.2.1")));
        assert!(peers.enter(address("192.0.2.1")));
        assert!(!peers.enter(address("192.0.2.1")));
        assert!(peers.enter(address("192.0.2.2")));
        peers.leave(address("192.0.2.1"));
        assert!(peers.enter(address("192.0.2.1")));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_counted_together() {
        let peers = Peers::new(1);
        assert!(peers.enter(address("2001:db8:1:2::1")));
        assert!(!peers.enter(address("2001:db8:1:2:ffff::2")));
        assert!(peers.enter(address("2001:db8:1:3::1")));
    }

    #[test]
    fn an_ipv4_address_is_the_same_in_ipv6s_clothes() {
        let peers = Peers::new(1);
        assert!(peers.enter(address("192.0.2.1")));
        assert!(!peers.enter(address("::ffff:192.0.2.1")));
        assert!(peers.enter(address("::ffff:192.0.2.2")));
    }

    #[test]
    fn an_address_without_connections_is_removed() {
        let peers = Peers::new(3);
        for number in 0..100_000_u32 {
            assert!(peers.enter(IpAddr::from(number.to_be_bytes())));
        }
        for number in 0..100_000_u32 {
            peers.leave(IpAddr::from(number.to_be_bytes()));
        }
        for shard in &peers.shards {
            let shard = shard.lock().expect("no panic while locked");
            assert!(shard.is_empty());
            assert!(shard.capacity() <= 1024, "{}", shard.capacity());
        }
    }
}
