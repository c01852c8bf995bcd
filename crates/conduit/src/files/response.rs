//! The response with a representation: preconditions, ranges, and the fields that describe it.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use conduit_proto::range::{PartHeads, Selection, content_range};
use futures_core::Stream;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::representation::{ByteSource, Representation};
use crate::body::{Body, BodyError};
use crate::layer::conditional;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The maximum number of fields of a response.
const FIELDS: usize = 10;

/// The response with a file: 200, 206, 304, 412 or 416. `vary` names the fields of requests that choose among representations
/// of the path; `cache_control` replaces that of the file.
pub(super) fn respond(
    request: &Request,
    file: &Representation,
    vary: Option<&'static str>,
    cache_control: Option<&'static str>,
) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.reserve(FIELDS);
    headers.insert(ETAG, file.tag.clone());
    if let Some((_, date)) = &file.modified {
        headers.insert(LAST_MODIFIED, date.clone());
    }
    let cache_control = cache_control.map_or_else(|| file.cache_control.clone(), HeaderValue::from_static);
    headers.insert(CACHE_CONTROL, cache_control);
    if let Some(vary) = vary {
        headers.insert(VARY, HeaderValue::from_static(vary));
    }
    // A 304 has the fields above and none of those below (RFC 9110, section 15.4.5).
    let mut response = conditional(request, response);
    if response.status() != StatusCode::OK {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, file.content_type.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(coding) = file.coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    match selection(request, file) {
        Selection::Whole => *response.body_mut() = file.source().part(0..file.length),
        Selection::One(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let value = content_range(&range, file.length);
            response.headers_mut().insert(CONTENT_RANGE, visible(value));
            *response.body_mut() = file.source().part(range);
        }
        Selection::Several(ranges) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let (content_type, body) = multipart(file, ranges);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            *response.body_mut() = body;
        }
        Selection::Unsatisfiable => return unsatisfiable(file, response.headers()),
    }
    response
}

/// The ranges that a request selects (RFC 9110, section 14.2). Only `GET` has ranges.
fn selection(request: &Request, file: &Representation) -> Selection {
    let mut values = request.header_all(RANGE.as_str());
    match (values.next(), values.next()) {
        (Some(value), None) if *request.method() == Method::GET && is_in_range(request, file) => {
            Selection::parse(value, file.length)
        }
        // Several lines form a list, which is invalid for this field.
        _ => Selection::Whole,
    }
}

/// Evaluates `If-Range` (RFC 9110, section 13.1.5): the tag matches strongly, or the date exactly.
fn is_in_range(request: &Request, file: &Representation) -> bool {
    let mut values = request.header_all(IF_RANGE.as_str());
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(tag), None) if tag.starts_with(b"\"") || tag.starts_with(b"W/") => tag == file.tag.as_bytes(),
        (Some(date), None) => is_date_of(date, file),
        (Some(_), Some(_)) => false,
    }
}

/// A date is a strong validator only if the file cannot change again within the same second (RFC 9110, section 8.8.2.2), that is,
/// once this second has passed.
fn is_date_of(date: &[u8], file: &Representation) -> bool {
    let Some((modified, _)) = file.modified else {
        return false;
    };
    let date = str::from_utf8(date)
        .ok()
        .and_then(|date| httpdate::parse_http_date(date).ok());
    let seconds = date
        .and_then(|date| date.duration_since(UNIX_EPOCH).ok())
        .map(|date| date.as_secs());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    seconds == Some(modified) && modified < now
}

/// Returns a 416 (RFC 9110, section 15.5.17) with the `vary` of the response that it replaces.
fn unsatisfiable(file: &Representation, headers: &HeaderMap) -> Response {
    let length = file.length;
    let mut problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE)
        .with_detail(format!(
            "no range of the request is within the {length} bytes of the file"
        ))
        .with_header(CONTENT_RANGE, visible(format!("bytes */{length}")));
    for value in headers.get_all(VARY) {
        problem = problem.with_header(VARY, value.clone());
    }
    problem.into_response()
}

fn visible(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits, spaces and letters are visible")
}

/// The media type and the body of several ranges (RFC 9110, section 14.6).
fn multipart(file: &Representation, ranges: Vec<Range<u64>>) -> (HeaderValue, Body) {
    // The keys of the hasher are random: no file contains the boundary.
    let random = || RandomState::new().build_hasher().finish();
    let boundary = format!("{:016x}{:016x}", random(), random());
    let part_type = file.content_type.to_str().unwrap_or("application/octet-stream");
    let heads = PartHeads::new(&ranges, file.length, part_type, &boundary);
    let length = heads.body_bytes(&ranges);
    let parts = Parts {
        content: file.source(),
        ranges: heads.heads.into_iter().map(Bytes::from).zip(ranges).collect(),
        end: Some(Bytes::from(heads.end)),
        part: Body::empty(),
    };
    let content_type = visible(format!("multipart/byteranges; boundary={boundary}"));
    (content_type, Body::from_sized_stream(parts, length))
}

/// The body of several ranges, one after the other.
struct Parts {
    content: ByteSource,
    /// The ranges to come, each with the text before it.
    ranges: VecDeque<(Bytes, Range<u64>)>,
    /// The text after all of them.
    end: Option<Bytes>,
    /// The rest of the current range.
    part: Body,
}

impl Stream for Parts {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let parts = self.get_mut();
        if let Some(piece) = ready!(Pin::new(&mut parts.part).poll_next(context)) {
            return Poll::Ready(Some(piece));
        }
        Poll::Ready(match parts.ranges.pop_front() {
            Some((head, range)) => {
                parts.part = parts.content.part(range);
                Some(Ok(head))
            }
            None => parts.end.take().map(Ok),
        })
    }
}
