//! The path of a file has no component that leads up, is empty or is hidden; ranges are within the file, without overlaps, and
//! at most as many as the limit.
#![no_main]

use conduit_proto::file_path::file_path;
use conduit_proto::range::{RANGE_LIMIT, Selection};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, bool, &[u8])| {
    let (length, allows_hidden, bytes) = input;
    let ranges = match Selection::parse(bytes, length) {
        Selection::Whole | Selection::Unsatisfiable => Vec::new(),
        Selection::One(range) => vec![range],
        Selection::Several(ranges) => ranges,
    };
    assert!(ranges.len() <= RANGE_LIMIT);
    for (place, range) in ranges.iter().enumerate() {
        assert!(range.start < range.end && range.end <= length);
        for other in &ranges[..place] {
            assert!(range.end <= other.start || other.end <= range.start);
        }
    }
    let Some(file) = str::from_utf8(bytes)
        .ok()
        .and_then(|path| file_path(path, allows_hidden))
    else {
        return;
    };
    assert!(!file.iter().any(|byte| matches!(byte, 0 | b'\\')));
    let names = file.strip_suffix(b"/").unwrap_or(&file);
    let mut components = names.split(|&byte| byte == b'/').filter(|_| !file.is_empty());
    assert!(components.all(|name| !matches!(name, b"" | b"." | b"..")
        && (allows_hidden || !name.starts_with(b".") || name == b".well-known")));
});
