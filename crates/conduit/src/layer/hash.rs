//! Hashes that layers compare in place of long strings.

use sha2::{Digest, Sha256};

/// A 128-bit hash of these parts: the first half of their SHA-256, with each part's length before it.
///
/// Servers share stored hashes and clients keep them, so they must not differ between builds; the hashers of `std` do not
/// guarantee that. Collisions cannot be constructed.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    *digest.first_chunk().expect("a SHA-256 has 32 bytes")
}
