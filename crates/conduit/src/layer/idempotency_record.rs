//! The records of idempotency keys: markers of requests in progress, and stored responses.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream as _;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use super::hash::hash;
use super::resumed::{resumed, whole};
use crate::body::{Body, BodyError, BodyKind, EndsWithClient};
use crate::events::is_event_stream;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::Response;

/// The field that marks a replayed response.
pub(super) const REPLAYED: &str = "idempotency-replayed";

/// The first byte of a marker, which is stored while a request is processed.
const RUNNING: u8 = 0;
/// The first byte of a stored response.
const DONE: u8 = 1;
/// The first byte of the marker of a processed request whose response is not stored.
const UNKEPT: u8 = 2;
/// The first byte of a stored response with trailers.
const DONE_WITH_TRAILERS: u8 = 3;
/// The first byte of a stored response whose body is an unchanged problem.
const DONE_WITH_PROBLEM: u8 = 4;

/// Statuses that reject a request for a reason other than its path and body, or before it is processed (RFC 9110, section
/// 15.5). The key remains valid for the corrected request.
const REFUSALS: [StatusCode; 16] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::LENGTH_REQUIRED,
    StatusCode::PRECONDITION_FAILED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::EXPECTATION_FAILED,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::TOO_EARLY,
    StatusCode::UPGRADE_REQUIRED,
    StatusCode::PRECONDITION_REQUIRED,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// A hash of the properties that all requests with one key must share.
pub(super) type Fingerprint = [u8; 16];

/// Creates the marker of a request in progress. Its random bytes, which [`replay`] ignores, distinguish the request from another
/// attempt with the same key: a request whose marker has expired cannot renew or complete that of the other.
pub(super) fn running(fingerprint: &Fingerprint) -> Result<Vec<u8>, Problem> {
    let mut attempt = [0; 16];
    getrandom::fill(&mut attempt).map_err(|error| Problem::internal(&error))?;
    Ok([&[RUNNING][..], fingerprint, &attempt].concat())
}

/// Returns the unchanged response, or the error of its body, and the record for the store; no record if the request may be
/// processed again. Reads the body to its end, unless it may have none. The record of a response with a cookie, which belongs to
/// one client and may be a secret, has no content.
pub(super) async fn record(
    response: Response,
    fingerprint: &Fingerprint,
    limit_bytes: usize,
    has_pending_cookie: bool,
) -> (Result<Response, BodyError>, Option<Vec<u8>>) {
    let status = response.status();
    if status.is_server_error() || REFUSALS.contains(&status) || is_repeatable_conflict(&response) {
        return (Ok(response), None);
    }
    if has_pending_cookie || response.headers().contains_key(SET_COOKIE) || may_be_endless(&response) {
        return (Ok(response), Some(unkept(fingerprint)));
    }
    if let Some(bytes) = response.body().whole() {
        if bytes.len() > limit_bytes {
            return (Ok(response), Some(too_long(fingerprint, limit_bytes)));
        }
        let kind = if response.body().problem().is_some() {
            DONE_WITH_PROBLEM
        } else {
            DONE
        };
        let record = done(kind, fingerprint, status, [response.headers()], bytes);
        return (Ok(response), Some(record));
    }
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            // The handler has returned, so the request is processed.
            Err(error) => return (Err(error), Some(unkept(fingerprint))),
        }
        if bytes.len() > limit_bytes {
            let response = Response::from_parts(parts, resumed(bytes.into(), body));
            return (Ok(response), Some(too_long(fingerprint, limit_bytes)));
        }
    }
    let trailers = body.trailers().filter(|trailers| !trailers.is_empty());
    let kind = if trailers.is_some() { DONE_WITH_TRAILERS } else { DONE };
    let fields = [&parts.headers].into_iter().chain(&trailers);
    let record = done(kind, fingerprint, status, fields, &bytes);
    (Ok(Response::from_parts(parts, whole(bytes, trailers))), Some(record))
}

/// The record of a stored response, with the fields of its head and of its trailers.
fn done<'f>(
    kind: u8,
    fingerprint: &Fingerprint,
    status: StatusCode,
    fields: impl IntoIterator<Item = &'f HeaderMap>,
    body: &[u8],
) -> Vec<u8> {
    let mut record = [&[kind][..], fingerprint, &status.as_u16().to_be_bytes()].concat();
    for fields in fields {
        write_fields(&mut record, fields);
    }
    record.extend_from_slice(body);
    record
}

fn too_long(fingerprint: &Fingerprint, limit_bytes: usize) -> Vec<u8> {
    tracing::warn!(
        limit = limit_bytes,
        "the response is longer than the limit and is not stored for its idempotency key; repeated requests get a 409"
    );
    unkept(fingerprint)
}

/// Returns whether the response is a 409 after which the client sends the request again: it had no effect.
fn is_repeatable_conflict(response: &Response) -> bool {
    response.status() == StatusCode::CONFLICT && response.headers().contains_key(RETRY_AFTER)
}

/// Returns whether a body may have no end: it ends with its client, or is an event stream of unknown length.
fn may_be_endless(response: &Response) -> bool {
    let ends_with_client = response.extensions().get::<EndsWithClient>().is_some();
    ends_with_client || (response.body().len().is_none() && is_event_stream(response.headers()))
}

pub(super) fn unkept(fingerprint: &Fingerprint) -> Vec<u8> {
    [&[UNKEPT][..], fingerprint].concat()
}

/// The fingerprint of a request: the target, and the body with its type.
pub(super) fn fingerprint(request: &Request, body: &[u8]) -> Fingerprint {
    let method = request.method().as_str().as_bytes();
    let query = request.query().unwrap_or_default().as_bytes();
    let [content_type, coding] =
        [CONTENT_TYPE, CONTENT_ENCODING].map(|name| request.header(name.as_str()).unwrap_or_default());
    hash([method, request.path().as_bytes(), query, content_type, coding, body])
}

/// Returns the response to a request with a known key.
pub(super) fn replay(stored: &[u8], fingerprint: &Fingerprint) -> Result<Response, Problem> {
    let read = || {
        let (kind, rest) = stored.split_first()?;
        let (known, rest) = rest.split_first_chunk::<16>()?;
        Some((*kind, known, rest))
    };
    let Some((kind, known, rest)) = read() else {
        return Err(failed(&"the stored record is malformed"));
    };
    if known != fingerprint {
        return Err(Problem::unprocessable(
            "the idempotency-key was sent before with another path, body or content type: send a new one",
        ));
    }
    match kind {
        RUNNING => return Err(in_progress()),
        UNKEPT => {
            return Err(Problem::conflict(
                "the request with this idempotency-key was executed, but its response was not stored: get the result from the resource, and do not repeat the request",
            ));
        }
        _ => {}
    }
    let stored = stored_response(rest, kind);
    stored.ok_or_else(|| failed(&"the stored record is malformed"))
}

fn stored_response(stored: &[u8], kind: u8) -> Option<Response> {
    let (status, rest) = stored.split_first_chunk()?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(u16::from_be_bytes(*status)).ok()?;
    let (fields, mut rest) = read_fields(rest)?;
    *response.headers_mut() = fields;
    let mut trailers = None;
    if kind == DONE_WITH_TRAILERS {
        let fields;
        (fields, rest) = read_fields(rest)?;
        trailers = Some(fields);
    }
    *response.body_mut() = match (kind == DONE_WITH_PROBLEM)
        .then(|| problem(response.status(), rest))
        .flatten()
    {
        Some(problem) => Body(BodyKind::Presented(Box::new(problem), rest.to_vec().into())),
        None => whole(rest.to_vec(), trailers),
    };
    let replayed = HeaderName::from_static(REPLAYED);
    response
        .headers_mut()
        .insert(replayed, HeaderValue::from_static("true"));
    Some(response)
}

/// The problem with these members, for the error format of the application.
fn problem(status: StatusCode, json: &[u8]) -> Option<Problem> {
    let Ok(Value::Object(members)) = serde_json::from_slice(json) else {
        return None;
    };
    let mut problem = Problem::new(status);
    for (name, value) in members {
        problem = match (&*name, value) {
            ("type", Value::String(uri)) => problem.with_type(uri),
            ("title", Value::String(title)) => problem.with_title(title),
            ("detail", Value::String(detail)) => problem.with_detail(detail),
            ("instance", Value::String(uri)) => problem.with_instance(uri),
            ("type" | "title" | "status" | "detail" | "instance", _) => problem,
            (_, value) => problem.with(name, value),
        };
    }
    Some(problem)
}

/// Appends fields, terminated by an empty name.
fn write_fields(record: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        write_part(record, name.as_str().as_bytes());
        write_part(record, value.as_bytes());
    }
    write_part(record, b"");
}

/// Returns the fields at the start of a record, and the rest of the record.
fn read_fields(mut record: &[u8]) -> Option<(HeaderMap, &[u8])> {
    let mut fields = HeaderMap::new();
    loop {
        let (name, rest) = read_part(record)?;
        if name.is_empty() {
            return Some((fields, rest));
        }
        let value;
        (value, record) = read_part(rest)?;
        fields.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
}

fn write_part(record: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("a header field is shorter than 4 GiB");
    record.extend_from_slice(&length.to_be_bytes());
    record.extend_from_slice(part);
}

fn read_part(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = record.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

fn in_progress() -> Problem {
    Problem::conflict(
        "a request with this idempotency-key is in progress: send this one again after the time in retry-after",
    )
    .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// Returns the 409 of a request that had no effects because its marker has expired.
pub(super) fn expired() -> Problem {
    Problem::conflict(
        "the idempotency-key of this request has expired or belongs to another request; nothing was changed: send it again",
    )
    .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

pub(super) fn failed(error: &dyn fmt::Display) -> Problem {
    tracing::error!(%error, "the idempotency store failed");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}
