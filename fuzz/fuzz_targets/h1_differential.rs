//! The engine parses heads and chunks as its naive twin does, and accepts no head that httparse rejects or parses differently.
#![no_main]

#[path = "../../crates/conduit-proto/tests/h1/compare.rs"]
mod compare;
#[expect(dead_code, reason = "the tests use what this target does not")]
#[path = "../../crates/conduit-proto/tests/h1/drive.rs"]
mod drive;
#[path = "../../crates/conduit-proto/tests/h1/naive.rs"]
mod naive;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    compare::chunks_with_twin(data);
    // The twin does not handle empty lines before a request.
    if !data.starts_with(b"\r") {
        compare::head_with_twin(data);
        compare::head_with_httparse(data);
    }
});
