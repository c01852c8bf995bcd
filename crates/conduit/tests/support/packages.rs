//! Packages of PyPI and npm, below the target directory. `packages.txt` lists them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Two tests must not install at the same time.
static ALONE: Mutex<()> = Mutex::new(());

/// Returns the folder of the list with this name. `None` where the installation fails, as without Python, Node.js or the network,
/// but never in CI.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // The examples use this file too.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/conduit/tests/support/packages");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let output = Command::new(script).arg(directory).arg(name).output();
    if output.as_ref().is_ok_and(|output| output.status.success()) {
        return Some(directory.join(name));
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{name} could not be installed: {output:?}"
    );
    eprintln!("SKIPPED: {name} could not be installed: {output:?}");
    None
}
