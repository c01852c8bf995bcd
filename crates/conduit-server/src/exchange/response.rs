//! The steps of a response that are the same on each protocol.

use std::net::SocketAddr;

use conduit_proto::h1;
use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{Environment, Exchange};
use crate::body::{Body, BodyError, BodyKind, BoxError};
use crate::commands::StreamEnd;
use crate::dispatch::Application;
use crate::panics::discard;
use crate::problem::{Problem, with_status};
use crate::response::{IntoResponse as _, Response};

/// The body of a response, by the way in which a protocol sends it.
pub(crate) enum Sending<'a> {
    /// Bytes in memory.
    Memory(&'a [u8]),
    /// A part of a file.
    File,
    /// A stream, or the body of a request.
    Stream,
}

impl<'a> Sending<'a> {
    #[inline]
    pub(crate) fn of(body: &'a Body) -> Self {
        match body.whole() {
            Some(bytes) => Sending::Memory(bytes),
            None if matches!(body.0, BodyKind::File(_)) => Sending::File,
            None => Sending::Stream,
        }
    }
}

impl Exchange {
    /// Prepares the head of a response: replaces a response that [cannot be sent](replace_invalid), records the head, and adds
    /// `strict-transport-security` on a secure connection.
    #[inline]
    pub(crate) fn prepare(
        &mut self,
        response: &mut Response,
        is_final: bool,
        is_secure: impl FnOnce() -> bool,
        environment: &Environment,
    ) {
        replace_invalid(response, is_final, &environment.application);
        self.record_head(response);
        if let Some(hsts) = &environment.hsts {
            insert_hsts(response, hsts, is_secure);
        }
    }

    /// Returns the response in place of the handler's, and aborts a handler that ends with its client. A request without a record
    /// is reported as invalid. `head_only` is set if the response is sent without its body.
    #[cold]
    pub(crate) fn refuse(
        &mut self,
        problem: Problem,
        head_only: bool,
        client: SocketAddr,
        environment: &Environment,
    ) -> Response {
        let response = environment.application.show(problem.into_response());
        if self.record.is_none() {
            let bytes = response.body().len().filter(|_| !head_only).unwrap_or_default();
            environment.watch.refused(client, response.status(), bytes);
        }
        self.replace_handler();
        response
    }

    /// Ends the stream of the response: `write` frames its end. Returns the error of a response that must be aborted, and `None`
    /// if no stream is expected.
    pub(crate) fn finish_stream(
        &mut self,
        end: StreamEnd,
        write: impl FnOnce(Option<&HeaderMap>) -> Result<(), h1::BodyError>,
    ) -> Option<Result<(), BoxError>> {
        if !self.is_streaming() {
            return None;
        }
        let trailers = match end {
            Ok(trailers) => trailers,
            Err(error) => return Some(Err(error.into())),
        };
        let written = write(trailers.as_deref());
        if written.is_ok() {
            self.set_idle();
        }
        Some(written.map_err(BoxError::from))
    }
}

/// Replaces a response that cannot be sent: one that is not final (1xx, or 2xx to CONNECT) by a 500, and the body of a request
/// that exceeds its limit by a 413. A problem whose status a layer has changed gets the status as its member (RFC 9457, section
/// 3.1.2). The replacement keeps the extensions: the access log reads the id of the request there.
#[inline]
pub(crate) fn replace_invalid(response: &mut Response, is_final: bool, application: &Application) {
    if !is_final
        || matches!(
            response.body().0,
            BodyKind::Incoming(_) | BodyKind::Limited(_) | BodyKind::Presented(..)
        )
    {
        replace_if_invalid(response, is_final, application);
    }
}

#[cold]
fn replace_if_invalid(response: &mut Response, is_final: bool, application: &Application) {
    let checked = match &response.body().0 {
        _ if !is_final => {
            let status = response.status();
            tracing::error!(%status, "handler returned a 1xx status, which is not a final response, or a 2xx to \
                                      CONNECT, which would open a tunnel");
            Err(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
        BodyKind::Incoming(incoming) => incoming.check_limit(0).map_err(BodyError::into_response),
        BodyKind::Limited(limited) => limited.check_limit().map_err(BodyError::into_response),
        BodyKind::Presented(..) => {
            let status = response.status();
            if response
                .body()
                .problem()
                .is_some_and(|problem| problem.status() != status)
            {
                *response = with_status(std::mem::take(response), status);
            }
            Ok(())
        }
        _ => Ok(()),
    };
    if let Err(refusal) = checked {
        let mut refusal = application.show(refusal);
        std::mem::swap(refusal.extensions_mut(), response.extensions_mut());
        discard(std::mem::replace(response, refusal));
    }
}

#[cold]
fn insert_hsts(response: &mut Response, hsts: &HeaderValue, is_secure: impl FnOnce() -> bool) {
    if is_secure() {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}
