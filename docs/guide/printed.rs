// Clients in Rust as services print them, for the code of `clients.md`: those of the example `shortlinks` and of a test.
#[rustfmt::skip]
#[allow(dead_code, unreachable_pub)]
#[path = "../../examples/shortlinks/tests/program/rust_client.txt"]
mod links;
#[rustfmt::skip]
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/conduit/tests/openapi/rust_client.txt"]
mod numbers;
