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

/// Every Rust and Markdown file that git tracks or would track.
///
/// # Panics
/// Panics if git cannot list the files.
pub(crate) fn all(root: &Path) -> Vec<Source> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .args(["--", "*.rs", "*.md"])
        .current_dir(root)
        .output()
        .expect("git is installed");
    assert!(listed.status.success(), "git ls-files failed in {}", root.display());
    let paths = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let mut paths: Vec<&str> = paths.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let read = |path: &str| {
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        Some(Source {
            path: path.to_owned(),
            text,
        })
    };
    paths.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
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
