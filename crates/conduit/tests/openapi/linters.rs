//! Redocly and Spectral from npm, which check more rules than the schema of OpenAPI.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::npm::{installed, run};

/// There is one file with the document.
static ALONE: Mutex<()> = Mutex::new(());

/// Fails if a linter reports an error. Without Node.js or the network it checks nothing, but never in CI.
pub(crate) fn accept(document: &str) {
    let Some(programs) = installed("openapi-linters") else {
        return;
    };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi-linters");
    std::fs::write(folder.join("document.json"), document).expect("the document can be written");
    std::fs::write(folder.join("spectral.yaml"), "extends: [\"spectral:oas\"]\n").expect("the rules can be written");
    let of_spectral = [
        "lint",
        "--ruleset",
        "spectral.yaml",
        "--fail-severity",
        "error",
        "document.json",
    ];
    // Spectral supports no version after 3.1.
    if !document.contains("\"openapi\": \"3.2.0\"") {
        run(Command::new(programs.join("spectral"))
            .current_dir(&folder)
            .args(of_spectral));
    }
    // A summary is optional in OpenAPI; it comes from the doc comment of the handler.
    let of_redocly = [
        "lint",
        "--extends",
        "recommended",
        "--skip-rule",
        "operation-summary",
        "document.json",
    ];
    let mut redocly = Command::new(programs.join("redocly"));
    redocly
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    run(redocly.current_dir(&folder).args(of_redocly));
}
