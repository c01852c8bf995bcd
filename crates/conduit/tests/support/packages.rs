//! Folders of packages below the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Two tests must not install at the same time.
static ALONE: Mutex<()> = Mutex::new(());

/// The folder of these packages. A folder of another list, or of a part of an installation, is removed and installed again. `None`
/// where the installation fails, but never in CI.
pub(crate) fn installed(name: &str, packages: &[&str], install: impl FnOnce(&Path) -> bool) -> Option<PathBuf> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (list, marker) = (packages.join("\n"), folder.join("installed"));
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == list) {
        return Some(folder);
    }
    // The folder may not exist.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder can be made");
    if install(&folder) {
        fs::write(marker, list).expect("the list can be written");
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{packages:?} could not be installed");
    eprintln!("SKIPPED: {packages:?} could not be installed");
    None
}
