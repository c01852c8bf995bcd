//! A form with files, read into a struct.

use http::StatusCode;

use super::file::with_files;
use super::{MEDIA_TYPE, Multipart, describe_problems};
use crate::extract::pairs::Pairs;
use crate::extract::type_probe::TypeProbe;
use crate::extract::{FromRequest, Readable};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;

/// A form with files, `multipart/form-data` (RFC 7578), read into a struct as a [`Form`](crate::Form) is: its files are
/// [`UploadedFile`](super::UploadedFile)s. Requires the feature `multipart`.
///
/// A repeated field fills a `Vec`, and `address[city]` a field inside of another one, as in a
/// [`Query`](crate::Query). A file input where no file was chosen sends an empty file without a name: it is omitted, so that an
/// `Option` is `None`; a `Vec` that may be empty needs `#[serde(default)]`.
///
/// # Limits
///
/// The limits are those of [`MultipartLimits`](super::MultipartLimits). Files of more than 64 KiB are written to the disk while
/// they arrive, and are removed when they are dropped. Texts and files in memory count for
/// [`App::body_memory`](crate::App::body_memory).
///
/// # Errors
///
/// Rejects with 415 for another content type, 400 for a malformed form, 413 for an exceeded limit, and 422 for
/// fields that are not a `T`; the detail names the field.
///
/// # Example
///
/// A picture with its title, stored in a directory of the server:
///
/// ```
/// use conduit::extract::{MultipartForm, UploadedFile};
/// use conduit::prelude::*;
///
/// #[derive(serde::Deserialize, JsonSchema)]
/// struct Upload {
///     title: String,
///     picture: UploadedFile,
/// }
///
/// #[post("/pictures/{id}")]
/// async fn upload(id: Path<u64>, form: MultipartForm<Upload>) -> Result<StatusCode, Problem> {
///     let upload = form.0;
///     upload.picture.save(format!("pictures/{id}")).await?;
///     Ok(StatusCode::CREATED)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MultipartForm<T>(pub T);

impl<T> TypeProbe<MultipartForm<T>> {
    /// The extractor takes the body.
    pub const TAKES_BODY: bool = true;
}

impl<S, T: Readable> FromRequest<S> for MultipartForm<T> {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        let mut form = Multipart::from_request(request, state).await?;
        let mut pairs = Pairs::of_parts();
        #[cfg(feature = "validate")]
        let mut names = request
            .retains_body()
            .then(|| form_urlencoded::Serializer::new(String::new()));
        let mut files = Vec::new();
        while let Some(mut field) = form.next_field().await? {
            let name = field.name().to_owned();
            if field.file_name().is_some() {
                let file = field.file().await?;
                if file.is_empty() && file.file_name() == Some("") {
                    continue;
                }
                pairs.push_file(&name, files.len() as u64);
                files.push(file);
            } else {
                pairs.push_text(&name, &field.text().await?);
            }
            #[cfg(feature = "validate")]
            if let Some(names) = &mut names {
                names.append_key_only(&name);
            }
        }
        #[cfg(feature = "validate")]
        if let Some(mut names) = names {
            request.was_read(names.finish().into_bytes().into());
        }
        request.hold(std::mem::take(&mut form.charge));
        pairs.arrange();
        match with_files(files, || pairs.read()) {
            Ok(value) => Ok(MultipartForm(value)),
            Err(error) => Err(Problem::faults(StatusCode::UNPROCESSABLE_ENTITY, &[error.form_fault()])),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.form_of::<T>(MEDIA_TYPE);
        describe_problems(operation);
        operation.faults(
            StatusCode::UNPROCESSABLE_ENTITY,
            "A field of the form is missing or has an invalid value.",
        );
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}
