//! How many connections each peer address has, on all workers.
//!
//! An IPv4 address counts by itself, an IPv6 address by its network of 64 bits, which is what a single subscriber has.
//! An address is remembered while it has a connection, so the memory is bounded by the connections. The map is cut into
//! shards, so that workers seldom meet at a lock; it is used when a connection opens and when it closes, never for a
//! request.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of shards.
const SHARDS: usize = 64;

/// The part of an address that is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    V4(u32),
    V6(u64),
}

impl Origin {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Origin::V4(address.to_bits()),
            IpAddr::V6(address) => Origin::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// The connections of each address, counted for all workers.
pub(crate) struct Peers {
    limit: u32,
    /// The addresses are the clients' to choose, so they are hashed with a key that they do not know.
    hasher: RandomState,
    shards: [Mutex<HashMap<Origin, u32, RandomState>>; SHARDS],
}

impl Peers {
    pub(crate) fn new(limit: usize) -> Self {
        Peers {
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Counts a connection of this address; false, and not counted, if it has its limit of them.
    pub(crate) fn enter(&self, address: IpAddr) -> bool {
        if address.is_unspecified() {
            // Who comes over a Unix socket has no address, and is mostly a proxy that everybody comes by.
            return true;
        }
        let origin = Origin::of(address);
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
        let origin = Origin::of(address);
        let mut shard = self.shard(origin);
        if let Some(count) = shard.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&origin);
                // What a flood of addresses has made the map grow to is given back when it has passed.
                if shard.capacity() > 1024 && shard.len() < shard.capacity() / 8 {
                    let kept = shard.len() * 2;
                    shard.shrink_to(kept);
                }
            }
        }
    }

    fn shard(&self, origin: Origin) -> MutexGuard<'_, HashMap<Origin, u32, RandomState>> {
        let shard = self.hasher.hash_one(origin) as usize % SHARDS;
        // A count is whole after each statement: a thread that panicked has left no half of it.
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
    fn an_address_without_connections_is_forgotten() {
        let peers = Peers::new(3);
        for number in 0..100_000_u32 {
            assert!(peers.enter(IpAddr::from(number.to_be_bytes())));
        }
        for number in 0..100_000_u32 {
            peers.leave(IpAddr::from(number.to_be_bytes()));
        }
        for shard in &peers.shards {
            let shard = shard.lock().expect("nobody panicked");
            assert!(shard.is_empty());
            assert!(shard.capacity() <= 1024, "{}", shard.capacity());
        }
    }
}
