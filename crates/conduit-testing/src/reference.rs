//! References to other targets of the server (RFC 3986, section 5.2).

/// The origin of the server.
const SCHEME: &str = "http:";
const AUTHORITY: &str = "//localhost";

/// Returns the target of a reference in the response to a request for `base`; `None` if it is a target of another server.
pub(super) fn resolved(reference: &str, base: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (base_path, base_query) = split_query(base);
    let hierarchical = reference.strip_prefix(SCHEME).unwrap_or(reference);
    if hierarchical.starts_with("//") {
        let rest = hierarchical.strip_prefix(AUTHORITY)?;
        let (path, query) = split_query(rest);
        return match path {
            "" => Some(format!("/{query}")),
            path if path.starts_with('/') => Some(without_dot_segments(path) + query),
            // The name or the port continues.
            _ => None,
        };
    }
    if has_scheme(reference) {
        return None;
    }
    Some(match split_query(reference) {
        ("", "") => format!("{base_path}{base_query}"),
        ("", query) => format!("{base_path}{query}"),
        (path, query) if path.starts_with('/') => without_dot_segments(path) + query,
        (path, query) => {
            let directory = base_path.rfind('/').map_or("/", |end| &base_path[..=end]);
            without_dot_segments(&format!("{directory}{path}")) + query
        }
    })
}

/// The path, and the query with its question mark.
fn split_query(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}

/// Returns whether the reference starts with a scheme: its first segment has a colon.
fn has_scheme(reference: &str) -> bool {
    let end = reference.find([':', '/', '?']);
    end.is_some_and(|end| reference[end..].starts_with(':'))
}

/// Removes the segments `.` and `..` of a path that starts with a slash (section 5.2.4).
fn without_dot_segments(path: &str) -> String {
    let mut kept = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of sections 5.4.1 and 5.4.2, with the server of these tests.
    #[test]
    fn references_are_resolved_as_in_the_examples_of_the_rfc() {
        for (reference, target) in [
            ("g", Some("/b/c/g")),
            ("./g", Some("/b/c/g")),
            ("g/", Some("/b/c/g/")),
            ("/g", Some("/g")),
            ("?y", Some("/b/c/d;p?y")),
            ("g?y", Some("/b/c/g?y")),
            ("#s", Some("/b/c/d;p?q")),
            ("g#s", Some("/b/c/g")),
            ("g?y#s", Some("/b/c/g?y")),
            (";x", Some("/b/c/;x")),
            ("", Some("/b/c/d;p?q")),
            (".", Some("/b/c/")),
            ("./", Some("/b/c/")),
            ("..", Some("/b/")),
            ("../", Some("/b/")),
            ("../g", Some("/b/g")),
            ("../..", Some("/")),
            ("../../", Some("/")),
            ("../../g", Some("/g")),
            ("../../../g", Some("/g")),
            ("../../../../g", Some("/g")),
            ("/./g", Some("/g")),
            ("/../g", Some("/g")),
            ("g.", Some("/b/c/g.")),
            (".g", Some("/b/c/.g")),
            ("g..", Some("/b/c/g..")),
            ("..g", Some("/b/c/..g")),
            ("./../g", Some("/b/g")),
            ("./g/.", Some("/b/c/g/")),
            ("g/./h", Some("/b/c/g/h")),
            ("g/../h", Some("/b/c/h")),
            ("g;x=1/./y", Some("/b/c/g;x=1/y")),
            ("g;x=1/../y", Some("/b/c/y")),
            ("g?y/./x", Some("/b/c/g?y/./x")),
            ("g?y/../x", Some("/b/c/g?y/../x")),
            ("g#s/../x", Some("/b/c/g")),
            ("g:h", None),
            ("//g", None),
            ("http://localhost", Some("/")),
            ("http://localhost?y", Some("/?y")),
            ("//localhost/g/../h?y", Some("/h?y")),
            ("http://localhost.example/", None),
            ("http://localhost:81/", None),
            ("http:g", None),
        ] {
            assert_eq!(resolved(reference, "/b/c/d;p?q").as_deref(), target, "{reference}");
        }
        assert_eq!(resolved("../c", "/a//b").as_deref(), Some("/a/c"));
        assert_eq!(resolved("../", "//").as_deref(), Some("/"));
    }
}
