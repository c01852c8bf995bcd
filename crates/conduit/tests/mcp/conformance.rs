//! The official conformance suite, for the newest revision and the one before it.
//!
//! A handler is a tool with one result. The suite also requires scenarios of servers with resources, prompts, completions, logs and
//! requests to the client. Each of them is expected to fail, with its reason, and a scenario that passes fails the test.

use std::process::Command;
use std::time::Duration;

use conduit::events::LastEventId;
use conduit::prelude::*;
use conduit::runs::{Accepted, RunEvents, Runs};
use serde::{Deserialize, Serialize};

use crate::{npm, support};

#[derive(Serialize, Deserialize, JsonSchema)]
struct ToolProgress {
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
async fn progress(runs: State<Runs<ToolProgress>>) -> Result<Accepted, Problem> {
    let run = runs
        .start("client", "progress", async |run| {
            for percent in [0, 50, 100] {
                run.report(&ToolProgress { percent }).await?;
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
    runs: State<Runs<ToolProgress>>,
    last: LastEventId,
) -> Result<RunEvents<ToolProgress>, Problem> {
    runs.find("client", &id)?.events(last).await
}

/// Required scenarios that a server of tools with one result cannot pass: the reason, and the scenarios.
type Beyond = (&'static str, &'static [&'static str]);

const COMPLETION: Beyond = (
    "completions are for arguments of prompts and templates of resources",
    &["completion-complete"],
);
const MIXED_CONTENT: Beyond = (
    "a response has one media type, and the result needs a text, an image and a resource",
    &["tools-call-mixed-content"],
);
const RESOURCES: Beyond = (
    "the server has no resources",
    &[
        "resources-list",
        "resources-read-text",
        "resources-read-binary",
        "resources-templates-read",
    ],
);
const PROMPTS: Beyond = (
    "the server has no prompts",
    &[
        "prompts-list",
        "prompts-get-simple",
        "prompts-get-with-args",
        "prompts-get-embedded-resource",
        "prompts-get-with-image",
    ],
);

/// The older revision.
const OLD: [Beyond; 8] = [
    COMPLETION,
    MIXED_CONTENT,
    RESOURCES,
    PROMPTS,
    (
        "the server has no resources to subscribe to",
        &["resources-subscribe", "resources-unsubscribe"],
    ),
    (
        "the suite takes the identity of a session from the server, which has no sessions",
        &["server-sse-multiple-streams"],
    ),
    (
        "the server sends no log to clients: its log is that of the program",
        &["logging-set-level", "tools-call-with-logging"],
    ),
    (
        "a handler answers one request, and cannot send requests to the client of a tool",
        &[
            "tools-call-sampling",
            "tools-call-elicitation",
            "elicitation-sep1034-defaults",
            "elicitation-sep1330-enums",
        ],
    ),
];

/// The newest revision.
const NEW: [Beyond; 8] = [
    COMPLETION,
    MIXED_CONTENT,
    RESOURCES,
    PROMPTS,
    (
        "a method of a capability that the server does not have is unknown, -32601, and not a missing resource, -32602",
        &["sep-2164-resource-not-found"],
    ),
    (
        "four of its checks need requests to the client and a log for it; the others pass",
        &["server-stateless"],
    ),
    (
        "it also needs lists of prompts and resources; that of tools passes",
        &["caching"],
    ),
    (
        "a handler answers one request, and cannot ask the client for more input",
        &[
            "input-required-result-missing-input-response",
            "input-required-result-ignore-extra-params",
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
        ],
    ),
];

/// Runs all scenarios that the suite requires for a revision. Those in `beyond` must fail: if one of them passes, the test fails.
fn run_scenarios(revision: &str, beyond: &[Beyond]) {
    let Some(programs) = npm::installed("mcp-conformance") else {
        return;
    };
    let routes = routes![text, image, audio, resource, error, progress, follow];
    let server = support::serve(App::new(Runs::new()).routes(routes).mcp("/mcp"));
    let url = format!("http://localhost:{}/mcp", server.address.port());
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let baseline = folder.join(format!("mcp-{revision}.yaml"));
    let mut names = String::new();
    for (reason, scenarios) in beyond {
        names.push_str(&format!("  # {reason}\n"));
        names.extend(scenarios.iter().map(|name| format!("  - {name}\n")));
    }
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
    run_scenarios("2026-07-28", &NEW);
}

#[test]
fn the_revision_before_it() {
    run_scenarios("2025-11-25", &OLD);
}
