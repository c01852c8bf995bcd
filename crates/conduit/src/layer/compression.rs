//! Compressed responses.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::accept_encoding::accepted;
use super::coded_tags::{self, Marks};
use super::coding::{Coding, Encoder};
use super::{Layer, Next, fields};
use crate::body::{Body, BodyError, BoxError, PieceStream};
use crate::extract::media_type;
use crate::request::Request;
use crate::response::Response;
use conduit_core::internal::charge::Charge;

/// A body in memory up to this length is compressed at once. A longer one is compressed in pieces, so that the worker can serve
/// other requests in between.
const AT_ONCE_BYTES: usize = 64 * 1024;
/// The length of a piece.
const PIECE_BYTES: usize = 32 * 1024;
/// The number of bytes of a stream that are compressed before other requests run.
const TURN_BYTES: usize = 128 * 1024;

/// The codings, in the server's order of preference.
const CODINGS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

/// Compresses responses with zstd, brotli or gzip, as the client's `accept-encoding` allows (RFC 9110, section 12.5.3). The
/// client's preference decides; ties use that order.
///
/// Streams are not delayed: when a stream has no more data for now, the layer flushes the encoder. Server-sent events arrive
/// one by one.
///
/// The layer does not compress responses of less than 1 KiB ([`from_bytes`](Compression::from_bytes)), responses whose content
/// type is unknown or already compressed (text, JSON, XML, JavaScript, fonts, SVG, WebAssembly and similar types are
/// compressed), [problems](struct@crate::Problem), and responses with a `content-encoding`, a `content-range` or
/// `cache-control: no-transform`. Every response gets `vary: accept-encoding`, including uncompressed ones, because a 304 or an
/// error must vary by the same fields as the page.
///
/// Each coding has a separate strong `etag`, since the bytes differ (section 8.8.3.3): `"v1"` becomes `"v1;gzip"`. The layer
/// removes the mark from `If-Match` and `If-None-Match`, so that handlers and inner layers compare their original tags. The
/// bytes of a compressed stream depend on its timing, so its tag becomes weak, and `If-Match` never matches it.
///
/// The encoder of a stream has a small window and takes memory from a budget, a quarter of the
/// [memory for bodies](crate::App::body_memory). If the budget is exhausted, the stream is sent uncompressed and counted as
/// `compression_memory`.
///
/// If a page contains both a secret and input from an attacker, its compressed length can reveal the secret, even over TLS (the
/// BREACH attack). Exclude such pages with `cache-control: no-transform`.
///
/// Requires the feature `compression`.
///
/// # Example
///
/// Compress all responses of an application:
///
/// ```
/// use conduit::layer::Compression;
/// use conduit::prelude::*;
///
/// #[get("/terms")]
/// async fn terms() -> String {
///     "a long text ".repeat(1000)
/// }
///
/// let app = App::new(()).routes(routes![terms]).layer(Compression::new());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Compression {
    smallest_bytes: u64,
}

impl Compression {
    /// Compresses bodies of at least 1 KiB.
    pub const fn new() -> Self {
        Compression { smallest_bytes: 1024 }
    }

    /// Sets the minimum length of a compressed body. Streams, whose length is unknown, are always compressed.
    pub const fn from_bytes(mut self, bytes: u64) -> Self {
        self.smallest_bytes = bytes;
        self
    }
}

impl Default for Compression {
    fn default() -> Self {
        Compression::new()
    }
}

impl Layer for Compression {
    async fn call(&self, mut request: Request, next: Next) -> Response {
        let coding = accepted(&request, CODINGS.map(Coding::name))
            .next()
            .map(|place| CODINGS[place]);
        let marks = Marks::remove_from(&mut request, &CODINGS, coding);
        let mut response = next.run(request).await;
        marks.restore_in(&mut response);
        // Also for an uncompressed response: another status or length at the same target may be compressed.
        fields::vary(&mut response, &ACCEPT_ENCODING);
        let is_small = response.body().len().is_some_and(|length| length < self.smallest_bytes);
        match coding {
            Some(coding) if !is_small && is_compressible(&response) => compressed(response, coding),
            _ => response,
        }
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("Compression")
    }
}

fn is_compressible(response: &Response) -> bool {
    let headers = response.headers();
    let status = response.status();
    let has_body = !matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
    );
    has_body
        && !response.body().is_empty()
        // The application's error format needs the problem.
        && response.body().problem().is_none()
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && !fields::has_member(headers, &CACHE_CONTROL, "no-transform")
        && headers.get(CONTENT_TYPE).is_some_and(is_compressible_type)
}

/// Returns whether a content type benefits from compression.
fn is_compressible_type(content_type: &HeaderValue) -> bool {
    let Some(media_type) = media_type(content_type) else {
        return false;
    };
    media_type.starts_with("text/")
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
        || media_type.ends_with("+text")
        || matches!(
            &*media_type,
            "application/json"
                | "application/javascript"
                | "application/xml"
                | "application/wasm"
                | "application/x-ndjson"
                | "application/x-www-form-urlencoded"
                | "application/vnd.ms-fontobject"
                | "font/ttf"
                | "font/otf"
                | "image/bmp"
                | "image/x-icon"
        )
}

fn compressed(response: Response, coding: Coding) -> Response {
    let (mut parts, body) = response.into_parts();
    let length = body.len().and_then(|length| usize::try_from(length).ok());
    let is_in_memory = body.is_in_memory();
    let at_once = is_in_memory && length.is_some_and(|length| length <= AT_ONCE_BYTES);
    if at_once {
        let bytes = body.into_whole();
        return match compress_at_once(coding, &bytes) {
            Ok(smaller) if smaller.len() < bytes.len() => {
                describe(&mut parts.headers, coding);
                coded_tags::mark(&mut parts.headers, coding, is_in_memory);
                Response::from_parts(parts, Body::from(smaller))
            }
            // Compression made it longer, or failed.
            _ => Response::from_parts(parts, Body::from(bytes)),
        };
    }
    // Without memory for an encoder, the stream is sent uncompressed.
    let Ok(charge) = Charge::of_encoders(coding.stream_bytes()) else {
        return Response::from_parts(parts, body);
    };
    let encoder = match Encoder::for_stream(coding) {
        Ok(encoder) => encoder,
        Err(error) => {
            tracing::error!(%error, "cannot compress the response; sending it uncompressed");
            return Response::from_parts(parts, body);
        }
    };
    let body = if is_in_memory {
        Body::from_stream(Pieces(body.into_whole()))
    } else {
        body
    };
    describe(&mut parts.headers, coding);
    coded_tags::mark(&mut parts.headers, coding, is_in_memory);
    let compressed = Compressed {
        body,
        encoder: Some(encoder),
        unflushed: false,
        _charge: charge,
    };
    Response::from_parts(parts, Body::from_pieces(compressed))
}

fn compress_at_once(coding: Coding, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = Encoder::for_length(coding, bytes.len())?;
    encoder.write(bytes)?;
    encoder.finish()
}

fn describe(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
}

/// Bytes as a stream of pieces.
struct Pieces(Bytes);

impl Stream for Pieces {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let length = self.0.len().min(PIECE_BYTES);
        let piece = self.0.split_to(length);
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }
}

/// A body that is compressed while it streams.
struct Compressed {
    body: Body,
    /// `None` when the body has ended.
    encoder: Option<Encoder>,
    /// Set if the encoder may hold pending input.
    unflushed: bool,
    /// The memory of the encoder.
    _charge: Charge,
}

impl PieceStream for Compressed {
    fn poll_piece(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let this = &mut *self;
        let Some(encoder) = &mut this.encoder else {
            return Poll::Ready(None);
        };
        let mut written = 0;
        while written < TURN_BYTES {
            match Pin::new(&mut this.body).poll_next(context) {
                Poll::Ready(Some(Ok(piece))) => {
                    encoder.write(&piece)?;
                    this.unflushed = true;
                    written += piece.len();
                    if encoder.ready_bytes() >= PIECE_BYTES {
                        return Poll::Ready(Some(Ok(Bytes::from(encoder.take()))));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => {
                    let rest = this
                        .encoder
                        .take()
                        .map(Encoder::finish)
                        .transpose()?
                        .unwrap_or_default();
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(Bytes::from(rest))));
                }
                Poll::Pending if !this.unflushed => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        // No more input for now, or enough of it: flush it to the client. A flush after a write always produces output.
        encoder.flush()?;
        this.unflushed = false;
        Poll::Ready(Some(Ok(Bytes::from(encoder.take()))))
    }

    fn trailer_fields(&self) -> Option<HeaderMap> {
        self.body.trailers()
    }
}
