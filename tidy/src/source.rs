//! The files that are checked.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One file of the repository.
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// The lines of a Markdown page outside of fenced code, with their numbers.
    pub(crate) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_fenced = false;
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            if line.trim_start().starts_with("```") {
                is_fenced = !is_fenced;
                return None;
            }
            (!is_fenced).then_some((index + 1, line))
        })
    }

    /// The mark that begins a comment, for scripts, manifests and sources of other languages.
    pub(crate) fn comment_mark(&self) -> Option<&'static str> {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        match name.rsplit_once('.') {
            Some((_, "toml" | "py" | "sh")) => Some("#"),
            Some((_, "c" | "js")) => Some("//"),
            Some((_, "lua" | "sql")) => Some("--"),
            None if self.text.starts_with("#!") => Some("#"),
            _ => None,
        }
    }

    /// The lines before the module of unit tests, which is the last item of a file.
    ///
    /// `mod tests;` is a line like any other: the tests are another file, and declarations follow.
    pub(crate) fn code(&self) -> impl Iterator<Item = &str> {
        let lines: Vec<&str> = self.text.lines().collect();
        let is_tests =
            |pair: &[&str]| pair[0].starts_with("#[cfg(") && pair[0].contains("test") && pair[1] == "mod tests {";
        let end = lines.windows(2).position(is_tests).unwrap_or(lines.len());
        lines.into_iter().take(end)
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .parent()
        .expect("tidy is a directory of the repository")
        .to_owned()
}

/// The paths of all files that git tracks or would track.
///
/// # Panics
/// Panics if git cannot list the files.
pub(crate) fn paths(root: &Path) -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output()
        .expect("git is installed");
    assert!(listed.status.success(), "git ls-files failed in {}", root.display());
    let paths = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let paths = paths.split('\0').filter(|path| root.join(path).is_file());
    let mut paths: Vec<String> = paths.map(str::to_owned).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// The files with prose: Rust, Markdown, manifests, scripts.
pub(crate) fn read(root: &Path, paths: &[String]) -> Vec<Source> {
    let read = |path: &str| {
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        let source = Source {
            path: path.to_owned(),
            text,
        };
        (source.is_rust() || source.is_markdown() || source.comment_mark().is_some()).then_some(source)
    };
    paths.iter().filter_map(|path| read(path)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn scripts_and_manifests_have_a_comment_mark() {
        let mark = |path, text| crate::source(path, text).comment_mark();
        assert_eq!(mark("Cargo.toml", ""), Some("#"));
        assert_eq!(mark(".ci/run", "#!/bin/sh\n"), Some("#"));
        assert_eq!(mark("c/echo.c", ""), Some("//"));
        assert_eq!(mark("LICENSE-MIT", "MIT"), None);
        assert_eq!(mark("a.svg", "#!"), None);
    }

    #[test]
    fn code_ends_at_the_module_of_unit_tests() {
        let lines = |text| {
            crate::source("a.rs", text)
                .code()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines("a\n#[cfg(test)]\nmod tests {\nb\n}\n"), ["a"]);
        assert_eq!(lines("a\n#[cfg(all(test, unix))]\nmod tests {\n}\n"), ["a"]);
        assert_eq!(
            lines("#[cfg(test)]\nmod tests;\nb\n"),
            ["#[cfg(test)]", "mod tests;", "b"]
        );
        assert_eq!(lines("#[cfg(test)]\nuse a::b;\nc\n").len(), 3);
    }
}
