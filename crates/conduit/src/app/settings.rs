//! The settings of an application: limits, deadlines, TLS, proxies, observers, shutdown.

use std::sync::Arc;
use std::time::Duration;

use super::App;
use crate::networks::{Forwarding, Networks};
use crate::observer::access_log::AccessLog;
use crate::openapi::Info;
use crate::route::Disconnect;
use crate::server::config::MINIMUM_HEAD_BYTES;
#[cfg(feature = "http2")]
use crate::server::config::MINIMUM_HTTP2_HEAD_BYTES;

/// Settings, and the limits that protect the server.
///
/// Each limit and deadline also has an environment variable, which applies if the program does not set it: `CONDUIT_` and
/// the method's name in upper case, such as `CONDUIT_BODY_LIMIT=10MiB` or `CONDUIT_HEAD_TIMEOUT=5s`. Three methods set
/// several values: `minimum_rate` (`CONDUIT_MINIMUM_RATE`, `CONDUIT_RATE_GRACE`), `http2_windows`
/// (`CONDUIT_HTTP2_STREAM_WINDOW`, `CONDUIT_HTTP2_MAX_STREAM_WINDOW`, `CONDUIT_HTTP2_CONNECTION_WINDOW`) and
/// `http2_glitch_limit` (`CONDUIT_HTTP2_GLITCH_LIMIT`, `CONDUIT_HTTP2_GLITCH_RATE`).
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
    /// Panics if `count` is 0.
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

    /// Sets the memory for buffered request bodies, of all workers together, in bytes. A body that exceeds it is rejected with
    /// 503 and `retry-after`, and [`health::readyz`](fn@crate::health::readyz) responds with 503 while less than an eighth is
    /// free. The first 4 KiB of a body are not counted, nor are chunks that a handler has taken from a streamed body. Files of forms
    /// in memory are counted, and go to the disk while less than an eighth is free. Heads of HTTP/2 are counted beyond the first
    /// 16 KiB of a connection; a request whose head has no room is refused with REFUSED_STREAM. Unfinished messages
    /// of WebSockets are counted beyond their first 4 KiB; one without room closes its WebSocket with 1013. Encoders of compressed
    /// response streams have an additional quarter; a stream beyond it is sent uncompressed. Default: a quarter
    /// of the memory that is available to the process: that of its control group, or else of the machine.
    pub fn body_memory(mut self, bytes: u64) -> Self {
        self.config.body_memory = Some(bytes);
        self.config.choose("CONDUIT_BODY_MEMORY");
        self
    }

    /// Sets the maximum size of an HTTP/1.1 request's head (request line and header fields) in bytes; a larger one is rejected
    /// with 431, or with 414 if the request line alone is too long. Default: 16 KiB. It bounds the memory of a connection
    /// before its request is accepted.
    ///
    /// # Panics
    ///
    /// Panics if `bytes` is less than 16, the length of the shortest request.
    pub fn head_limit(mut self, bytes: usize) -> Self {
        assert!(
            bytes >= MINIMUM_HEAD_BYTES,
            "head_limit({bytes}): the shortest request has {MINIMUM_HEAD_BYTES} bytes"
        );
        self.config.head.head_bytes = bytes;
        self.config.choose("CONDUIT_HEAD_LIMIT");
        self
    }

    /// Sets the maximum number of header fields of a request; more are rejected with 431. Default: 100. A larger number than
    /// 24,000 counts as 24,000.
    ///
    /// # Panics
    ///
    /// Panics if `fields` is 0: each request of HTTP/1.1 has `host`.
    pub fn header_limit(mut self, fields: usize) -> Self {
        assert!(
            fields > 0,
            "header_limit(0): a request of HTTP/1.1 has at least 1 header field"
        );
        self.config.head.headers = fields;
        self.config.choose("CONDUIT_HEADER_LIMIT");
        self
    }

    /// Sets the deadline of a request's head, counted from its first byte; a late one is rejected with 408. Default: 10 s, with
    /// a resolution of 1 s.
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

    /// Sets the maximum size of a WebSocket message in bytes, after decompression; a larger one closes the WebSocket with 1009.
    /// Default: 1 MiB. `WebSocketUpgrade::message_limit` sets it for one WebSocket. It has no effect without the feature
    /// `websocket`.
    pub fn websocket_message_limit(mut self, bytes: usize) -> Self {
        self.config.websocket.message_bytes = bytes;
        self.config.choose("CONDUIT_WEBSOCKET_MESSAGE_LIMIT");
        self
    }

    /// Sets the maximum number of frames per WebSocket message; more close the WebSocket with 1008. Default: 1024.
    ///
    /// # Panics
    ///
    /// Panics if `count` is 0.
    pub fn websocket_fragment_limit(mut self, count: u32) -> Self {
        assert!(count > 0, "a message has at least 1 frame");
        self.config.websocket.fragments = count.into();
        self.config.choose("CONDUIT_WEBSOCKET_FRAGMENT_LIMIT");
        self
    }

    /// Sets the size of the queues between a WebSocket and its handler in bytes, for each direction. While the queue to the
    /// client is full, `send` waits; while the other queue is full, the server does not read from the connection. A message may
    /// exceed the remaining space of a queue. Default: 64 KiB.
    pub fn websocket_queue_limit(mut self, bytes: usize) -> Self {
        self.config.websocket.queue_bytes = bytes;
        self.config.choose("CONDUIT_WEBSOCKET_QUEUE_LIMIT");
        self
    }

    /// Sets the time without bytes from the client of a WebSocket after which the server sends a ping. If it is not shorter than
    /// the [timeout](Self::websocket_timeout), the server sends the ping after half of that. Default: 30 s, with a resolution of
    /// 1 s.
    pub fn websocket_ping_interval(mut self, interval: Duration) -> Self {
        self.config.websocket.ping_after = interval;
        self.config.choose("CONDUIT_WEBSOCKET_PING_INTERVAL");
        self
    }

    /// Sets the time without bytes from the client of a WebSocket, such as those of a message or a pong, after which the
    /// server closes the connection. Default: 60 s, with a resolution of 1 s.
    pub fn websocket_timeout(mut self, limit: Duration) -> Self {
        self.config.websocket.timeout = limit;
        self.config.choose("CONDUIT_WEBSOCKET_TIMEOUT");
        self
    }

    /// Sets the minimum rate in bytes per second at which a client must send a body that the handler waits for, and receive a
    /// response; otherwise a body is rejected with 408, and a response is aborted. A message of a WebSocket that has begun must
    /// arrive at this rate, too; otherwise the WebSocket is closed with 1008. During the grace period the rate may be
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
    /// Panics if `count` is 0.
    pub fn connection_limit(mut self, count: usize) -> Self {
        assert!(count > 0, "a worker needs at least 1 connection");
        self.config.connections = Some(count);
        self.config.choose("CONDUIT_CONNECTION_LIMIT");
        self
    }

    /// Sets the number of files that a worker keeps open for `Files`, so that the next request does not open them again; the
    /// least recently requested one is closed for a new one. Default: 256. 0 disables the cache. A file takes a descriptor and
    /// about 500 bytes; one that is served compressed takes a second place for its compressed variant. The content of files up to
    /// 16 KiB stays in memory, too, at most 1 MiB in all.
    pub fn file_cache(mut self, files: usize) -> Self {
        self.config.files.files = files;
        self.config.choose("CONDUIT_FILE_CACHE");
        self
    }

    /// Sets how long a worker serves an open file without checking its path: after a rename replaces the file, the old version
    /// is served until the next check. Default: 1 s. Zero checks at each request.
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
    /// Panics if `count` is 0.
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
    /// Panics if `count` is 0.
    pub fn request_limit(mut self, count: u64) -> Self {
        assert!(count > 0, "a connection needs at least 1 request");
        self.config.requests = count;
        self.config.choose("CONDUIT_REQUEST_LIMIT");
        self
    }

    /// Sets the maximum number of concurrent requests of an HTTP/2 connection; a further one is refused with REFUSED_STREAM,
    /// and the client may retry it. Default: 128; values above 65,535 count as 65,535. A handler that still runs after its
    /// client has reset the stream counts too: while that many run, the server does not read from the connection.
    ///
    /// Requires the feature `http2`.
    ///
    /// # Panics
    ///
    /// Panics if `count` is 0.
    #[cfg(feature = "http2")]
    pub fn http2_stream_limit(mut self, count: u32) -> Self {
        assert!(count > 0, "an HTTP/2 connection needs at least 1 stream");
        self.config.http2.streams = count;
        self.config.choose("CONDUIT_HTTP2_STREAM_LIMIT");
        self
    }

    /// Sets the maximum size of a request's head in HTTP/2, in bytes: its names and values without compression, and 32 bytes
    /// for each field. A larger one is rejected with 431. Default: 64 KiB. [`header_limit`](App::header_limit) limits the
    /// number of fields; each part of a cookie counts as one.
    ///
    /// Requires the feature `http2`.
    ///
    /// # Panics
    ///
    /// Panics if `bytes` is less than 118, the size of the smallest head.
    #[cfg(feature = "http2")]
    pub fn http2_head_limit(mut self, bytes: usize) -> Self {
        assert!(
            bytes >= MINIMUM_HTTP2_HEAD_BYTES,
            "http2_head_limit({bytes}): the smallest head of a request has {MINIMUM_HTTP2_HEAD_BYTES} bytes"
        );
        self.config.http2.header_list_bytes = bytes;
        self.config.choose("CONDUIT_HTTP2_HEAD_LIMIT");
        self
    }

    /// Sets the maximum number of CONTINUATION frames of a head in HTTP/2; more close the connection with ENHANCE_YOUR_CALM.
    /// Default: 8.
    ///
    /// Requires the feature `http2`.
    #[cfg(feature = "http2")]
    pub fn http2_continuation_limit(mut self, frames: u8) -> Self {
        self.config.http2.continuations = frames;
        self.config.choose("CONDUIT_HTTP2_CONTINUATION_LIMIT");
        self
    }

    /// Sets the flow-control windows of request bodies in HTTP/2, in bytes: the initial and the maximum window of a stream,
    /// which grows while the handler keeps up, and the window of the connection. Default: 64 KiB, 1 MiB and 1 MiB. A window
    /// bounds the memory of bodies that handlers read slowly, and the rate of an upload: one window per round trip.
    ///
    /// Requires the feature `http2`.
    ///
    /// # Panics
    ///
    /// Panics if `stream` is 0.
    #[cfg(feature = "http2")]
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

    /// Sets the number of useless frames that an HTTP/2 connection may send at once, and in each second thereafter: resets in
    /// either direction, malformed requests, SETTINGS, PRIORITY, unknown frames, DATA of less than 5 bytes, and PING and
    /// WINDOW_UPDATE beyond three for each request and each frame of a response. A connection that exceeds it is first delayed,
    /// and then closed with ENHANCE_YOUR_CALM. Default: 1,000 and 33.
    ///
    /// Requires the feature `http2`.
    ///
    /// # Panics
    ///
    /// Panics if `burst` or `per_second` is 0.
    #[cfg(feature = "http2")]
    pub fn http2_glitch_limit(mut self, burst: u32, per_second: u32) -> Self {
        assert!(burst > 0 && per_second > 0, "the burst and the rate must be at least 1");
        self.config.http2.glitches = burst;
        self.config.http2.glitches_per_second = per_second;
        self.config.choose("CONDUIT_HTTP2_GLITCH_LIMIT");
        self.config.choose("CONDUIT_HTTP2_GLITCH_RATE");
        self
    }

    /// Sets how long a handler may block its worker between two `await` points. A warning then names the method, route and
    /// function while the handler still runs, and another one reports the duration at its end. All connections of the
    /// worker wait meanwhile: move long computations and blocking calls to `tokio::task::spawn_blocking`. Default: 100 ms,
    /// which is above the delays of plain load, and noticeable to clients; the warning is logged after 1 to 1.5 times that.
    /// Zero disables it.
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

    /// Forwards the server's metrics to the recorder of the [`metrics`](https://docs.rs/metrics) crate that the program has
    /// installed, such as an exporter to StatsD or OpenTelemetry: once a second, and at the end of the server. Off by
    /// default.
    ///
    /// They have the names of the page [`conduit::metrics`](crate::metrics), which need not be among the routes; requests
    /// are counted by route in any case. Durations are counters, one for each bucket of the page, and
    /// `conduit_request_duration_nanoseconds_sum`. It has no effect without a recorder, with Conduit as the recorder, or
    /// for an application that is a [service](crate::tower) of another server.
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

    /// Sets the proxies whose connections begin with a PROXY protocol header, version 1 or 2, which contains the client's
    /// address: networks such as `10.0.0.0/8`, addresses, and `unix` for Unix sockets. Their connections are closed if the
    /// header is missing, or takes longer than the deadline of a head. Headers of other peers are not parsed. Default: the
    /// environment variable `CONDUIT_PROXY_PROTOCOL`, separated by commas, or no proxies.
    ///
    /// [`Client`](crate::Client) and the access log contain the client's address;
    /// [`peer_connection_limit`](App::peer_connection_limit) counts the client, not the proxy. List as few addresses as
    /// possible: a listed peer can claim any address.
    ///
    /// # Panics
    ///
    /// Panics if a string is not a network.
    pub fn proxy_protocol<T: AsRef<str>>(mut self, proxies: impl IntoIterator<Item = T>) -> Self {
        self.config.proxies.header = Some(Networks::of(proxies));
        self
    }

    /// Sets the proxies whose fields `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` are trusted: networks such
    /// as `10.0.0.0/8`, addresses, and `unix` for Unix sockets. [`Client`](crate::Client) contains their values. Default: the
    /// environment variable `CONDUIT_TRUSTED_PROXIES`, separated by commas, or no proxies.
    ///
    /// A proxy must set or remove each of these fields: a value that it forwards from its client is trusted too.
    /// [`peer_connection_limit`](App::peer_connection_limit) does not apply to these proxies.
    ///
    /// # Panics
    ///
    /// Panics if a string is not a network.
    pub fn trusted_proxies<T: AsRef<str>>(mut self, proxies: impl IntoIterator<Item = T>) -> Self {
        let standard = self.config.proxies.standard;
        let trusted = Networks::of(proxies);
        self.config.proxies.forwarding = Some(Arc::new(Forwarding { trusted, standard }));
        self
    }

    /// Declares that the [trusted proxies](App::trusted_proxies) send `Forwarded` (RFC 7239). Only that field is read then,
    /// otherwise only the others: a proxy sets one kind, and its client could forge the other.
    pub fn forwarded(mut self) -> Self {
        let proxies = &mut self.config.proxies;
        proxies.standard = true;
        if let Some(known) = &mut proxies.forwarding {
            Arc::make_mut(known).standard = true;
        }
        self
    }

    /// Sets the deadline of the TLS handshake, after which the connection is closed. Default: 10 s, with a resolution of 1 s.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.config.handshake_timeout = limit;
        self.config.choose("CONDUIT_HANDSHAKE_TIMEOUT");
        self
    }

    /// Enables TLS on IP addresses, except those that begin with `http://`. [`listen`](App::listen) and [`run`](App::run) read
    /// the certificates and return their errors.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::Tls) -> Self {
        self.config.tls = Some(Arc::new(tls));
        self
    }

    /// Enables TLS with a certificate for `localhost` that is generated at the start: for development. Same as
    /// `tls(Tls::self_signed())`.
    #[cfg(feature = "tls")]
    pub fn tls_self_signed(self) -> Self {
        self.tls(crate::Tls::self_signed())
    }

    /// Sets how long a shutdown waits for requests in progress; the remaining ones are logged and closed. Default: 30 s.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.config.shutdown_timeout = limit;
        self.config.choose("CONDUIT_SHUTDOWN_TIMEOUT");
        self
    }

    /// Permits informational responses ([`Request::inform`](crate::Request::inform)) in HTTP/1.1, such as 103 Early Hints. Off
    /// by default: some clients and proxies mistake them for the final response. HTTP/2 always permits them.
    pub fn inform_http1(mut self) -> Self {
        self.config.informs_http1 = true;
        self
    }

    /// Sets whether a handler runs to completion after its client disconnects, unless its route sets it: see [`Disconnect`].
    /// Default: [`Disconnect::Finish`]; `#[get("/report", disconnect = "abort")]` sets it for one route.
    ///
    /// A disconnect is a reset or the end of the client's stream. A half-close by a client that waits for the response is
    /// indistinguishable from a disconnect: on routes that abort, such a client receives no response. A handler may be aborted
    /// until its response begins; a response stream always ends with its connection.
    ///
    /// # Example
    ///
    /// A report that is aborted if its client disconnects, and an order that is completed:
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

    /// Sets the time between a stop request and the end of accepting, during which [`readyz`](fn@crate::health::readyz) already
    /// responds with 503, so that a load balancer can react. Default: zero.
    ///
    /// A second stop signal ends this time at once.
    pub fn stop_delay(mut self, delay: Duration) -> Self {
        self.config.stop_delay = delay;
        self.config.choose("CONDUIT_STOP_DELAY");
        self
    }

    /// Sets the deadline for the successor process at SIGUSR2 ([`Server::run`](crate::Server::run)) to serve; a late successor
    /// is terminated, and this process continues to serve. Default: 60 s.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is zero.
    pub fn restart_timeout(mut self, limit: Duration) -> Self {
        assert!(!limit.is_zero(), "restart_timeout(0): a process needs time to start");
        self.config.restart_timeout = limit;
        self.config.choose("CONDUIT_RESTART_TIMEOUT");
        self
    }

    /// Sets whether [`run`](App::run) handles the program's arguments. By default it does if all arguments together equal a
    /// row of this table. `run` then returns without serving HTTP. One of these arguments, other than `--routes`, with another value
    /// or without its feature is an error. Other lists are left to the program.
    ///
    /// | arguments | `run` | feature |
    /// | --- | --- | --- |
    /// | `--routes` | prints [the table of routes](App::routes_table) | |
    /// | `--openapi`, `--openapi 3.1` | prints the OpenAPI document in version 3.1, and its gaps to standard error | `openapi` |
    /// | `--openapi 3.2` | prints the document in version 3.2, and its gaps to standard error | `openapi` |
    /// | `--lock` | prints the summary of the API for `api.lock` | `lock` |
    /// | `--client typescript` | prints a client in TypeScript | `codegen` |
    /// | `--client rust` | prints a client in Rust, with its `Cargo.toml` as a comment at the end | `codegen` |
    /// | `--mcp` | serves the tools of the application over standard input and output | `mcp` |
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
