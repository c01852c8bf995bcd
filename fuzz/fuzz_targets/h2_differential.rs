//! The engine and the crate `h2` see the same requests, resets and errors in the frames of a client; the engine may reject more.
//!
//! The input follows the preface.
#![no_main]

#[path = "../../crates/conduit-proto/tests/h2/compare.rs"]
mod compare;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    compare::compare(input);
});
