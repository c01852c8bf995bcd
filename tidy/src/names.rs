//! Type names: one name means one thing in a crate or in a test program, and is a term of the field.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;
use crate::source::Source;

/// Names that describe no role, and the standard terms for them.
const UNCLEAR: [(&str, &str); 17] = [
    ("Letter", "Command"),
    ("Outbox", "CommandSender"),
    ("Told", "Readiness"),
    ("Fate", "Disposition, Step"),
    ("Facts", "ConnectionInfo"),
    ("Made", "ErasedLayer"),
    ("Surroundings", "AppStack"),
    ("Outlet", "StreamGate"),
    ("Pace", "TransferRate"),
    ("Tail", "PendingBody"),
    ("Attended", "InstrumentedHandler"),
    ("Making", "LayerBuilder"),
    ("Certify", "TlsConfig"),
    ("Securing", "TlsAcceptor"),
    ("Secure", "TlsStream"),
    ("Place", "SettingRef, Slot, Position"),
    ("Given", "the role of the value"),
];

/// Finds types of crates whose name is unclear, and types that several modules of a crate or of a test program declare.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut declared: BTreeMap<(&str, &str), Vec<(&Source, usize)>> = BTreeMap::new();
    for source in sources {
        let library = crate_of(&source.path);
        let Some(name) = library.or_else(|| test_program_of(&source.path)) else {
            continue;
        };
        for (line, declaration) in declarations(source) {
            declared.entry((name, declaration)).or_default().push((source, line));
            if let (Some(_), Some((_, terms))) = (library, UNCLEAR.iter().find(|(unclear, _)| *unclear == declaration))
            {
                findings.push(finding(
                    source,
                    line,
                    format!("`{declaration}` describes no role: use a term such as {terms}"),
                ));
            }
        }
    }
    for ((name, declaration), places) in declared {
        let modules: BTreeSet<String> = places.iter().map(|(source, _)| module(&source.path)).collect();
        if modules.len() < 2 {
            continue;
        }
        let mut paths: Vec<&str> = places.iter().map(|(source, _)| source.path.as_str()).collect();
        paths.dedup();
        for (source, line) in places {
            findings.push(finding(
                source,
                line,
                format!(
                    "`{declaration}` is declared {} times in {name}: {}",
                    paths.len(),
                    paths.join(", ")
                ),
            ));
        }
    }
    findings
}

fn finding(source: &Source, line: usize, message: String) -> Finding {
    Finding {
        rule: "name",
        path: source.path.clone(),
        line,
        message,
    }
}

/// The crates outside of `crates` whose names are checked. The programs of a crate share its names.
const OTHER_CRATES: [&str; 2] = ["conformance", "benches/harness"];

/// The crate that a source file belongs to; tests belong to none.
fn crate_of(path: &str) -> Option<&str> {
    let path = path.strip_suffix(".rs")?;
    let other = OTHER_CRATES
        .iter()
        .find(|name| path.starts_with(&format!("{name}/src/")));
    if let Some(name) = other {
        return Some(name);
    }
    let (name, rest) = path.strip_prefix("crates/")?.split_once('/')?;
    rest.starts_with("src/").then_some(name)
}

/// The directory of the test program that a file belongs to. Each file of `compile_fail` is a program by itself.
fn test_program_of(path: &str) -> Option<&str> {
    let tests = path.find("/tests/")? + "/tests/".len();
    let (name, file) = path[tests..].split_once('/')?;
    (name != "compile_fail" && file.ends_with(".rs")).then(|| &path[..tests + name.len()])
}

/// The path of the module that a file implements. Alternatives for a platform or a feature implement the same module.
fn module(path: &str) -> String {
    // The files of `sys` are alternatives.
    if let Some((before, _)) = path.split_once("/sys/") {
        return format!("{before}/sys");
    }
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let file = file.trim_end_matches(".rs").trim_start_matches("without_");
    let file = ["_linux", "_other", "_portable"]
        .iter()
        .find_map(|suffix| file.strip_suffix(suffix))
        .unwrap_or(file);
    match file {
        "mod" => directory.to_owned(),
        file => format!("{directory}/{file}"),
    }
}

/// The names of the structs, enums, traits, unions and aliases of a file, before its tests. An indented `type` may belong to an
/// implementation of a trait.
fn declarations(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source.code().enumerate().filter_map(|(index, line)| {
        let (is_nested, line) = (line.starts_with(' '), line.trim_start());
        let rest = match line.strip_prefix("pub") {
            Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
            Some(rest) => rest.strip_prefix(' ')?,
            None => line,
        };
        let (kind, rest) = rest.split_once(' ')?;
        let declares = ["struct", "enum", "trait", "union"].contains(&kind) || kind == "type" && !is_nested;
        if !declares {
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
        let two = crate::source("crates/a/src/two.rs", "#[cfg(test)]\nmod tests;\nenum Key {}\n");
        let other = crate::source("crates/b/src/one.rs", "struct Key;\n");
        let found = check(&[one, two, other]);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].message,
            "`Key` is declared 2 times in a: crates/a/src/one.rs, crates/a/src/two.rs"
        );
    }

    #[test]
    fn names_of_the_conformance_tests_and_of_the_benchmarks_are_checked() {
        for name in ["conformance", "benches/harness"] {
            let one = crate::source(&format!("{name}/src/server.rs"), "pub struct Running;\n");
            let two = crate::source(&format!("{name}/src/bin/attack/peers.rs"), "struct Running;\n");
            assert_eq!(check(&[one, two]).len(), 2, "{name}");
            let unclear = crate::source(&format!("{name}/src/server.rs"), "enum Place {}\n");
            assert_eq!(check(&[unclear]).len(), 1, "{name}");
        }
        let one = crate::source("benches/peers/src/main.rs", "struct Running;\n");
        let two = crate::source("benches/peers/src/other.rs", "struct Running;\n");
        assert!(check(&[one, two]).is_empty());
    }

    #[test]
    fn a_name_is_declared_once_in_a_test_program() {
        let source = |path: &str| crate::source(path, "struct Run;\n");
        let one = || source("crates/a/tests/simulator/main.rs");
        let found = check(&[one(), source("crates/a/tests/simulator/events/run.rs")]);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].message,
            "`Run` is declared 2 times in crates/a/tests/simulator: crates/a/tests/simulator/main.rs, \
             crates/a/tests/simulator/events/run.rs"
        );
        for other in [
            "crates/a/tests/other/main.rs",
            "crates/a/tests/other.rs",
            "crates/a/src/run.rs",
        ] {
            assert!(check(&[one(), source(other)]).is_empty(), "{other}");
        }
        let program = |name: &str| source(&format!("crates/a/tests/compile_fail/{name}.rs"));
        assert!(check(&[program("one"), program("two")]).is_empty());
        assert!(check(&[crate::source("crates/a/tests/b/main.rs", "struct Place;\n")]).is_empty());
    }

    #[test]
    fn aliases_and_types_in_a_function_are_found() {
        let one = crate::source("crates/a/src/one.rs", "type Keys = Vec<u64>;\n");
        let two = crate::source("crates/a/src/two.rs", "fn keys() {\n    struct Keys;\n}\n");
        assert_eq!(check(&[one, two]).len(), 2);
        let one = crate::source(
            "crates/a/src/one.rs",
            "impl Service for A {\n    type Error = Never;\n}\n",
        );
        let two = crate::source("crates/a/src/two.rs", "pub enum Error {}\n");
        assert!(check(&[one, two]).is_empty());
    }

    #[test]
    fn alternatives_for_platforms_are_one_type() {
        let one = crate::source("crates/a/src/disk_linux.rs", "struct Disk;\n");
        let two = crate::source("crates/a/src/disk_other.rs", "struct Disk;\n");
        assert!(check(&[one, two]).is_empty());
        let one = crate::source("crates/a/src/sys/epoll.rs", "struct Backend;\n");
        let two = crate::source("crates/a/src/sys/portable.rs", "struct Backend;\n");
        assert!(check(&[one, two]).is_empty());
        let one = crate::source("crates/a/src/http2/mod.rs", "struct Http2;\n");
        let two = crate::source("crates/a/src/without_http2.rs", "enum Http2 {}\n");
        assert!(check(&[one, two]).is_empty());
    }

    #[test]
    fn an_alternative_with_the_name_of_another_module_is_found() {
        let one = crate::source("crates/a/src/sys/epoll.rs", "struct Poller;\n");
        let two = crate::source("crates/a/src/poller.rs", "pub struct Poller;\n");
        assert_eq!(check(&[one, two]).len(), 2);
    }

    #[test]
    fn a_name_that_describes_no_role_is_found_with_a_term() {
        let found = check(&[crate::source("crates/a/src/one.rs", "struct Letter;\n")]);
        assert_eq!(
            found[0].message,
            "`Letter` describes no role: use a term such as Command"
        );
    }
}
