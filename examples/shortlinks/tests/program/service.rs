//! Tests of the process: its start, its end, its workers, and its database file. The API is tested in `src/tests.rs`.

use std::process::Command;

use crate::support::{Directory, Service, client, command};
use serde_json::json;

#[test]
fn concurrent_clicks_are_all_counted() {
    let directory = Directory::new();
    let service = Service::start_as("ada", &directory.path().join("links.db"));
    service.create(&json!({ "url": "https://example.com", "slug": "busy" }));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            // Each request has a separate client, so that the kernel distributes them over the workers.
            scope.spawn(|| {
                let response = client().get(format!("{}/busy", service.address)).call();
                assert_eq!(response.expect("an answer").status(), 307);
            });
        }
    });
    assert_eq!(service.clicks("busy"), 100);
}

#[test]
fn a_restart_keeps_the_links_and_a_signal_ends_the_program_with_success() {
    let directory = Directory::new();
    let database = directory.path().join("links.db");
    let service = Service::start_as("ada", &database);
    service.create(&json!({ "url": "https://example.com/kept", "slug": "kept" }));
    service.get("/kept");
    assert_eq!(service.terminate().code(), Some(0));

    let service = Service::start_as("ada", &database);
    assert_eq!(service.clicks("kept"), 1);
    assert_eq!(service.get("/kept").header("location"), "https://example.com/kept");
}

#[test]
fn a_killed_program_loses_no_confirmed_write() {
    let directory = Directory::new();
    let database = directory.path().join("links.db");
    let service = Service::start_as("ada", &database);
    service.create(&json!({ "url": "https://example.com/", "slug": "kept" }));
    // The drop kills the program without a shutdown.
    drop(service);
    assert_eq!(Service::start(&database).get("/kept").status, 307);
}

#[test]
fn a_database_that_cannot_be_opened_is_named_with_the_remedy() {
    let directory = Directory::new();
    let text = failure(&mut command(&directory.path().join("missing").join("links.db")));
    assert!(
        text.contains("links.db") && text.contains("set SHORTLINKS_DB"),
        "{text}"
    );
}

#[test]
fn document_and_table_of_routes_need_no_database() {
    let directory = Directory::new();
    for argument in ["--openapi", "--routes"] {
        let mut command = command(&directory.path().join("missing").join("links.db"));
        let output = command.arg(argument).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("/api/links"),
            "{output:?}"
        );
    }
}

#[test]
fn a_setting_that_is_not_a_number_is_named_with_the_remedy() {
    let directory = Directory::new();
    let mut command = command(&directory.path().join("links.db"));
    let text = failure(command.env("SHORTLINKS_SIGN_INS_PER_MINUTE", "few"));
    assert!(
        text.contains("SHORTLINKS_SIGN_INS_PER_MINUTE is \"few\": set it to a number"),
        "{text}"
    );
}

/// The output of a program that does not start.
fn failure(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}
