//! The paths in the prose of Markdown pages: a file or a directory that a page names between backticks exists. So do the tests
//! that the pages about security and architecture name.

use std::collections::BTreeSet;

use crate::Finding;
use crate::source::Source;

/// The files and directories of the repository.
struct Tree<'a> {
    paths: BTreeSet<&'a str>,
    /// The directories of the root and of `crates`, which begin a path.
    roots: BTreeSet<&'a str>,
}

/// Finds words in backticks that are a path of this repository by their form, and name none of `files`. A page may omit
/// the beginning of a path: `link/mod.rs`.
pub(crate) fn check(files: &[String], sources: &[Source]) -> Vec<Finding> {
    let tree = Tree::of(files);
    let mut findings = Vec::new();
    for page in sources.iter().filter(|source| source.is_markdown()) {
        for (line, text) in page.prose() {
            let quoted = text.split('`').skip(1).step_by(2);
            let words = quoted.flat_map(|span| span.split([' ', '=']));
            for path in words.map(|word| word.trim_end_matches('/')) {
                if tree.is_path(path) && !tree.has(path) {
                    findings.push(Finding {
                        rule: "path",
                        path: page.path.clone(),
                        line,
                        message: format!("`{path}` is no file of the repository: correct the path"),
                    });
                }
            }
        }
    }
    findings
}

/// The pages that name tests.
const PAGES_WITH_TESTS: [&str; 2] = ["docs/architecture.md", "docs/security.md"];

/// Finds words in backticks that are a test by their form, on the pages that name tests, and the name of no function.
pub(crate) fn check_tests(sources: &[Source]) -> Vec<Finding> {
    let rust = sources.iter().filter(|source| source.is_rust());
    let functions: BTreeSet<&str> = rust.flat_map(|source| functions(&source.text)).collect();
    let mut findings = Vec::new();
    let pages = sources
        .iter()
        .filter(|source| PAGES_WITH_TESTS.contains(&source.path.as_str()));
    for page in pages {
        for (line, text) in page.prose() {
            let quoted = text.split('`').skip(1).step_by(2);
            for name in quoted.filter(|word| is_test(word) && !functions.contains(word)) {
                findings.push(Finding {
                    rule: "test",
                    path: page.path.clone(),
                    line,
                    message: format!("`{name}` is no function of the repository: correct the name of the test"),
                });
            }
        }
    }
    findings
}

/// Returns whether a word has the form of a test's name: at least four words in lower case.
fn is_test(word: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    word.chars().all(is_plain) && word.matches('_').count() >= 3
}

/// The names after `fn` in a source.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.split("fn ").skip(1).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

impl<'a> Tree<'a> {
    fn of(files: &'a [String]) -> Self {
        let mut paths = BTreeSet::new();
        for file in files {
            let directories = file.match_indices('/').map(|(end, _)| &file[..end]);
            paths.extend(directories.chain([file.as_str()]));
        }
        let first = |path: &'a str| path.split_once('/').map(|(first, _)| first);
        let in_root = paths.iter().filter_map(|path| first(path));
        let in_crates = paths
            .iter()
            .filter_map(|path| path.strip_prefix("crates/").and_then(first));
        let roots = in_root.chain(in_crates).collect();
        Tree { paths, roots }
    }

    /// Returns whether a word has the form of a path of this repository. A part in capitals stands for any name.
    fn is_path(&self, word: &str) -> bool {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
        let is_any = |part: &str| part.chars().all(|letter| letter.is_ascii_uppercase());
        let begins_at_root = word
            .split_once('/')
            .is_some_and(|(first, _)| self.roots.contains(first));
        (begins_at_root || word.ends_with(".rs")) && word.chars().all(is_plain) && !word.split('/').any(is_any)
    }

    fn has(&self, path: &str) -> bool {
        let is_end = |whole: &&str| whole.strip_suffix(path).is_some_and(|before| before.ends_with('/'));
        self.paths.contains(path) || self.paths.iter().any(is_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(text: &str) -> Vec<String> {
        let files = ["crates/web/src/link/mod.rs", "docs/a.md", "fuzz/corpus/h1/empty"].map(str::to_owned);
        let found = check(&files, &[crate::source("docs/a.md", text)]);
        found.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn existing_files_directories_and_their_ends_are_valid() {
        let text = "`crates/web/src/link/mod.rs`, `web/src/link/`, `link/mod.rs`, `mod.rs`, `fuzz/corpus/TARGET`\n";
        assert_eq!(missing(text), [""; 0]);
    }

    #[test]
    fn words_of_another_form_are_no_paths() {
        assert_eq!(
            missing("`text/html`, `a / b`, docs/b.md\n```\n`docs/b.md`\n```\n"),
            [""; 0]
        );
    }

    #[test]
    fn missing_paths_are_found() {
        assert_eq!(
            missing("`web/src/link.rs`, `cat docs/b.md`, `FILE=other.rs`\n").len(),
            3
        );
    }

    #[test]
    fn missing_tests_of_the_pages_that_name_tests_are_found() {
        let tests = "#[test]\nfn a_long_body_is_rejected() {}\nasync fn a_body_without_an_end_is_closed() {}\n";
        let text = "`a_long_body_is_rejected`, `a_body_without_an_end_is_closed`, `rapid_reset`, `CONDUIT_HEAD_TIME_LIMIT`\n\
                    `a_long_body_is_accepted`\n";
        let page = |path| [crate::source("tests/a.rs", tests), crate::source(path, text)];
        for path in PAGES_WITH_TESTS {
            let found = check_tests(&page(path));
            assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2]);
        }
        assert_eq!(check_tests(&page("docs/a.md")), []);
    }
}
