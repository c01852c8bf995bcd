//! `Shutdown`: notifies handlers of the server's shutdown.

use std::convert::Infallible;

use super::FromRequest;
use crate::openapi::Operation;
use crate::request::Request;
use crate::server::{ServerHandle, current};

/// Notifies a handler, or its response stream, of the server's shutdown, so that long work can end within the
/// [shutdown timeout](crate::App::shutdown_timeout), after which it is aborted.
///
/// # Example
///
/// A long poll that ends when the server stops:
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
    /// Returns whether a shutdown has begun.
    pub fn is_requested(&self) -> bool {
        self.0.as_ref().is_some_and(ServerHandle::is_stopping)
    }

    /// Waits for the beginning of a shutdown; returns at once if it has begun. Without a server, as in a unit test of a
    /// handler, it never returns.
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

    /// The shutdown does not depend on the request's content.
    fn describe(_: &mut Operation) {}
}
