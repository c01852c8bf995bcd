//! The official conformance suite, for the newest revision and the one before it.
//!
//! A handler is a tool with one result. The suite also has scenarios for servers with resources, prompts, completion, and
//! with requests to the client; each of them is expected to fail, and a scenario that passes in spite of that fails the test.

use std::process::Command;
use std::time::Duration;

use conduit::events::LastEventId;
use conduit::prelude::*;
use conduit::runs::{Accepted, RunEvents, Runs};
use serde::{Deserialize, Serialize};

use crate::{npm, support};

/// Node.js 22, which the suite needs, is a package too.
const PACKAGES: [&str; 2] = ["@modelcontextprotocol/conformance@0.2.0-alpha.12", "node@22.23.3"];

#[derive(Serialize, Deserialize, JsonSchema)]
struct Progress {
    percent: u32,
}

/// Return a text.
#[get("/text", tool = "test_simple_text")]
fn text() -> &'static str {
    "This is a simple text response for testing."
}

/// Return an image.
#[get("/image", tool = "test_image_content")]
fn image() -> impl IntoResponse {
    ([("content-type", "image/png")], &b"\x89PNG\r\n\x1a\n"[..])
}

/// Return a sound.
#[get("/audio", tool = "test_audio_content")]
fn audio() -> impl IntoResponse {
    ([("content-type", "audio/wav")], &b"RIFF"[..])
}

/// Return a document.
#[get("/resource", tool = "test_embedded_resource")]
fn resource() -> impl IntoResponse {
    ([("content-type", "application/pdf")], &b"%PDF"[..])
}

/// Fail.
#[get("/error", tool = "test_error_handling")]
fn error() -> Result<(), Problem> {
    Err(Problem::new(StatusCode::CONFLICT).with_detail("This tool intentionally returns an error for testing"))
}

/// Report progress.
#[post("/progress", tool = "test_tool_with_progress")]
async fn progress(runs: State<Runs<Progress>>) -> Result<Accepted, Problem> {
    let run = runs
        .start("client", "progress", async |run| {
            for percent in [0, 50, 100] {
                run.report(&Progress { percent }).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok::<_, conduit::BoxError>(())
        })
        .await?;
    Ok(Accepted::at(format!("/progress/{}", run.id())))
}

#[get("/progress/{id}")]
async fn follow(
    id: Path<String>,
    runs: State<Runs<Progress>>,
    last: LastEventId,
) -> Result<RunEvents<Progress>, Problem> {
    runs.find("client", &id)?.events(last).await
}

/// The scenarios of both revisions that need more than a tool with one result.
const BEYOND_TOOLS: [&str; 11] = [
    "completion-complete",
    "tools-call-mixed-content",
    "resources-list",
    "resources-read-text",
    "resources-read-binary",
    "resources-templates-read",
    "prompts-list",
    "prompts-get-simple",
    "prompts-get-with-args",
    "prompts-get-embedded-resource",
    "prompts-get-with-image",
];

/// Those of the older revision, and one that needs a session.
const OLD_BEYOND_TOOLS: [&str; 9] = [
    "server-sse-multiple-streams",
    "logging-set-level",
    "tools-call-with-logging",
    "tools-call-sampling",
    "tools-call-elicitation",
    "elicitation-sep1034-defaults",
    "elicitation-sep1330-enums",
    "resources-subscribe",
    "resources-unsubscribe",
];

/// Those of the newest one. `server-stateless` fails only in its four checks of requests to the client and of logging, and
/// `caching` only for prompts and resources.
const NEW_BEYOND_TOOLS: [&str; 15] = [
    "sep-2164-resource-not-found",
    "input-required-result-missing-input-response",
    "input-required-result-ignore-extra-params",
    "server-stateless",
    "caching",
    "input-required-result-basic-elicitation",
    "input-required-result-basic-sampling",
    "input-required-result-basic-list-roots",
    "input-required-result-request-state",
    "input-required-result-multiple-input-requests",
    "input-required-result-multi-round",
    "input-required-result-non-tool-request",
    "input-required-result-result-type",
    "input-required-result-tampered-state",
    "input-required-result-capability-check",
];

fn judge(revision: &str, more: &[&str]) {
    let Some(programs) = npm::installed("mcp-conformance", &PACKAGES) else {
        return;
    };
    let routes = routes![text, image, audio, resource, error, progress, follow];
    let server = support::serve(App::new(Runs::new()).routes(routes).mcp("/mcp"));
    let url = format!("http://localhost:{}/mcp", server.address.port());
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let baseline = folder.join(format!("mcp-{revision}.yaml"));
    let names: String = BEYOND_TOOLS
        .iter()
        .chain(more)
        .map(|name| format!("  - {name}\n"))
        .collect();
    std::fs::write(&baseline, format!("server:\n{names}")).expect("the baseline can be written");
    npm::run(
        Command::new(programs.join("node"))
            .arg(programs.join("conformance"))
            .args(["server", "--url", &url])
            .args(["--requirements", revision, "--expected-failures"])
            .arg(&baseline)
            .current_dir(folder),
    );
}

#[test]
fn the_newest_revision() {
    judge("2026-07-28", &NEW_BEYOND_TOOLS);
}

#[test]
fn the_revision_before_it() {
    judge("2025-11-25", &OLD_BEYOND_TOOLS);
}
