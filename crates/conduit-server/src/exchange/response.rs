//! The steps of a response that are the same on each protocol.

use std::net::SocketAddr;

use conduit_proto::h1;
use http::HeaderMap;

use super::{Environment, Exchange};
use crate::body::BoxError;
use crate::commands::StreamEnd;
use crate::problem::Problem;
use crate::response::{IntoResponse as _, Response};

impl Exchange {
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
            self.end_stream();
        }
        Some(written.map_err(BoxError::from))
    }
}
