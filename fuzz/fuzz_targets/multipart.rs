//! A form with files is parsed as a naive twin parses the whole, for any split, and nothing is lost or added. A form that a client
//! writes is read as it was written.
//!
//! The first byte of the input determines the split of the rest; the rest is the body with the boundary `x`. It also contains the
//! texts of the form that is written, divided at the byte 0xff.
#![no_main]

use bytes::Bytes;
use conduit_proto::multipart::{HEAD_LIMIT_BYTES, MultipartEvent, MultipartParser};
use http::header::CONTENT_TYPE;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq)]
struct Part {
    name: String,
    file_name: Option<String>,
    content_type: Option<String>,
    content: Vec<u8>,
}

/// Success without an error, and the parts.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (bool, Vec<Part>) {
    let mut parser = MultipartParser::new("x");
    let mut parts: Vec<Part> = Vec::new();
    let mut take = |parser: &mut MultipartParser| loop {
        match parser.poll_event() {
            Ok(Some(MultipartEvent::Part(head))) => {
                let content_type = head.headers.get(CONTENT_TYPE);
                let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
                parts.push(Part {
                    name: head.name,
                    file_name: head.file_name,
                    content_type,
                    content: Vec::new(),
                });
            }
            Ok(Some(MultipartEvent::Content(piece))) => {
                assert!(!piece.is_empty());
                parts
                    .last_mut()
                    .expect("a part has begun")
                    .content
                    .extend_from_slice(&piece);
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
    (is_right, parts)
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

/// The parts of a form with these texts, four for each part; `None` if a client cannot write them with the boundary `x`.
fn form(texts: &[u8]) -> Option<Vec<Part>> {
    let texts: Vec<&[u8]> = texts.split(|&byte| byte == 0xff).collect();
    let part = |texts: &[&[u8]]| {
        let text = |at: usize| texts.get(at).map(|text| String::from_utf8_lossy(text).into_owned());
        let is_field = |text: &String| text.chars().all(|char| char == '\t' || !char.is_ascii_control());
        let content = texts.get(3).copied().unwrap_or_default();
        let part = Part {
            name: text(0).filter(is_field)?,
            file_name: text(1),
            // White space around a value is not part of it.
            content_type: text(2).map(|text| text.trim_ascii().to_owned()),
            content: content.to_vec(),
        };
        let are_fields = part.file_name.iter().chain(&part.content_type).all(is_field);
        let has_delimiter = [b"\r\n", content]
            .concat()
            .windows(5)
            .any(|window| window == b"\r\n--x");
        (are_fields && !has_delimiter).then_some(part)
    };
    texts.chunks(4).map(part).collect()
}

/// Writes a form as a client does; `None` if a head is longer than the limit.
fn write(parts: &[Part]) -> Option<Vec<u8>> {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut body = Vec::new();
    for part in parts {
        let mut head = format!("Content-Disposition: form-data; name=\"{}\"", quoted(&part.name));
        if let Some(file_name) = &part.file_name {
            head.push_str(&format!("; filename=\"{}\"", quoted(file_name)));
        }
        if let Some(content_type) = &part.content_type {
            head.push_str(&format!("\r\nContent-Type: {content_type}"));
        }
        if head.len() + 4 > HEAD_LIMIT_BYTES {
            return None;
        }
        body.extend_from_slice(format!("--x\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(&part.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--x--\r\n");
    Some(body)
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
        let contents: Vec<_> = whole.1.into_iter().map(|part| part.content).collect();
        assert_eq!(contents, twin(body));
    }
    if let Some(parts) = form(body)
        && let Some(written) = write(&parts)
    {
        assert_eq!(read(written.chunks(usize::from(cut) + 1)), (true, parts));
    }
});
