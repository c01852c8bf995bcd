//! `Upload`: a body that is written to a file while it is received.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::pin::Pin;

use futures_core::Stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::file::directory_of;
use super::spool::Spool;
use crate::body::Body;
use crate::extract::type_probe::TypeProbe;
use crate::extract::{FromRequest, TOO_LARGE};
use crate::openapi::Operation;
use crate::pool::FREE_BYTES;
use crate::problem::Problem;
use crate::request::Request;

/// The body of a request, to be written to a file while it is received: no more than 64 KiB are in memory. Requires the feature
/// `multipart`. [`Field::save_with`](super::Field::save_with) does the same for a file in a form.
///
/// The bytes go to a temporary file in the directory of the target, written by threads of tokio's pool for blocking work. Reading
/// pauses while the disk is slower than the client. The file appears at its path when it is complete, and replaces an existing one.
/// The temporary file is removed if the client disconnects, the handler ends, or an error occurs; a killed process leaves it as
/// `.tmp…`.
///
/// The limit is that of the body, 2 MiB unless the layer [`BodyLimit`](crate::layer::BodyLimit) sets another.
///
/// # Example
///
/// Uploads of up to 10 GiB, with their progress:
///
/// ```
/// use conduit::extract::{SaveOptions, Upload};
/// use conduit::layer::BodyLimit;
/// use conduit::prelude::*;
/// # use conduit::testing::TestClient;
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let app_directory = directory.path().to_owned();
/// # #[derive(Clone)]
/// # struct Directory(std::path::PathBuf);
/// #[put("/files/{id}")]
/// async fn store(id: Path<u64>, upload: Upload, directory: State<Directory>) -> Result<String, Problem> {
///     let total = upload.declared_bytes();
///     let options = SaveOptions::new().sync().on_progress(|received| println!("{received} of {total:?}"));
///     let length = upload.save_with(directory.0.0.join(id.to_string()), options).await?;
///     Ok(format!("{length} bytes"))
/// }
///
/// let app = App::new(Directory(app_directory)).routes(routes![#[layer(BodyLimit::new(10 << 30))] store]);
/// # let client = TestClient::new(app);
/// # client.put("/files/7").text("hello").send().assert_text("5 bytes");
/// # assert_eq!(std::fs::read_to_string(directory.path().join("7")).unwrap(), "hello");
/// ```
pub struct Upload {
    body: Body,
    content_type: Option<String>,
    declared_bytes: Option<u64>,
}

/// Options for files that are saved while they are received.
#[derive(Default)]
pub struct SaveOptions<'a> {
    is_synced: bool,
    progress: Option<Box<dyn FnMut(u64) + 'a>>,
}

impl<'a> SaveOptions<'a> {
    /// The options of `save`: no `fsync`, and no call for progress.
    pub fn new() -> Self {
        SaveOptions::default()
    }

    /// Waits until the disk has the file and its name (`fsync`), so that it survives a power failure after the response.
    pub fn sync(mut self) -> Self {
        self.is_synced = true;
        self
    }

    /// Calls this with the number of bytes received so far, after each piece.
    pub fn on_progress(mut self, progress: impl FnMut(u64) + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    pub(super) fn is_synced(&self) -> bool {
        self.is_synced
    }

    pub(super) fn report(&mut self, received: u64) {
        if let Some(progress) = &mut self.progress {
            progress(received);
        }
    }
}

impl fmt::Debug for SaveOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaveOptions")
            .field("is_synced", &self.is_synced)
            .field("progress", &self.progress.is_some())
            .finish()
    }
}

impl Upload {
    /// The media type that the client declares; it is not compared with the content.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The length that the client declares, in bytes.
    pub fn declared_bytes(&self) -> Option<u64> {
        self.declared_bytes
    }

    /// Saves the body as the file at this path, and returns its length in bytes. Only the server's user can read the file until
    /// its permissions are changed.
    ///
    /// # Errors
    ///
    /// Returns a 413 for a body over its limit, a 400 for a body that the client aborts, a 507 if the disk is full, and a 500 for
    /// other errors of the file. The file at `path` is then unchanged.
    pub async fn save(self, path: impl AsRef<Path>) -> Result<u64, Problem> {
        self.save_with(path, SaveOptions::new()).await
    }

    /// Saves as [`save`](Self::save) does, with options.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`save`](Self::save).
    pub async fn save_with(mut self, path: impl AsRef<Path>, mut options: SaveOptions<'_>) -> Result<u64, Problem> {
        let mut spool = Spool::new(directory_of(path.as_ref()));
        while let Some(piece) = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_next(context)).await {
            let piece = piece.map_err(|error| Problem::of_body_error(&error))?;
            spool.write(piece).await?;
            options.report(spool.length());
        }
        let file = spool.finish(FREE_BYTES, None, None).await?;
        file.save_synced(path, options.is_synced()).await
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("content_type", &self.content_type)
            .field("declared_bytes", &self.declared_bytes)
            .finish_non_exhaustive()
    }
}

impl TypeProbe<Upload> {
    /// The extractor takes the body.
    pub const TAKES_BODY: bool = true;
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Upload {
    const TAKES_BODY: bool = true;
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        let content_type = request.header(CONTENT_TYPE.as_str());
        let content_type = content_type.and_then(|value| str::from_utf8(value).ok());
        Ok(Upload {
            content_type: content_type.map(str::to_owned),
            declared_bytes: request.declared_length(),
            body: request.take_body(),
        })
    }

    fn describe(operation: &mut Operation) {
        operation
            .body("application/octet-stream", json!({}))
            .problem(StatusCode::BAD_REQUEST, "The client aborted the body.")
            .problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
            .problem(
                StatusCode::INSUFFICIENT_STORAGE,
                "The server's disk has no room for the file.",
            );
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}
