//! `openapi-spec-validator` from PyPI, in a separate environment below the target directory, and the linters from npm.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const VALIDATOR: &str = "openapi-spec-validator==0.9.0";

/// There is one environment, and one file in it.
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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi-validator-0.9");
    let python = folder.join("bin/python");
    let run = |program: &Path, arguments: &[&str]| Command::new(program).args(arguments).output();
    if !folder.join("bin/openapi-spec-validator").exists() {
        let made = run(Path::new("python3"), &["-m", "venv", &folder.to_string_lossy()])
            .and_then(|_| run(&python, &["-m", "pip", "install", "--quiet", VALIDATOR]));
        if !made.is_ok_and(|output| output.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "{VALIDATOR} could not be installed");
            eprintln!("SKIPPED: {VALIDATOR} could not be installed, so that no outside judge has seen the document");
            return;
        }
    }
    let file = folder.join("document.json");
    std::fs::write(&file, document).expect("the document can be written");
    let output = run(
        &python,
        &[
            "-m",
            "openapi_spec_validator",
            "--schema",
            version,
            &file.to_string_lossy(),
        ],
    );
    let output = output.expect("the validator runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
