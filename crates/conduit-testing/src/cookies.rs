//! The cookies that a client keeps (RFC 6265, section 5).

use std::time::{Duration, SystemTime};

use cookie::Cookie;
use http::{HeaderMap, header::SET_COOKIE};

#[derive(Debug)]
struct Kept {
    cookie: Cookie<'static>,
    /// The path at and below which requests send the cookie.
    path: String,
    expires: Option<SystemTime>,
}

/// The cookies of one client. All its requests go to one host, `localhost`.
#[derive(Debug, Default)]
pub(super) struct Jar(Vec<Kept>);

impl Jar {
    /// Stores the cookies that a response to a request for `path` sets. A cookie for another domain is ignored.
    pub(super) fn keep(&mut self, headers: &HeaderMap, path: &str, now: SystemTime) {
        for value in headers.get_all(SET_COOKIE) {
            let Some(cookie) = value.to_str().ok().and_then(|text| Cookie::parse(text.to_owned()).ok()) else {
                continue;
            };
            let foreign = |domain: &str| !domain.trim_start_matches('.').eq_ignore_ascii_case("localhost");
            if cookie.domain().is_some_and(foreign) {
                continue;
            }
            let path = match cookie.path() {
                Some(path) if path.starts_with('/') => path.to_owned(),
                _ => default_path(path).to_owned(),
            };
            // `Max-Age` takes precedence over `Expires`, and an expired cookie is removed. A time that the clock cannot represent is
            // never reached.
            let expires = match (cookie.max_age(), cookie.expires_datetime()) {
                (Some(age), _) => now.checked_add(Duration::try_from(age).unwrap_or_default()),
                (None, Some(at)) => Some(SystemTime::from(at)),
                (None, None) => None,
            };
            self.0
                .retain(|kept| kept.cookie.name() != cookie.name() || kept.path != path);
            if expires.is_none_or(|expires| expires > now) {
                self.0.push(Kept { cookie, path, expires });
            }
        }
    }

    /// The value of the `cookie` field of a request for `path`; `None` without cookies. The longest paths come first.
    pub(super) fn field(&mut self, path: &str, now: SystemTime) -> Option<String> {
        self.forget_expired(now);
        let mut kept: Vec<&Kept> = self.0.iter().filter(|kept| covers(&kept.path, path)).collect();
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.path.len()));
        let pairs: Vec<String> = kept.iter().map(|kept| pair(&kept.cookie)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(super) fn value(&mut self, name: &str, now: SystemTime) -> Option<String> {
        self.forget_expired(now);
        let kept = self.0.iter().find(|kept| kept.cookie.name() == name)?;
        Some(kept.cookie.value().to_owned())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|kept| kept.cookie.name() != name);
        self.0.push(Kept {
            cookie: Cookie::new(name.to_owned(), value.to_owned()),
            path: "/".to_owned(),
            expires: None,
        });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn forget_expired(&mut self, now: SystemTime) {
        self.0.retain(|kept| kept.expires.is_none_or(|expires| expires > now));
    }
}

fn pair(cookie: &Cookie<'_>) -> String {
    format!("{}={}", cookie.name(), cookie.value())
}

/// RFC 6265, section 5.1.4: the request's path up to its last slash.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(place) if place > 0 => &path[..place],
        _ => "/",
    }
}

/// RFC 6265, section 5.1.4.
fn covers(cookie: &str, path: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(fields: &[&str], path: &str, now: SystemTime) -> Jar {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(SET_COOKIE, field.parse().expect("a field"));
        }
        let mut jar = Jar::default();
        jar.keep(&headers, path, now);
        jar
    }

    #[test]
    fn a_cookie_is_sent_below_its_path_only() {
        let now = SystemTime::now();
        let mut jar = jar(&["a=1; Path=/admin", "b=2; Path=/", "c=3"], "/shop/cart", now);
        assert_eq!(jar.field("/admin/users", now).as_deref(), Some("a=1; b=2"));
        assert_eq!(jar.field("/administrator", now).as_deref(), Some("b=2"));
        assert_eq!(jar.field("/shop", now).as_deref(), Some("c=3; b=2"));
    }

    #[test]
    fn a_cookie_expires_by_its_age_and_is_removed_by_age_0() {
        let now = SystemTime::now();
        let mut jar = jar(&["a=1; Max-Age=60", "b=2; Max-Age=60", "b=; Max-Age=0"], "/", now);
        assert_eq!(jar.field("/", now).as_deref(), Some("a=1"));
        assert_eq!(jar.field("/", now + Duration::from_secs(61)), None);
    }

    #[test]
    fn a_cookie_for_another_domain_is_not_kept() {
        let now = SystemTime::now();
        let mut jar = jar(&["a=1; Domain=example.com", "b=2; Domain=localhost"], "/", now);
        assert_eq!(jar.field("/", now).as_deref(), Some("b=2"));
    }
}
