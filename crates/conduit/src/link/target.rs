//! The targets of links: paths with the values of their parameters, and queries.

use std::fmt::Write as _;

use conduit_core::internal::field_pairs::{FieldPairs, RESERVED};
use conduit_route::{Pattern, Segment};
use percent_encoding::utf8_percent_encode;

/// Returns a path with the values of its parameters. The route attributes generate the call.
///
/// # Panics
///
/// Panics if a parameter has no value, or a value that makes the link lead to another route.
#[track_caller]
pub fn link_path(path: &'static str, values: &[(&'static str, FieldPairs)]) -> String {
    match try_path(path, values) {
        Ok(path) => path,
        Err(reason) => panic!("{reason}"),
    }
}

/// Like [`link_path`], for values from outside the program.
///
/// # Errors
///
/// Returns the reason why a value has no link.
///
/// # Panics
///
/// Panics if a parameter has no value.
#[track_caller]
pub(crate) fn try_path(path: &'static str, values: &[(&'static str, FieldPairs)]) -> Result<String, String> {
    let Ok(pattern) = Pattern::parse(path) else {
        panic!("the route attribute has checked the path {path}");
    };
    let value = |name: &str| {
        let of_parameter = values.iter().find(|(parameter, _)| *parameter == name);
        let found = match of_parameter {
            Some((_, pairs)) => pairs.only(),
            None => values.iter().find_map(|(_, pairs)| pairs.of_name(name)),
        };
        found.unwrap_or_else(|| {
            panic!("the value for {{{name}}} in a link to {path} does not serialize to a string: use a string, a number or a unit variant")
        })
    };
    let mut link = String::with_capacity(path.len() + 16);
    for segment in pattern.segments() {
        let is_first = link.is_empty();
        link.push('/');
        let start = link.len();
        let (name, is_empty) = match segment {
            Segment::Static(text) => {
                link.push_str(text);
                continue;
            }
            Segment::Parameter { prefix, name, suffix } => {
                let text = value(name);
                link.push_str(prefix);
                push_encoded(&mut link, text);
                link.push_str(suffix);
                (name, text.is_empty())
            }
            Segment::Rest { name } => {
                let text = value(name);
                push_rest(&mut link, text);
                (name, is_first && text.is_empty())
            }
        };
        let finished = &link[start..];
        if is_empty || matches!(finished, "." | "..") {
            return Err(format!(
                "the value for {{{name}}} in a link to {path} makes the segment {finished:?}, which leads to another route: \
                 check that the value is not empty, `.` or `..`"
            ));
        }
    }
    Ok(link)
}

/// Returns a path with a query, which is omitted if it has no fields. The route attributes generate the call.
pub fn with_query(mut path: String, query: &FieldPairs) -> String {
    let query = query.urlencoded();
    if !query.is_empty() {
        path.push('?');
        path.push_str(&query);
    }
    path
}

fn push_encoded(link: &mut String, text: &str) {
    // Writing to a `String` cannot fail.
    let _ = write!(link, "{}", utf8_percent_encode(text, RESERVED));
}

/// Keeps the slashes unless clients would resolve a segment between them.
fn push_rest(link: &mut String, text: &str) {
    let is_resolved = |segment: &str| matches!(segment, "" | "." | "..");
    // An empty segment at the end is a slash, which stays.
    let inner = text.strip_suffix('/').unwrap_or(text);
    if inner.split('/').any(is_resolved) {
        return push_encoded(link, text);
    }
    for (place, segment) in text.split('/').enumerate() {
        if place > 0 {
            link.push('/');
        }
        push_encoded(link, segment);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use serde::Serialize;

    use super::*;
    use crate::link::{LinkValue, pairs_of};

    fn one<T>(template: &'static str, value: impl LinkValue<T>) -> String {
        link_path(template, &[("x", value.pairs())])
    }

    #[test]
    fn values_of_a_segment_are_percent_encoded() {
        for (value, expected) in [
            ("ada", "/a/ada"),
            ("a b/c?d#e%", "/a/a%20b%2Fc%3Fd%23e%25"),
            ("a+b&\"'<>", "/a/a%2Bb%26%22%27%3C%3E"),
            ("é~-._", "/a/%C3%A9~-._"),
            ("\r\n\0", "/a/%0D%0A%00"),
        ] {
            assert_eq!(one::<String>("/a/{x}", value), expected);
        }
        assert_eq!(one::<u64>("/v{x}.json", 7), "/v7.json");
        assert_eq!(one::<i128>("/{x}", i128::MIN), format!("/{}", i128::MIN));
        assert_eq!(one::<bool>("/{x}", true), "/true");
        assert_eq!(one::<char>("/{x}", '/'), "/%2F");
        let address: IpAddr = "::1".parse().expect("an address");
        assert_eq!(one::<IpAddr>("/{x}", &address), "/%3A%3A1");
        assert_eq!(one::<String>("/{x}", &&"a"), "/a");
        assert_eq!(one::<u8>("/{x}", &&7), "/7");
    }

    #[test]
    fn rest_keeps_slashes_that_no_client_resolves() {
        for (value, expected) in [
            ("a/b c/d", "/a/b%20c/d"),
            ("a/", "/a/"),
            ("/evil.example", "/%2Fevil.example"),
            ("a//b", "/a%2F%2Fb"),
            ("../a", "/..%2Fa"),
            ("a/../b", "/a%2F..%2Fb"),
            ("a/./b", "/a%2F.%2Fb"),
            ("\\evil.example", "/%5Cevil.example"),
        ] {
            assert_eq!(one::<String>("/{*x}", value), expected);
        }
    }

    /// The segments of all these values make no link that a client resolves to another route or site.
    #[test]
    fn links_lead_to_their_route_or_panic() {
        let values = [
            "", ".", "..", "a", "/", "/a", "//a", "../a", "./", "../", "..//", "\\", "a/..", "%2e",
        ];
        for template in [
            "/{x}/evil.example",
            "/{x}",
            "/a/{x}",
            "/.{x}",
            "/{x}.",
            "/a/v{x}",
            "/{*x}",
            "/a/{*x}",
        ] {
            for value in values {
                let Ok(link) = std::panic::catch_unwind(|| one::<String>(template, value)) else {
                    continue;
                };
                let inner = link.strip_suffix('/').unwrap_or(&link);
                let is_resolved = inner.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."));
                assert!(!is_resolved, "{template} {value:?}: {link}");
                let is_rest = template == "/a/{*x}";
                assert!(is_rest || !value.is_empty(), "{template} {value:?}: {link}");
            }
        }
        assert_eq!(one::<String>("/a/{*x}", ""), "/a/");
        assert_eq!(one::<String>("/v{x}", ".."), "/v..");
        assert_eq!(one::<String>("/{x}.txt", "."), "/..txt");
    }

    #[test]
    #[should_panic(
        expected = "the value for {x} in a link to /a/{x} makes the segment \"..\", which leads to another route"
    )]
    fn panic_names_the_route_and_the_parameter() {
        one::<String>("/a/{x}", "..");
    }

    #[derive(Serialize)]
    struct UserId(u64);

    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Order {
        NewestFirst,
    }

    #[derive(Serialize)]
    struct Filter {
        tag: Vec<&'static str>,
        price: Price,
        order: Option<Order>,
        items: Vec<Price>,
        after: Option<u32>,
    }

    #[derive(Serialize)]
    struct Price {
        lt: u32,
    }

    #[test]
    fn queries_have_the_form_that_the_extractor_reads() {
        let filter = Filter {
            tag: vec!["a&b", "c d"],
            price: Price { lt: 90 },
            order: Some(Order::NewestFirst),
            items: vec![Price { lt: 1 }, Price { lt: 2 }],
            after: None,
        };
        assert_eq!(
            with_query("/".to_owned(), &pairs_of(&filter)),
            "/?tag=a%26b&tag=c%20d&price%5Blt%5D=90&order=newest-first&items%5B0%5D%5Blt%5D=1&items%5B1%5D%5Blt%5D=2"
        );
        assert_eq!(with_query("/".to_owned(), &().pairs()), "/");
    }

    #[test]
    fn own_types_are_written_as_serde_writes_them() {
        assert_eq!(one::<UserId>("/{x}", UserId(7)), "/7");
        assert_eq!(one::<Order>("/{x}", &Order::NewestFirst), "/newest-first");
    }

    #[test]
    #[should_panic(expected = "{x} in a link to /{x} does not serialize to a string")]
    fn struct_is_no_value_of_one_parameter() {
        one::<Price>("/{x}", Price { lt: 1 });
    }

    #[test]
    #[should_panic(expected = "a link cannot contain this value: bytes cannot be written as text")]
    fn bytes_are_no_value() {
        struct Bytes;
        impl Serialize for Bytes {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(b"a")
            }
        }
        one::<Bytes>("/{x}", Bytes);
    }
}
