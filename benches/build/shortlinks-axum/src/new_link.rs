//! The body of a new link, and its rules.

use std::hash::{BuildHasher, RandomState};

use garde::Validate;
use serde::Deserialize;
use url::Url;
use utoipa::ToSchema;

/// The maximum length of a URL in bytes, after the required percent-encoding.
const URL_LIMIT_BYTES: usize = 2048;

/// The longest name and the longest slug, in characters.
const SLUG_LIMIT: usize = 32;

/// The letters of a generated slug, without letters that look alike.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Slugs of this length have 27,512,614,111 values.
const RANDOM_SLUG_LENGTH: usize = 7;

/// The body of a new link. An unknown field is rejected: it is a misspelt `slug`.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    /// A complete http or https URL of at most 2048 bytes.
    #[garde(custom(is_http_url))]
    #[schema(format = "uri", max_length = 2048)]
    url: String,
    /// At most 32 characters, each one of a-z, 0-9 and the hyphen; a random slug if it is missing or empty.
    #[garde(inner(custom(has_letters_of_slugs(0))))]
    #[schema(pattern = "^[a-z0-9-]{0,32}$")]
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
