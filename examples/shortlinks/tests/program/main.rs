//! The real program, started with a database of its own and driven over the network.

mod browser;
mod service;
mod support;
