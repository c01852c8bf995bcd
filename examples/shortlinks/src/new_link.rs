//! The body of a new link, and its rules.

use std::hash::{BuildHasher, RandomState};

use conduit::prelude::*;
use garde::Validate;
use serde::Deserialize;
use url::Url;

/// The maximum length of a URL in bytes, after the required percent-encoding.
const URL_LIMIT_BYTES: usize = 2048;

/// The longest name and the longest slug, in characters.
const SLUG_LIMIT: usize = 32;

/// The letters of a generated slug, without letters that look alike.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Slugs of this length have 27,512,614,111 values.
const RANDOM_SLUG_LENGTH: usize = 7;

/// The body of a new link. An unknown field is rejected: it is a misspelt `slug`.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    /// A complete http or https URL of at most 2048 bytes.
    #[garde(custom(is_http_url))]
    #[schemars(url, length(max = 2048))]
    url: String,
    /// At most 32 characters, each one of a-z, 0-9 and the hyphen; a random slug if it is missing or empty.
    #[garde(inner(custom(has_letters_of_slugs(0))))]
    #[schemars(regex(pattern = "^[a-z0-9-]{0,32}$"))]
    slug: Option<String>,
}

impl NewLink {
    /// The URL as it is stored, in the form that `location` requires.
    pub(crate) fn location(&self) -> Result<Url, url::ParseError> {
        Url::parse(&self.url)
    }

    /// The slug, if the user chose one: the field of a form is empty otherwise.
    pub(crate) fn slug(&self) -> Option<&str> {
        self.slug.as_deref().filter(|slug| !slug.is_empty())
    }
}

/// The rule for names and slugs, which need no encoding in a URL.
pub(crate) fn has_letters_of_slugs(shortest: usize) -> impl Fn(&str, &()) -> garde::Result {
    move |text, ()| {
        let is_letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        match (shortest..=SLUG_LIMIT).contains(&text.len()) && text.bytes().all(is_letter) {
            true => Ok(()),
            false => Err(garde::Error::new(format!(
                "not {shortest} to {SLUG_LIMIT} characters, each one of a-z, 0-9 and the hyphen"
            ))),
        }
    }
}

/// Only http and https: a link to `javascript:` or `data:` would run a script of its author.
fn is_http_url(text: &str, _: &()) -> garde::Result {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.as_str().len() <= URL_LIMIT_BYTES => Ok(()),
        _ => Err(garde::Error::new(format!(
            "not a complete http or https URL of at most {URL_LIMIT_BYTES} bytes"
        ))),
    }
}

/// A slug that is probably free. It is not a secret: it is part of the link.
pub(crate) fn random_slug() -> String {
    // The keys of each `RandomState` differ, and the first of each thread are from the system.
    let mut number = RandomState::new().hash_one(());
    let mut next = || {
        let letter = LETTERS[(number % LETTERS.len() as u64) as usize];
        number /= LETTERS.len() as u64;
        char::from(letter)
    };
    (0..RANDOM_SLUG_LENGTH).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(url: &str, slug: Option<&str>) -> NewLink {
        NewLink {
            url: url.to_owned(),
            slug: slug.map(str::to_owned),
        }
    }

    #[test]
    fn a_url_is_stored_in_the_form_of_a_location() {
        let url = link("https://bücher.example/ä b", None).location().expect("a URL");
        assert_eq!(url.as_str(), "https://xn--bcher-kva.example/%C3%A4%20b");
    }

    #[test]
    fn only_complete_http_urls_of_bounded_length_are_accepted() {
        let long = format!("https://example.com/{}", "a".repeat(URL_LIMIT_BYTES));
        let relative = ["", "example.com", "//example.com", "http://"];
        let others = ["ftp://example.com", "javascript:alert(1)", &long];
        for url in relative.into_iter().chain(others) {
            assert!(link(url, None).validate().is_err(), "{url}");
        }
    }

    #[test]
    fn a_slug_is_short_and_needs_no_encoding() {
        let (longest, long) = ("a".repeat(32), "a".repeat(33));
        for slug in ["", "a", "0", "-", "rust-2024", &longest] {
            assert!(link("http://example.com", Some(slug)).validate().is_ok(), "{slug}");
        }
        for slug in ["A", "a b", "a/b", "é", "a.b", "a\n", &long] {
            assert!(link("http://example.com", Some(slug)).validate().is_err(), "{slug}");
        }
    }

    #[test]
    fn a_random_slug_is_valid() {
        for _ in 0..1000 {
            let slug = random_slug();
            assert_eq!(slug.len(), RANDOM_SLUG_LENGTH);
            assert!(link("http://example.com", Some(&slug)).validate().is_ok());
        }
    }
}
