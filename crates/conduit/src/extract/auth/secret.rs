//! Texts that are neither printed nor compared byte by byte.

use std::fmt;

use subtle::ConstantTimeEq;

/// A secret text: a token, a password, a key. `Debug` does not print it, and comparisons take a time that does not
/// depend on the position of a difference.
#[derive(Clone)]
pub struct Secret(pub(super) String);

impl Secret {
    /// Returns whether it equals this text, in a time that depends on the lengths only.
    pub fn is(&self, expected: &str) -> bool {
        self.0.as_bytes().ct_eq(expected.as_bytes()).into()
    }

    /// The text itself, to hash it or to look it up.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
