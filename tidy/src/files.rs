//! The length of files and functions, and the crates that forbid `unsafe`.

use crate::Finding;
use crate::source::Source;

/// A longer file is split by concept.
const LINES: usize = 700;
/// A longer function is split by concept. Tests are tables, which may be longer.
const FUNCTION_LINES: usize = 80;

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let lines = source.text.lines().count();
    let file = (lines > LINES).then(|| Finding {
        rule: "length",
        path: source.path.clone(),
        line: 0,
        message: format!("{lines} lines, at most {LINES}: split it by concept"),
    });
    file.into_iter().chain(check_functions(source)).collect()
}

fn check_functions(source: &Source) -> Vec<Finding> {
    let is_test = source.path.split('/').any(|part| part == "tests" || part == "tests.rs");
    let lines: Vec<&str> = source.code().take_while(|_| !is_test).collect();
    let finding = |(index, line): (usize, &&str)| {
        let indent = line.len() - line.trim_start().len();
        let name = function(line.trim_start())?;
        // The format puts the end of an item under its beginning; a declaration in a trait ends with its arguments.
        let is_end = |line: &&str| {
            let end = line.get(indent..).filter(|_| line[..indent].trim().is_empty());
            end.is_some_and(|end| end.starts_with('}') || (end.starts_with(')') && end.ends_with(';')))
        };
        let length = lines[index..].iter().position(is_end)? + 1;
        let is_declaration = line.ends_with(';') || line.ends_with('}');
        (length > FUNCTION_LINES && !is_declaration).then(|| Finding {
            rule: "function",
            path: source.path.clone(),
            line: index + 1,
            message: format!("`{name}` has {length} lines, at most {FUNCTION_LINES}: split it by concept"),
        })
    };
    lines.iter().enumerate().filter_map(finding).collect()
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_modifier = |word: &str| {
        word.starts_with("pub")
            || ["in", "const", "async", "unsafe", "extern", "default", "\"C\""].contains(&word)
            || word.ends_with(')')
    };
    let end = after.find(|letter: char| !(letter.is_alphanumeric() || letter == '_'))?;
    before.split_whitespace().all(is_modifier).then(|| &after[..end])
}

/// Directories whose programs have no reason for `unsafe`; `benches/sockets` calls C.
const SAFE_PROGRAMS: [&str; 7] = [
    "benches/build/",
    "benches/harness/",
    "benches/layers/",
    "benches/routing/",
    "conformance/",
    "examples/",
    "tidy/",
];

/// Returns whether a file is the root of a library or of a program that forbids `unsafe`.
fn is_safe_root(path: &str) -> bool {
    if path.starts_with("crates/") {
        return path.ends_with("/src/lib.rs") && !path.starts_with("crates/conduit-net/");
    }
    let Some((_, file)) = path.split_once("src/") else {
        return false;
    };
    let is_root = match file.strip_prefix("bin/") {
        Some(program) => !program.contains('/') || program.ends_with("/main.rs") && program.matches('/').count() == 1,
        None => ["main.rs", "lib.rs"].contains(&file),
    };
    is_root && SAFE_PROGRAMS.iter().any(|directory| path.starts_with(directory))
}

/// Finds libraries, except the socket layer, and programs that do not forbid `unsafe`.
pub(crate) fn check_forbids(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| is_safe_root(&source.path))
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
        assert_eq!(check(&crate::source("a.rs", &"\n".repeat(701))).len(), 1);
        assert!(check(&crate::source("a.rs", &"\n".repeat(700))).is_empty());
        assert!(check(&crate::source("a.md", &"\n".repeat(701))).is_empty());
    }

    #[test]
    fn a_long_function_is_found() {
        for head in [
            "fn serve() {",
            "    pub(crate) const fn serve() {",
            "async fn serve(\n    a: u8,\n) {",
        ] {
            let indent = &head[..head.len() - head.trim_start().len()];
            let text = |lines: usize| {
                let rest = lines - head.lines().count() - 1;
                format!(
                    "struct A {{}}\n{head}\n{}{indent}}}\n}}\n",
                    format!("{indent}    b();\n").repeat(rest)
                )
            };
            assert!(check(&crate::source("src/a.rs", &text(80))).is_empty(), "{head}");
            let found = check(&crate::source("src/a.rs", &text(81)));
            assert_eq!(found.len(), 1, "{head}");
            assert_eq!(found[0].line, 2);
            assert!(
                found[0].message.starts_with("`serve` has 81 lines"),
                "{}",
                found[0].message
            );
            assert!(check(&crate::source("tests/a.rs", &text(81))).is_empty());
        }
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

    #[test]
    fn a_program_forbids_unsafe_code() {
        for (path, count) in [
            ("examples/a/src/main.rs", 1),
            ("conformance/src/bin/a.rs", 1),
            ("conformance/src/bin/a/main.rs", 1),
            ("benches/layers/src/main.rs", 1),
            ("conformance/src/bin/a/b.rs", 0),
            ("examples/a/src/b.rs", 0),
            ("benches/sockets/src/main.rs", 0),
            ("benches/peers/a/src/main.rs", 0),
        ] {
            assert_eq!(check_forbids(&[crate::source(path, "")]).len(), count, "{path}");
        }
    }
}
