//! Hashes that layers compare instead of long texts.

use sha2::{Digest, Sha256};

/// 128 bits that stand for these parts: the first half of their SHA-256, each with its length before it.
///
/// They are stored where several servers read them, and sent to clients that keep them, so they are the same in each build
/// of a program, which `std` does not promise of its hashers. And collisions cannot be constructed.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    *digest.first_chunk().expect("32 bytes have 16")
}
