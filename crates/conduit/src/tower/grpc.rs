//! The deadline of a gRPC call: the field `grpc-timeout` of its request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use crate::body::{Body, BodyError};
use crate::response::Response;

/// The media type of gRPC. gRPC-Web has another one, and sends trailers in the body.
const MEDIA_TYPE: &str = "application/grpc";
/// The fields of the status DEADLINE_EXCEEDED.
const DEADLINE_EXCEEDED: [(&str, &str); 2] = [
    ("grpc-status", "4"),
    ("grpc-message", "the deadline of the call has passed"),
];

/// Returns the timeout of a gRPC call; `None` for other requests and calls without a deadline. An invalid field is ignored, as in
/// tonic's server.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let timeout = parse(headers.get("grpc-timeout")?.as_bytes())?;
    let media_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let rest = media_type.strip_prefix(MEDIA_TYPE)?;
    (rest.is_empty() || rest.starts_with(['+', ';'])).then_some(timeout)
}

/// Parses at most eight digits and a unit.
fn parse(field: &[u8]) -> Option<Duration> {
    let (unit, digits) = field.split_last()?;
    let is_value = matches!(digits.len(), 1..=8) && digits.iter().all(u8::is_ascii_digit);
    let value = str::from_utf8(digits).ok().filter(|_| is_value)?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(value * 3600),
        b'M' => Duration::from_secs(value * 60),
        b'S' => Duration::from_secs(value),
        b'm' => Duration::from_millis(value),
        b'u' => Duration::from_micros(value),
        b'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

/// Ends a call at its deadline with DEADLINE_EXCEEDED: with a response of trailers only, or with the trailers of a response
/// that has begun. The future of the call, or the body of its response, is dropped.
pub(super) async fn within(timeout: Duration, call: impl Future<Output = Response>) -> Response {
    let deadline = Instant::now() + timeout;
    match timeout_at(deadline, call).await {
        Ok(response) => response.map(|body| match body.is_end_stream() {
            true => body,
            false => Body::from_http_body(Limited::new(body, deadline)),
        }),
        Err(_) => {
            let mut response = Response::new(Body::empty());
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            headers.extend(deadline_exceeded());
            response
        }
    }
}

fn deadline_exceeded() -> HeaderMap {
    let fields = DEADLINE_EXCEEDED.map(|(name, value)| {
        let name = http::HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    HeaderMap::from_iter(fields)
}

/// The body of a response that ends at a deadline.
struct Limited {
    body: Body,
    deadline: Instant,
    /// Set while the body is pending.
    sleep: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
}

impl Limited {
    fn new(body: Body, deadline: Instant) -> Self {
        Limited {
            body,
            deadline,
            sleep: None,
            has_ended: false,
        }
    }

    /// Returns whether the deadline has passed.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        sleep.as_mut().poll(context)
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        // Check the deadline here too: a body that is never pending would exceed it.
        if Instant::now() < self.deadline {
            if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
                return Poll::Ready(frame);
            }
            std::task::ready!(self.poll_deadline(context));
        }
        self.has_ended = true;
        self.body = Body::empty();
        Poll::Ready(Some(Ok(Frame::trailers(deadline_exceeded()))))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: [(&'static str, &'static str); 2]) -> Option<Duration> {
        let fields = fields.map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        timeout(&HeaderMap::from_iter(fields))
    }

    #[test]
    fn a_timeout_has_a_number_and_a_unit() {
        for (field, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("000000000S", None),
            ("100000000S", None),
            ("+1S", None),
            ("1", None),
            ("S", None),
            ("1s", None),
            ("1 S", None),
            ("", None),
        ] {
            let parsed = of([("grpc-timeout", field), ("content-type", "application/grpc")]);
            assert_eq!(parsed, expected, "{field:?}");
        }
    }

    #[test]
    fn only_a_call_of_grpc_has_a_timeout() {
        for (media_type, is_grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let parsed = of([("grpc-timeout", "1S"), ("content-type", media_type)]);
            assert_eq!(parsed.is_some(), is_grpc, "{media_type}");
        }
    }
}
