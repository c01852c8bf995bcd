//! Compressed requests.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderValue, StatusCode};

use super::coding::{Coding, Decoder};
use super::{Layer, Next, fields};
use crate::body::{Body, BodyError};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// Decompresses the bodies of requests that have a `content-encoding`: gzip, deflate, brotli (`br`) or zstd, one of them.
/// Another, or several, are answered 415 with `accept-encoding` (RFC 9110, section 15.5.16).
///
/// The limit on bodies holds for what comes out, and what is in memory never grows beyond it: a small body that would become
/// gigabytes is answered 413 when the limit is reached. Zstd is given a window of 8 MiB at most (RFC 9659). A body that is not
/// in its coding, or ends too early, is answered 400.
///
/// The handler sees the request without `content-encoding` and `content-length`. Requests without a `content-encoding` cost
/// nothing.
///
/// Needs the feature `compression`.
///
/// # Example
///
/// Logs that are sent compressed, 50 MiB at most:
///
/// ```
/// use conduit::layer::{BodyLimit, Decompression};
/// use conduit::prelude::*;
///
/// #[post("/logs")]
/// async fn logs(lines: String) -> StatusCode {
///     StatusCode::ACCEPTED
/// }
///
/// let app = App::new(()).routes(routes![
///     #[layer(Decompression::new(), BodyLimit::new(50 * 1024 * 1024))] logs
/// ]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Decompression(());

impl Decompression {
    /// All codings.
    pub const fn new() -> Self {
        Decompression(())
    }
}

impl Layer for Decompression {
    async fn call(&self, mut request: Request, next: Next) -> Response {
        if request.header(CONTENT_ENCODING.as_str()).is_none() {
            return next.run(request).await;
        }
        let coding = match coding_of(&request) {
            Ok(Some(coding)) => coding,
            Ok(None) => return next.run(request).await,
            Err(problem) => return problem.into_response(),
        };
        request.headers_mut().remove(CONTENT_ENCODING);
        request.headers_mut().remove(CONTENT_LENGTH);
        request.read_body_through(move |body, limit_bytes| {
            Body::from_stream(Decompressed {
                body,
                decoder: Some(Decoder::new(coding, limit_bytes)),
            })
        });
        next.run(request).await
    }

    fn describe(&self, operation: &mut Operation) {
        if operation.reads_a_body() {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            operation
                .problem(status, "The body is compressed in a way that the server does not read.")
                .at_status(status, |operation| {
                    operation.response_header(ACCEPT_ENCODING.as_str(), "How the body may be compressed.");
                });
        }
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("Decompression")
    }
}

/// The coding of the body; `None` of one that is as it is.
fn coding_of(request: &Request) -> Result<Option<Coding>, Problem> {
    let codings: Vec<_> = fields::members(request.headers(), &CONTENT_ENCODING).collect();
    let coding = match codings[..] {
        [] => return Ok(None),
        [name] if name.eq_ignore_ascii_case("identity") => return Ok(None),
        [name] => Coding::named(name),
        _ => None,
    };
    coding.map(Some).ok_or_else(|| {
        Problem::unsupported_media_type("the content-encoding is none that can be read, or there are several")
            .with_header(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"))
    })
}

/// A body that is decompressed as it comes.
struct Decompressed {
    body: Body,
    /// `None` when the body has ended or failed.
    decoder: Option<io::Result<Decoder>>,
}

impl Stream for Decompressed {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let decoder = match &mut this.decoder {
                Some(Ok(decoder)) => decoder,
                Some(Err(_)) => {
                    let error = this.decoder.take().and_then(Result::err).map(Into::into);
                    return Poll::Ready(error.map(|error| Err(BodyError::Stream(error))));
                }
                None => return Poll::Ready(None),
            };
            let (output, ended) = match std::task::ready!(Pin::new(&mut this.body).poll_next(context)) {
                Some(Ok(piece)) => (decoder.write(&piece), false),
                Some(Err(error)) => (Err(error), true),
                None => (decoder.finish(), true),
            };
            if ended || output.is_err() {
                this.decoder = None;
            }
            match output {
                Ok(output) if output.is_empty() && ended => return Poll::Ready(None),
                Ok(output) if output.is_empty() => {}
                output => return Poll::Ready(Some(output.map(Bytes::from))),
            }
        }
    }
}
