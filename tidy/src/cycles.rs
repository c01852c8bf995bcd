//! Imports between the modules of a crate: they must form no cycle.
//!
//! A module is a directory in the root of a crate, or a file there by itself, except for `lib.rs`, which exports the others.
//! The path of a finding lists all members of a cycle, so that an exception allows exactly these: a further member, another
//! cycle and a cycle that no longer exists are errors.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;
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
        let graph = graph(&files);
        for cycle in cycles(&graph) {
            findings.push(Finding {
                rule: "cycle",
                path: format!("crates/{name}/src/{{{}}}", cycle.join(",")),
                line: 0,
                message: format!("these modules import each other: {}", imports_within(&graph, &cycle)),
            });
        }
    }
    findings
}

fn graph(files: &[(&str, &Source)]) -> Graph {
    let mut graph: Graph = files
        .iter()
        .filter(|(file, _)| *file != "lib.rs")
        .map(|(file, _)| (module(file), BTreeMap::new()))
        .collect();
    let root = files.iter().find(|(file, _)| *file == "lib.rs");
    let exports = root.map_or_else(BTreeMap::new, |(_, source)| exports(source));
    for (file, source) in files.iter().filter(|(file, _)| *file != "lib.rs") {
        let here = module(file);
        for (name, line) in imports(file, source) {
            let there = exports.get(&name).cloned().unwrap_or(name);
            if there != here && graph.contains_key(&there) {
                let known = graph.get_mut(&here).expect("each module is in the graph");
                known.entry(there).or_insert_with(|| ((*file).to_owned(), line));
            }
        }
    }
    graph
}

/// The module of a file: `worker/driver.rs` is in `worker`, and `body.rs` is `body`.
fn module(file: &str) -> String {
    let first = file.split('/').next().unwrap_or(file);
    first.trim_end_matches(".rs").to_owned()
}

/// The modules of the items that `lib.rs` exports from the root, by the items' names.
fn exports(root: &Source) -> BTreeMap<String, String> {
    let code: String = code(root).map(|(_, line)| line).collect::<Vec<_>>().join("\n");
    let mut exports = BTreeMap::new();
    for (before, statement) in code.split("pub use ").zip(code.split("pub use ").skip(1)) {
        // The exports of a module such as `prelude` are indented.
        if before.ends_with(' ') {
            continue;
        }
        let statement = statement.split(';').next().unwrap_or_default();
        let statement = statement.trim_start_matches("self::").trim_start_matches("crate::");
        let module = segment(statement);
        for word in statement.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')) {
            if word.starts_with(|first: char| first.is_uppercase()) {
                exports.insert(word.to_owned(), module.clone());
            }
        }
    }
    exports
}

/// The first segments of the paths that start at the root of the crate, with their lines.
fn imports(file: &str, source: &Source) -> BTreeMap<String, usize> {
    let mut text = String::new();
    let mut starts = Vec::new();
    for (number, line) in code(source) {
        starts.push((text.len(), number));
        text.push_str(line);
        text.push('\n');
    }
    let line = |position: usize| {
        starts
            .iter()
            .rev()
            .find(|(start, _)| *start <= position)
            .map_or(0, |(_, line)| *line)
    };
    let mut found = BTreeMap::new();
    let root = "super::".repeat(depth(file));
    for prefix in ["crate::", &root] {
        for (position, _) in text.match_indices(prefix) {
            let before = &text[..position];
            if before.ends_with(|letter: char| letter.is_alphanumeric() || "_$:".contains(letter)) {
                continue;
            }
            for name in names(&text[position + prefix.len()..]) {
                found.entry(name).or_insert_with(|| line(position));
            }
        }
    }
    found
}

/// The number of modules from a file to the root of its crate.
fn depth(file: &str) -> usize {
    let segments = file.split('/').count();
    segments - usize::from(file.ends_with("/mod.rs"))
}

/// The first segments that a path or a list of paths in braces begins with.
fn names(path: &str) -> Vec<String> {
    let Some(list) = path.strip_prefix('{') else {
        return Some(segment(path))
            .filter(|name| !name.is_empty())
            .into_iter()
            .collect();
    };
    let mut names = Vec::new();
    let mut open = 1;
    let mut is_first = true;
    for (index, letter) in list.char_indices() {
        match letter {
            '{' => open += 1,
            '}' => open -= 1,
            ',' if open == 1 => is_first = true,
            _ if is_first && !letter.is_whitespace() => {
                names.push(segment(&list[index..]));
                is_first = false;
            }
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    names
}

/// The lines of code with their numbers, without comments and unit tests.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let lines = source.code().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn segment(path: &str) -> String {
    let end = path.find(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
    path[..end.unwrap_or(path.len())].to_owned()
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
                "mod body;\nmod server;\npub use crate::body::Body;\n",
            ),
            ("crates/a/src/body.rs", "use crate::server::Key;\n"),
            (
                "crates/a/src/server/key.rs",
                "//! A key.\n\nuse crate::{\n    body::{Body, Piece},\n    problem::Problem,\n};\n",
            ),
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
