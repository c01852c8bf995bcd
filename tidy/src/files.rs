//! The length of files, and the crates that forbid `unsafe`.

use crate::Finding;
use crate::source::Source;

/// A longer file is split by concept.
const LINES: usize = 700;

pub(crate) fn check(source: &Source) -> Option<Finding> {
    let lines = source.text.lines().count();
    (source.is_rust() && lines > LINES).then(|| Finding {
        rule: "length",
        path: source.path.clone(),
        line: 0,
        message: format!("{lines} lines, at most {LINES}: split it by concept"),
    })
}

/// Every library but the socket layer forbids `unsafe`.
pub(crate) fn check_forbids(sources: &[Source]) -> Vec<Finding> {
    let is_root = |path: &str| path.starts_with("crates/") && path.ends_with("/src/lib.rs");
    sources
        .iter()
        .filter(|source| is_root(&source.path) && !source.path.starts_with("crates/conduit-net/"))
        .filter(|source| !source.text.contains("#![forbid(unsafe_code)]"))
        .map(|source| Finding {
            rule: "unsafe",
            path: source.path.clone(),
            line: 0,
            message: "no `#![forbid(unsafe_code)]`: unsafe code lives in conduit-net".to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found() {
        assert!(check(&crate::source("a.rs", &"\n".repeat(701))).is_some());
        assert!(check(&crate::source("a.rs", &"\n".repeat(700))).is_none());
        assert!(check(&crate::source("a.md", &"\n".repeat(701))).is_none());
    }

    #[test]
    fn a_library_forbids_unsafe_code() {
        let with = crate::source("crates/a/src/lib.rs", "#![forbid(unsafe_code)]\n");
        let without = crate::source("crates/b/src/lib.rs", "");
        let sockets = crate::source("crates/conduit-net/src/lib.rs", "");
        let found = check_forbids(&[with, without, sockets]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "crates/b/src/lib.rs");
    }
}
