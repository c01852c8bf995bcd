//! Packages from npm, in a separate folder below the target directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::packages;

/// The folder of the programs of these packages, such as `typescript@7.0.2`. Without Node.js or the network it returns
/// `None` and the test is skipped, but never in CI.
pub(crate) fn installed(folder: &str, packages: &[&str]) -> Option<PathBuf> {
    let options = [
        "install",
        "--no-audit",
        "--no-fund",
        "--fetch-retries=1",
        "--fetch-timeout=30000",
        "--prefix",
    ];
    let folder = packages::installed(folder, packages, |folder| {
        let install = Command::new("npm").args(options).arg(folder).args(packages).output();
        let is_done = install.as_ref().is_ok_and(|output| output.status.success());
        if !is_done {
            eprintln!("{install:?}");
        }
        is_done
    });
    Some(folder?.join("node_modules/.bin"))
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

/// Compiles files of TypeScript in a folder to JavaScript, with every strict setting of the compiler.
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

/// The packages that `compile_typescript` needs.
pub(crate) const TYPESCRIPT: [&str; 1] = ["typescript@7.0.2"];

/// A script for a page of a browser: a compiled module, and statements that use its functions.
#[allow(dead_code, reason = "not every test has a browser")]
pub(crate) fn script_of_a_page(module: &str, statements: &str) -> String {
    // An expression has no exports.
    let module = format!("\n{module}").replace("\nexport ", "\n");
    format!("(() => {{ {module}\n{statements} }})()")
}
