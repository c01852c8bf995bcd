//! Outside clients, which are installed below the target directory.
//!
//! Without Python, Node.js or the network a test reports that and checks nothing; in CI it fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::packages;

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The environment of Python with these packages, if they can be installed.
pub(crate) fn python(name: &str, packages: &[&str]) -> Option<PathBuf> {
    packages::installed(name, packages, |folder| {
        succeeds(Command::new("python3").arg("-m").arg("venv").arg(folder))
            && succeeds(
                Command::new(folder.join("bin/python"))
                    .args(["-m", "pip", "install", "--quiet"])
                    .args(packages),
            )
    })
}

/// Runs a script of Python with these packages. Returns whether they can be installed.
#[track_caller]
#[allow(dead_code, reason = "not each test file uses all of these")]
pub(crate) fn run_python(name: &str, packages: &[&str], script: &str, arguments: &[String]) -> bool {
    let Some(folder) = python(name, packages) else {
        return false;
    };
    let mut command = Command::new(folder.join("bin/python"));
    let output = command.arg(script).args(arguments).output();
    assert_success(&output.expect("Python runs"));
    true
}

/// Runs a script of Node.js with these packages. Returns whether they can be installed.
#[track_caller]
#[allow(dead_code, reason = "not each test file uses all of these")]
pub(crate) fn run_node(name: &str, packages: &[&str], script: &str, arguments: &[String]) -> bool {
    let install = |folder: &Path| {
        succeeds(
            Command::new("npm")
                .args(["install", "--silent", "--no-save", "--prefix"])
                .arg(folder)
                .args(packages),
        )
    };
    let Some(folder) = packages::installed(name, packages, install) else {
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
