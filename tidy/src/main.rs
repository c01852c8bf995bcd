//! Checks of the source that neither the compiler nor clippy makes: the language of prose, the length of files and functions, the
//! uniqueness of type names, the direction of imports, the place of `unsafe`, the lists of extractors that take the body, and the links
//! and paths of the documentation.
//!
//! ```sh
//! cargo run -p tidy             # exits with 1 if a rule is broken
//! cargo run -p tidy -- --allow  # prints the entries that the allow list needs today
//! ```
//!
//! `tidy/allow.txt` lists the exceptions, each with its reason. An entry that no finding needs is an error, so the list
//! only shrinks.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)]

mod allow;
mod bodies;
mod cycles;
mod files;
mod imports;
mod language;
mod links;
mod names;
mod paths;
mod source;

use std::process::ExitCode;

#[cfg(test)]
use source::Source;

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// The name of the rule, as in the allow list.
    rule: &'static str,
    /// The file, relative to the root of the repository.
    path: String,
    /// The line, counted from 1; 0 is the whole file.
    line: usize,
    message: String,
}

fn main() -> ExitCode {
    let root = source::root();
    let paths = source::paths(&root);
    let sources = source::read(&root, &paths);
    let mut findings = Vec::new();
    for source in &sources {
        findings.extend(language::check(source));
        findings.extend(files::check(source));
    }
    findings.extend(files::check_forbids(&sources));
    findings.extend(names::check(&sources));
    findings.extend(bodies::check(&sources));
    findings.extend(cycles::check(&sources));
    findings.extend(links::check(&root, &sources));
    findings.extend(paths::check(&paths, &sources));
    findings.extend(paths::check_tests(&sources));

    if std::env::args().any(|argument| argument == "--allow") {
        allow::print(&findings);
        return ExitCode::SUCCESS;
    }
    let list = std::fs::read_to_string(root.join("tidy/allow.txt")).unwrap_or_default();
    let errors = allow::apply(&list, findings);
    for error in &errors {
        println!("{error}");
    }
    match errors.len() {
        0 => {
            println!("tidy: {} files, no rule is broken", sources.len());
            ExitCode::SUCCESS
        }
        count => {
            println!("tidy: {count} errors");
            ExitCode::FAILURE
        }
    }
}

/// Reads a source from text, for the tests of the rules.
#[cfg(test)]
fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}
