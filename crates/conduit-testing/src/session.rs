//! The connection of requests to the application: its server, the settings of a client, and its cookies.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use conduit_server::internal::in_process::{InProcess, Opening};
use conduit_server::{Server, ServerHandle};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::connection::TestConnection;
use super::contract::ResponseContract;
use super::cookies::Jar;
use super::wire::Wire;

/// The time that a test waits for the application before it fails.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The part of a client that its requests and WebSockets use. The application ends with the last clone.
#[derive(Clone)]
pub(super) struct Session {
    running: Arc<Running>,
    pub(super) settings: ClientSettings,
    /// The documented responses, unless the client accepts every response.
    pub(super) contract: Option<Arc<dyn ResponseContract>>,
    jar: Arc<Mutex<Jar>>,
}

#[derive(Clone, Debug)]
pub(super) struct ClientSettings {
    pub(super) headers: HeaderMap,
    pub(super) follow_redirects: bool,
    pub(super) skips: bool,
    pub(super) timeout: Duration,
    pub(super) peer: SocketAddr,
}

/// The way to the application.
pub(super) enum Reach {
    InProcess(Arc<InProcess>),
    Socket(SocketAddr),
}

struct Running {
    reach: Reach,
    handle: ServerHandle,
    thread: Option<JoinHandle<conduit_core::error::Result>>,
}

impl Session {
    /// Starts the application, and returns when it serves.
    #[track_caller]
    pub(super) fn start(server: Server, reach: Reach, contract: Option<Arc<dyn ResponseContract>>) -> Self {
        let handle = server.handle();
        let (started, has_started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            server.serve_from(move || {
                // The receiver waits.
                let _ = started.send(());
            })
        });
        if has_started.recv().is_err() {
            match thread.join() {
                Ok(Ok(())) => panic!("the application stopped before it served a request"),
                Ok(Err(error)) => panic!("the application cannot start: {error}"),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Session {
            running: Arc::new(Running {
                reach,
                handle,
                thread: Some(thread),
            }),
            settings: ClientSettings {
                headers: HeaderMap::new(),
                follow_redirects: false,
                skips: false,
                timeout: TIMEOUT,
                peer: SocketAddr::from(([127, 0, 0, 1], 50_000)),
            },
            contract,
            jar: Arc::default(),
        }
    }

    #[track_caller]
    pub(super) fn process(&self, what: &str) -> &InProcess {
        match &self.running.reach {
            Reach::InProcess(process) => process,
            Reach::Socket(_) => panic!("{what} only in process: create the client with TestClient::new"),
        }
    }

    #[track_caller]
    pub(super) fn connect(&self, opening: Opening) -> TestConnection {
        match self.open(opening) {
            Ok(wire) => TestConnection::new(wire),
            Err(error) => panic!("cannot connect to the application: {error}"),
        }
    }

    pub(super) fn handle(&self) -> ServerHandle {
        self.running.handle.clone()
    }

    /// The same application with separate cookies.
    pub(super) fn another(&self) -> Self {
        Session {
            jar: Arc::default(),
            ..self.clone()
        }
    }

    pub(super) fn open(&self, opening: Opening) -> io::Result<Wire> {
        let ClientSettings {
            peer, skips, timeout, ..
        } = self.settings;
        match &self.running.reach {
            Reach::InProcess(process) => Ok(Wire::Memory(Arc::new(process.connect(peer, skips, opening)), timeout)),
            Reach::Socket(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                Ok(Wire::Socket(Arc::new(stream)))
            }
        }
    }

    pub(super) fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current time of the application's clock.
    pub(super) fn now(&self) -> SystemTime {
        match &self.running.reach {
            Reach::InProcess(process) => process.now(),
            Reach::Socket(_) => SystemTime::now(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.close();
        let Some(thread) = self.thread.take() else { return };
        let ended = thread.join();
        if !std::thread::panicking() {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => panic!("the application failed: {error}"),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[track_caller]
pub(super) fn header(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => (name, value),
        _ => panic!(
            "invalid header field {name:?}: {value:?}: expected a token as the name and a value without control characters"
        ),
    }
}
