//! The client of an application.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use conduit_server::ServerHandle;
use conduit_server::internal::in_process::{InProcess, Opening, Resources};
use http::Method;

use super::application::TestApplication;
use super::connection::TestConnection;
use super::request::TestRequest;
use super::session::{Reach, Session, header};
#[cfg(feature = "websocket")]
use super::websocket::TestWebSocketRequest;

/// A client for tests, with the application that it calls; see the [module](super).
///
/// Each request uses a new connection. Cookies are stored; redirects are followed only after
/// [`follow_redirects`](Self::follow_redirects). A clone calls the same application with the same cookies,
/// [`another`](Self::another) with separate cookies. The application ends with the last of them.
///
/// Its methods block and work in a plain `#[test] fn`. In an `async` test a request can be awaited instead of sent.
///
/// # Panics
///
/// Panics at the line of the test if the application cannot start, if no response arrives within 30 s, or if the response is not
/// HTTP.
#[derive(Clone)]
pub struct TestClient {
    session: Session,
}

impl TestClient {
    /// Serves the application in this process, without a socket.
    #[track_caller]
    pub fn new(app: impl TestApplication) -> Self {
        let process = Arc::new(InProcess::default());
        let contract = app.contract();
        match app.serve_in_process(Arc::clone(&process)) {
            Ok(server) => TestClient {
                session: Session::start(server, Reach::InProcess(process), contract),
            },
            Err(error) => panic!("the application cannot start: {error}"),
        }
    }

    /// Serves the application on a port of 127.0.0.1 that the system chooses, and calls it through sockets. The clock cannot be
    /// advanced and the peer's address cannot be set; everything else is as with [`new`](Self::new).
    #[track_caller]
    pub fn over_socket(app: impl TestApplication) -> Self {
        let contract = app.contract();
        match app.serve_over_socket() {
            Ok(server) => {
                let address = server.address();
                TestClient {
                    session: Session::start(server, Reach::Socket(address), contract),
                }
            }
            Err(error) => panic!("the application cannot start: {error}"),
        }
    }

    /// A client of the same application with separate cookies, like another user's browser.
    pub fn another(&self) -> Self {
        TestClient {
            session: self.session.another(),
        }
    }

    /// Sends this header field with each request.
    #[track_caller]
    pub fn with_header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let (name, value) = header(name.as_ref(), value.as_ref());
        self.session.settings.headers.insert(name, value);
        self
    }

    /// Sends this bearer token with each request (RFC 6750).
    #[track_caller]
    pub fn with_bearer(self, token: &str) -> Self {
        self.with_header("authorization", format!("Bearer {token}"))
    }

    /// Follows redirects to the same host, at most 10 one after the other, as a browser does: 303, and 301 and 302 of a
    /// `POST`, become a `GET` without a body.
    pub fn follow_redirects(mut self) -> Self {
        self.session.settings.follow_redirects = true;
        self
    }

    /// Accepts responses that the application's OpenAPI document does not describe. Default: such a response fails the test.
    /// [`TestRequest::undocumented`] accepts that of one request.
    pub fn without_contract(mut self) -> Self {
        self.session.contract = None;
        self
    }

    /// Lets the application's clock jump to its next timer while a request waits for its response: a handler that sleeps for an
    /// hour responds at once. Do not use it for an application that waits for a database or another service, because the clock
    /// would also jump over the timeouts of that wait.
    ///
    /// # Panics
    ///
    /// Panics if the client is [`over_socket`](Self::over_socket).
    #[track_caller]
    pub fn skip_waiting(mut self) -> Self {
        self.session.process("the clock can skip");
        self.session.settings.skips = true;
        self
    }

    /// Sets the peer address of requests. Default: 127.0.0.1:50000.
    ///
    /// # Panics
    ///
    /// Panics if the client is [`over_socket`](Self::over_socket), where the system chooses the address.
    #[track_caller]
    pub fn with_peer_address(mut self, address: impl Into<SocketAddr>) -> Self {
        self.session.process("the peer's address can be set");
        self.session.settings.peer = address.into();
        self
    }

    /// Sets the time to wait for bytes of the application, in real time, before the test fails. Default: 30 s.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.session.settings.timeout = timeout;
        self
    }

    /// Advances the application's clock, in steps of a second or in 1000 steps if there would be more, and runs every task
    /// that waited for it. Afterwards time continues from there.
    ///
    /// # Panics
    ///
    /// Panics if the client is [`over_socket`](Self::over_socket), where the application uses the system clock.
    #[track_caller]
    pub fn advance(&self, duration: Duration) {
        let process = self.session.process("the clock can be advanced");
        assert!(process.advance(duration), "the application has ended");
    }

    /// Opens a connection that sends exactly the bytes of the test, including a PROXY header where
    /// `App::proxy_protocol` names the peer. In process it is not encrypted: see [`connect_tls`](Self::connect_tls).
    ///
    /// # Panics
    ///
    /// Panics if the application does not accept the connection.
    #[track_caller]
    pub fn connect(&self) -> TestConnection {
        self.session.connect(Opening::Raw)
    }

    /// Opens a connection as [`connect`](Self::connect) does, to an application with `App::tls`: the server expects TLS, so that
    /// the bytes of the test are those of a TLS client in the test. An application without certificates closes the connection.
    ///
    /// # Panics
    ///
    /// Panics if the application does not accept the connection.
    #[track_caller]
    pub fn connect_tls(&self) -> TestConnection {
        self.session.connect(Opening::Encrypted)
    }

    /// The handle of the server: its statistics, and the methods that stop it.
    pub fn handle(&self) -> ServerHandle {
        self.session.handle()
    }

    /// The resources that the application holds in process, at the end of its worker's last turn. Each call wakes the worker
    /// for another turn, so that a loop sees later changes.
    ///
    /// # Panics
    ///
    /// Panics if the client is [`over_socket`](Self::over_socket).
    #[track_caller]
    pub fn resources(&self) -> Resources {
        self.session.process("resources can be counted").resources()
    }

    /// The value of a stored cookie, if there is one of this name.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let now = self.session.now();
        self.session.jar().value(name, now)
    }

    /// Stores a cookie for all paths, as if the application had set it.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.session.jar().set(name, value);
    }

    /// Removes all cookies.
    pub fn clear_cookies(&self) {
        self.session.jar().clear();
    }

    /// A request with any method.
    #[track_caller]
    pub fn request(&self, method: impl AsRef<str>, target: &str) -> TestRequest {
        match Method::from_bytes(method.as_ref().as_bytes()) {
            Ok(method) => TestRequest::new(self.session.clone(), method, target),
            Err(_) => panic!("invalid method {:?}: expected a token such as \"GET\"", method.as_ref()),
        }
    }

    /// A `GET` of this path and query.
    pub fn get(&self, target: &str) -> TestRequest {
        TestRequest::new(self.session.clone(), Method::GET, target)
    }

    /// A `HEAD`.
    pub fn head(&self, target: &str) -> TestRequest {
        TestRequest::new(self.session.clone(), Method::HEAD, target)
    }

    /// A `POST`.
    pub fn post(&self, target: &str) -> TestRequest {
        TestRequest::new(self.session.clone(), Method::POST, target)
    }

    /// A `PUT`.
    pub fn put(&self, target: &str) -> TestRequest {
        TestRequest::new(self.session.clone(), Method::PUT, target)
    }

    /// A `PATCH`.
    pub fn patch(&self, target: &str) -> TestRequest {
        TestRequest::new(self.session.clone(), Method::PATCH, target)
    }

    /// A `DELETE`.
    pub fn delete(&self, target: &str) -> TestRequest {
        TestRequest::new(self.session.clone(), Method::DELETE, target)
    }

    /// An `OPTIONS`.
    pub fn options(&self, target: &str) -> TestRequest {
        TestRequest::new(self.session.clone(), Method::OPTIONS, target)
    }

    /// A request that opens a WebSocket at this path and query.
    #[cfg(feature = "websocket")]
    pub fn websocket(&self, target: &str) -> TestWebSocketRequest {
        TestWebSocketRequest::new(self.session.clone(), target)
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient")
            .field("settings", &self.session.settings)
            .finish_non_exhaustive()
    }
}
