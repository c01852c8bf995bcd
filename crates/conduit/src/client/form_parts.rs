//! A form with files as the body of a call.

use bytes::Bytes;
use conduit_core::internal::form_data::escaped_name;

/// The text fields and files of a form: the argument of a handler's `Multipart` or `MultipartForm` (feature `multipart`).
///
/// # Example
///
/// ```
/// use conduit::client::FormParts;
///
/// let form = FormParts::new().text("title", "A walk").file("picture", "walk.png", "image/png", vec![0x89]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FormParts {
    /// The head of each part without its end, and the content.
    parts: Vec<(String, Bytes)>,
}

impl FormParts {
    /// A form without parts.
    pub fn new() -> Self {
        FormParts::default()
    }

    /// Adds a text field.
    pub fn text(mut self, name: &str, text: impl Into<String>) -> Self {
        let head = format!("content-disposition: form-data; name=\"{}\"", escaped_name(name));
        self.parts.push((head, text.into().into()));
        self
    }

    /// Adds a file. Control characters in the media type are omitted.
    pub fn file(mut self, name: &str, file_name: &str, media_type: &str, content: impl Into<Bytes>) -> Self {
        let (name, file_name) = (escaped_name(name), escaped_name(file_name));
        let media_type: String = media_type.chars().filter(|character| !character.is_control()).collect();
        let head = format!(
            "content-disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\ncontent-type: {media_type}"
        );
        self.parts.push((head, content.into()));
        self
    }

    /// The media type with the boundary, and the body (RFC 7578).
    #[cfg(feature = "multipart")]
    pub(super) fn encoded(&self) -> (String, Bytes) {
        let boundary = self.boundary();
        let mut body = Vec::new();
        for (head, content) in &self.parts {
            body.extend_from_slice(format!("--{boundary}\r\n{head}\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), body.into())
    }

    /// A boundary that no content contains.
    #[cfg(feature = "multipart")]
    fn boundary(&self) -> String {
        let mut boundary = "conduit-boundary".to_owned();
        let finder = |boundary: &str| {
            let mut contents = self.parts.iter();
            contents.any(|(_, content)| {
                content
                    .windows(boundary.len())
                    .any(|window| window == boundary.as_bytes())
            })
        };
        for number in 0_u64.. {
            if !finder(&boundary) {
                break;
            }
            boundary = format!("conduit-boundary-{number}");
        }
        boundary
    }
}
