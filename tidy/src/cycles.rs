//! Imports between the modules of a crate: they must form no cycle, neither between directories nor inside one.
//!
//! At each level, a module is a directory or a file by itself; `mod` is the file of the directory, without its parts. At the
//! root `lib.rs` is not a module: it exports the others. The path of a finding lists all members of a cycle, so that an
//! exception allows exactly these: a further member, another cycle and a cycle that no longer exists are errors.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;
use crate::imports::{self, Import};
use crate::source::Source;

/// The imports of each module: the imported modules, each with one of the importing files and its line.
type Graph = BTreeMap<String, BTreeMap<String, (String, usize)>>;

/// Finds the modules of each library that import each other in a cycle.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<(&str, &Source)>> = BTreeMap::new();
    for source in sources {
        let file = source
            .path
            .strip_prefix("crates/")
            .and_then(|path| path.split_once("/src/"));
        if let Some((name, file)) = file
            && file.ends_with(".rs")
        {
            crates.entry(name).or_default().push((file, source));
        }
    }
    let mut findings = Vec::new();
    for (name, files) in crates {
        let imports = imports::of_crate(&files);
        for directory in directories(&files) {
            let graph = graph(&directory, &imports);
            for cycle in cycles(&graph) {
                findings.push(Finding {
                    rule: "cycle",
                    path: format!("crates/{name}/src/{directory}{{{}}}", cycle.join(",")),
                    line: 0,
                    message: format!("these modules import each other: {}", imports_within(&graph, &cycle)),
                });
            }
        }
    }
    findings
}

/// The directories with modules: the root, which is empty, and the others with a slash at the end.
fn directories(files: &[(&str, &Source)]) -> BTreeSet<String> {
    let below = |path: &str| {
        path.match_indices('/')
            .map(|(end, _)| path[..=end].to_owned())
            .collect::<Vec<_>>()
    };
    let below = files.iter().flat_map(|(path, _)| below(path));
    below.chain([String::new()]).collect()
}

/// The imports between the modules of one directory.
fn graph(directory: &str, imports: &[Import]) -> Graph {
    let mut graph = Graph::new();
    for import in imports {
        let (Some(from), Some(to)) = (module(directory, &import.from), module(directory, &import.to)) else {
            continue;
        };
        graph.entry(to.clone()).or_default();
        let known = graph.entry(from.clone()).or_default();
        if from != to {
            known.entry(to).or_insert_with(|| (import.from.clone(), import.line));
        }
    }
    graph
}

/// The module of a directory that contains a file; `None` outside of the directory.
fn module(directory: &str, file: &str) -> Option<String> {
    if file == "lib.rs" {
        return None;
    }
    // The module of the directory `a/` is `a/mod.rs` or `a.rs`.
    if !directory.is_empty() && file.strip_suffix(".rs") == directory.strip_suffix('/') {
        return Some("mod".to_owned());
    }
    let first = file.strip_prefix(directory)?.split('/').next()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

/// The imports among the members of a cycle, with a place of each.
fn imports_within(graph: &Graph, cycle: &[String]) -> String {
    let mut imports = Vec::new();
    for from in cycle {
        for (to, (file, line)) in graph[from].iter().filter(|(to, _)| cycle.contains(to)) {
            imports.push(format!("{from} -> {to} ({file}:{line})"));
        }
    }
    imports.join(", ")
}

/// The strongly connected parts of the graph with more than one module.
fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    let reaches: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|from| (from, reachable(graph, from))).collect();
    let mut seen: BTreeSet<&String> = BTreeSet::new();
    let mut cycles = Vec::new();
    for (from, forward) in &reaches {
        if seen.contains(from) {
            continue;
        }
        let members: Vec<&String> = forward
            .iter()
            .copied()
            .filter(|to| reaches[to].contains(from))
            .collect();
        if members.len() > 1 {
            cycles.push(members.iter().map(|member| (*member).clone()).collect());
            seen.extend(members);
        }
    }
    cycles
}

fn reachable<'a>(graph: &'a Graph, from: &'a String) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&String> = graph[from].keys().collect();
    while let Some(module) = next.pop() {
        if found.insert(module) {
            next.extend(graph[module].keys());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let files: Vec<Source> = files.iter().map(|(path, text)| crate::source(path, text)).collect();
        let findings = check(&files).into_iter();
        findings.map(|finding| (finding.path, finding.message)).collect()
    }

    #[test]
    fn modules_that_import_each_other_are_one_cycle() {
        let found = found(&[
            (
                "crates/a/src/lib.rs",
                "mod body;\nmod server;\nmod problem;\npub use crate::body::Body;\n",
            ),
            ("crates/a/src/body.rs", "use crate::server::key::Key;\n"),
            (
                "crates/a/src/server/key.rs",
                "//! A key.\n\nuse crate::{\n    body::{Body, Piece},\n    problem::Problem,\n};\n",
            ),
            ("crates/a/src/server/mod.rs", "mod key;\n"),
            ("crates/a/src/problem.rs", "// crate::server\n"),
        ]);
        let message = "these modules import each other: body -> server (body.rs:1), server -> body (server/key.rs:3)";
        assert_eq!(found, [("crates/a/src/{body,server}".to_owned(), message.to_owned())]);
    }

    #[test]
    fn a_relative_path_and_an_export_of_the_root_lead_to_their_module() {
        for import in [
            "use super::super::server::Key;",
            "use crate::Key;",
            "fn key(_: crate::Key) {}",
        ] {
            let found = found(&[
                ("crates/a/src/lib.rs", "pub use server::{Key, other};\n"),
                ("crates/a/src/body/piece.rs", import),
                ("crates/a/src/body/mod.rs", "use super::problem::Problem;\n"),
                ("crates/a/src/server.rs", "use crate::body::Body;\n"),
                ("crates/a/src/problem.rs", ""),
            ]);
            assert_eq!(found.len(), 1, "{import}");
            assert_eq!(found[0].0, "crates/a/src/{body,server}", "{import}");
        }
    }

    #[test]
    fn a_module_and_its_part_that_import_each_other_are_a_cycle() {
        for parent in ["crates/a/src/h1/mod.rs", "crates/a/src/h1.rs"] {
            let found = found(&[
                (
                    parent,
                    "mod head;\nmod scan;\nuse self::head::Head;\npub struct Http1;\n",
                ),
                ("crates/a/src/h1/head.rs", "use super::Http1;\npub struct Head;\n"),
                ("crates/a/src/h1/scan.rs", "use super::Http1;\n"),
            ]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].0, "crates/a/src/h1/{head,mod}");
        }
    }

    #[test]
    fn imports_in_one_direction_are_no_cycle() {
        let found = found(&[
            (
                "crates/a/src/body.rs",
                "#[cfg(test)]\nmod tests {\n    use crate::server::Key;\n}\n",
            ),
            (
                "crates/a/src/server.rs",
                "use crate::body::Body;\nuse $crate::server::Key;\n",
            ),
        ]);
        assert!(found.is_empty());
    }
}
