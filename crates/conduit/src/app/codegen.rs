//! The clients that are generated from an application's document.

use super::{App, Routed, printing};
use crate::error::Result;

impl<S: 'static, R: Routed<S>> App<S, R> {
    /// Prints the TypeScript client.
    pub(super) fn print_typescript_client(&self) -> Result {
        printing::print(self.document().typescript(), "print the client")
    }

    /// Prints the source of the Rust client, and its manifest as a comment at the end.
    pub(super) fn print_rust_client(&self) -> Result {
        let document = self.document();
        let manifest = document.rust_manifest();
        let manifest: String = manifest
            .lines()
            .map(|line| format!("// {line}").trim_end().to_owned() + "\n")
            .collect();
        let client = document.rust();
        printing::print(
            format_args!("{client}\n// Cargo.toml:\n//\n{manifest}"),
            "print the client",
        )
    }
}
