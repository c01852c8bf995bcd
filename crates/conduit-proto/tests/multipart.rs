//! `multipart/form-data`: forms as sent by clients, divided at any position, and invalid ones.

use bytes::Bytes;
use conduit_proto::multipart::{FIELDS_LIMIT, MultipartError, MultipartEvent, MultipartParser, boundary};
use proptest::prelude::*;

/// The parts of a body: name, file name and content of each.
type Parts = Vec<(String, Option<String>, Vec<u8>)>;

fn read<'a>(boundary: &str, pieces: impl Iterator<Item = &'a [u8]>) -> Result<Parts, MultipartError> {
    let mut parser = MultipartParser::new(boundary);
    let mut parts = Parts::new();
    let mut is_open = false;
    let mut drain = |parser: &mut MultipartParser| {
        while let Some(event) = parser.poll_event()? {
            match event {
                MultipartEvent::Part(head) => {
                    assert!(!is_open);
                    is_open = true;
                    parts.push((head.name, head.file_name, Vec::new()));
                }
                MultipartEvent::Content(piece) => {
                    assert!(is_open && !piece.is_empty());
                    parts.last_mut().expect("a part has begun").2.extend_from_slice(&piece);
                }
                MultipartEvent::EndOfPart => assert!(std::mem::replace(&mut is_open, false)),
                MultipartEvent::End => assert!(!is_open),
            }
        }
        Ok(())
    };
    for piece in pieces {
        parser.handle_input(Bytes::copy_from_slice(piece));
        drain(&mut parser)?;
    }
    parser.handle_end();
    drain(&mut parser)?;
    Ok(parts)
}

fn whole(body: &[u8]) -> Result<Parts, MultipartError> {
    read("xyz", std::iter::once(body))
}

fn malformed(body: &[u8]) -> &'static str {
    match whole(body) {
        Err(MultipartError::Malformed { what }) => what,
        other => panic!("{other:?} of {}", body.escape_ascii()),
    }
}

/// The body that a browser sends.
const FORM: &[u8] = b"preamble\r\n--xyz\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA walk\r\n\
    --xyz \t\r\ncontent-disposition: FORM-DATA; filename=\"a \\\"b\\\".txt\"; name=file\r\nContent-Type: text/plain\r\n\r\n\
    \r\n--xy\r\r\n--xyzz is what it is not: \r\n--xy\r\n--\r\n\
    \r\n--xyz\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n\r\n--xyz--\r\nepilogue \r\n--xyz\r\n";

#[test]
fn form_does_not_depend_on_the_division() {
    // Content that contains the delimiter is invalid, and is rejected.
    assert_eq!(
        malformed(FORM),
        "a boundary is followed by other text on its line: end the line after it"
    );
    let form: Vec<u8> = String::from_utf8(FORM.to_vec())
        .expect("text")
        .replace("xyzz", "xyyz")
        .into();
    let parts = whole(&form).expect("a form");
    let content = b"\r\n--xy\r\r\n--xyyz is what it is not: \r\n--xy\r\n--\r\n".to_vec();
    assert_eq!(
        parts,
        [
            ("title".to_owned(), None, b"A walk".to_vec()),
            ("file".to_owned(), Some("a \"b\".txt".to_owned()), content),
            (String::new(), None, Vec::new()),
        ]
    );
    assert_eq!(read("xyz", form.chunks(1)).as_ref(), Ok(&parts));
    for at in 0..form.len() {
        let (before, behind) = form.split_at(at);
        assert_eq!(
            read("xyz", [before, behind].into_iter()).as_ref(),
            Ok(&parts),
            "cut at {at}"
        );
        let is_over = String::from_utf8_lossy(before).contains("--xyz--");
        assert_eq!(whole(before).is_ok(), is_over, "ended at {at}");
    }
}

#[test]
fn body_may_start_with_the_delimiter_and_have_no_part() {
    assert_eq!(whole(b"--xyz--"), Ok(Parts::new()));
    assert_eq!(whole(b"\r\n--xyz--\r\n"), Ok(Parts::new()));
    assert_eq!(whole(b""), Err(MultipartError::Incomplete));
    assert_eq!(whole(b" --xyz--"), Err(MultipartError::Incomplete));
}

#[test]
fn invalid_bodies_are_rejected_with_a_reason() {
    let part = |head: &str| malformed(format!("--xyz\r\n{head}\r\n\r\n\r\n--xyz--").as_bytes());
    assert_eq!(
        malformed(b"--xyz?\r\n"),
        "a boundary is followed by other text on its line: end the line after it"
    );
    assert_eq!(
        malformed(b"--xyz -"),
        "a boundary is followed by other text on its line: end the line after it"
    );
    for head in [
        "Content-Disposition: form-data; name=a\r\n--xyz: b",
        "--xyz: b\r\nContent-Disposition: form-data; name=a",
        "Content-Disposition: form-data; name=a\r\n--xyzz: b\r\nc: d",
    ] {
        assert_eq!(
            part(head),
            "the head of a part contains the boundary: choose another boundary"
        );
    }
    let missing = "the head of a part has no content-disposition, or several: send exactly one";
    assert_eq!(malformed(b"--xyz\r\n\r\n\r\n\r\n--xyz--"), missing);
    assert_eq!(part("Content-Type: text/plain"), missing);
    assert_eq!(
        part("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b"),
        missing
    );
    let line = "a line in the head of a part is not a header field: write 'name: value'";
    assert_eq!(part("Content-Disposition: form-data;\r\n name=a"), line);
    assert_eq!(part("Content-Disposition: form-data; name=\"a\rb\""), line);
    assert_eq!(part("Content-Disposition: form-data; name=\"a\nX: b\""), line);
    assert_eq!(part("Content-Disposition : form-data; name=a"), line);
    assert_eq!(
        part("Content-Disposition: attachment; name=a"),
        "the content-disposition of a part is not form-data: write 'form-data; name=\"…\"'"
    );
    assert_eq!(
        part("Content-Disposition: form-data"),
        "the content-disposition of a part has no name: add 'name=\"…\"'"
    );
    assert_eq!(
        part("Content-Disposition: form-data; name=a; NAME=b"),
        "a parameter of the content-disposition or content-type is repeated: send it once"
    );
    for parameters in ["; name", "; name=\"a", "; name=\"a\" b", "name=a\" b"] {
        assert!(!part(&format!("Content-Disposition: form-data{parameters}")).is_empty());
    }
    let body = b"--xyz\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n\r\n--xyz--";
    assert_eq!(
        malformed(body),
        "the name of a part or of its file is not UTF-8: encode it as UTF-8"
    );
}

#[test]
fn head_length_and_number_of_fields_are_limited() {
    let mut endless = b"--xyz\r\nContent-Disposition: form-data; name=a\r\nX: ".to_vec();
    endless.resize(20_000, b'x');
    assert_eq!(whole(&endless), Err(MultipartError::HeadTooLong { limit_bytes: 8192 }));
    let mut parser = MultipartParser::new("xyz").head_limit(10);
    parser.handle_input(Bytes::from_static(b"--xyz\r\nX-A: 1234567"));
    assert_eq!(
        parser.poll_event(),
        Err(MultipartError::HeadTooLong { limit_bytes: 10 })
    );
    assert_eq!(
        parser.poll_event(),
        Err(MultipartError::HeadTooLong { limit_bytes: 10 })
    );
    let many = "X: y\r\n".repeat(FIELDS_LIMIT);
    let body = format!("--xyz\r\n{many}Content-Disposition: form-data; name=a\r\n\r\n\r\n--xyz--");
    assert_eq!(whole(body.as_bytes()), Err(MultipartError::TooManyFields));
    let mut padding = b"--xyz".to_vec();
    padding.resize(20_000, b' ');
    assert!(matches!(whole(&padding), Err(MultipartError::Malformed { .. })));
}

#[test]
fn content_is_returned_at_once_except_a_possible_delimiter() {
    let mut parser = MultipartParser::new("xyz");
    parser.handle_input(Bytes::from_static(
        b"--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n",
    ));
    assert!(matches!(parser.poll_event(), Ok(Some(MultipartEvent::Part(_)))));
    for (piece, given) in [
        (&b"abc"[..], &b"abc"[..]),
        (b"d\r", b"d"),
        (b"\n--x", b""),
        (b"\r\n", b"\r\n--x"),
        (b"e", b"\r\ne"),
    ] {
        parser.handle_input(Bytes::from_static(piece));
        let mut come = Vec::new();
        while let Ok(Some(MultipartEvent::Content(content))) = parser.poll_event() {
            come.extend_from_slice(&content);
        }
        assert_eq!(come, given, "after {}", piece.escape_ascii());
    }
}

#[test]
fn boundary_must_conform_to_rfc_2046() {
    let of = |text: &str| boundary(text.as_bytes());
    let right = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(of("multipart/form-data; boundary=a-b"), right("a-b"));
    assert_eq!(
        of("Multipart/Form-Data ;charset=utf-8; BOUNDARY=\"a b:c\" ;"),
        right("a b:c")
    );
    assert_eq!(of("text/plain; boundary=a"), Ok(None));
    assert_eq!(of("multipart/mixed; boundary=a"), Ok(None));
    let longest = "x".repeat(70);
    assert_eq!(of(&format!("multipart/form-data; boundary={longest}")), right(&longest));
    for wrong in [
        "",
        "; boundary",
        "; boundary=",
        "; boundary=\"a ",
        "; boundary=\"a \"",
        "; boundary=a; boundary=a",
        "; boundary=a\"b",
        "; boundary=ä",
        &format!("; boundary={longest}x"),
    ] {
        let outcome = of(&format!("multipart/form-data{wrong}"));
        assert!(
            matches!(outcome, Err(MultipartError::Malformed { .. })),
            "{wrong}: {outcome:?}"
        );
    }
}

/// A naive parser, which searches the whole body for lines that start with the delimiter.
fn twin(body: &[u8]) -> Option<Parts> {
    let text = [b"\r\n", body].concat();
    let mut parts = Parts::new();
    let mut pieces = Vec::new();
    let mut rest = &text[..];
    while let Some(at) = rest.windows(7).position(|window| window == b"\r\n--xyz") {
        pieces.push(&rest[..at]);
        rest = &rest[at + 7..];
        if rest.starts_with(b"--") {
            for piece in &pieces[1..] {
                let piece = &piece[piece.iter().position(|byte| !b" \t".contains(byte))?..];
                let head = &b"\r\nContent-Disposition: form-data; name=a\r\n"[..];
                let content = match piece.strip_prefix(head)? {
                    b"" => b"",
                    content => content.strip_prefix(b"\r\n")?,
                };
                parts.push(("a".to_owned(), None, content.to_vec()));
            }
            return Some(parts);
        }
    }
    None
}

proptest! {
    #[test]
    fn parser_agrees_with_the_naive_parser_for_any_division(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "\r", "\n", "\r\n", "-", "--", "--xyz", "\r\n--xyz", "\r\n--xyz\r\n", "\r\n--xy", "a", " ",
                "\r\nContent-Disposition: form-data; name=a\r\n\r\n",
                "\r\n--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n", "\r\n--xyz--",
            ]),
            0..24,
        ),
        length in 1..9_usize,
    ) {
        let body = words.concat();
        let parts = whole(body.as_bytes());
        prop_assert_eq!(&read("xyz", body.as_bytes().chunks(length)), &parts);
        prop_assert_eq!(parts.ok(), twin(body.as_bytes()));
    }
}
