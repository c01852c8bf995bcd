//! Type names: one name means one thing in a crate.

use std::collections::BTreeMap;

use crate::Finding;
use crate::source::Source;

/// Finds types that are declared with the same name in several modules of a crate.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut declared: BTreeMap<(&str, &str), Vec<(&Source, usize)>> = BTreeMap::new();
    for source in sources {
        let Some(name) = crate_of(&source.path) else { continue };
        for (line, declaration) in declarations(&source.text) {
            declared.entry((name, declaration)).or_default().push((source, line));
        }
    }
    let mut findings = Vec::new();
    for ((name, declaration), places) in declared {
        let mut paths: Vec<&str> = places.iter().map(|(source, _)| source.path.as_str()).collect();
        paths.dedup();
        // Alternatives for a platform or a feature are one type.
        if paths.iter().filter(|path| !is_alternative(path)).count() < 2 && paths.len() <= 2 || paths.len() < 2 {
            continue;
        }
        for (source, line) in places {
            findings.push(Finding {
                rule: "name",
                path: source.path.clone(),
                line,
                message: format!(
                    "`{declaration}` is declared {} times in {name}: {}",
                    paths.len(),
                    paths.join(", ")
                ),
            });
        }
    }
    findings
}

/// The library that a file belongs to; tests and programs are not libraries.
fn crate_of(path: &str) -> Option<&str> {
    let (name, rest) = path.strip_prefix("crates/")?.split_once('/')?;
    (rest.starts_with("src/") && rest.ends_with(".rs")).then_some(name)
}

fn is_alternative(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let suffixes = ["_linux.rs", "_other.rs", "_portable.rs"];
    file.starts_with("without_")
        || suffixes.iter().any(|suffix| file.ends_with(suffix))
        || path.contains("/sys/")
        || path.contains("/linux/")
}

/// The names of the structs, enums, traits and unions of a file, before its tests.
fn declarations(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_code = |line: &&str| *line != "#[cfg(test)]";
    text.lines()
        .take_while(is_code)
        .enumerate()
        .filter_map(|(index, line)| {
            let rest = match line.strip_prefix("pub") {
                Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
                Some(rest) => rest.strip_prefix(' ')?,
                None => line,
            };
            let (kind, rest) = rest.split_once(' ')?;
            if !["struct", "enum", "trait", "union"].contains(&kind) {
                return None;
            }
            let end = rest.find(|character: char| !(character.is_alphanumeric() || character == '_'));
            Some((index + 1, &rest[..end.unwrap_or(rest.len())]))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_two_modules_declare_is_found_in_both() {
        let one = crate::source("crates/a/src/one.rs", "pub(crate) struct Key(u64);\n");
        let two = crate::source("crates/a/src/two.rs", "enum Key {}\n\n#[cfg(test)]\nstruct Other;\n");
        let other = crate::source("crates/b/src/one.rs", "struct Key;\n");
        let found = check(&[one, two, other]);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].message,
            "`Key` is declared 2 times in a: crates/a/src/one.rs, crates/a/src/two.rs"
        );
    }

    #[test]
    fn alternatives_for_platforms_are_one_type() {
        let one = crate::source("crates/a/src/disk_linux.rs", "struct Disk;\n");
        let two = crate::source("crates/a/src/disk_other.rs", "struct Disk;\n");
        assert!(check(&[one, two]).is_empty());
    }
}
