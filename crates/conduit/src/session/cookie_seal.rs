//! The encrypted form of a session in its cookie.

use super::id::SessionId;
use crate::extract::CookieKey;

/// The prefix of a cookie that only this host can set (RFC 6265bis, section 4.1.3.2).
pub(super) const HOST_PREFIX: &str = "__Host-";

/// The version of the format, before the encrypted part.
const VERSION: &str = "1.";

/// The maximum length of a cookie in browsers (RFC 6265, section 6.1).
const COOKIE_BYTES: usize = 4096;

/// The maximum length of the attributes of the cookie, and of the `=`.
const ATTRIBUTE_BYTES: usize = 80;

/// The length of an id in base64, and of the space after it.
const ID_BYTES: usize = 44;

/// The length of the nonce and of the tag of AES-GCM.
const SEAL_BYTES: usize = 28;

/// The keys of encrypted sessions.
#[derive(Debug)]
pub(super) struct CookieSeal {
    key: CookieKey,
    previous: Vec<CookieKey>,
}

/// The content of a cookie.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) id: SessionId,
    pub(super) record: String,
    /// The cookie was encrypted with a previous key.
    pub(super) is_outdated: bool,
}

impl CookieSeal {
    pub(super) fn new(key: CookieKey, previous: impl IntoIterator<Item = CookieKey>) -> Self {
        CookieSeal {
            key,
            previous: previous.into_iter().collect(),
        }
    }

    /// The value of the cookie of this name.
    pub(super) fn seal(&self, name: &str, id: SessionId, record: &[u8]) -> String {
        let content = format!("{} {}", id.to_value(), String::from_utf8_lossy(record));
        let sealed = self.key.seal(&purpose(name), content);
        format!("{VERSION}{sealed}")
    }

    /// Returns the content of the cookie of this name, if one of the keys has encrypted it.
    pub(super) fn open(&self, name: &str, value: &str) -> Option<Opened> {
        let sealed = value.strip_prefix(VERSION)?;
        let purpose = purpose(name);
        let with_key = |key: &CookieKey| key.open(&purpose, sealed);
        let (content, is_outdated) = match with_key(&self.key) {
            Some(content) => (content, false),
            None => (self.previous.iter().find_map(with_key)?, true),
        };
        let (id, record) = content.split_once(' ')?;
        Some(Opened {
            id: SessionId::parse(id)?,
            record: record.to_owned(),
            is_outdated,
        })
    }
}

/// The associated data of the encryption, which no other use of the same key has.
fn purpose(name: &str) -> String {
    format!("session {VERSION}{name}")
}

/// Returns whether a cookie has the form of an encrypted session.
pub(super) fn is_sealed(value: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let sealed = value.strip_prefix(VERSION);
    sealed.is_some_and(|sealed| sealed.len() * 3 / 4 > SEAL_BYTES + ID_BYTES && sealed.bytes().all(is_base64))
}

/// The maximum length of a record in the cookie of this name.
pub(super) fn record_limit(name: &str) -> usize {
    let base64 = COOKIE_BYTES.saturating_sub(ATTRIBUTE_BYTES + VERSION.len() + name.len());
    (base64 / 4 * 3).saturating_sub(SEAL_BYTES + ID_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "__Host-session";

    fn sealed(seal: &CookieSeal, record: &str) -> (SessionId, String) {
        let id = SessionId::random().expect("random numbers");
        (id, seal.seal(NAME, id, record.as_bytes()))
    }

    #[test]
    fn only_the_same_name_version_and_keys_open_a_cookie() {
        let (old, new) = (CookieKey::random(), CookieKey::random());
        let seal = CookieSeal::new(old.clone(), []);
        let (id, value) = sealed(&seal, "1 2 3\n[\"é\"]\n{}");
        assert!(is_sealed(&value));
        assert!(!value.contains("1 2 3"));
        let opened = seal.open(NAME, &value).expect("the same key");
        assert_eq!(
            (opened.id, opened.record.as_str(), opened.is_outdated),
            (id, "1 2 3\n[\"é\"]\n{}", false)
        );
        let rotated = CookieSeal::new(new.clone(), [old.clone()]);
        assert!(rotated.open(NAME, &value).is_some_and(|opened| opened.is_outdated));

        assert!(CookieSeal::new(new, []).open(NAME, &value).is_none());
        assert!(seal.open("__Host-admin", &value).is_none());
        assert!(seal.open("session", &value).is_none());
        assert!(seal.open(NAME, &value.replace("1.", "2.")).is_none());
        assert!(seal.open(NAME, &value[2..]).is_none());
        // A private cookie of the application with the same key.
        let other = old.seal(NAME, format!("{} 1 2 3\n[]\n{{}}", id.to_value()));
        assert!(seal.open(NAME, &format!("1.{other}")).is_none());
    }

    #[test]
    fn changed_cookie_is_ignored() {
        let seal = CookieSeal::new(CookieKey::random(), []);
        let (_, value) = sealed(&seal, "1 2 3\n[]\n{}");
        for place in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(seal.open(NAME, &changed).is_none(), "{place}");
        }
        for value in ["", "1.", "1.AAAA", &value[..value.len() - 4]] {
            assert!(seal.open(NAME, value).is_none(), "{value}");
        }
    }

    #[test]
    fn largest_record_fits_into_a_cookie() {
        let seal = CookieSeal::new(CookieKey::random(), []);
        let limit = record_limit(NAME);
        let (_, value) = sealed(&seal, &"x".repeat(limit));
        let length = NAME.len() + value.len() + ATTRIBUTE_BYTES;
        assert!((COOKIE_BYTES - 4..=COOKIE_BYTES).contains(&length), "{limit}: {length}");
    }
}
