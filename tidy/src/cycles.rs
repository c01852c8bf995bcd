//! Imports between the directories of a crate: they must form no cycle.
//!
//! A directory is a room with one purpose. A file in the root of a crate is a room by itself, except for `lib.rs`, which
//! exports the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;
use crate::source::Source;

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Finds the directories of each library whose files import each other in a cycle.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<(&str, &Source)>> = BTreeMap::new();
    for source in sources {
        let file = source
            .path
            .strip_prefix("crates/")
            .and_then(|path| path.split_once("/src/"));
        if let Some((name, file)) = file
            && file.ends_with(".rs")
            && file != "lib.rs"
        {
            crates.entry(name).or_default().push((file, source));
        }
    }
    let mut findings = Vec::new();
    for (name, files) in crates {
        let rooms: BTreeSet<String> = files.iter().map(|(file, _)| room(file)).collect();
        let mut graph = Graph::new();
        for (file, source) in &files {
            let here = room(file);
            let imported = imports(source)
                .into_iter()
                .filter(|there| rooms.contains(there) && *there != here);
            graph.entry(here.clone()).or_default().extend(imported);
        }
        for cycle in cycles(&graph) {
            findings.push(Finding {
                rule: "cycle",
                path: format!("crates/{name}/src/{}", cycle[0]),
                line: 0,
                message: format!("these modules import each other: {}", cycle.join(", ")),
            });
        }
    }
    findings
}

/// The directory of a file, or the file itself in the root: `server/worker.rs` is in `server`, `body.rs` in `body`.
fn room(file: &str) -> String {
    let first = file.split('/').next().unwrap_or(file);
    first.trim_end_matches(".rs").to_owned()
}

/// The first segments of the paths that start with `crate::`.
fn imports(source: &Source) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code = source.code().filter(|line| !line.trim_start().starts_with("//"));
    for line in code {
        for part in line.split("crate::").skip(1) {
            if let Some(list) = part.strip_prefix('{') {
                let names = list.trim_end_matches(['}', ';']).split(',');
                found.extend(names.filter_map(|name| segment(name.trim())));
            } else {
                found.extend(segment(part));
            }
        }
    }
    found
}

fn segment(path: &str) -> Option<String> {
    let end = path.find(|character: char| !(character.is_alphanumeric() || character == '_'));
    let name = &path[..end.unwrap_or(path.len())];
    (!name.is_empty()).then(|| name.to_owned())
}

/// The strongly connected parts of the graph with more than one room.
fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    let reaches: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|from| (from, reachable(graph, from))).collect();
    let mut seen: BTreeSet<&String> = BTreeSet::new();
    let mut cycles = Vec::new();
    for (from, forward) in &reaches {
        if seen.contains(from) {
            continue;
        }
        let with: Vec<String> = forward
            .iter()
            .filter(|to| reaches.get(*to).is_some_and(|back| back.contains(from)))
            .map(|to| (*to).clone())
            .collect();
        if with.len() > 1 {
            seen.extend(reaches.keys().filter(|key| with.contains(key)));
            cycles.push(with);
        }
    }
    cycles
}

fn reachable<'a>(graph: &'a Graph, from: &'a String) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&String> = graph[from].iter().collect();
    while let Some(room) = next.pop() {
        if found.insert(room) {
            next.extend(graph.get(room).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_import_each_other_are_one_cycle() {
        let files = [
            crate::source(
                "crates/a/src/lib.rs",
                "mod body;\nmod server;\npub use crate::body::Body;\n",
            ),
            crate::source("crates/a/src/body.rs", "use crate::server::Key;\n"),
            crate::source(
                "crates/a/src/server/key.rs",
                "use crate::{body::Body, problem::Problem};\n",
            ),
            crate::source("crates/a/src/problem.rs", "// crate::server\n"),
        ];
        let found = check(&files);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, "these modules import each other: body, server");
    }

    #[test]
    fn imports_in_one_direction_are_no_cycle() {
        let files = [
            crate::source(
                "crates/a/src/body.rs",
                "#[cfg(test)]\nmod tests {\n    use crate::server::Key;\n}\n",
            ),
            crate::source("crates/a/src/server.rs", "use crate::body::Body;\n"),
        ];
        assert!(check(&files).is_empty());
    }
}
