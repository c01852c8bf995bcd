//! A form with files is parsed as a naive twin parses the whole, for any split, and nothing is lost or added.
//!
//! The first byte of the input determines the split of the rest; the rest is the body with the boundary `x`.
#![no_main]

use bytes::Bytes;
use conduit_proto::multipart::{MultipartEvent, MultipartParser};
use libfuzzer_sys::fuzz_target;

/// Success without an error, and the content of each part.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (bool, Vec<Vec<u8>>) {
    let mut parser = MultipartParser::new("x");
    let mut contents: Vec<Vec<u8>> = Vec::new();
    let mut take = |parser: &mut MultipartParser| loop {
        match parser.poll_event() {
            Ok(Some(MultipartEvent::Part(_))) => contents.push(Vec::new()),
            Ok(Some(MultipartEvent::Content(piece))) => {
                assert!(!piece.is_empty());
                contents.last_mut().expect("a part has begun").extend_from_slice(&piece);
            }
            Ok(Some(MultipartEvent::EndOfPart | MultipartEvent::End)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    };
    let mut is_right = true;
    for piece in pieces {
        parser.handle_input(Bytes::copy_from_slice(piece));
        is_right = take(&mut parser);
        if !is_right {
            break;
        }
    }
    if is_right {
        parser.handle_end();
        is_right = take(&mut parser);
    }
    (is_right, contents)
}

/// The contents of a body, if it is complete, by a search of the whole body for lines that begin with the boundary.
fn twin(body: &[u8]) -> Vec<Vec<u8>> {
    let text = [b"\r\n", body].concat();
    let mut contents = Vec::new();
    let mut rest = &text[..];
    let mut is_first = true;
    while let Some(at) = rest.windows(5).position(|window| window == b"\r\n--x") {
        if !is_first {
            let part = &rest[..at];
            // A part whose head ends with the delimiter itself is empty.
            let part = [part, b"\r\n"].concat();
            let line = part
                .windows(2)
                .position(|window| window == b"\r\n")
                .expect("it was added")
                + 2;
            let head = part[line..].windows(4).position(|window| window == b"\r\n\r\n");
            let content = head.map(|head| &part[line + head + 4..]).unwrap_or_default();
            contents.push(content.strip_suffix(b"\r\n").unwrap_or(content).to_vec());
        }
        is_first = false;
        rest = &rest[at + 5..];
        if rest.starts_with(b"--") {
            break;
        }
    }
    contents
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, body)) = input.split_first() else {
        return;
    };
    let whole = read(std::iter::once(body));
    let pieces = read(body.chunks(usize::from(cut % 32) + 1));
    assert_eq!(whole.0, pieces.0);
    if whole.0 {
        assert_eq!(whole.1, pieces.1);
        assert_eq!(whole.1, twin(body));
    }
});
