//! Every mistake with the attributes and `routes!` has a specific message, at the line of the user's code.
//!
//! `TRYBUILD=overwrite cargo test --workspace --all-features --test compile_fail` records the messages again: they list
//! implementations, which depend on the features. With this selection of packages the cases use the crates that are built for all
//! other tests.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

#[path = "compile_fail/pass/handlers.rs"]
mod handlers;

/// The real Cargo, for the process that uses `tests/support/cargo_of_cases` as its Cargo.
const CARGO_OF_THE_WORKSPACE: &str = "CASES_CARGO";
/// The crates that the cases use.
const CRATES: [&str; 5] = ["conduit", "serde", "tokio", "tower", "tower_http"];

/// The arguments for rustc that name the crates of the cases, as Cargo gives them.
fn arguments() -> &'static [String] {
    static ARGUMENTS: OnceLock<Vec<String>> = OnceLock::new();
    ARGUMENTS.get_or_init(|| {
        let build = Command::new(std::env::var_os("CARGO").expect("Cargo runs the tests"))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .args([
                "test",
                "--no-run",
                "--workspace",
                "--all-features",
                "--test",
                "compile_fail",
            ])
            .args(["--message-format", "json"])
            .output()
            .expect("Cargo runs");
        let error = String::from_utf8_lossy(&build.stderr);
        assert!(
            build.status.success(),
            "the crates of the cases do not compile: {error}"
        );
        let messages = String::from_utf8(build.stdout).expect("JSON is UTF-8");
        let messages: Vec<serde_json::Value> = messages
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let mut arguments = Vec::new();
        for name in CRATES {
            // Another crate can depend on an older version.
            let library = messages
                .iter()
                .filter(|message| message["target"]["name"] == name && message["target"]["kind"][0] == "lib")
                .max_by_key(|message| message["package_id"].as_str())
                .unwrap_or_else(|| panic!("Cargo builds no library `{name}`: remove it from the crates of the cases"));
            let file = library["filenames"][0].as_str().expect("a library has a file");
            let folder = Path::new(file).parent().expect("a file is in a folder").display();
            arguments.extend([
                "--extern".to_owned(),
                format!("{name}={file}"),
                format!("-Ldependency={folder}"),
            ]);
        }
        arguments
    })
}

#[test]
fn every_form_of_a_handler_compiles() {
    handlers::main();
}

/// Each case is a program, because the prelude and the lints of public items depend on the root of a crate.
#[test]
fn each_program_compiles_and_runs() {
    for name in ["handlers", "shadowed"] {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let compiles = Command::new(compiler)
            .args(["--edition", "2024", "-o"])
            .arg(&program)
            .args(arguments())
            .arg(format!("tests/compile_fail/pass/{name}.rs"))
            .status();
        assert!(compiles.is_ok_and(|status| status.success()), "{name} does not compile");
        assert!(
            Command::new(program).status().is_ok_and(|status| status.success()),
            "{name} fails"
        );
    }
}

#[test]
fn each_mistake_has_a_specific_message() {
    if std::env::var_os(CARGO_OF_THE_WORKSPACE).is_some() {
        trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
        return;
    }
    let filters = std::env::args().filter(|argument| argument.starts_with("trybuild="));
    let cases = Command::new(std::env::current_exe().expect("the path of the test is known"))
        .args(["--exact", "--nocapture", "each_mistake_has_a_specific_message"])
        .args(filters)
        .env(
            CARGO_OF_THE_WORKSPACE,
            std::env::var_os("CARGO").expect("Cargo runs the tests"),
        )
        .env(
            "CARGO",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/cargo_of_cases"),
        )
        .env("CASES_ARGUMENTS", arguments().join("\n"))
        .status();
    assert!(
        cases.is_ok_and(|status| status.success()),
        "a message differs: see the output"
    );
}
