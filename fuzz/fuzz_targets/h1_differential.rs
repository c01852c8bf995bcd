//! The engine reads heads and chunks as its naive twin does, and takes no head that httparse
//! refuses or reads otherwise.
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
    // Empty lines before a request are not the twin's matter.
    if !data.starts_with(b"\r") {
        compare::head_with_twin(data);
        compare::head_with_httparse(data);
    }
});
