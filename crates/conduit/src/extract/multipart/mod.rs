//! `multipart/form-data`: forms with files. `file` is a received file, `spool` one that is being received, `temporary_file` removes it, `form` deserializes a
//! form, `limits` is the layer, `upload` saves a whole body.

mod file;
mod form;
mod limits;
mod spool;
mod temporary_file;
mod upload;

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use conduit_proto::multipart::{MultipartError, MultipartEvent, MultipartParser, PartHead, boundary};
use futures_core::Stream;
use http::{HeaderMap, StatusCode};
use serde_json::json;

pub use self::file::UploadedFile;
pub use self::form::MultipartForm;
pub use self::limits::MultipartLimits;
pub use self::upload::{SaveOptions, Upload};

use self::spool::Spool;
use super::content::require_decoded;
use super::{FromRequest, TOO_LARGE};
use crate::body::Body;
use crate::extract::type_probe::TypeProbe;
use crate::openapi::Operation;
use crate::pool::FREE_BYTES;
use crate::problem::{Excerpt, Fault, Problem, Step};
use crate::request::Request;
use conduit_core::internal::charge::Charge;

const MEDIA_TYPE: &str = "multipart/form-data";

/// The fields of a form with files, `multipart/form-data` (RFC 7578), one after the other, in the order of the body. Requires the
/// feature `multipart`.
///
/// Nothing is read ahead: the client waits while the handler does not read. To read the whole form into a struct, take a
/// [`MultipartForm`].
///
/// # Limits
///
/// The whole body has the application's limit ([`App::body_limit`](crate::App::body_limit), 2 MiB unless set); the layer
/// [`MultipartLimits`] sets another one, and the other limits.
///
/// # Errors
///
/// Rejects with 415 for another content type, and with 400 if it has no boundary. Reading fails with a [`Problem`] that
/// names the field: 400 for a syntax error and for a truncated body, 413 for an exceeded limit.
///
/// # Example
///
/// The length of each file:
///
/// ```
/// use conduit::extract::Multipart;
/// use conduit::prelude::*;
///
/// #[post("/measure")]
/// async fn measure(mut form: Multipart) -> Result<String, Problem> {
///     let mut lengths = String::new();
///     while let Some(mut field) = form.next_field().await? {
///         let mut length = 0;
///         while let Some(piece) = field.chunk().await? {
///             length += piece.len();
///         }
///         lengths.push_str(&format!("{}: {length}\n", field.name()));
///     }
///     Ok(lengths)
/// }
/// ```
pub struct Multipart {
    body: Body,
    parser: MultipartParser,
    limits: Arc<MultipartLimits>,
    /// The number of fields that have begun.
    fields: usize,
    has_ended: bool,
    /// The length of all contents that were read as bytes or text, and the part of files that is not taken from the budget.
    kept_bytes: usize,
    /// The part of the budget of memory that bytes and texts take; files have their own.
    charge: Charge,
}

/// One field of a [`Multipart`]. The unread rest is skipped when the next field is requested.
pub struct Field<'a> {
    form: &'a mut Multipart,
    head: PartHead,
    limit_bytes: u64,
    received: u64,
    has_ended: bool,
}

impl TypeProbe<Multipart> {
    /// The extractor takes the body.
    pub const TAKES_BODY: bool = true;
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Multipart {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        require_decoded(request)?;
        let limits = request
            .extensions()
            .get::<Arc<MultipartLimits>>()
            .cloned()
            .unwrap_or_default();
        let content_type = request.header("content-type");
        let boundary = match content_type.map(boundary) {
            Some(Ok(Some(boundary))) => boundary,
            Some(Err(error)) => return Err(Problem::bad_request(error.to_string())),
            Some(Ok(None)) | None => {
                let given = match content_type {
                    Some(value) => format!("the content-type is {:?}", Excerpt::new(value)),
                    None => "the request has no content-type".to_owned(),
                };
                return Err(Problem::unsupported_media_type(format!(
                    "{given}: expected {MEDIA_TYPE}"
                )));
            }
        };
        Ok(Multipart {
            parser: MultipartParser::new(&boundary).head_limit(limits.head_bytes),
            body: request.take_body(),
            limits,
            fields: 0,
            has_ended: false,
            kept_bytes: 0,
            charge: Charge::default(),
        })
    }

    fn describe(operation: &mut Operation) {
        operation.body(MEDIA_TYPE, json!({ "type": "object" }));
        describe_problems(operation);
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}

fn describe_problems(operation: &mut Operation) {
    operation
        .problem(StatusCode::BAD_REQUEST, "The body is not multipart/form-data.")
        .problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
        .problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The body's media type is not multipart/form-data.",
        )
        .problem(
            StatusCode::INSUFFICIENT_STORAGE,
            "The server's disk has no room for a file.",
        );
}

impl Multipart {
    /// Returns the next field; `None` after the last. The unread rest of the previous field is skipped.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Multipart`]. The input after an error is not read.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped while it waits loses no field.
    pub async fn next_field(&mut self) -> Result<Option<Field<'_>>, Problem> {
        let head = loop {
            match self.next_event().await.map_err(|error| error.problem(None))? {
                MultipartEvent::Part(head) => break head,
                MultipartEvent::Content(_) | MultipartEvent::EndOfPart => {}
                MultipartEvent::End => return Ok(None),
            }
        };
        if self.fields == self.limits.fields {
            let limit = self.limits.fields;
            return Err(Problem::payload_too_large(format!(
                "the form has more fields than the limit of {limit}"
            )));
        }
        self.fields += 1;
        let limit_bytes = self.limits.of(&head.name, head.file_name.is_some());
        Ok(Some(Field {
            form: self,
            head,
            limit_bytes,
            received: 0,
            has_ended: false,
        }))
    }

    async fn next_event(&mut self) -> Result<MultipartEvent, Broken> {
        loop {
            if let Some(event) = self.parser.poll_event().map_err(Broken::Form)? {
                return Ok(event);
            }
            if self.has_ended {
                return Ok(MultipartEvent::End);
            }
            match std::future::poll_fn(|context| Pin::new(&mut self.body).poll_next(context)).await {
                Some(Ok(piece)) => self.parser.handle_input(piece),
                Some(Err(error)) => return Err(Broken::Body(Problem::of_body_error(&error))),
                None => {
                    self.has_ended = true;
                    self.parser.handle_end();
                }
            }
        }
    }
}

/// The reason why reading has stopped.
enum Broken {
    Body(Problem),
    Form(MultipartError),
}

impl Broken {
    /// The response, which names the field.
    fn problem(self, field: Option<&str>) -> Problem {
        let error = match self {
            Broken::Body(problem) => return problem,
            Broken::Form(error) => error,
        };
        let status = match error {
            MultipartError::HeadTooLong { .. } | MultipartError::TooManyFields => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Problem::faults(status, &[Fault::of_form(field.map(Step::Key), error.to_string())])
    }
}

impl Multipart {
    /// Charges the memory of content that is read as a whole.
    fn keep(&mut self, bytes: usize) -> Result<(), Problem> {
        self.kept_bytes += bytes;
        let charged = self.kept_bytes.saturating_sub(FREE_BYTES);
        match self.charge.raise_to(charged, charged) {
            Ok(_) => Ok(()),
            Err(exhausted) => Err(Problem::of_body_error(&exhausted.into())),
        }
    }
}

impl Field<'_> {
    /// Returns the name of the field.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// The client's name of the file: the last component, after any slash or backslash (RFC 7578, section 4.2). `None`
    /// if the field is not a file.
    ///
    /// Use it for display and as data only: a client may send a harmful file name.
    pub fn file_name(&self) -> Option<&str> {
        self.head.file_name.as_deref().map(last_part)
    }

    /// The media type that the client declares; it is not compared with the content.
    pub fn content_type(&self) -> Option<&str> {
        self.head.headers.get("content-type")?.to_str().ok()
    }

    /// Returns the header fields of this field.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Returns the next chunk of its content, as received; `None` at its end.
    ///
    /// # Errors
    ///
    /// Returns a 413 if the field is longer than its limit, and the errors of [`Multipart`].
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped while it waits loses nothing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.has_ended {
            return Ok(None);
        }
        let event = self.form.next_event().await;
        match event.map_err(|error| error.problem(Some(&self.head.name)))? {
            MultipartEvent::Content(piece) => {
                self.received += piece.len() as u64;
                if self.received > self.limit_bytes {
                    let message = format!("longer than the limit of {} bytes", self.limit_bytes);
                    return Err(self.fault(StatusCode::PAYLOAD_TOO_LARGE, message));
                }
                Ok(Some(piece))
            }
            MultipartEvent::Part(_) | MultipartEvent::EndOfPart | MultipartEvent::End => {
                self.has_ended = true;
                Ok(None)
            }
        }
    }

    /// Reads the rest of its content.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`chunk`](Field::chunk).
    pub async fn bytes(&mut self) -> Result<Bytes, Problem> {
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        self.form.keep(first.len())?;
        let Some(second) = self.chunk().await? else {
            return Ok(first);
        };
        self.form.keep(second.len())?;
        let mut all = [first, second].concat();
        while let Some(piece) = self.chunk().await? {
            self.form.keep(piece.len())?;
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }

    /// Reads the rest of its content, as text.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`chunk`](Field::chunk), and a 422 for content that is not UTF-8.
    pub async fn text(&mut self) -> Result<String, Problem> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|error| {
            let place = error.utf8_error().valid_up_to();
            let message = format!("expected UTF-8, found an invalid byte at offset {place}");
            self.fault(StatusCode::UNPROCESSABLE_ENTITY, message)
        })
    }

    /// Reads the rest of its content into a file: in memory up to 64 KiB, else a temporary file that is removed when
    /// dropped; see [`UploadedFile`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`chunk`](Field::chunk), a 503 if the memory for bodies is used up, a 507 if the disk is full, and a
    /// 500 if the file cannot be written for another reason.
    pub async fn file(&mut self) -> Result<UploadedFile, Problem> {
        let limits = Arc::clone(&self.form.limits);
        let spool = self
            .spool_in(&limits.temporary_directory(), &mut SaveOptions::new())
            .await?;
        // The handler may keep all files of a form: only the first 4 KiB of the whole form are not taken from the budget.
        let free_bytes = FREE_BYTES.saturating_sub(self.form.kept_bytes);
        self.form.kept_bytes += spool.kept_bytes().min(free_bytes);
        self.finish(spool, free_bytes).await
    }

    /// Writes the rest of its content to a file at this path, which appears there atomically and replaces an existing file.
    /// Returns its length. See [`UploadedFile::save`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`file`](Field::file).
    pub async fn save(&mut self, path: impl AsRef<Path>) -> Result<u64, Problem> {
        self.save_with(path, SaveOptions::new()).await
    }

    /// Saves as [`save`](Field::save) does, with options.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`file`](Field::file).
    pub async fn save_with(&mut self, path: impl AsRef<Path>, mut options: SaveOptions<'_>) -> Result<u64, Problem> {
        let spool = self.spool_in(file::directory_of(path.as_ref()), &mut options).await?;
        let file = self.finish(spool, FREE_BYTES).await?;
        file.save_synced(path, options.is_synced()).await
    }

    async fn spool_in(&mut self, directory: &Path, options: &mut SaveOptions<'_>) -> Result<Spool, Problem> {
        let mut spool = Spool::new(directory);
        while let Some(piece) = self.chunk().await? {
            spool.write(piece).await?;
            options.report(spool.length());
        }
        Ok(spool)
    }

    async fn finish(&self, spool: Spool, free_bytes: usize) -> Result<UploadedFile, Problem> {
        let file_name = self.file_name().map(str::to_owned);
        let content_type = self.content_type().map(str::to_owned);
        spool.finish(free_bytes, file_name, content_type).await
    }

    #[cold]
    fn fault(&self, status: StatusCode, message: String) -> Problem {
        Problem::faults(status, &[Fault::of_form([Step::Key(&self.head.name)], message)])
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart")
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}
