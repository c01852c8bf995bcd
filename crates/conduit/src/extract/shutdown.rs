//! The word to stop, as handlers hear it.

use std::convert::Infallible;

use super::FromRequest;
use crate::openapi::Operation;
use crate::request::Request;
use crate::server::{ServerHandle, current};

/// Tells a handler, or the stream that it answers with, that the server stops: what would go on for long can come to its
/// end within the [shutdown timeout](crate::App::shutdown_timeout), after which it is cut off.
///
/// # Example
///
/// An answer that is awaited for long, or until the server stops:
///
/// ```
/// use conduit::prelude::*;
/// use conduit::Shutdown;
/// use std::time::Duration;
///
/// #[get("/news")]
/// async fn news(shutdown: Shutdown) -> &'static str {
///     match tokio::time::timeout(Duration::from_secs(60), shutdown.requested()).await {
///         Ok(()) => "the server stops: ask again",
///         Err(_) => "nothing new",
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Shutdown(Option<ServerHandle>);

impl Shutdown {
    /// Whether the server was told to stop.
    pub fn is_requested(&self) -> bool {
        self.0.as_ref().is_some_and(ServerHandle::is_stopping)
    }

    /// Waits until the server is told to stop; at once if it was already. Without a server, as in a test of a handler
    /// alone, for ever.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn requested(&self) {
        match &self.0 {
            Some(server) => server.stopping().await,
            None => std::future::pending().await,
        }
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Shutdown {
    type Rejection = Infallible;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(Shutdown(current::server()))
    }

    /// Nothing of it comes from the client.
    fn describe(_: &mut Operation) {}
}
