//! Packages from npm, in a separate folder below the target directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// There is one folder for each list of packages.
static ALONE: Mutex<()> = Mutex::new(());

/// The folder of the programs of these packages, such as `typescript@7.0.2`. Without Node.js or the network it returns
/// `None` and the test is skipped, but never in CI.
pub(crate) fn installed(folder: &str, packages: &[&str]) -> Option<PathBuf> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let programs = folder.join("node_modules/.bin");
    if programs.exists() {
        return Some(programs);
    }
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let options = [
        "install",
        "--no-audit",
        "--no-fund",
        "--fetch-retries=1",
        "--fetch-timeout=30000",
        "--prefix",
    ];
    let install = Command::new("npm").args(options).arg(&folder).args(packages).output();
    if install.as_ref().is_ok_and(|output| output.status.success()) {
        return Some(programs);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{packages:?} could not be installed: {install:?}"
    );
    // A part of an installation must not be taken for a whole one.
    let _ = std::fs::remove_dir_all(&folder);
    eprintln!("SKIPPED: {packages:?} could not be installed");
    None
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
