//! The limits and deadlines of a server. Every limit is on by default.
//!
//! [`SETTINGS`] is the one table of the limits and deadlines: the environment's parser, the messages about bad values,
//! and the table in `docs/limits.md` come from it. The defaults are those of [`Config::default`].

mod environment;
mod setting;
mod setting_ref;
mod unknown;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use conduit_core::internal::current::FileCacheSettings;
use conduit_proto::h1::Limits;
#[cfg(feature = "http2")]
use conduit_proto::h2::Http2Limits;

#[cfg(feature = "http2")]
pub use self::setting::MINIMUM_HTTP2_HEAD_BYTES;
pub use self::setting::{MINIMUM_HEAD_BYTES, SETTINGS, Setting};
pub use self::unknown::warn_of_unknown_variables;
pub use self::websocket::WebSocketConfig;
use crate::observer::{NoObserver, Observer};
use crate::proxies::Proxies;
use crate::route::Disconnect;
use crate::transport::TlsConfig;

/// The settings of a server; each is documented at the method of `App` that sets it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The number of workers; `None` is one for each core.
    pub workers: Option<usize>,
    /// The certificates, if connections are encrypted.
    pub tls: Option<Arc<dyn TlsConfig>>,
    /// The limits of a request head.
    pub head: Limits,
    /// The maximum length of a request body in bytes.
    pub body_bytes: u64,
    /// The memory for bodies of the whole process; `None` is a part of the available memory.
    pub body_memory: Option<u64>,
    /// The deadline of a request head.
    pub head_timeout: Duration,
    /// The deadline of an idle connection.
    pub idle_timeout: Duration,
    /// The idle time of a TCP connection before the system probes it; zero disables probes.
    pub tcp_keep_alive: Duration,
    /// The minimum rate of a client in bytes a second.
    pub minimum_rate: u64,
    /// The time before the minimum rate applies.
    pub rate_grace: Duration,
    /// The deadline of the TLS handshake.
    pub handshake_timeout: Duration,
    /// The deadline of a shutdown.
    pub shutdown_timeout: Duration,
    /// The time between the request to stop and the end of accepting.
    pub stop_delay: Duration,
    /// The deadline for a successor to serve.
    pub restart_timeout: Duration,
    /// The maximum number of connections of a worker; `None` follows the limit of descriptors.
    pub connections: Option<usize>,
    /// Connections of one peer address on all workers; `None` is half of the connections of all workers, but at least 64.
    pub peer_connections: Option<usize>,
    /// The maximum number of requests on a connection.
    pub requests: u64,
    /// The limits of a connection with HTTP/2, except for the number of header fields, which `head` has.
    #[cfg(feature = "http2")]
    pub http2: Http2Limits,
    /// The limits of WebSockets.
    pub websocket: WebSocketConfig,
    /// The time that a handler may block its worker before a warning; zero disables it.
    pub blocked_after: Duration,
    /// The receiver of reports about requests.
    pub observer: Arc<dyn Observer>,
    /// Informational responses are sent in HTTP/1.1 too.
    pub informs_http1: bool,
    /// The treatment of a handler whose client disconnects, unless its route sets it.
    pub disconnect: Disconnect,
    /// The bounds of each worker's cache of open files.
    pub files: FileCacheSettings,
    /// The proxies whose forwarding headers are trusted.
    pub proxies: Proxies,
    /// Workers take requests of the process itself.
    #[cfg(feature = "tower")]
    pub takes_internal: bool,
    /// The connection point of a test client.
    #[cfg(feature = "testing")]
    pub in_process: Option<std::sync::Arc<super::in_process::InProcess>>,
    /// The certificates for encrypted connections of the test client.
    #[cfg(feature = "testing")]
    pub in_process_tls: Option<Arc<dyn super::transport::TlsAcceptor>>,
    /// The rows of [`SETTINGS`] that the program has set itself, a bit each.
    chosen: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            workers: None,
            tls: None,
            head: Limits::default(),
            body_bytes: 2 * 1024 * 1024,
            body_memory: None,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            tcp_keep_alive: Duration::from_secs(60),
            minimum_rate: 1024,
            rate_grace: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            stop_delay: Duration::ZERO,
            restart_timeout: Duration::from_secs(60),
            connections: None,
            peer_connections: None,
            requests: 1_000_000,
            #[cfg(feature = "http2")]
            http2: Http2Limits::default(),
            websocket: WebSocketConfig::default(),
            blocked_after: Duration::from_millis(100),
            observer: Arc::new(NoObserver),
            informs_http1: false,
            disconnect: Disconnect::Finish,
            files: FileCacheSettings::default(),
            proxies: Proxies::default(),
            #[cfg(feature = "tower")]
            takes_internal: false,
            #[cfg(feature = "testing")]
            in_process: None,
            #[cfg(feature = "testing")]
            in_process_tls: None,
            chosen: 0,
        }
    }
}

impl Config {
    /// The limits of a connection with HTTP/2.
    #[cfg(feature = "http2")]
    pub(crate) fn http2_limits(&self) -> Http2Limits {
        Http2Limits {
            headers: self.head.headers,
            extended_connect: cfg!(feature = "websocket"),
            ..self.http2
        }
    }
}
