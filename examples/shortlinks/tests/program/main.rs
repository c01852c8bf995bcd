//! The real program with a temporary database, driven over the network.

mod browser;
#[path = "../../../../crates/conduit/tests/support/chromium.rs"]
mod chromium;
#[path = "../../../../crates/conduit/tests/support/npm.rs"]
mod npm;
mod service;
mod support;
mod typescript;
