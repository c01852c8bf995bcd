//! The client in TypeScript that the program prints, compiled and run by Node.js against the service.

use std::path::Path;
use std::process::Command;

use crate::npm::{TYPESCRIPT, compile_typescript, installed, run};
use crate::support::{Directory, Service, command};

#[test]
fn a_script_drives_the_service_through_the_printed_client() {
    let Some(programs) = installed("typescript", &TYPESCRIPT) else {
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
