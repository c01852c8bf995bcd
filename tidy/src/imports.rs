//! The imports of a crate: for each file the files whose items it names, through `use` and through paths in its code.
//!
//! A name that a module imports or exports leads to the file that declares it, because a child module can use either. An
//! export by itself is no import: `lib.rs` and the `mod.rs` of a directory list the items of their parts.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// The maximum length of a chain of exports.
const EXPORTS: usize = 8;

/// The import of one file by another: the paths below `src`.
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) line: usize,
}

/// The path of a module in its crate.
type Module = Vec<String>;

struct File {
    path: String,
    uses: Vec<Use>,
    /// The code without comments and `use` statements.
    rest: String,
    declares: BTreeSet<String>,
}

/// One path of a `use` statement.
struct Use {
    /// The segments; the last one of a glob is `*`.
    path: Vec<String>,
    /// The name in this module.
    name: String,
    is_export: bool,
    line: usize,
}

/// The imports between the files of one crate, whose paths are relative to `src`.
pub(crate) fn of_crate(files: &[(&str, &Source)]) -> Vec<Import> {
    let files: BTreeMap<Module, File> = files
        .iter()
        .map(|(path, source)| (module(path), File::parse(path, source)))
        .collect();
    let mut imports = Vec::new();
    for (module, file) in &files {
        let mut add = |path: &[String], line: usize| {
            if let Some(to) = target(&files, module, path, EXPORTS)
                && to.path != file.path
            {
                imports.push(Import {
                    from: file.path.clone(),
                    to: to.path.clone(),
                    line,
                });
            }
        };
        for import in &file.uses {
            if !import.is_export || has_word(&without_texts(&file.rest), &import.name) {
                add(&import.path, import.line);
            }
        }
        for (line, text) in file.rest.lines().enumerate() {
            for path in paths(text) {
                add(&path, line + 1);
            }
        }
    }
    imports
}

/// The module of a file: `worker/stop.rs` is `worker::stop`, and `worker/mod.rs` is `worker`.
fn module(path: &str) -> Module {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" => Vec::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

/// The file that a path leads to from a module; `None` outside of the crate.
fn target<'a>(files: &'a BTreeMap<Module, File>, from: &[String], path: &[String], exports: usize) -> Option<&'a File> {
    let mut module = from.to_vec();
    let mut path = path.iter().peekable();
    match path.peek()?.as_str() {
        "crate" => {
            module.clear();
            path.next();
        }
        "self" => drop(path.next()),
        "super" => {
            while path.next_if(|segment| *segment == "super").is_some() {
                module.pop()?;
            }
        }
        first => {
            module.push(first.to_owned());
            files.get(&module)?;
            path.next();
        }
    }
    for segment in path {
        module.push(segment.clone());
        if files.contains_key(&module) {
            continue;
        }
        module.pop();
        let file = files.get(&module)?;
        if file.declares.contains(segment) || segment == "*" || exports == 0 {
            return Some(file);
        }
        if let Some(export) = file.uses.iter().find(|export| export.name == *segment) {
            return target(files, &module, &export.path, exports - 1);
        }
        let globs = file.uses.iter().filter(|export| export.name == "*");
        let mut declaring = globs.filter_map(|glob| {
            let path = [&glob.path[..glob.path.len() - 1], std::slice::from_ref(segment)].concat();
            target(files, &module, &path, exports - 1).filter(|file| file.declares.contains(segment))
        });
        return declaring.next().or(Some(file));
    }
    files.get(&module)
}

impl File {
    fn parse(path: &str, source: &Source) -> File {
        let code: String = source
            .code()
            .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
            .flat_map(|line| [line, "\n"])
            .collect();
        let mut uses = Vec::new();
        let mut rest = code.clone();
        let mut from = 0;
        while let Some((start, length)) = statement(&code[from..]) {
            let (start, end) = (from + start, from + start + length);
            let text = &code[start..end];
            let line = code[..start].matches('\n').count() + 1;
            let is_export = text.starts_with("pub");
            let tree = text.split_once("use ").map_or("", |(_, tree)| tree);
            let mut leaves = Vec::new();
            expand(&mut Vec::new(), &words(tree), &mut leaves);
            uses.extend(leaves.into_iter().map(|(path, name)| Use {
                path,
                name,
                is_export,
                line,
            }));
            let blank: String = text.chars().filter(|letter| *letter == '\n').collect();
            let shift = code.len() - rest.len();
            rest.replace_range(start - shift..end - shift, &blank);
            from = end;
        }
        let declares = rest.lines().filter_map(declared).map(str::to_owned).collect();
        File {
            path: path.to_owned(),
            uses,
            rest,
            declares,
        }
    }
}

/// The position and the length of the first `use` statement that is not inside a function or an inline module.
fn statement(code: &str) -> Option<(usize, usize)> {
    let mut position = 0;
    for line in code.split_inclusive('\n') {
        let text = match line.strip_prefix("pub") {
            Some(text) if text.starts_with('(') => text.split_once(") ").map_or("", |(_, text)| text),
            Some(text) => text.trim_start(),
            None => line,
        };
        if text.starts_with("use ") {
            return Some((position, code[position..].find(';')? + 1));
        }
        position += line.len();
    }
    None
}

/// The names, `*` and the punctuation of a tree of imports.
fn words(tree: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_name = false;
    for letter in tree.chars() {
        let is_letter = letter.is_alphanumeric() || letter == '_';
        match words.last_mut() {
            Some(word) if is_letter && is_name => word.push(letter),
            _ if is_letter || "{},*".contains(letter) => words.push(letter.to_string()),
            _ => {}
        }
        is_name = is_letter;
    }
    words
}

/// Appends the paths of a tree with the names that they have in the module, and returns the number of words used.
fn expand(prefix: &mut Vec<String>, words: &[String], leaves: &mut Vec<(Vec<String>, String)>) -> usize {
    let depth = prefix.len();
    let mut used = 0;
    let mut renamed = None;
    while let Some(word) = words.get(used) {
        match word.as_str() {
            "," | "}" => break,
            "{" => {
                used += 1;
                while words.get(used).is_some_and(|word| word != "}") {
                    used += expand(prefix, &words[used..], leaves);
                    used += usize::from(words.get(used).is_some_and(|word| word == ","));
                }
                prefix.truncate(depth);
                return used + 1;
            }
            "as" => {
                renamed = words.get(used + 1).cloned();
                used += 1;
            }
            word => prefix.push(word.to_owned()),
        }
        used += 1;
    }
    // `self` in a list is the module before it.
    if prefix.len() > 1 && prefix.last().is_some_and(|last| last == "self") {
        prefix.pop();
    }
    if let Some(last) = prefix.last() {
        let name = renamed.unwrap_or_else(|| last.clone());
        leaves.push((prefix.clone(), name));
    }
    prefix.truncate(depth);
    used
}

/// The paths in a line of code that could lead to another module.
fn paths(line: &str) -> Vec<Vec<String>> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':' || letter == '$';
    line.split(|letter: char| !is_part(letter))
        .filter(|path| path.contains("::") && !path.starts_with(['$', ':']))
        .map(|path| {
            path.split("::")
                .map(|segment| segment.trim_matches(':').to_owned())
                .collect()
        })
        .map(|path: Vec<String>| path.into_iter().filter(|segment| !segment.is_empty()).collect())
        .collect()
}

/// The name of the item that a line declares.
fn declared(line: &str) -> Option<&str> {
    let mut words = line
        .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .filter(|word| !word.is_empty());
    let is_kind = |word: &&str| {
        [
            "struct",
            "enum",
            "trait",
            "union",
            "fn",
            "type",
            "static",
            "mod",
            "macro_rules",
        ]
        .contains(word)
    };
    let is_modifier = |word: &&str| {
        [
            "pub", "crate", "super", "in", "self", "async", "unsafe", "const", "auto",
        ]
        .contains(word)
    };
    let mut before = None;
    let first = loop {
        let word = words.next()?;
        if is_kind(&word) {
            break words.next()?;
        }
        if !is_modifier(&word) {
            // `const NAME`.
            return (before == Some("const")).then_some(word);
        }
        before = Some(word);
    };
    Some(first)
}

/// The code without the contents of strings on one line, such as the notes of a diagnostic attribute.
fn without_texts(code: &str) -> String {
    code.lines()
        .flat_map(|line| line.split('"').step_by(2).chain(["\n"]))
        .collect()
}

fn has_word(text: &str, word: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_letter) && !text[at + word.len()..].starts_with(is_letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<(&str, Source)> = files
            .iter()
            .map(|(path, text)| (*path, crate::source(path, text)))
            .collect();
        let files: Vec<(&str, &Source)> = sources.iter().map(|(path, source)| (*path, source)).collect();
        let imports = of_crate(&files).into_iter();
        imports
            .map(|import| format!("{} -> {}:{}", import.from, import.to, import.line))
            .collect()
    }

    #[test]
    fn trees_and_paths_in_code_lead_to_files() {
        let files = [
            ("lib.rs", "pub mod a;\n"),
            ("a/mod.rs", "mod b;\n\nfn f() -> b::B {\n    self::c::g()\n}\n"),
            (
                "a/b.rs",
                "use super::{\n    c::{self, C as D},\n    f,\n};\npub struct B;\n",
            ),
            ("a/c.rs", "pub struct C;\npub fn g() -> crate::x::X {}\n"),
            ("x.rs", "pub struct X;\n"),
        ];
        let expected = [
            "a/mod.rs -> a/b.rs:3",
            "a/mod.rs -> a/c.rs:4",
            "a/b.rs -> a/c.rs:1",
            "a/b.rs -> a/c.rs:1",
            "a/b.rs -> a/mod.rs:1",
            "a/c.rs -> x.rs:2",
        ];
        assert_eq!(found(&files), expected);
    }

    #[test]
    fn a_name_leads_to_the_file_that_declares_it_and_an_export_is_no_import() {
        let files = [
            ("lib.rs", "pub use a::*;\n"),
            (
                "a/mod.rs",
                "pub(crate) use self::b::B;\nuse crate::x::X;\n#[note = \"return a B\"]\n",
            ),
            ("a/b.rs", "pub struct B;\n"),
            ("a/c.rs", "use super::X;\nuse crate::B;\nuse http::X as Y;\n"),
            ("x.rs", "pub struct X;\n"),
        ];
        assert_eq!(
            found(&files),
            ["a/mod.rs -> x.rs:2", "a/c.rs -> x.rs:1", "a/c.rs -> a/b.rs:2"]
        );
    }

    #[test]
    fn an_export_that_the_module_uses_is_an_import() {
        let files = [
            ("a/mod.rs", "pub use self::b::B;\nfn f(_: B) {}\n"),
            ("a/b.rs", "pub struct B;\n"),
        ];
        assert_eq!(found(&files), ["a/mod.rs -> a/b.rs:1"]);
    }
}
