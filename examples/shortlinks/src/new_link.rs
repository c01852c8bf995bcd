//! What a client sends to make a link, and the rules for it.

use std::hash::{BuildHasher, RandomState};

use conduit::prelude::*;
use serde::{Deserialize, Serialize};
use url::Url;

/// The longest URL, in bytes, as it is kept: with everything percent-encoded that has to be.
const URL_LIMIT_BYTES: usize = 2048;
const URL_RULE: &str = "must be a complete http or https URL of at most 2048 bytes";
const SLUG_LIMIT_BYTES: usize = 32;
const SLUG_RULE: &str = "must be 1 to 32 characters, each one of a-z, 0-9 and the hyphen";
const RESERVED_RULE: &str = "must not be the path of another page of this service";

/// The letters of a slug that the service makes: none that looks like another.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// As many make 27,512,614,111 slugs.
const RANDOM_SLUG_LENGTH: usize = 7;

/// What a client sends to make a link. A field that is not known is refused: it is a misspelt `slug`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    url: String,
    slug: Option<String>,
}

/// A field that breaks a rule.
#[derive(Serialize)]
struct Violation {
    field: &'static str,
    value: String,
    rule: &'static str,
}

impl NewLink {
    /// The URL, and the slug if the client wants one of its own; or everything that is wrong with them.
    pub(crate) fn parse(self, reserved: impl Fn(&str) -> bool) -> Result<(Url, Option<Slug>), Problem> {
        let mut violations = Vec::new();
        let url = parse_url(&self.url);
        if url.is_none() {
            violations.push(Violation {
                field: "url",
                value: self.url,
                rule: URL_RULE,
            });
        }
        let slug = self.slug.and_then(|text| {
            let rule = match Slug::parse(&text) {
                Some(_) if reserved(&text) => RESERVED_RULE,
                Some(slug) => return Some(slug),
                None => SLUG_RULE,
            };
            violations.push(Violation {
                field: "slug",
                value: text,
                rule,
            });
            None
        });
        match url {
            Some(url) if violations.is_empty() => Ok((url, slug)),
            _ => Err(refusal(&violations)),
        }
    }
}

/// 422: a sentence for people, and the same for programs in `errors`.
fn refusal(violations: &[Violation]) -> Problem {
    let sentences: Vec<_> = violations
        .iter()
        .map(|Violation { field, value, rule }| format!("The {field} {value:?} {rule}."))
        .collect();
    match serde_json::to_value(violations) {
        Ok(errors) => Problem::unprocessable(sentences.join(" ")).with("errors", errors),
        Err(error) => Problem::from(error),
    }
}

/// Only http and https: a link to `javascript:` or `data:` would run what its maker wrote.
fn parse_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let accepted = matches!(url.scheme(), "http" | "https") && url.as_str().len() <= URL_LIMIT_BYTES;
    accepted.then_some(url)
}

/// The path of a short link, without the `/`.
#[derive(Debug)]
pub(crate) struct Slug(String);

impl Slug {
    fn parse(text: &str) -> Option<Self> {
        let accepted = (1..=SLUG_LIMIT_BYTES).contains(&text.len())
            && text
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        accepted.then(|| Slug(text.to_owned()))
    }

    /// One that is probably free. It is no secret: whoever lists the links sees it.
    pub(crate) fn random() -> Self {
        // The keys of each `RandomState` differ, and those of a thread's first come from the system.
        let mut number = RandomState::new().hash_one(());
        let mut next = || {
            let letter = LETTERS[(number % LETTERS.len() as u64) as usize];
            number /= LETTERS.len() as u64;
            char::from(letter)
        };
        Slug((0..RANDOM_SLUG_LENGTH).map(|_| next()).collect())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, slug: Option<&str>) -> Result<(Url, Option<Slug>), Problem> {
        let new = NewLink {
            url: url.to_owned(),
            slug: slug.map(str::to_owned),
        };
        new.parse(|slug| slug == "healthz")
    }

    fn refused(url: &str, slug: Option<&str>) -> serde_json::Value {
        let problem = parse(url, slug).expect_err("this must be refused");
        serde_json::to_value(problem).expect("a problem is JSON")
    }

    #[test]
    fn a_url_is_kept_as_a_location_can_hold_it() {
        let (url, slug) = parse("https://bücher.example/ä b", None).expect("a URL");
        assert_eq!(url.as_str(), "https://xn--bcher-kva.example/%C3%A4%20b");
        assert!(slug.is_none());
    }

    #[test]
    fn only_complete_http_urls_of_bounded_length_are_accepted() {
        let long = format!("https://example.com/{}", "a".repeat(URL_LIMIT_BYTES));
        for url in [
            "",
            "example.com",
            "//example.com",
            "http://",
            "ftp://example.com",
            "javascript:alert(1)",
            &long,
        ] {
            let problem = refused(url, None);
            assert_eq!(problem["errors"][0]["field"], "url");
            assert_eq!(problem["errors"][0]["value"], url);
            assert_eq!(problem["errors"][0]["rule"], URL_RULE);
        }
    }

    #[test]
    fn a_slug_is_short_and_needs_no_encoding() {
        let longest = "a".repeat(SLUG_LIMIT_BYTES);
        for slug in ["a", "0", "-", "rust-2024", &longest] {
            assert!(parse("http://example.com", Some(slug)).is_ok(), "{slug}");
        }
        let long = "a".repeat(SLUG_LIMIT_BYTES + 1);
        for slug in ["", "A", "a b", "a/b", "é", "a.b", &long] {
            assert_eq!(
                refused("http://example.com", Some(slug))["errors"][0]["rule"],
                SLUG_RULE
            );
        }
    }

    #[test]
    fn a_slug_that_another_page_has_is_refused() {
        let problem = refused("http://example.com", Some("healthz"));
        assert_eq!(problem["errors"][0]["rule"], RESERVED_RULE);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let problem = refused("nonsense", Some("A B"));
        assert_eq!(problem["errors"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            problem["detail"],
            format!("The url \"nonsense\" {URL_RULE}. The slug \"A B\" {SLUG_RULE}.")
        );
    }

    #[test]
    fn a_random_slug_is_one_that_is_accepted() {
        for _ in 0..1000 {
            let slug = Slug::random();
            assert_eq!(slug.as_str().len(), RANDOM_SLUG_LENGTH);
            assert!(Slug::parse(slug.as_str()).is_some());
        }
    }
}
