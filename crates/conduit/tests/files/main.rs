//! `Files`.

use std::fs;
use std::path::{Path, PathBuf};

use conduit::testing::TestResponse;

#[path = "../support/mod.rs"]
mod support;

mod cache;
#[allow(dead_code, reason = "the examples use the rest")]
#[path = "../support/chromium.rs"]
mod chromium;
mod codings;
mod embedding;
mod known_faults;
mod nginx;
mod preconditions;
mod ranges;
mod resumption;
mod serving;

/// An empty directory for a test, or for several that share it.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("files").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory can be created");
    path
}

/// Writes files, whose paths may contain directories.
fn write(directory: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory can be created");
        fs::write(path, content).expect("a file can be written");
    }
}

/// A required field of a response.
#[track_caller]
fn field(response: &TestResponse, name: &str) -> String {
    response
        .header(name)
        .unwrap_or_else(|| panic!("no {name} in {:?}", response.headers()))
        .to_owned()
}
