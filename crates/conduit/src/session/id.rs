//! The id of a session, sent in its cookie.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

const BYTES: usize = 32;

/// 256 random bits. `Debug` does not print them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionId([u8; BYTES]);

impl SessionId {
    /// Generates an id.
    ///
    /// # Errors
    ///
    /// Returns an error if the system's random generator fails.
    pub(super) fn random() -> Result<Self, Problem> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|error| Problem::internal(&error))?;
        Ok(SessionId(bytes))
    }

    /// The id in the value of a cookie.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        bytes.try_into().ok().map(SessionId)
    }

    /// The value of the cookie.
    pub(super) fn to_value(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// An authentication code for this purpose, which does not reveal the id (HMAC-SHA256).
    pub(super) fn code(self, purpose: &[u8]) -> [u8; 32] {
        let mut code = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC accepts keys of any length");
        code.update(purpose);
        code.finalize().into_bytes().into()
    }

    /// The key in the store. It does not reveal the id, so that a copy of the store is useless for requests.
    pub(super) fn key(self) -> Vec<u8> {
        let mut key = b"session:".to_vec();
        key.extend_from_slice(&Sha256::digest(self.0));
        key
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_of_a_cookie_has_one_form() {
        let id = SessionId::random().expect("random numbers");
        assert_eq!(SessionId::parse(&id.to_value()), Some(id));
        assert_eq!(id.to_value().len(), 43);
        assert_ne!(SessionId::random().expect("random numbers"), id);
        let value = id.to_value();
        for other in [
            "",
            "a",
            &value[1..],
            &format!("{value}="),
            &format!("{value}AAAA"),
            &"!".repeat(43),
        ] {
            assert_eq!(SessionId::parse(other), None, "{other}");
        }
        assert_eq!(format!("{id:?}"), "SessionId(…)");
    }
}
