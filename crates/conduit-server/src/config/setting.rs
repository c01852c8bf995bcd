//! The table of the limits and deadlines: their names, units and texts.

use std::time::Duration;

use super::Config;
use super::setting_ref::SettingRef;
use crate::limit::Limit;

/// The length of the shortest head in HTTP/1.1, which is a request of HTTP/1.0: a method of one character, `/` and the version.
pub const MINIMUM_HEAD_BYTES: usize = 16;
/// The size of the smallest head in HTTP/2: `:method`, `:scheme` and `:path` with values of one character.
#[cfg(feature = "http2")]
pub const MINIMUM_HTTP2_HEAD_BYTES: usize = 118;

/// A limit or deadline: one row of the table.
pub struct Setting {
    /// The method of `App` that sets it.
    pub method: &'static str,
    /// The environment variable that sets it, unless the program does.
    pub variable: &'static str,
    /// The bounded quantity.
    pub bounds: &'static str,
    /// The consequence for a client, or a server, that exceeds it.
    pub over: &'static str,
    /// The counter of its hits.
    pub limit: Option<Limit>,
    /// The default in words, if it is not a number.
    pub default: Option<&'static str>,
    pub(super) place: fn(&mut Config) -> SettingRef<'_>,
}

/// The table of limits and deadlines.
pub const SETTINGS: &[Setting] = &[
    Setting {
        method: "workers",
        variable: "CONDUIT_WORKERS",
        bounds: "worker threads; each needs several descriptors of the process",
        over: "",
        limit: None,
        default: Some("the cores that the process may use"),
        place: |config| SettingRef::Number(&mut config.workers, 1),
    },
    Setting {
        method: "connection_limit",
        variable: "CONDUIT_CONNECTION_LIMIT",
        bounds: "connections of one worker",
        over: "the connection that has been idle for the longest, at least 2 s, is closed for the new one; without one, \
               clients wait in the kernel's queue",
        limit: Some(Limit::Connections),
        default: Some("the worker's share of the process's limit of descriptors"),
        place: |config| SettingRef::Number(&mut config.connections, 1),
    },
    Setting {
        method: "peer_connection_limit",
        variable: "CONDUIT_PEER_CONNECTION_LIMIT",
        bounds: "connections of one peer address (IPv4 address, or IPv6 network of 64 bits) on all workers",
        over: "503 and a close; a TLS connection is closed without a response",
        limit: Some(Limit::PeerConnections),
        default: Some("half of the connections of all workers, but at least 64"),
        place: |config| SettingRef::Number(&mut config.peer_connections, 1),
    },
    Setting {
        method: "request_limit",
        variable: "CONDUIT_REQUEST_LIMIT",
        bounds: "requests of one connection",
        over: "the last response has `connection: close`; in HTTP/2, GOAWAY",
        limit: Some(Limit::Requests),
        default: None,
        place: |config| SettingRef::Number(&mut config.requests, 1),
    },
    Setting {
        method: "handshake_timeout",
        variable: "CONDUIT_HANDSHAKE_TIMEOUT",
        bounds: "the TLS handshake; in HTTP/2, the acknowledgement of SETTINGS",
        over: "close; in HTTP/2, SETTINGS_TIMEOUT",
        limit: Some(Limit::HandshakeTime),
        default: None,
        place: |config| SettingRef::Duration(&mut config.handshake_timeout, Duration::ZERO),
    },
    Setting {
        method: "head_timeout",
        variable: "CONDUIT_HEAD_TIMEOUT",
        bounds: "a request's head, from its first byte to its last",
        over: "408 and a close; in HTTP/2, ENHANCE_YOUR_CALM for the connection",
        limit: Some(Limit::HeadTime),
        default: None,
        place: |config| SettingRef::Duration(&mut config.head_timeout, Duration::ZERO),
    },
    Setting {
        method: "head_limit",
        variable: "CONDUIT_HEAD_LIMIT",
        bounds: "a request's head in HTTP/1.1; at least 16 bytes, those of the shortest request",
        over: "431, or 414 when the request line alone is too long, or 501 when its method alone is, and a close",
        limit: Some(Limit::HeadBytes),
        default: None,
        place: |config| SettingRef::Bytes(&mut config.head.head_bytes, MINIMUM_HEAD_BYTES as u64),
    },
    Setting {
        method: "header_limit",
        variable: "CONDUIT_HEADER_LIMIT",
        bounds: "header fields of a request, at least 1; a larger number than 24000 counts as 24000",
        over: "431, and a close in HTTP/1.1",
        limit: Some(Limit::Headers),
        default: None,
        place: |config| SettingRef::Number(&mut config.head.headers, 1),
    },
    Setting {
        method: "body_limit",
        variable: "CONDUIT_BODY_LIMIT",
        bounds: "a request's body",
        over: "413",
        limit: Some(Limit::BodyBytes),
        default: None,
        place: |config| SettingRef::Bytes(&mut config.body_bytes, 0),
    },
    Setting {
        method: "body_memory",
        variable: "CONDUIT_BODY_MEMORY",
        bounds: "memory of request bodies in buffers, of large heads in HTTP/2, and of unfinished messages of WebSockets, on all workers",
        over: "503 with `retry-after`; REFUSED_STREAM for a head in HTTP/2; close with 1013 for a message; a response stream whose encoder is beyond a quarter of it is not compressed",
        limit: Some(Limit::BodyMemory),
        default: Some("a quarter of the memory that the process may use"),
        place: |config| SettingRef::Bytes(&mut config.body_memory, 0),
    },
    Setting {
        method: "minimum_rate",
        variable: "CONDUIT_MINIMUM_RATE",
        bounds: "the minimum rate of a body or of a message of a WebSocket, and of a response's transfer",
        over: "a body: 408, and a close in HTTP/1.1; a message: close with 1008; a response: it is aborted",
        limit: Some(Limit::BodyRate),
        default: None,
        place: |config| SettingRef::Rate(&mut config.minimum_rate),
    },
    Setting {
        method: "minimum_rate",
        variable: "CONDUIT_RATE_GRACE",
        bounds: "the time that a client may be below the minimum rate, or send nothing",
        over: "",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.rate_grace, Duration::ZERO),
    },
    Setting {
        method: "idle_timeout",
        variable: "CONDUIT_IDLE_TIMEOUT",
        bounds: "a connection without a request, or with nothing to send to a client that has ended its half",
        over: "close",
        limit: Some(Limit::IdleTime),
        default: None,
        place: |config| SettingRef::Duration(&mut config.idle_timeout, Duration::ZERO),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_stream_limit",
        variable: "CONDUIT_HTTP2_STREAM_LIMIT",
        bounds: "concurrent requests of an HTTP/2 connection; a larger number than 65535 counts as 65535",
        over: "REFUSED_STREAM for the request; running handlers of reset streams count too, and while their number is at the limit, nothing is read from the connection",
        limit: Some(Limit::Http2Streams),
        default: None,
        place: |config| SettingRef::Number(&mut config.http2.streams, 1),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_head_limit",
        variable: "CONDUIT_HTTP2_HEAD_LIMIT",
        bounds: "a request's head in HTTP/2: names and values, and 32 bytes for each field; at least 118 bytes, those of the shortest request",
        over: "431, or 414 when the target is too long for a URI; ENHANCE_YOUR_CALM for trailers, and for a head whose compressed form already exceeds the limit; REFUSED_STREAM where the requests in progress of a connection hold 1 MiB, or 16 times the limit if that is more",
        limit: Some(Limit::HeadBytes),
        default: None,
        place: |config| SettingRef::Bytes(&mut config.http2.header_list_bytes, MINIMUM_HTTP2_HEAD_BYTES as u64),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_continuation_limit",
        variable: "CONDUIT_HTTP2_CONTINUATION_LIMIT",
        bounds: "CONTINUATION frames of a head",
        over: "ENHANCE_YOUR_CALM for the connection",
        limit: Some(Limit::Http2Continuations),
        default: None,
        place: |config| SettingRef::Number(&mut config.http2.continuations, 0),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_windows",
        variable: "CONDUIT_HTTP2_STREAM_WINDOW",
        bounds: "bytes of a body that arrive before the handler reads them",
        over: "FLOW_CONTROL_ERROR for the stream",
        limit: Some(Limit::Http2Windows),
        default: None,
        place: |config| SettingRef::Bytes(&mut config.http2.stream_window, 1),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_windows",
        variable: "CONDUIT_HTTP2_MAX_STREAM_WINDOW",
        bounds: "the size that the window of a body grows to while the handler reads all that arrives",
        over: "FLOW_CONTROL_ERROR for the stream",
        limit: Some(Limit::Http2Windows),
        default: None,
        place: |config| SettingRef::Bytes(&mut config.http2.max_stream_window, 0),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_windows",
        variable: "CONDUIT_HTTP2_CONNECTION_WINDOW",
        bounds: "bytes of all bodies of a connection that arrive before handlers read them; a smaller number than 65535 counts as 65535",
        over: "FLOW_CONTROL_ERROR for the connection",
        limit: Some(Limit::Http2Windows),
        default: None,
        place: |config| SettingRef::Bytes(&mut config.http2.connection_window, 0),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_glitch_limit",
        variable: "CONDUIT_HTTP2_GLITCH_LIMIT",
        bounds: "frames that cost work and transfer nothing, as a burst: resets in either direction, malformed requests, SETTINGS, PRIORITY, \
                 unknown frames, DATA of less than 5 bytes, and PING and WINDOW_UPDATE beyond three for each request and each frame of a \
                 response",
        over: "nothing is read for a second; at the 33rd time ENHANCE_YOUR_CALM for the connection",
        limit: Some(Limit::Http2Glitches),
        default: None,
        place: |config| SettingRef::Number(&mut config.http2.glitches, 1),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_glitch_limit",
        variable: "CONDUIT_HTTP2_GLITCH_RATE",
        bounds: "such frames in each second thereafter",
        over: "",
        limit: None,
        default: None,
        place: |config| SettingRef::Number(&mut config.http2.glitches_per_second, 1),
    },
    Setting {
        method: "tcp_keep_alive",
        variable: "CONDUIT_TCP_KEEP_ALIVE",
        bounds: "idle time of a TCP connection before the system probes the peer, 4 times in 60 s; `0s` disables probes",
        over: "close if the peer acknowledges no probe",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.tcp_keep_alive, Duration::ZERO),
    },
    Setting {
        method: "blocked_after",
        variable: "CONDUIT_BLOCKED_AFTER",
        bounds: "a handler that blocks its worker",
        over: "a warning while it blocks, and another one when it ends; `0s` disables them",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.blocked_after, Duration::ZERO),
    },
    Setting {
        method: "websocket_message_limit",
        variable: "CONDUIT_WEBSOCKET_MESSAGE_LIMIT",
        bounds: "a message of a WebSocket, after decompression; and a frame of it",
        over: "close with 1009",
        limit: Some(Limit::WebSocketMessage),
        default: None,
        place: |config| SettingRef::Bytes(&mut config.websocket.message_bytes, 0),
    },
    Setting {
        method: "websocket_fragment_limit",
        variable: "CONDUIT_WEBSOCKET_FRAGMENT_LIMIT",
        bounds: "frames of a message of a WebSocket",
        over: "close with 1008",
        limit: Some(Limit::WebSocketFragments),
        default: None,
        place: |config| SettingRef::Number(&mut config.websocket.fragments, 1),
    },
    Setting {
        method: "websocket_queue_limit",
        variable: "CONDUIT_WEBSOCKET_QUEUE_LIMIT",
        bounds: "messages between a WebSocket and its handler, in each direction; a message counts its length plus 64 bytes; the queue to the handler may hold twice the limit, because all frames of one read enter it; up to 64 KiB that the next system call sends do not count (256 KiB for messages of 8 KiB or more)",
        over: "`send` waits, or nothing more is read",
        limit: None,
        default: None,
        place: |config| SettingRef::Bytes(&mut config.websocket.queue_bytes, 0),
    },
    Setting {
        method: "websocket_ping_interval",
        variable: "CONDUIT_WEBSOCKET_PING_INTERVAL",
        bounds: "time without bytes from the client of a WebSocket",
        over: "a ping",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.websocket.ping_after, Duration::ZERO),
    },
    Setting {
        method: "websocket_timeout",
        variable: "CONDUIT_WEBSOCKET_TIMEOUT",
        bounds: "time without bytes from the client of a WebSocket, such as those of a message or a pong",
        over: "close",
        limit: Some(Limit::WebSocketTime),
        default: None,
        place: |config| SettingRef::Duration(&mut config.websocket.timeout, Duration::ZERO),
    },
    Setting {
        method: "shutdown_timeout",
        variable: "CONDUIT_SHUTDOWN_TIMEOUT",
        bounds: "requests in progress when the server stops",
        over: "named in the log and closed",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.shutdown_timeout, Duration::ZERO),
    },
    Setting {
        method: "stop_delay",
        variable: "CONDUIT_STOP_DELAY",
        bounds: "time between the stop request and the end of accepting; `/readyz` already returns 503",
        over: "accepting stops",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.stop_delay, Duration::ZERO),
    },
    Setting {
        method: "restart_timeout",
        variable: "CONDUIT_RESTART_TIMEOUT",
        bounds: "the start of the process that takes over at SIGUSR2, at least 1 ms",
        over: "the new process is killed; the old one continues to serve",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.restart_timeout, Duration::from_millis(1)),
    },
    Setting {
        method: "file_cache",
        variable: "CONDUIT_FILE_CACHE",
        bounds: "files that a worker keeps open for `Files`",
        over: "a file that was not requested lately is closed; `0` keeps none open",
        limit: None,
        default: None,
        place: |config| SettingRef::Number(&mut config.files.files, 0),
    },
    Setting {
        method: "file_check_interval",
        variable: "CONDUIT_FILE_CHECK_INTERVAL",
        bounds: "the time for which a worker serves an open file without checking its path",
        over: "the path is resolved again",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.files.check_interval, Duration::ZERO),
    },
];

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table of `docs/limits.md`.
    fn documented() -> String {
        let mut table = String::from(
            "| `App` | variable | bounds | unit | default | effect when exceeded | counted as |\n\
             | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        let mut defaults = Config::default();
        for setting in SETTINGS {
            let place = (setting.place)(&mut defaults);
            let default = setting.default.map_or_else(|| place.text(), str::to_owned);
            let counted = match setting.limit {
                None => "–".to_owned(),
                Some(Limit::BodyRate) => format!("`{}`, `{}`", Limit::BodyRate.name(), Limit::WriteRate.name()),
                Some(Limit::Connections) => {
                    format!("`{}`, `{}`", Limit::IdleConnections.name(), Limit::Connections.name())
                }
                Some(Limit::BodyMemory) => {
                    format!("`{}`, `{}`", Limit::BodyMemory.name(), Limit::CompressionMemory.name())
                }
                Some(limit) => format!("`{}`", limit.name()),
            };
            let over = if setting.over.is_empty() { "–" } else { setting.over };
            let (method, variable, bounds, unit) = (setting.method, setting.variable, setting.bounds, place.unit());
            writeln!(
                table,
                "| `{method}` | `{variable}` | {bounds} | {unit} | {default} | {over} | {counted} |"
            )
            .expect("a string takes everything");
        }
        table
    }

    #[test]
    fn the_documented_table_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/limits.md");
        let text = std::fs::read_to_string(path).expect("docs/limits.md can be read");
        assert!(
            text.contains(&documented()),
            "put this table into docs/limits.md:\n{}",
            documented()
        );
    }

    #[test]
    fn the_environment_sets_settings_that_the_program_does_not() {
        let mut config = Config {
            body_bytes: 5,
            ..Config::default()
        };
        config.choose("CONDUIT_BODY_LIMIT");
        let config = config
            .with_environment(|name| match name {
                "CONDUIT_BODY_LIMIT" => Some("7".into()),
                "CONDUIT_HEAD_LIMIT" => Some("32KiB".into()),
                "CONDUIT_IDLE_TIMEOUT" => Some("2m".into()),
                "CONDUIT_HEAD_TIMEOUT" => Some("1500ms".into()),
                "CONDUIT_PEER_CONNECTION_LIMIT" => Some("9".into()),
                _ => None,
            })
            .expect("each value is one");
        assert_eq!(config.body_bytes, 5);
        assert_eq!(config.head.head_bytes, 32 * 1024);
        assert_eq!(config.idle_timeout, Duration::from_secs(120));
        assert_eq!(config.head_timeout, Duration::from_millis(1500));
        assert_eq!(config.peer_connections, Some(9));
    }

    fn error_of(variable: &str, value: &str) -> String {
        let error = Config::default()
            .with_environment(|name| (name == variable).then(|| value.into()))
            .expect_err("the value is invalid");
        error.to_string()
    }

    fn expected_error(variable: &str, value: &str, expected: &str) -> String {
        format!("invalid {variable}={value:?}: expected {expected}")
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_variable_and_the_expected_form() {
        for (variable, value, expected) in [
            ("CONDUIT_WORKERS", "0", "a whole number from 1 up"),
            ("CONDUIT_REQUEST_LIMIT", "-1", "a whole number from 1 up"),
            (
                "CONDUIT_BODY_LIMIT",
                "2 MB",
                "a number of bytes such as 16384, 16KiB or 2MiB",
            ),
            (
                "CONDUIT_HEAD_LIMIT",
                "99999999999GiB",
                "a number of bytes from 16 up, such as 16384, 16KiB or 2MiB",
            ),
            (
                "CONDUIT_HEAD_LIMIT",
                "15",
                "a number of bytes from 16 up, such as 16384, 16KiB or 2MiB",
            ),
            ("CONDUIT_HEADER_LIMIT", "0", "a whole number from 1 up"),
            (
                "CONDUIT_WEBSOCKET_MESSAGE_LIMIT",
                "1KB",
                "a number of bytes such as 16384, 16KiB or 2MiB",
            ),
            (
                "CONDUIT_MINIMUM_RATE",
                "fast",
                "a number of bytes a second such as 1024 or 1KiB",
            ),
            (
                "CONDUIT_RESTART_TIMEOUT",
                "0s",
                "a duration from 1ms up, such as 10s, 500ms or 2m",
            ),
            ("CONDUIT_IDLE_TIMEOUT", "soon", "a duration such as 10s, 500ms or 2m"),
            ("CONDUIT_IDLE_TIMEOUT", "", "a duration such as 10s, 500ms or 2m"),
        ] {
            assert_eq!(error_of(variable, value), expected_error(variable, value, expected));
        }
    }

    #[cfg(feature = "http2")]
    #[test]
    fn an_invalid_value_is_reported_with_the_range_of_its_type() {
        for (variable, value, expected) in [
            ("CONDUIT_HTTP2_STREAM_LIMIT", "0", "a whole number from 1 to 4294967295"),
            (
                "CONDUIT_HTTP2_STREAM_LIMIT",
                "4294967296",
                "a whole number from 1 to 4294967295",
            ),
            (
                "CONDUIT_HTTP2_CONTINUATION_LIMIT",
                "256",
                "a whole number from 0 to 255",
            ),
            (
                "CONDUIT_HTTP2_STREAM_WINDOW",
                "0",
                "a number of bytes from 1 to 4294967295, such as 16384, 16KiB or 2MiB",
            ),
            (
                "CONDUIT_HTTP2_CONNECTION_WINDOW",
                "4GiB",
                "a number of bytes from 0 to 4294967295, such as 16384, 16KiB or 2MiB",
            ),
        ] {
            assert_eq!(error_of(variable, value), expected_error(variable, value, expected));
        }
    }

    /// As `App::http2_windows`: the window of a connection is at least 65535 in any case, and that of a stream need not grow.
    #[cfg(feature = "http2")]
    #[test]
    fn the_environment_sets_windows_to_0() {
        let config = Config::default()
            .with_environment(|name| (name == "CONDUIT_HTTP2_CONNECTION_WINDOW").then(|| "0".into()))
            .expect("0 is valid");
        assert_eq!(config.http2.connection_window, 0);
        let config = Config::default()
            .with_environment(|name| (name == "CONDUIT_HTTP2_MAX_STREAM_WINDOW").then(|| "0".into()))
            .expect("0 is valid");
        assert_eq!(config.http2.max_stream_window, 0);
    }

    #[test]
    fn each_default_equals_its_parsed_text() {
        let mut defaults = Config::default();
        for setting in SETTINGS {
            let mut place = (setting.place)(&mut defaults);
            let text = place.text();
            if setting.default.is_none() {
                place.set(&text).expect("a default can be written down");
                assert_eq!(place.text(), text, "{}", setting.variable);
            }
        }
    }
}
