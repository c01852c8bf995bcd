//! The settings of an application: limits, deadlines, TLS, proxies, observers, shutdown.

use std::sync::Arc;
use std::time::Duration;

use super::App;
use crate::networks::{Forwarding, Networks};
use crate::observer::access_log::AccessLog;
use crate::openapi::Info;
use crate::route::Disconnect;

/// Settings, and the limits that protect the server.
///
/// Each limit and deadline has an environment variable too, which sets it where the program does not: `CONDUIT_` and
/// the method's name in upper case, such as `CONDUIT_BODY_LIMIT=10MiB` or `CONDUIT_HEAD_TIMEOUT=5s`.
impl<S, R> App<S, R> {
    /// Sets the OpenAPI document's information about the application as a whole. Default: the name, the version and the
    /// description of the package that contains the application's `routes!`.
    pub fn info(mut self, info: Info) -> Self {
        self.info = Some(info);
        self
    }

    /// Sets the number of worker threads, each with its own listening socket, event loop and connections. Default: the
    /// environment variable `CONDUIT_WORKERS`, or the number of cores that the process may use.
    ///
    /// # Panics
    ///
    /// When `count` is 0.
    pub fn workers(mut self, count: usize) -> Self {
        assert!(count > 0, "a server needs at least 1 worker");
        self.config.workers = Some(count);
        self.config.choose("CONDUIT_WORKERS");
        self
    }

    /// Sets the maximum size of a request's body in bytes; a larger one is rejected with 413. Default: 2 MiB. A handler can
    /// set another limit for its body with [`Body::with_limit`](crate::Body::with_limit).
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.config.body_bytes = bytes;
        self.config.choose("CONDUIT_BODY_LIMIT");
        self
    }

    /// Sets the memory for buffered request bodies, of all workers together, in bytes. A body that exceeds it is rejected
    /// with 503 and `retry-after`, and [`health::readyz`](fn@crate::health::readyz) responds with 503 while less than an eighth is
    /// free. The first 4 KiB of a body are not counted, nor are chunks that a handler has taken from a streamed body.
    /// Encoders of compressed response streams have an additional quarter; a stream beyond it is sent uncompressed. Default:
    /// a quarter of the memory that the process may use: that of its control group, or else of the machine.
    pub fn body_memory(mut self, bytes: u64) -> Self {
        self.config.body_memory = Some(bytes);
        self.config.choose("CONDUIT_BODY_MEMORY");
        self
    }

    /// Sets the maximum size of a request's head in HTTP/1.1 (request line and header fields) in bytes; a larger one is rejected with
    /// 431, or with 414 if the request line alone is too long. Default: 16 KiB. It bounds the memory of a connection
    /// before its request is accepted.
    pub fn head_limit(mut self, bytes: usize) -> Self {
        self.config.head.head_bytes = bytes;
        self.config.choose("CONDUIT_HEAD_LIMIT");
        self
    }

    /// Sets the maximum number of header fields of a request; more are rejected with 431. Default: 100.
    pub fn header_limit(mut self, fields: usize) -> Self {
        self.config.head.headers = fields;
        self.config.choose("CONDUIT_HEADER_LIMIT");
        self
    }

    /// Sets the deadline of a request's head, from its first byte on; a late one is rejected with 408. Default: 10 s, with a
    /// resolution of 1 s.
    pub fn head_timeout(mut self, limit: Duration) -> Self {
        self.config.head_timeout = limit;
        self.config.choose("CONDUIT_HEAD_TIMEOUT");
        self
    }

    /// Sets the time after which the server closes a connection without a request. Default: 75 s, with a
    /// resolution of 1 s.
    ///
    /// It also bounds a connection whose client has ended its half of the stream while a handler or a response's stream
    /// has nothing to send. The handler continues without the connection; the stream is dropped.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.config.idle_timeout = limit;
        self.config.choose("CONDUIT_IDLE_TIMEOUT");
        self
    }

    /// Sets the idle time of a TCP connection before the operating system probes its peer (`SO_KEEPALIVE`, tcp(7)); zero
    /// disables probes. Default: 60 s; then 4 probes, 15 s apart, detect a vanished peer within 2 minutes. Values are whole
    /// seconds, at most 32767.
    ///
    /// Deadlines bound the time that the server waits for its client. Probes detect a lost client while a handler or an
    /// event stream is silent.
    pub fn tcp_keep_alive(mut self, idle: Duration) -> Self {
        self.config.tcp_keep_alive = idle;
        self.config.choose("CONDUIT_TCP_KEEP_ALIVE");
        self
    }

    /// Sets the maximum size of a message of a WebSocket in bytes, after decompression; a larger one closes the WebSocket with
    /// 1009. Default: 1 MiB. `WebSocketUpgrade::message_limit` sets it for one WebSocket. It has no effect without the feature
    /// `websocket`.
    pub fn websocket_message_limit(mut self, bytes: usize) -> Self {
        self.config.websocket.message_bytes = bytes;
        self.config.choose("CONDUIT_WEBSOCKET_MESSAGE_LIMIT");
        self
    }

    /// Sets the maximum number of frames of a message of a WebSocket; more close the WebSocket with 1008. Default: 1024.
    ///
    /// # Panics
    ///
    /// When `count` is 0.
    pub fn websocket_fragment_limit(mut self, count: u32) -> Self {
        assert!(count > 0, "a message has at least 1 frame");
        self.config.websocket.fragments = count.into();
        self.config.choose("CONDUIT_WEBSOCKET_FRAGMENT_LIMIT");
        self
    }

    /// Sets the size of the queues between a WebSocket and its handler in bytes, for each direction. While the queue to the
    /// client is full, `send` waits; while the other one is full, nothing more is read. A message may exceed the rest of a
    /// queue. Default: 64 KiB.
    pub fn websocket_queue_limit(mut self, bytes: usize) -> Self {
        self.config.websocket.queue_bytes = bytes;
        self.config.choose("CONDUIT_WEBSOCKET_QUEUE_LIMIT");
        self
    }

    /// Sets the silence of a WebSocket's client after which the server sends a ping. Default: 30 s, with a resolution of 1 s.
    pub fn websocket_ping_interval(mut self, interval: Duration) -> Self {
        self.config.websocket.ping_after = interval;
        self.config.choose("CONDUIT_WEBSOCKET_PING_INTERVAL");
        self
    }

    /// Sets the silence of a WebSocket's client after which the server closes the connection: neither a message nor a pong
    /// has arrived. Default: 60 s, with a resolution of 1 s.
    pub fn websocket_timeout(mut self, limit: Duration) -> Self {
        self.config.websocket.timeout = limit;
        self.config.choose("CONDUIT_WEBSOCKET_TIMEOUT");
        self
    }

    /// Sets the minimum rate in bytes per second at which a client must send a body that the handler waits for, and receive a
    /// response; otherwise a body is rejected with 408, and a response is aborted. During the grace period the rate may be
    /// lower, or zero. Default: 1024 bytes per second with a grace period of 30 s, and a resolution of 1 s.
    pub fn minimum_rate(mut self, bytes_per_second: u64, grace: Duration) -> Self {
        self.config.minimum_rate = bytes_per_second;
        self.config.rate_grace = grace;
        self.config.choose("CONDUIT_MINIMUM_RATE");
        self.config.choose("CONDUIT_RATE_GRACE");
        self
    }

    /// Sets the maximum number of connections of a worker. For a further client, the worker closes the connection that has
    /// been idle for the longest time, at least 2 s; without one, the client waits in the kernel's queue. Default: the
    /// worker's share of the process's limit of descriptors, which is raised to the hard limit first.
    ///
    /// # Panics
    ///
    /// When `count` is 0.
    pub fn connection_limit(mut self, count: usize) -> Self {
        assert!(count > 0, "a worker needs at least 1 connection");
        self.config.connections = Some(count);
        self.config.choose("CONDUIT_CONNECTION_LIMIT");
        self
    }

    /// Sets the number of files that a worker keeps open for `Files`, so that the next request does not open them again; the
    /// one that was not requested lately is closed for a new one. Default: 256. 0 keeps none open. A file takes a descriptor and
    /// about 500 bytes.
    pub fn file_cache(mut self, files: usize) -> Self {
        self.config.files.files = files;
        self.config.choose("CONDUIT_FILE_CACHE");
        self
    }

    /// Sets the time for which a worker serves an open file without a look at its path: a file that another one replaces by a
    /// rename is served in its old version until then. Default: 1 s. Zero looks at each request.
    pub fn file_check_interval(mut self, interval: Duration) -> Self {
        self.config.files.check_interval = interval;
        self.config.choose("CONDUIT_FILE_CHECK_INTERVAL");
        self
    }

    /// Sets the maximum number of concurrent connections of one peer address, on all workers; IPv6 addresses with the same
    /// 64-bit prefix count together. A further connection is rejected with 503 and closed. Default: half of the connections of
    /// all workers, but at least 64, so that no address can occupy the whole server. An address takes about 16 bytes while it
    /// has a connection.
    ///
    /// # Panics
    ///
    /// When `count` is 0.
    pub fn peer_connection_limit(mut self, count: usize) -> Self {
        assert!(count > 0, "a peer needs at least 1 connection");
        self.config.peer_connections = Some(count);
        self.config.choose("CONDUIT_PEER_CONNECTION_LIMIT");
        self
    }

    /// Sets the maximum number of requests on a connection; the response to the last one has `connection: close`. Default:
    /// 1,000,000. An open connection is cheap: the limit only ensures that long-lived clients are distributed again over
    /// workers and hosts.
    ///
    /// # Panics
    ///
    /// When `count` is 0.
    pub fn request_limit(mut self, count: u64) -> Self {
        assert!(count > 0, "a connection needs at least 1 request");
        self.config.requests = count;
        self.config.choose("CONDUIT_REQUEST_LIMIT");
        self
    }

    /// Sets the maximum number of concurrent requests of an HTTP/2 connection; a further one is refused with REFUSED_STREAM,
    /// after which a client may send it again. Default: 128; values above 65,535 mean that. A handler that runs on after its
    /// client has reset the stream counts too: while as many of them run, nothing is read from the connection.
    ///
    /// # Panics
    ///
    /// When `count` is 0.
    pub fn http2_stream_limit(mut self, count: u32) -> Self {
        assert!(count > 0, "an HTTP/2 connection needs at least 1 stream");
        self.config.http2.streams = count;
        self.config.choose("CONDUIT_HTTP2_STREAM_LIMIT");
        self
    }

    /// Sets the maximum size of a request's head in HTTP/2, in bytes: its names and values without compression, and 32 bytes
    /// for each field. A larger one is rejected with 431. Default: 64 KiB. The number of fields has the
    /// [`header_limit`](App::header_limit), with each part of a cookie counted.
    pub fn http2_head_limit(mut self, bytes: usize) -> Self {
        self.config.http2.header_list_bytes = bytes;
        self.config.choose("CONDUIT_HTTP2_HEAD_LIMIT");
        self
    }

    /// Sets the maximum number of CONTINUATION frames of a head in HTTP/2; more close the connection with ENHANCE_YOUR_CALM.
    /// Default: 8.
    pub fn http2_continuation_limit(mut self, frames: u8) -> Self {
        self.config.http2.continuations = frames;
        self.config.choose("CONDUIT_HTTP2_CONTINUATION_LIMIT");
        self
    }

    /// Sets the windows of request bodies in HTTP/2, in bytes: that of a stream, the size that it grows to while the handler
    /// reads all that arrives, and that of the connection. Default: 64 KiB, 1 MiB and 1 MiB. A window bounds the memory of
    /// bodies whose handlers lag, and the rate of an upload: one window in each round trip.
    ///
    /// # Panics
    ///
    /// When `stream` is 0.
    pub fn http2_windows(mut self, stream: u32, max_stream: u32, connection: u32) -> Self {
        assert!(stream > 0, "a stream needs a window of at least 1 byte");
        self.config.http2.stream_window = stream;
        self.config.http2.max_stream_window = max_stream;
        self.config.http2.connection_window = connection;
        self.config.choose("CONDUIT_HTTP2_STREAM_WINDOW");
        self.config.choose("CONDUIT_HTTP2_MAX_STREAM_WINDOW");
        self.config.choose("CONDUIT_HTTP2_CONNECTION_WINDOW");
        self
    }

    /// Sets the number of frames without a use that an HTTP/2 connection may send at once, and in each second thereafter:
    /// resets in either direction, SETTINGS, PRIORITY, empty DATA, and PING and WINDOW_UPDATE beyond three for each request and
    /// each frame of a response. A connection beyond it is first delayed, and then closed with ENHANCE_YOUR_CALM. Default:
    /// 1,000 and 33.
    ///
    /// # Panics
    ///
    /// When `burst` or `per_second` is 0.
    pub fn http2_glitch_limit(mut self, burst: u32, per_second: u32) -> Self {
        assert!(
            burst > 0 && per_second > 0,
            "clients send at least 1 frame without a use"
        );
        self.config.http2.glitches = burst;
        self.config.http2.glitches_per_second = per_second;
        self.config.choose("CONDUIT_HTTP2_GLITCH_LIMIT");
        self.config.choose("CONDUIT_HTTP2_GLITCH_RATE");
        self
    }

    /// Sets the time that a handler may block its worker between two `await` points. After it, a warning names the method,
    /// route and function while the handler still runs, and another one reports the duration at its end. All connections of
    /// the worker wait meanwhile: move long computations and blocking calls to `tokio::task::spawn_blocking`. Default:
    /// 100 ms, which a client notices and a busy machine alone does not cause; the warning is logged after one to one and
    /// a half times that. Zero disables it.
    pub fn blocked_after(mut self, limit: Duration) -> Self {
        self.config.blocked_after = limit;
        self.config.choose("CONDUIT_BLOCKED_AFTER");
        self
    }

    /// Sets the format of the access log, which has an entry for each request after the last byte of its response. Default:
    /// [`AccessLog::Off`].
    ///
    /// # Example
    ///
    /// Lines in the combined log format on standard output:
    ///
    /// ```
    /// use conduit::prelude::*;
    /// use conduit::AccessLog;
    ///
    /// #[get("/")]
    /// fn home() -> &'static str {
    ///     "home"
    /// }
    ///
    /// tracing_subscriber::fmt().without_time().with_level(false).with_target(false).init();
    /// let app = App::new(()).routes(routes![home]).access_log(AccessLog::Combined);
    /// ```
    pub fn access_log(mut self, form: AccessLog) -> Self {
        self.observer.access_log = form;
        self
    }

    /// Passes the server's metrics to the recorder of the [`metrics`](https://docs.rs/metrics) crate that the program has
    /// set, such as an exporter to StatsD or OpenTelemetry: once a second, and once more when the server has ended. Off by
    /// default.
    ///
    /// They have the names of the page [`conduit::metrics`](crate::metrics), which need not be in the list; requests are counted
    /// by route in any case. Durations are counters, one for each bucket of the page, and
    /// `conduit_request_duration_nanoseconds_sum`. Without a recorder, or with Conduit as the recorder, it has no effect; nor
    /// does it for an application that is a [service](crate::tower) of another server.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use conduit::prelude::*;
    ///
    /// #[get("/")]
    /// fn home() -> &'static str {
    ///     "home"
    /// }
    ///
    /// # struct Exporter;
    /// # impl Exporter { fn install(&self) -> Result<(), conduit::Error> { Ok(()) } }
    /// # let exporter = Exporter;
    /// // Before the server listens.
    /// exporter.install()?;
    /// App::new(()).routes(routes![home]).record_metrics().run()?;
    /// # Ok::<(), conduit::Error>(())
    /// ```
    #[cfg(feature = "metrics")]
    pub fn record_metrics(mut self) -> Self {
        self.observer.records_metrics = true;
        self
    }

    /// Sets the proxies whose connections begin with a header of the PROXY protocol, version 1 or 2, which has the client's
    /// address: networks such as `10.0.0.0/8`, addresses, and `unix` for Unix sockets. Their connections are closed if the
    /// header is missing, or takes longer than the deadline of a head. Headers of other peers are not read. Default: the
    /// environment variable `CONDUIT_PROXY_PROTOCOL`, separated by commas, or no proxies.
    ///
    /// [`Client`](crate::Client) and the access log have the client's address;
    /// [`peer_connection_limit`](App::peer_connection_limit) counts the client, not the proxy. List as few addresses as
    /// possible: a listed peer can claim any address.
    ///
    /// # Panics
    ///
    /// When a text is not a network.
    pub fn proxy_protocol<T: AsRef<str>>(mut self, proxies: impl IntoIterator<Item = T>) -> Self {
        self.config.proxies.header = Some(Networks::of(proxies));
        self
    }

    /// Sets the proxies whose fields `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` are trusted: networks such
    /// as `10.0.0.0/8`, addresses, and `unix` for Unix sockets. [`Client`](crate::Client) has their values. Default: the
    /// environment variable `CONDUIT_TRUSTED_PROXIES`, separated by commas, or no proxies.
    ///
    /// A proxy must set or remove each of these fields: a value that it forwards from its client is trusted too.
    /// [`peer_connection_limit`](App::peer_connection_limit) does not apply to these proxies.
    ///
    /// # Panics
    ///
    /// When a text is not a network.
    pub fn trusted_proxies<T: AsRef<str>>(mut self, proxies: impl IntoIterator<Item = T>) -> Self {
        let standard = self.config.proxies.standard;
        let trusted = Networks::of(proxies);
        self.config.proxies.forwarding = Some(Arc::new(Forwarding { trusted, standard }));
        self
    }

    /// Declares that the [trusted proxies](App::trusted_proxies) send `Forwarded` (RFC 7239). Then only that field is read,
    /// otherwise only the others: a proxy sets one kind, and its client could send the other.
    pub fn forwarded(mut self) -> Self {
        let proxies = &mut self.config.proxies;
        proxies.standard = true;
        if let Some(known) = &mut proxies.forwarding {
            Arc::make_mut(known).standard = true;
        }
        self
    }

    /// Sets the deadline of the TLS handshake; then the connection is closed. Default: 10 s, with a resolution of 1 s.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.config.handshake_timeout = limit;
        self.config.choose("CONDUIT_HANDSHAKE_TIMEOUT");
        self
    }

    /// Encrypts the connections of IP addresses, except those that begin with `http://`. [`listen`](App::listen) and
    /// [`run`](App::run) read the certificates and report their errors.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::Tls) -> Self {
        self.config.tls = Some(Arc::new(tls));
        self
    }

    /// Encrypts connections with a certificate for `localhost` that is generated at the start: for development. Same as
    /// `tls(Tls::self_signed())`.
    #[cfg(feature = "tls")]
    pub fn tls_self_signed(self) -> Self {
        self.tls(crate::Tls::self_signed())
    }

    /// Sets the time that a shutdown waits for requests in progress; the remaining ones are logged and closed.
    /// Default: 30 s.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.config.shutdown_timeout = limit;
        self.config.choose("CONDUIT_SHUTDOWN_TIMEOUT");
        self
    }

    /// Permits informational responses ([`Request::inform`](crate::Request::inform)) in HTTP/1.1, such as 103 Early Hints. Off by
    /// default: some clients and proxies take the first status for the response. HTTP/2 has them in any case.
    pub fn inform_http1(mut self) -> Self {
        self.config.informs_http1 = true;
        self
    }

    /// Sets the treatment of an unfinished handler when its client disconnects, unless its route sets it: see [`Disconnect`].
    /// Default: [`Disconnect::Finish`]; `#[get("/report", disconnect = "abort")]` sets it for one route.
    ///
    /// A disconnect is a reset or the end of the client's stream. A half-close by a client that waits for the response is
    /// indistinguishable from it: on routes that abort, such a client receives no response. A request is aborted until its
    /// response begins; a response stream always ends with its connection.
    ///
    /// # Example
    ///
    /// A report that is aborted without its client, and an order that is finished:
    ///
    /// ```
    /// use conduit::Disconnect;
    /// use conduit::prelude::*;
    ///
    /// #[get("/report")]
    /// async fn report() -> &'static str {
    ///     tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    ///     "all is well"
    /// }
    ///
    /// #[post("/orders", disconnect = "finish")]
    /// async fn order() -> StatusCode {
    ///     StatusCode::ACCEPTED
    /// }
    ///
    /// let app = App::new(()).routes(routes![report, order]).disconnect(Disconnect::Abort);
    /// ```
    pub fn disconnect(mut self, disconnect: Disconnect) -> Self {
        self.config.disconnect = disconnect;
        self
    }

    /// Sets the time between the request to stop and the end of accepting, while [`readyz`](fn@crate::health::readyz) responds
    /// with 503 already: the time that a load balancer needs to notice. Default: zero.
    ///
    /// A second signal to stop ends this time at once.
    pub fn stop_delay(mut self, delay: Duration) -> Self {
        self.config.stop_delay = delay;
        self.config.choose("CONDUIT_STOP_DELAY");
        self
    }

    /// Sets the deadline for the successor process at SIGUSR2 ([`Server::run`](crate::Server::run)) to serve; a late successor is
    /// terminated, and this process continues to serve. Default: 60 s.
    pub fn restart_timeout(mut self, limit: Duration) -> Self {
        self.config.restart_timeout = limit;
        self.config.choose("CONDUIT_RESTART_TIMEOUT");
        self
    }

    /// Sets whether [`run`](App::run) handles the program's arguments. It does by default, and only for a
    /// single argument that is exactly one of these; other arguments are left to the program:
    ///
    /// - `--routes` prints [the table of routes](App::routes_table) and returns without serving.
    pub fn arguments(mut self, answer: bool) -> Self {
        self.arguments = answer;
        self
    }
}

#[cfg(test)]
mod tests {
    use crate::server::config::SETTINGS;

    #[test]
    fn each_setting_has_a_method_of_app() {
        let source = include_str!("settings.rs");
        for setting in SETTINGS {
            let method = format!("pub fn {}(mut self", setting.method);
            assert!(source.contains(&method), "App has no {method}");
            let chosen = format!("\"{}\"", setting.variable);
            assert!(
                source.contains(&chosen),
                "App::{} does not choose {chosen}",
                setting.method
            );
        }
    }
}
