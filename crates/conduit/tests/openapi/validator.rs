//! `openapi-spec-validator` from PyPI, in a separate environment below the target directory, and the linters from npm.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::{judges, packages};

/// All documents have one file, in the environment.
static ALONE: Mutex<()> = Mutex::new(());

/// Fails if the validator refuses the document. Without Python or the network it prints that and passes, but never
/// in CI.
pub(crate) fn accepts(document: &str) {
    crate::assert_references_resolve(&serde_json::from_str(document).expect("a document is JSON"));
    crate::linters::accept(document);
    let version = if document.contains("\"openapi\": \"3.2.0\"") {
        "3.2"
    } else {
        "3.1"
    };
    let Some(folder) = packages::installed("openapi-validator") else {
        return;
    };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let file = folder.join("document.json");
    std::fs::write(&file, document).expect("the document can be written");
    let output = Command::new(folder.join("bin/python"))
        .args(["-m", "openapi_spec_validator", "--schema", version])
        .arg(file)
        .output();
    judges::assert_success(&output.expect("the validator runs"));
}
