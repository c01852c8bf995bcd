//! The allow list: `RULE PATH REASON…`, one entry a line. A path that ends with `/` is a directory, except for the rule
//! `cycle`, whose path lists the members of one cycle.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;

/// The findings that no entry allows, then the faults of the list itself.
pub(crate) fn apply(list: &str, findings: Vec<Finding>) -> Vec<String> {
    let mut errors = Vec::new();
    let mut entries = BTreeMap::new();
    for (index, line) in list.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some(rule), Some(path), Some(reason)) if !reason.trim().is_empty() => {
                entries.insert((rule, path), index + 1);
            }
            _ => errors.push(format!(
                "tidy/allow.txt:{}: expected `RULE PATH REASON`, found `{line}`",
                index + 1
            )),
        }
    }
    let mut used = BTreeSet::new();
    for finding in findings {
        let allows = |(rule, path): &&(&str, &str)| {
            let is_inside = *rule != "cycle" && path.ends_with('/') && finding.path.starts_with(path);
            *rule == finding.rule && (is_inside || *path == finding.path)
        };
        if let Some(&entry) = entries.keys().find(allows) {
            used.insert(entry);
        } else {
            let Finding {
                rule,
                path,
                line,
                message,
            } = finding;
            errors.push(format!("{path}:{line}: {message} [{rule}]"));
        }
    }
    for ((rule, path), line) in entries {
        if !used.contains(&(rule, path)) {
            errors.push(format!(
                "tidy/allow.txt:{line}: `{rule} {path}` no longer allows anything; remove it"
            ));
        }
    }
    errors
}

/// Prints the entries that would allow these findings, with their counts in place of reasons.
pub(crate) fn print(findings: &[Finding]) {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for finding in findings {
        *counts.entry((finding.rule, &finding.path)).or_default() += 1;
    }
    for ((rule, path), count) in counts {
        println!("{rule} {path} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            rule: "length",
            path: "a.rs".to_owned(),
            line: 0,
            message: "800 lines".to_owned(),
        }
    }

    #[test]
    fn an_entry_with_a_reason_allows_its_rule_in_its_file() {
        assert!(apply("length a.rs a table\n", vec![finding()]).is_empty());
        assert_eq!(apply("", vec![finding()]), ["a.rs:0: 800 lines [length]"]);
        assert_eq!(apply("name a.rs a platform\n", vec![finding()]).len(), 2);
    }

    #[test]
    fn an_entry_for_a_directory_allows_its_rule_below() {
        let below = || Finding {
            path: "src/a.rs".to_owned(),
            ..finding()
        };
        assert!(apply("length src/ tables\n", vec![below()]).is_empty());
        assert_eq!(apply("length sr tables\n", vec![below()]).len(), 2);
    }

    #[test]
    fn a_cycle_with_another_member_is_an_error_and_so_is_the_entry_of_the_old_one() {
        let cycle = |path: &str| Finding {
            rule: "cycle",
            path: path.to_owned(),
            ..finding()
        };
        assert!(apply("cycle src/{a,b} twins\n", vec![cycle("src/{a,b}")]).is_empty());
        assert_eq!(apply("cycle src/{a,b} twins\n", vec![cycle("src/{a,b,c}")]).len(), 2);
        assert_eq!(apply("cycle src/ twins\n", vec![cycle("src/{a,b}")]).len(), 2);
    }

    #[test]
    fn an_entry_without_a_reason_or_a_finding_is_an_error() {
        assert_eq!(apply("length a.rs\n", vec![finding()]).len(), 2);
        assert_eq!(apply("length b.rs a table\n", vec![]).len(), 1);
    }
}
