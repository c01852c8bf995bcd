//! Clients that other programs generate from the document: each compiles, and makes a round trip against the service.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::npm::{installed, run};
use crate::packages;
use crate::support::{Directory, Service, command};

/// The document in a directory.
fn document(directory: &Directory) -> PathBuf {
    let path = directory.path().join("openapi.json");
    let output = run(command(&directory.path().join("unused.db")).arg("--openapi"));
    std::fs::write(&path, output.stdout).expect("the document can be written");
    path
}

/// Copies a script to a directory.
fn copy(name: &str, directory: &Path) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/generated");
    std::fs::copy(scripts.join(name), directory.join(name)).expect("the script can be copied");
}

#[test]
fn clients_of_openapi_typescript_and_hey_api_make_a_round_trip() {
    let Some(programs) = installed("generated-clients") else {
        return;
    };
    let directory = Directory::new();
    let folder = directory.path();
    document(&directory);
    let packages = programs.parent().expect("the programs are in a folder of packages");
    std::os::unix::fs::symlink(packages, folder.join("node_modules")).expect("a link");
    let program = |name: &str| {
        let mut command = Command::new(programs.join(name));
        command.current_dir(folder);
        command
    };
    run(program("openapi-typescript").args(["openapi.json", "-o", "schema.d.ts"]));
    run(program("openapi-ts").args(["-i", "openapi.json", "-o", "client"]));
    copy("drive_fetch.ts", folder);
    copy("drive_hey_api.ts", folder);
    let options = "--strict --target es2022 --module commonjs --moduleResolution node10 --lib es2022,dom,dom.iterable \
         --skipLibCheck drive_fetch.ts drive_hey_api.ts";
    run(program("tsc").args(options.split_whitespace()));
    let service = Service::start(&folder.join("links.db"));
    for script in ["drive_fetch.js", "drive_hey_api.js"] {
        run(Command::new("node").arg(folder.join(script)).arg(&service.address));
    }
}

#[test]
fn the_client_of_openapi_python_client_makes_a_round_trip() {
    let Some(environment) = packages::installed("openapi-python-client") else {
        return;
    };
    let directory = Directory::new();
    let folder = directory.path();
    document(&directory);
    let programs = environment.join("bin");
    // The generator calls a formatter that is installed in the same environment.
    let path = std::env::var("PATH").unwrap_or_default();
    run(Command::new(programs.join("openapi-python-client"))
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .args([
            "generate",
            "--path",
            "openapi.json",
            "--meta",
            "none",
            "--output-path",
            "links",
        ]));
    copy("drive.py", folder);
    let service = Service::start(&folder.join("links.db"));
    run(Command::new(programs.join("python"))
        .current_dir(folder)
        .args(["drive.py", &service.address]));
}

#[test]
fn the_client_of_openapi_generator_in_go_makes_a_round_trip() {
    let is_present = |program: &str, argument: &str| Command::new(program).arg(argument).output().is_ok();
    if !is_present("go", "version") || !is_present("java", "-version") {
        assert!(std::env::var_os("CI").is_none(), "Go and Java are installed in CI");
        eprintln!("SKIPPED: Go and Java are missing");
        return;
    }
    let Some(environment) = packages::installed("openapi-generator") else {
        return;
    };
    let directory = Directory::new();
    let folder = directory.path();
    document(&directory);
    let options = "generate -g go -i openapi.json -o client --additional-properties=packageName=links";
    run(Command::new(environment.join("bin/openapi-generator-cli"))
        .current_dir(folder)
        .args(options.split_whitespace()));
    let client = folder.join("client");
    // Its tests need an external package; the client itself needs only the standard library.
    std::fs::remove_dir_all(client.join("test")).expect("the generator writes tests");
    std::fs::write(client.join("go.mod"), "module links\n\ngo 1.19\n").expect("the module can be written");
    std::fs::create_dir(client.join("drive")).expect("a directory");
    copy("drive.go", &client.join("drive"));
    let service = Service::start(&folder.join("links.db"));
    run(Command::new("go")
        .current_dir(&client)
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"))
        .args(["run", "./drive", &service.address]));
}
