//! Outside clients, which are installed below the target directory.
//!
//! Without Python, Node.js or the network a test reports that and checks nothing; in CI it fails.

use std::process::{Command, Output};

use crate::packages;

/// Runs a script of Python with the packages of a list. Returns whether they can be installed.
#[track_caller]
#[allow(dead_code, reason = "not each test file uses all of these")]
pub(crate) fn run_python(name: &str, script: &str, arguments: &[String]) -> bool {
    let Some(folder) = packages::installed(name) else {
        return false;
    };
    let mut command = Command::new(folder.join("bin/python"));
    let output = command.arg(script).args(arguments).output();
    assert_success(&output.expect("Python runs"));
    true
}

/// Runs a script of Node.js with the packages of a list. Returns whether they can be installed.
#[track_caller]
#[allow(dead_code, reason = "not each test file uses all of these")]
pub(crate) fn run_node(name: &str, script: &str, arguments: &[String]) -> bool {
    let Some(folder) = packages::installed(name) else {
        return false;
    };
    let mut command = Command::new("node");
    let output = command
        .env("NODE_PATH", folder.join("node_modules"))
        .arg(script)
        .args(arguments)
        .output();
    assert_success(&output.expect("Node.js runs"));
    true
}

#[track_caller]
pub(crate) fn assert_success(output: &Output) {
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{error}");
}
