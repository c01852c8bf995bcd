//! The real program with a temporary database, driven over the network.

mod browser;
mod service;
mod support;
