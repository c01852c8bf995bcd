//! The official clients of MCP, over HTTP and over standard input and output.
//!
//! Each is installed below the target directory. Without Python, Node.js or the network a test prints that and passes, but
//! never in CI.

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../../crates/conduit/tests/support/npm.rs"]
mod npm;
#[path = "../../../../crates/conduit/tests/support/packages.rs"]
mod packages;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tools");

/// The program as a server, which ends with the test.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start() -> Self {
        let mut child = Command::new(PROGRAM)
            .env("CONDUIT_ADDR", "127.0.0.1:0")
            .env("CONDUIT_WORKERS", "2")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        output.read_line(&mut line).expect("it prints its address");
        let address = line.trim_end().strip_prefix("Listening on ").expect("an address");
        Program {
            address: format!("{address}/mcp"),
            child,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_client_of_python() {
    let Some(environment) = packages::installed("mcp-python") else {
        return;
    };
    let program = Program::start();
    let mut command = Command::new(environment.join("bin/python"));
    npm::run(command.arg(script("client.py")).args([&*program.address, PROGRAM]));
}

#[test]
fn the_client_of_typescript() {
    let Some(programs) = npm::installed("mcp-typescript") else {
        return;
    };
    let program = Program::start();
    let folder = programs
        .parent()
        .and_then(Path::parent)
        .expect("the folder of the packages");
    // Modules are found from the folder of the script.
    std::fs::copy(script("client.mjs"), folder.join("client.mjs")).expect("the script can be copied");
    npm::run(
        Command::new("node")
            .current_dir(folder)
            .args(["client.mjs", &program.address, PROGRAM]),
    );
}
