//! The limits of a form with files.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conduit_proto::multipart::HEAD_LIMIT_BYTES;
use http::StatusCode;

use crate::body::BodyError;
use crate::extract::TOO_LARGE;
use crate::openapi::Operation;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use conduit_core::layer::{Layer, Next};

/// Limits for the [`Multipart`](super::Multipart) and [`MultipartForm`](super::MultipartForm) inside of this layer,
/// and the directory of their files.
///
/// Until the response, a form takes memory of at most `fields` times the larger of `text_bytes` and 64 KiB, which counts for
/// [`App::body_memory`](crate::App::body_memory), and disk space of at most `total_bytes`.
///
/// | limit | unless set |
/// | --- | --- |
/// | [`total_bytes`](MultipartLimits::total_bytes) | the application's limit on bodies, 2 MiB |
/// | [`fields`](MultipartLimits::fields) | 256 |
/// | [`text_bytes`](MultipartLimits::text_bytes), of each field that is not a file | 64 KiB |
/// | [`file_bytes`](MultipartLimits::file_bytes), of each file | the limit of the body |
/// | [`field_bytes`](MultipartLimits::field_bytes), of the fields of one name | as above |
/// | [`head_bytes`](MultipartLimits::head_bytes), of the head of each field | 8 KiB |
///
/// # Example
///
/// Pictures of up to 10 MiB, and a small one:
///
/// ```
/// use conduit::extract::{MultipartForm, MultipartLimits, UploadedFile};
/// use conduit::prelude::*;
///
/// #[derive(serde::Deserialize, JsonSchema)]
/// struct Album {
///     title: String,
///     #[serde(default)]
///     pictures: Vec<UploadedFile>,
///     icon: Option<UploadedFile>,
/// }
///
/// #[post("/albums")]
/// async fn create(album: MultipartForm<Album>) -> String {
///     format!("{} has {} pictures", album.title, album.pictures.len())
/// }
///
/// const LIMITS: MultipartLimits = MultipartLimits::new()
///     .total_bytes(100 << 20)
///     .file_bytes(10 << 20);
///
/// let app = App::new(()).routes(routes![#[layer(LIMITS.field_bytes("icon", 64 << 10))] create]);
/// ```
#[derive(Clone, Debug)]
pub struct MultipartLimits {
    pub(super) total_bytes: Option<u64>,
    pub(super) fields: usize,
    pub(super) text_bytes: u64,
    pub(super) file_bytes: u64,
    pub(super) head_bytes: usize,
    named: Vec<(Cow<'static, str>, u64)>,
    directory: Option<PathBuf>,
}

impl MultipartLimits {
    /// Creates the default limits.
    pub const fn new() -> Self {
        MultipartLimits {
            total_bytes: None,
            fields: 256,
            text_bytes: 64 * 1024,
            file_bytes: u64::MAX,
            head_bytes: HEAD_LIMIT_BYTES,
            named: Vec::new(),
            directory: None,
        }
    }

    /// Sets the maximum size of the whole body in bytes, which replaces the application's limit.
    pub const fn total_bytes(mut self, bytes: u64) -> Self {
        self.total_bytes = Some(bytes);
        self
    }

    /// Sets the maximum number of fields.
    pub const fn fields(mut self, count: usize) -> Self {
        self.fields = count;
        self
    }

    /// Sets the maximum size of each field that is not a file, in bytes.
    pub const fn text_bytes(mut self, bytes: u64) -> Self {
        self.text_bytes = bytes;
        self
    }

    /// Sets the maximum size of each file, in bytes.
    pub const fn file_bytes(mut self, bytes: u64) -> Self {
        self.file_bytes = bytes;
        self
    }

    /// Sets the maximum size of the head of each field, in bytes.
    pub const fn head_bytes(mut self, bytes: usize) -> Self {
        self.head_bytes = bytes;
        self
    }

    /// Sets the maximum size of each field with this name, file or not, in bytes.
    pub fn field_bytes(mut self, name: impl Into<Cow<'static, str>>, bytes: u64) -> Self {
        self.named.push((name.into(), bytes));
        self
    }

    /// Sets the directory of temporary files. Default: the system's directory for temporary files, which may be in memory (`tmpfs`).
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// The maximum size of a field in bytes.
    pub(super) fn of(&self, name: &str, is_file: bool) -> u64 {
        let named = self.named.iter().rev().find(|(known, _)| known == name);
        match named {
            Some((_, bytes)) => *bytes,
            None if is_file => self.file_bytes,
            None => self.text_bytes,
        }
    }

    pub(super) fn temporary_directory(&self) -> Cow<'_, Path> {
        match &self.directory {
            Some(path) => Cow::Borrowed(path),
            None => Cow::Owned(std::env::temp_dir()),
        }
    }
}

impl Default for MultipartLimits {
    fn default() -> Self {
        MultipartLimits::new()
    }
}

impl Layer for MultipartLimits {
    async fn call(&self, mut request: Request, next: Next) -> Response {
        if let Some(limit_bytes) = self.total_bytes {
            if request.declared_length().is_some_and(|length| length > limit_bytes) {
                return BodyError::TooLarge { limit_bytes }.into_response();
            }
            request.set_body_limit(limit_bytes);
        }
        request.extensions_mut().insert(Arc::new(self.clone()));
        next.run(request).await
    }

    fn describe(&self, operation: &mut Operation) {
        operation.problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
    }
}
