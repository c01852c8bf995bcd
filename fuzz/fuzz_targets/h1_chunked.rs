//! A chunked body is decoded as the naive twin decodes it, for any split.
//!
//! The first byte of the input determines the split of the rest; the rest is the body.
#![no_main]

#[expect(dead_code, reason = "other targets use what this one does not")]
#[path = "../../crates/conduit-proto/tests/h1/compare.rs"]
mod compare;
#[expect(dead_code, reason = "the tests use what this target does not")]
#[path = "../../crates/conduit-proto/tests/h1/drive.rs"]
mod drive;
#[path = "../../crates/conduit-proto/tests/h1/naive.rs"]
mod naive;

use conduit_proto::h1::Limits;
use libfuzzer_sys::fuzz_target;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fuzz_target!(|data: &[u8]| {
    let Some((&how, body)) = data.split_first() else {
        return;
    };
    compare::chunks_with_twin(body);
    // Low enough that extensions and trailers reach them.
    let limits = Limits {
        head_bytes: HEAD.len() + 64,
        headers: 4,
    };
    let whole = drive::run_whole(&[HEAD, body].concat(), &limits);
    let pieces = body.chunks(usize::from(how) + 1);
    assert_eq!(drive::run([HEAD].into_iter().chain(pieces), &limits), whole);
});
