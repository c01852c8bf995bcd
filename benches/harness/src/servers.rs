//! The servers, and how they are built.

use std::path::PathBuf;
use std::process::Command;

use crate::{Result, benches};

/// One program that is measured.
pub(crate) struct Server {
    /// As the tables call it.
    pub(crate) name: &'static str,
    /// The package in `peers/`, and its binary.
    pub(crate) package: &'static str,
    /// The crate whose version is shown.
    pub(crate) crate_name: Option<&'static str>,
    /// What a reader should know about how it runs here.
    pub(crate) note: &'static str,
}

/// The name of what this project is about.
pub(crate) const CONDUIT: &str = "conduit";
/// The name of what no server can be below.
pub(crate) const FLOOR: &str = "floor";

pub(crate) const ALL: &[Server] = &[
    Server {
        name: CONDUIT,
        package: "bench-conduit",
        crate_name: Some("conduit-web"),
        note: "one worker",
    },
    Server {
        name: "axum",
        package: "bench-axum",
        crate_name: Some("axum"),
        note: "current-thread tokio runtime",
    },
    Server {
        name: "actix-web",
        package: "bench-actix",
        crate_name: Some("actix-web"),
        note: "one worker thread, and an accept thread of its own",
    },
    Server {
        name: "ntex",
        package: "bench-ntex",
        crate_name: Some("ntex"),
        note: "its neon runtime (io_uring where allowed); one worker thread, and an accept thread of its own",
    },
    Server {
        name: "xitca-web",
        package: "bench-xitca",
        crate_name: Some("xitca-web"),
        note: "one worker thread, and an accept thread of its own",
    },
    Server {
        name: "hyper",
        package: "bench-hyper",
        crate_name: Some("hyper"),
        note: "a hand-written service without a router; current-thread tokio runtime",
    },
    Server {
        name: "may_minihttp",
        package: "bench-may",
        crate_name: Some("may_minihttp"),
        note: "a hand-written match without a router; one coroutine worker",
    },
    Server {
        name: "salvo",
        package: "bench-salvo",
        crate_name: Some("salvo"),
        note: "current-thread tokio runtime",
    },
    Server {
        name: FLOOR,
        package: "bench-floor",
        crate_name: None,
        note: "a bare epoll loop with canned answers: parses, routes and limits nothing",
    },
];

pub(crate) fn named(name: &str) -> Option<&'static Server> {
    ALL.iter().find(|server| server.name == name)
}

impl Server {
    /// Builds the server with the workspace's release profile and gives its path. Each is built by itself: built together,
    /// cargo would give every crate the features that any one of them asks for.
    ///
    /// # Errors
    ///
    /// What cargo said, shortened to its last lines.
    pub(crate) fn build(&self, jobs: u32) -> Result<PathBuf> {
        let output = Command::new(env!("CARGO"))
            .args([
                "build",
                "--release",
                "--package",
                self.package,
                "--jobs",
                &jobs.to_string(),
            ])
            .current_dir(benches())
            .output()
            .map_err(|error| format!("cannot start cargo: {error}"))?;
        if !output.status.success() {
            return Err(excerpt(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok(target_directory().join("release").join(self.package))
    }

    /// The version that Cargo.lock names; empty for what is no crate.
    pub(crate) fn version(&self) -> String {
        let lock = std::fs::read_to_string(benches().join("Cargo.lock")).unwrap_or_default();
        self.crate_name
            .and_then(|name| locked_version(&lock, name))
            .unwrap_or_default()
            .to_owned()
    }
}

/// The last error in one line, then the lines around it.
fn excerpt(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.trim_start().starts_with("Compiling"))
        .collect();
    let last_error = lines
        .iter()
        .rfind(|line| line.starts_with("error"))
        .unwrap_or(&"no error was printed");
    format!(
        "does not build: {last_error}\n{}",
        lines[lines.len().saturating_sub(30)..].join("\n")
    )
}

fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => benches().join(directory),
        None => benches().join("target"),
    }
}

fn locked_version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"axum-core\"\nversion = \"0.5.0\"\n\n[[package]]\nname = \"axum\"\nversion = \"0.8.9\"\n";
        assert_eq!(locked_version(lock, "axum"), Some("0.8.9"));
        assert_eq!(locked_version(lock, "rocket"), None);
    }

    #[test]
    fn every_crate_is_locked() {
        for server in ALL.iter().filter(|server| server.crate_name.is_some()) {
            assert_ne!(server.version(), "", "{} is missing from Cargo.lock", server.name);
        }
    }
}
