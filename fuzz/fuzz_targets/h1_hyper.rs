//! The engine accepts no request that hyper's server reads differently.
#![no_main]

#[path = "../../conformance/tests/hyper/compare.rs"]
mod compare;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    compare::compare(data);
});
