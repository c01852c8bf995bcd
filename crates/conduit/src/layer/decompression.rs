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

/// The output of a body after which other tasks get a turn.
const TURN_BYTES: usize = 256 * 1024;

/// Decompresses request bodies with a `content-encoding` of gzip, deflate, brotli (`br`) or zstd. Any other coding, or more
/// than one, results in a 415 with `accept-encoding` (RFC 9110, section 15.5.16).
///
/// The body limit applies to the decompressed body: a small body that expands to gigabytes is rejected with a 413 at the limit.
/// A body is decompressed in steps of at most 32 KiB, and other requests of the worker get a turn every 256 KiB. A brotli
/// window is allocated only up to the body limit, and a zstd window is at most 8 MiB (RFC 9659). Large brotli windows, an
/// extension of RFC 7932, are rejected. A malformed or truncated body results in a 400.
///
/// The handler sees the request without `content-encoding` and `content-length`. Requests without a `content-encoding` incur no
/// cost.
///
/// Requires the feature `compression`.
///
/// # Example
///
/// Compressed logs, of at most 50 MiB after decompression:
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
    /// Accepts all codings.
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
                .problem(status, "The body has a content coding that the server does not decode.")
                .at_status(status, |operation| {
                    operation.response_header(ACCEPT_ENCODING.as_str(), "The accepted codings of the body.");
                });
        }
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("Decompression")
    }
}

/// Returns the coding of the body; `None` if it is uncompressed.
fn coding_of(request: &Request) -> Result<Option<Coding>, Problem> {
    let codings: Vec<_> = fields::members(request.headers(), &CONTENT_ENCODING).collect();
    let coding = match codings[..] {
        [] => return Ok(None),
        [name] if name.eq_ignore_ascii_case("identity") => return Ok(None),
        [name] => Coding::named(name),
        _ => None,
    };
    coding.map(Some).ok_or_else(|| {
        Problem::unsupported_media_type("unsupported content-encoding: use one of gzip, deflate, br, zstd")
            .with_header(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"))
    })
}

/// A body that is decompressed as it is read.
struct Decompressed {
    body: Body,
    /// `None` after the end of the body or an error.
    decoder: Option<Decoder>,
    /// The received bytes that are not yet decompressed.
    input: Bytes,
    /// The decoder may have more output without further input.
    is_full: bool,
    /// The output since other tasks last got a turn.
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
