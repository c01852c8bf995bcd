//! Compressed requests.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_core::Stream as _;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::coding::Coding;
use super::decoder::Decoder;
use super::{Layer, Next, fields};
use crate::body::{Body, BodyError, BoxError, PieceStream};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The most output of a body before other tasks have their turn.
const TURN_BYTES: usize = 256 * 1024;

/// Decompresses the bodies of requests that have a `content-encoding`: gzip, deflate, brotli (`br`) or zstd, one of them.
/// Another, or several, are answered 415 with `accept-encoding` (RFC 9110, section 15.5.16).
///
/// The limit on bodies holds for the decompressed body: a small body that would become gigabytes is answered 413 when the
/// limit is reached. A body is decompressed in steps of at most 32 KiB, and other requests of the worker have their turn after
/// 256 KiB. A window of brotli is allocated only up to the limit on bodies, a window of zstd is at most 8 MiB (RFC 9659), and a
/// large window of brotli, which is an extension of RFC 7932, is refused. A body that is not in its coding, or ends too early,
/// is answered 400.
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
            Body::from_pieces(Decompressed {
                body,
                decoder: Some(Decoder::new(coding, limit_bytes)),
                input: Bytes::new(),
                is_full: false,
                turn_bytes: 0,
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
                    operation.response_header(ACCEPT_ENCODING.as_str(), "The accepted codings of the body.");
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
        Problem::unsupported_media_type("the content-encoding is unknown, or there are several")
            .with_header(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"))
    })
}

/// A body that is decompressed while it comes.
struct Decompressed {
    body: Body,
    /// `None` after the end of the body, or an error.
    decoder: Option<Decoder>,
    /// The bytes that came and are not decompressed yet.
    input: Bytes,
    /// The decoder may have more output without further input.
    is_full: bool,
    /// The output since other tasks had their turn.
    turn_bytes: usize,
}

impl Decompressed {
    fn poll_output(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, BodyError>> {
        let Some(decoder) = &mut self.decoder else {
            return Poll::Ready(Ok(None));
        };
        loop {
            if self.turn_bytes >= TURN_BYTES {
                self.turn_bytes = 0;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.input.is_empty() && !self.is_full {
                match Pin::new(&mut self.body).poll_next(context)? {
                    Poll::Ready(Some(input)) => self.input = input,
                    Poll::Ready(None) => {
                        decoder.finish()?;
                        return Poll::Ready(Ok(None));
                    }
                    Poll::Pending => {
                        self.turn_bytes = 0;
                        return Poll::Pending;
                    }
                }
            }
            let step = decoder.step(&self.input)?;
            self.input.advance(step.used);
            self.is_full = step.is_full;
            self.turn_bytes += step.output.len();
            if !step.output.is_empty() {
                return Poll::Ready(Ok(Some(step.output)));
            }
        }
    }
}

impl PieceStream for Decompressed {
    fn poll_piece(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let output = std::task::ready!(self.poll_output(context));
        if !matches!(output, Ok(Some(_))) {
            self.decoder = None;
            self.input = Bytes::new();
        }
        Poll::Ready(match output {
            Ok(output) => output.map(|output| Ok(Bytes::from(output))),
            Err(error) => Some(Err(error.into())),
        })
    }

    fn trailer_fields(&self) -> Option<HeaderMap> {
        self.body.trailers()
    }
}
