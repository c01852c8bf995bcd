//! Packages from npm, in a separate folder below the target directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::packages;

/// Returns the folder of the programs of a list of packages. Without Node.js or the network it returns `None` and the test is
/// skipped, but never in CI.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    Some(packages::installed(name)?.join("node_modules/.bin"))
}

/// Runs a program and returns its output, which it fails without.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

/// Compiles files of TypeScript in a folder to JavaScript, with every strict setting of the compiler. `programs` are those of the
/// list `typescript`.
#[track_caller]
pub(crate) fn compile_typescript(programs: &Path, folder: &Path, files: &[&str]) {
    let options = [
        "--strict",
        "--noUnusedLocals",
        "--noUnusedParameters",
        "--noImplicitReturns",
        "--noUncheckedIndexedAccess",
        "--exactOptionalPropertyTypes",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--lib",
        "es2022,dom,dom.iterable,dom.asynciterable",
        "--types",
        "",
    ];
    run(Command::new(programs.join("tsc"))
        .current_dir(folder)
        .args(options)
        .args(files));
}

/// A script for a page of a browser: a compiled module, and statements that use its functions.
#[allow(dead_code, reason = "not every test has a browser")]
pub(crate) fn script_of_a_page(module: &str, statements: &str) -> String {
    // An expression has no exports.
    let module = format!("\n{module}").replace("\nexport ", "\n");
    format!("(() => {{ {module}\n{statements} }})()")
}
