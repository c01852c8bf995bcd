//! The cookies that the responses of calls set.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;

/// The receiver of cookies. A clone is the same receiver.
#[derive(Clone)]
pub(super) enum SetCookies {
    /// The response to the message has them; `None` once its head is sent.
    Relayed(Arc<Mutex<Option<Vec<HeaderValue>>>>),
    /// The names and values of the cookies, which later calls send.
    Kept(Arc<Mutex<Vec<(String, String)>>>),
}

impl SetCookies {
    pub(super) fn relayed() -> Self {
        SetCookies::Relayed(Arc::new(Mutex::new(Some(Vec::new()))))
    }

    /// A jar with the cookies of this field.
    pub(super) fn kept(field: Option<&HeaderValue>) -> Self {
        let text = field.map(|field| String::from_utf8_lossy(field.as_bytes()));
        let pairs = text.iter().flat_map(|text| text.split(';'));
        let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        SetCookies::Kept(Arc::new(Mutex::new(pairs.collect())))
    }

    /// Takes a `set-cookie` of a response. Returns false if its client can no longer receive it.
    pub(super) fn set(&self, field: &HeaderValue) -> bool {
        match self {
            SetCookies::Relayed(fields) => {
                let mut fields = fields.lock().unwrap_or_else(PoisonError::into_inner);
                fields.as_mut().map(|fields| fields.push(field.clone())).is_some()
            }
            SetCookies::Kept(pairs) => {
                let text = String::from_utf8_lossy(field.as_bytes());
                let (pair, attributes) = text.split_once(';').unwrap_or((&text, ""));
                let Some((name, value)) = pair.trim().split_once('=') else {
                    return true;
                };
                let is_removed = attributes.split(';').any(|attribute| {
                    let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
                    name.trim().eq_ignore_ascii_case("max-age") && value.trim().parse().is_ok_and(|age: i64| age <= 0)
                });
                let mut pairs = pairs.lock().unwrap_or_else(PoisonError::into_inner);
                pairs.retain(|(known, _)| known != name);
                if !is_removed {
                    pairs.push((name.to_owned(), value.to_owned()));
                }
                true
            }
        }
    }

    /// Returns the cookies for the response to the message, whose head is about to be sent.
    pub(super) fn of_response(&self) -> Vec<HeaderValue> {
        match self {
            SetCookies::Relayed(fields) => {
                let mut fields = fields.lock().unwrap_or_else(PoisonError::into_inner);
                fields.take().unwrap_or_default()
            }
            SetCookies::Kept(_) => Vec::new(),
        }
    }

    /// The field `cookie` of a call, if the cookies are those of the jar.
    pub(super) fn of_call(&self) -> Option<HeaderValue> {
        let SetCookies::Kept(pairs) = self else { return None };
        let pairs = pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut field = HeaderValue::try_from(pairs.join("; "))
            .ok()
            .filter(|field| !field.is_empty())?;
        field.set_sensitive(true);
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jar_replaces_and_removes_cookies() {
        let jar = SetCookies::kept(Some(&HeaderValue::from_static("session=a; theme=dark")));
        for field in ["session=b=; Path=/; HttpOnly", "theme=; max-age=0; Path=/", "visit=1"] {
            assert!(jar.set(&HeaderValue::from_static(field)));
        }
        assert_eq!(jar.of_call().expect("cookies"), "session=b=; visit=1");
        assert!(SetCookies::kept(None).of_call().is_none());
    }

    #[test]
    fn a_response_whose_head_is_sent_relays_no_cookie() {
        let cookies = SetCookies::relayed();
        let field = HeaderValue::from_static("session=b");
        assert!(cookies.set(&field));
        assert_eq!(cookies.of_response(), std::slice::from_ref(&field));
        assert!(!cookies.set(&field));
    }
}
