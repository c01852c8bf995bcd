//! The real program with a temporary database, driven over the network.

mod browser;
#[path = "../../../../crates/conduit/tests/support/chromium.rs"]
mod chromium;
mod generated;
#[path = "../../../../crates/conduit/tests/support/npm.rs"]
mod npm;
#[path = "../../../../crates/conduit/tests/support/packages.rs"]
mod packages;
mod rust;
mod service;
mod support;
mod typescript;
