//! Any stream with any split has the same result as the whole, and nothing panics.
//!
//! The first byte of the input determines the split of the rest; the rest is the stream.
#![no_main]

#[expect(dead_code, reason = "the tests use what this target does not")]
#[path = "../../crates/conduit-proto/tests/h1/drive.rs"]
mod drive;

use conduit_proto::h1::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&how, stream)) = data.split_first() else {
        return;
    };
    let limits = if how & 0x80 == 0 {
        Limits::default()
    } else {
        Limits {
            head_bytes: 64,
            headers: 2,
        }
    };
    let whole = drive::run_whole(stream, &limits);
    let length = usize::from(how & 0x7f) + 1;
    assert_eq!(drive::run(drive::cut(stream, &[length]), &limits), whole);
    assert_eq!(drive::run(stream.chunks(length), &limits), whole);
    assert_eq!(drive::run_byte_by_byte(stream, &limits), whole);
});
