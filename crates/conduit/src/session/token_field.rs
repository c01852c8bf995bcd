//! The token field of a form, which is removed from the body.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use conduit_proto::multipart::{MultipartEvent, MultipartParser, boundary};
use futures_core::Stream as _;

use crate::extract::has_form;
use crate::layer::{resumed, whole};
use crate::problem::Problem;
use crate::request::Request;

/// The hidden field of a form.
pub(super) const FIELD: &str = "csrf_token";

/// The number of bytes of a form with files within which its first field ends, if that is the token.
const FIRST_FIELD_BYTES: usize = 1024;

/// Removes the token from the form in a request's body: any field of a form without files, or the first field of a form with files.
pub(super) async fn take_token(request: &mut Request) -> Result<Option<Vec<u8>>, Problem> {
    if has_form(request) {
        let (body, trailers) = request.take_body().collect_with_trailers().await?;
        let (rest, token) = without_token(body);
        request.set_body(whole(rest, trailers));
        return Ok(token);
    }
    match request.header("content-type").map(boundary) {
        Some(Ok(Some(boundary))) => take_first_field(request, &boundary).await,
        _ => Ok(None),
    }
}

/// Takes the first token out of a form. A list of the pairs would take many times the memory of the form.
fn without_token(form: Bytes) -> (Bytes, Option<Vec<u8>>) {
    let mut start = 0;
    for pair in form.split(|byte| *byte == b'&') {
        let end = start + pair.len();
        if let Some(token) = token_in(pair) {
            // One of the separators around the pair remains.
            let rest = match start {
                0 => form.slice((end + 1).min(form.len())..),
                start => [&form[..start - 1], &form[end..]].concat().into(),
            };
            return (rest, Some(token));
        }
        start = end + 1;
    }
    (form, None)
}

fn token_in(pair: &[u8]) -> Option<Vec<u8>> {
    let (name, value) = form_urlencoded::parse(pair).next()?;
    (name == FIELD).then(|| value.into_owned().into_bytes())
}

/// Reads the start of a form with files. The rest arrives while the handler reads it, within the limit that holds then.
async fn take_first_field(request: &mut Request, boundary: &str) -> Result<Option<Vec<u8>>, Problem> {
    let mut body = request.take_body().with_limit(u64::MAX);
    let mut read = BytesMut::new();
    let mut first = FirstField::Incomplete;
    while matches!(first, FirstField::Incomplete) && read.len() < FIRST_FIELD_BYTES {
        match std::future::poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
            Some(piece) => read.extend_from_slice(&piece?),
            None => break,
        }
        first = FirstField::parse(&read, boundary);
    }
    let mut read = read.freeze();
    let token = match first {
        FirstField::Token(token, length) => {
            read = read.slice(length..);
            Some(token)
        }
        FirstField::Incomplete | FirstField::Other => None,
    };
    request.resume_body(resumed(read, body));
    Ok(token)
}

/// The first field of a form with files.
#[derive(Debug, PartialEq, Eq)]
enum FirstField {
    /// More bytes are needed.
    Incomplete,
    /// The token, and the number of bytes before the next delimiter.
    Token(Vec<u8>, usize),
    /// Another field, or no form.
    Other,
}

impl FirstField {
    fn parse(read: &[u8], boundary: &str) -> Self {
        let mut parser = MultipartParser::new(boundary);
        parser.handle_input(Bytes::copy_from_slice(read));
        let mut token = Vec::new();
        loop {
            match parser.poll_event() {
                Ok(Some(MultipartEvent::Part(head))) if head.name == FIELD && head.file_name.is_none() => {}
                Ok(Some(MultipartEvent::Content(piece))) => token.extend_from_slice(&piece),
                Ok(Some(MultipartEvent::EndOfPart)) => break,
                Ok(None) => return FirstField::Incomplete,
                Ok(Some(MultipartEvent::Part(_) | MultipartEvent::End)) | Err(_) => return FirstField::Other,
            }
        }
        // The end of a line belongs to the delimiter after it; at the start of the body there may be none.
        let delimiter = format!("\r\n--{boundary}");
        let text = [b"\r\n", read].concat();
        let is_delimiter = |start: &usize| text[*start..].starts_with(delimiter.as_bytes());
        match (0..text.len()).filter(is_delimiter).nth(1) {
            Some(length) => FirstField::Token(token, length),
            None => FirstField::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_taken_out_of_the_form() {
        for (form, rest, token) in [
            ("", "", None),
            ("a=1&b=2", "a=1&b=2", None),
            ("csrf_token=x", "", Some("x")),
            ("a=1&csrf_token=x&b=%32", "a=1&b=%32", Some("x")),
            ("csrf%5Ftoken=%78&a", "a", Some("x")),
            ("a=csrf_token=x", "a=csrf_token=x", None),
            ("csrf_token=x&csrf_token=y", "csrf_token=y", Some("x")),
            ("a&&csrf_token", "a&", Some("")),
            ("&csrf_token=x&a", "&a", Some("x")),
            ("csrf_token=x&", "", Some("x")),
            ("&&&", "&&&", None),
        ] {
            let (left, taken) = without_token(Bytes::from_static(form.as_bytes()));
            assert_eq!(
                (left, taken),
                (
                    Bytes::from_static(rest.as_bytes()),
                    token.map(|token| token.as_bytes().to_vec())
                ),
                "{form}"
            );
        }
    }

    #[test]
    fn token_of_a_form_with_files_is_its_first_field_alone() {
        let part = |name: &str, text: &str| {
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
        };
        let (token, other) = (part(FIELD, "x"), part("a", "1"));
        let whole = format!("{token}{other}--b--\r\n");
        for length in 0..whole.len() {
            let parsed = FirstField::parse(&whole.as_bytes()[..length], "b");
            if length < token.len() + "--b".len() {
                assert_eq!(parsed, FirstField::Incomplete, "{length}");
            } else {
                assert_eq!(parsed, FirstField::Token(b"x".to_vec(), token.len()), "{length}");
            }
        }
        let file = format!("--b\r\ncontent-disposition: form-data; name=\"{FIELD}\"; filename=\"x\"\r\n\r\nx\r\n--b--");
        for form in [
            format!("{other}{token}--b--"),
            file,
            "--b--".to_owned(),
            "--bx\r\n".to_owned(),
        ] {
            assert_eq!(FirstField::parse(form.as_bytes(), "b"), FirstField::Other, "{form}");
        }
        let preamble = format!("a preamble\r\n{token}--b--");
        assert_eq!(
            FirstField::parse(preamble.as_bytes(), "b"),
            FirstField::Token(b"x".to_vec(), preamble.len() - "--b--".len())
        );
    }
}
