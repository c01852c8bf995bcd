//! The clients that are generated from an application's document.

use std::io::{self, Write as _};

use super::{App, Routed};
use crate::error::{Error, Result};

impl<S: 'static, R: Routed<S>> App<S, R> {
    /// Prints the TypeScript client.
    pub(super) fn print_typescript_client(&self) -> Result {
        write!(io::stdout(), "{}", self.document().typescript())
            .map_err(|cause| Error::system("print the client", cause))
    }

    /// Prints the source of the Rust client, and its manifest as a comment at the end.
    pub(super) fn print_rust_client(&self) -> Result {
        let document = self.document();
        let manifest = document.rust_manifest();
        let manifest: String = manifest
            .lines()
            .map(|line| format!("// {line}").trim_end().to_owned() + "\n")
            .collect();
        write!(io::stdout(), "{}\n// Cargo.toml:\n//\n{manifest}", document.rust())
            .map_err(|cause| Error::system("print the client", cause))
    }
}
