//! The message of a request to an application without a connection.

use std::net::SocketAddr;

use conduit_core::interop::SendBody;
use tokio::sync::oneshot;
use tracing::Span;

use crate::body::Body;
use crate::connection_info::ConnectionInfo;

/// A request, and the receiver of its response.
pub(super) struct Job {
    pub(super) request: Box<dyn FnOnce() -> http::Request<Body> + Send>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) source: JobSource,
    pub(super) answer: oneshot::Sender<http::Response<SendBody>>,
}

/// The sender of a request.
pub(super) enum JobSource {
    /// Another server, within the span of its request, which it reports.
    Library(Span),
    /// A part of this process, for a client with this connection: the request has its own span and line in the access log.
    Process(Option<Box<ConnectionInfo>>),
}
