//! Outside clients, which are installed below the target directory.
//!
//! Without Python, Node.js or the network a test reports that and checks nothing; in CI it fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// Two tests must not install at the same time.
static ALONE: Mutex<()> = Mutex::new(());

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn installs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The environment of Python with these packages, if they can be installed.
pub(crate) fn python(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder(name);
    let is_installed = folder.join("installed").exists()
        || (installs(Command::new("python3").arg("-m").arg("venv").arg(&folder))
            && installs(
                Command::new(folder.join("bin/python"))
                    .args(["-m", "pip", "install", "--quiet"])
                    .args(packages),
            )
            && std::fs::write(folder.join("installed"), packages.join("\n")).is_ok());
    if is_installed {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{packages:?} could not be installed");
    eprintln!("SKIPPED: {packages:?} could not be installed, so that they have not tried the server");
    None
}

/// Runs a script of Node.js with these packages.
#[track_caller]
#[allow(dead_code, reason = "not each test file uses all of these")]
pub(crate) fn run_node(name: &str, packages: &[&str], script: &str, arguments: &[String]) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder(name);
    let is_installed = folder.join("installed").exists()
        || (std::fs::create_dir_all(&folder).is_ok()
            && installs(
                Command::new("npm")
                    .args(["install", "--silent", "--no-save", "--prefix"])
                    .arg(&folder)
                    .args(packages),
            )
            && std::fs::write(folder.join("installed"), packages.join("\n")).is_ok());
    if !is_installed {
        assert!(std::env::var_os("CI").is_none(), "{packages:?} could not be installed");
        eprintln!("SKIPPED: {packages:?} could not be installed, so that they have not tried the server");
        return;
    }
    let mut command = Command::new("node");
    let output = command
        .env("NODE_PATH", folder.join("node_modules"))
        .arg(script)
        .args(arguments)
        .output();
    assert_success(&output.expect("Node.js runs"));
}

#[track_caller]
pub(crate) fn assert_success(output: &Output) {
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{error}");
}
