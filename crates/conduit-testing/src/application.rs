//! The applications that a test client can serve.

use std::sync::Arc;

use conduit_core::error::Result;
use conduit_server::Server;
use conduit_server::internal::in_process::InProcess;

use super::contract::ResponseContract;

/// An application with routes, from which a [`TestClient`](crate::TestClient) makes a server of one worker.
///
/// `App` of `conduit-web` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an application with routes",
    label = "a test client needs an `App` with routes",
    note = "write `.routes(routes![…])` with your handlers before this call"
)]
pub trait TestApplication {
    /// The documented responses of the application. The default is `None`, which accepts every response.
    fn contract(&self) -> Option<Arc<dyn ResponseContract>> {
        None
    }

    /// The lock of the API, and its differences from an earlier one, breaking ones first. The default is `None`: the application
    /// has no document.
    fn compare_lock(&self, earlier: &str) -> Option<(String, Vec<String>)> {
        let _ = earlier;
        None
    }

    /// Creates a server without sockets, whose connections `process` opens.
    ///
    /// # Errors
    /// Returns an error if the application cannot start.
    fn serve_in_process(self, process: Arc<InProcess>) -> Result<Server>;

    /// Creates a server that listens on a port of 127.0.0.1 that the system chooses.
    ///
    /// # Errors
    /// Returns an error if the application cannot start, or cannot listen.
    fn serve_over_socket(self) -> Result<Server>;
}
