//! The client in TypeScript that the program prints, compiled and run by Node.js against the service.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::chromium::Browser;
use crate::npm::{compile_typescript, installed, run, script_of_a_page};
use crate::support::{Directory, Service, command};

#[test]
fn a_script_drives_the_service_through_the_printed_client() {
    let Some(programs) = installed("typescript") else {
        return;
    };
    let directory = Directory::new();
    let client = run(command(&directory.path().join("unused.db")).args(["--client", "typescript"]));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/drive.ts");
    std::fs::write(directory.path().join("client.ts"), client.stdout).expect("the client can be written");
    std::fs::copy(script, directory.path().join("drive.ts")).expect("the script can be copied");
    std::fs::write(directory.path().join("package.json"), "{ \"type\": \"module\" }")
        .expect("the package can be written");
    compile_typescript(&programs, directory.path(), &["client.ts", "drive.ts"]);
    let service = Service::start(&directory.path().join("links.db"));
    run(Command::new("node")
        .arg(directory.path().join("drive.js"))
        .arg(&service.address));
}

#[test]
fn page_of_a_browser_drives_the_service_through_the_printed_client_across_a_restart() {
    let Some(programs) = installed("typescript") else {
        return;
    };
    let directory = Directory::new();
    let Some(mut browser) = Browser::start(&directory.path().join("profile")) else {
        return;
    };
    let database = directory.path().join("links.db");
    let client = run(command(&database).args(["--client", "typescript"]));
    std::fs::write(directory.path().join("client.ts"), client.stdout).expect("the client can be written");
    std::fs::write(directory.path().join("package.json"), "{ \"type\": \"module\" }")
        .expect("the package can be written");
    compile_typescript(&programs, directory.path(), &["client.ts"]);
    let client = std::fs::read_to_string(directory.path().join("client.js")).expect("the client can be read");
    let service = Service::start(&database);
    let address = service.address.clone();
    // The policy of the page permits no request of a script, that of the docs does. The browser keeps the cookie of the session.
    let page = browser.open(&format!("{address}/docs"));
    let api = "window.api = { linksCreate, linksList, usersSignIn, usersSignUp };
        window.body = { name: 'ada', password: 'correct horse' };";
    browser.value(&page, &script_of_a_page(&client, api));
    let status = |call: &str| format!("api.{call}.then((reply) => reply.status)");
    let client = "{ baseUrl: '' }";
    for (call, expected) in [
        (format!("linksList({client})"), 401),
        (format!("usersSignUp({client}, {{ body }})"), 201),
        (format!("usersSignIn({client}, {{ body }})"), 201),
        (
            format!("linksCreate({client}, {{ body: {{ url: 'https://example.com/a', slug: 'kept' }} }})"),
            201,
        ),
    ] {
        assert_eq!(browser.value(&page, &status(&call)), expected, "{call}");
    }
    assert_eq!(service.terminate().code(), Some(0));
    let bound = address.strip_prefix("http://").expect("an address of HTTP");
    let _service = Service::start_at(bound, &database);
    let slugs = format!("api.linksList({client}).then((reply) => reply.body.links.map((link) => link.slug))");
    assert_eq!(browser.value(&page, &slugs), json!(["kept"]));
}
