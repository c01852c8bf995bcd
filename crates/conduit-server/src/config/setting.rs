//! The table of the limits and deadlines: their names, units and texts.

use std::borrow::Cow;
use std::time::Duration;

use super::Config;
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

/// The location of a setting's value, which also determines its unit.
#[cfg_attr(
    not(feature = "http2"),
    expect(dead_code, reason = "only limits of HTTP/2 have some of these units")
)]
pub(super) enum SettingRef<'a> {
    Count(&'a mut u64),
    Frames(&'a mut u32),
    Continuations(&'a mut u8),
    Window(&'a mut u32),
    Fields(&'a mut usize),
    CountOrElse(&'a mut Option<usize>),
    Bytes(&'a mut u64),
    BytesOrElse(&'a mut Option<u64>),
    Memory(&'a mut usize),
    /// Memory with a minimum: a smaller value admits no request.
    MemoryFrom(&'a mut usize, usize),
    Rate(&'a mut u64),
    Duration(&'a mut Duration),
}

impl SettingRef<'_> {
    /// Sets the value; `None` if the text is invalid.
    pub(super) fn set(&mut self, text: &str) -> Option<()> {
        match self {
            SettingRef::Count(count) => **count = text.parse().ok().filter(|&count| count > 0)?,
            SettingRef::Frames(count) => **count = text.parse().ok().filter(|&count| count > 0)?,
            SettingRef::Continuations(count) => **count = text.parse().ok()?,
            SettingRef::Window(bytes) => **bytes = u32::try_from(parse_bytes(text)?).ok().filter(|&bytes| bytes > 0)?,
            SettingRef::Fields(count) => **count = text.parse().ok()?,
            SettingRef::CountOrElse(count) => **count = Some(text.parse().ok().filter(|&count| count > 0)?),
            SettingRef::Bytes(bytes) | SettingRef::Rate(bytes) => **bytes = parse_bytes(text)?,
            SettingRef::BytesOrElse(bytes) => **bytes = Some(parse_bytes(text)?),
            SettingRef::Memory(bytes) => **bytes = usize::try_from(parse_bytes(text)?).ok()?,
            SettingRef::MemoryFrom(bytes, minimum) => {
                **bytes = usize::try_from(parse_bytes(text)?)
                    .ok()
                    .filter(|bytes| bytes >= minimum)?;
            }
            SettingRef::Duration(duration) => **duration = parse_duration(text)?,
        }
        Some(())
    }

    pub(super) fn expected(&self) -> Cow<'static, str> {
        let expected = match self {
            SettingRef::MemoryFrom(_, minimum) => {
                return format!("a number of bytes from {minimum} up, such as 16384, 16KiB or 2MiB").into();
            }
            SettingRef::Count(_) | SettingRef::CountOrElse(_) => "a whole number from 1 up",
            SettingRef::Frames(_) => "a whole number from 1 up, below 2^32",
            SettingRef::Continuations(_) => "a whole number up to 255",
            SettingRef::Window(_) => "a number of bytes such as 65536, 64KiB or 1MiB, below 4GiB",
            SettingRef::Fields(_) => "a whole number",
            SettingRef::Bytes(_) | SettingRef::BytesOrElse(_) | SettingRef::Memory(_) => {
                "a number of bytes such as 16384, 16KiB or 2MiB"
            }
            SettingRef::Rate(_) => "a number of bytes a second such as 1024 or 1KiB",
            SettingRef::Duration(_) => "a duration such as 10s, 500ms or 2m",
        };
        expected.into()
    }

    pub(super) fn unit(&self) -> &'static str {
        match self {
            SettingRef::Count(_)
            | SettingRef::CountOrElse(_)
            | SettingRef::Frames(_)
            | SettingRef::Continuations(_)
            | SettingRef::Fields(_) => "number",
            SettingRef::Bytes(_)
            | SettingRef::BytesOrElse(_)
            | SettingRef::Window(_)
            | SettingRef::Memory(_)
            | SettingRef::MemoryFrom(..) => "bytes",
            SettingRef::Rate(_) => "bytes a second",
            SettingRef::Duration(_) => "duration",
        }
    }

    /// The value as the environment would have it.
    pub(super) fn text(&self) -> String {
        match self {
            SettingRef::Count(count) => count.to_string(),
            SettingRef::Frames(count) => count.to_string(),
            SettingRef::Continuations(count) => count.to_string(),
            SettingRef::Window(bytes) => show_bytes((**bytes).into()),
            SettingRef::Fields(count) => count.to_string(),
            SettingRef::CountOrElse(count) => count.map(|count| count.to_string()).unwrap_or_default(),
            SettingRef::Bytes(bytes) | SettingRef::Rate(bytes) => show_bytes(**bytes),
            SettingRef::BytesOrElse(bytes) => bytes.map(show_bytes).unwrap_or_default(),
            SettingRef::Memory(bytes) | SettingRef::MemoryFrom(bytes, _) => show_bytes(**bytes as u64),
            SettingRef::Duration(duration) if duration.subsec_millis() != 0 => format!("{}ms", duration.as_millis()),
            SettingRef::Duration(duration) => format!("{}s", duration.as_secs()),
        }
    }
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
        place: |config| SettingRef::CountOrElse(&mut config.workers),
    },
    Setting {
        method: "connection_limit",
        variable: "CONDUIT_CONNECTION_LIMIT",
        bounds: "connections of one worker",
        over: "the connection that has been idle for the longest, at least 2 s, is closed for the new one; without one, \
               clients wait in the kernel's queue",
        limit: Some(Limit::Connections),
        default: Some("the worker's share of the process's limit of descriptors"),
        place: |config| SettingRef::CountOrElse(&mut config.connections),
    },
    Setting {
        method: "peer_connection_limit",
        variable: "CONDUIT_PEER_CONNECTION_LIMIT",
        bounds: "connections of one peer address (IPv4 address, or IPv6 network of 64 bits) on all workers",
        over: "503 and a close; a TLS connection is closed without a response",
        limit: Some(Limit::PeerConnections),
        default: Some("half of the connections of all workers, but at least 64"),
        place: |config| SettingRef::CountOrElse(&mut config.peer_connections),
    },
    Setting {
        method: "request_limit",
        variable: "CONDUIT_REQUEST_LIMIT",
        bounds: "requests of one connection",
        over: "the last response has `connection: close`; in HTTP/2, GOAWAY",
        limit: Some(Limit::Requests),
        default: None,
        place: |config| SettingRef::Count(&mut config.requests),
    },
    Setting {
        method: "handshake_timeout",
        variable: "CONDUIT_HANDSHAKE_TIMEOUT",
        bounds: "the TLS handshake; in HTTP/2, the acknowledgement of SETTINGS",
        over: "close; in HTTP/2, SETTINGS_TIMEOUT",
        limit: Some(Limit::HandshakeTime),
        default: None,
        place: |config| SettingRef::Duration(&mut config.handshake_timeout),
    },
    Setting {
        method: "head_timeout",
        variable: "CONDUIT_HEAD_TIMEOUT",
        bounds: "a request's head, from its first byte to its last",
        over: "408 and a close; in HTTP/2, ENHANCE_YOUR_CALM for the connection",
        limit: Some(Limit::HeadTime),
        default: None,
        place: |config| SettingRef::Duration(&mut config.head_timeout),
    },
    Setting {
        method: "head_limit",
        variable: "CONDUIT_HEAD_LIMIT",
        bounds: "a request's head in HTTP/1.1; at least 16 bytes, those of the shortest request",
        over: "431, or 414 when the request line alone is too long, or 501 when its method alone is, and a close",
        limit: Some(Limit::HeadBytes),
        default: None,
        place: |config| SettingRef::MemoryFrom(&mut config.head.head_bytes, MINIMUM_HEAD_BYTES),
    },
    Setting {
        method: "header_limit",
        variable: "CONDUIT_HEADER_LIMIT",
        bounds: "header fields of a request; a larger number than 24000 counts as 24000",
        over: "431, and a close in HTTP/1.1",
        limit: Some(Limit::Headers),
        default: None,
        place: |config| SettingRef::Fields(&mut config.head.headers),
    },
    Setting {
        method: "body_limit",
        variable: "CONDUIT_BODY_LIMIT",
        bounds: "a request's body",
        over: "413",
        limit: Some(Limit::BodyBytes),
        default: None,
        place: |config| SettingRef::Bytes(&mut config.body_bytes),
    },
    Setting {
        method: "body_memory",
        variable: "CONDUIT_BODY_MEMORY",
        bounds: "memory of request bodies in buffers, on all workers",
        over: "503 with `retry-after`; a response stream whose encoder is beyond a quarter of it is not compressed",
        limit: Some(Limit::BodyMemory),
        default: Some("a quarter of the memory that the process may use"),
        place: |config| SettingRef::BytesOrElse(&mut config.body_memory),
    },
    Setting {
        method: "minimum_rate",
        variable: "CONDUIT_MINIMUM_RATE",
        bounds: "the minimum rate of a body, and of a response's transfer",
        over: "a body: 408, and a close in HTTP/1.1; a response: it is aborted",
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
        place: |config| SettingRef::Duration(&mut config.rate_grace),
    },
    Setting {
        method: "idle_timeout",
        variable: "CONDUIT_IDLE_TIMEOUT",
        bounds: "a connection without a request, or with nothing to send to a client that has ended its half",
        over: "close",
        limit: Some(Limit::IdleTime),
        default: None,
        place: |config| SettingRef::Duration(&mut config.idle_timeout),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_stream_limit",
        variable: "CONDUIT_HTTP2_STREAM_LIMIT",
        bounds: "concurrent requests of an HTTP/2 connection; a larger number than 65535 counts as 65535",
        over: "REFUSED_STREAM for the request; handlers of reset streams count, whichever side reset them; while as many as the limit run, nothing is read",
        limit: Some(Limit::Http2Streams),
        default: None,
        place: |config| SettingRef::Frames(&mut config.http2.streams),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_head_limit",
        variable: "CONDUIT_HTTP2_HEAD_LIMIT",
        bounds: "a request's head in HTTP/2: names and values, and 32 bytes for each field; at least 118 bytes, those of the shortest request",
        over: "431, or 414 when the target is too long for a URI; ENHANCE_YOUR_CALM for trailers, and for a head whose compressed form already exceeds the limit; REFUSED_STREAM where the requests in progress of a connection hold 1 MiB, or 16 times the limit if that is more",
        limit: Some(Limit::HeadBytes),
        default: None,
        place: |config| SettingRef::MemoryFrom(&mut config.http2.header_list_bytes, MINIMUM_HTTP2_HEAD_BYTES),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_continuation_limit",
        variable: "CONDUIT_HTTP2_CONTINUATION_LIMIT",
        bounds: "CONTINUATION frames of a head",
        over: "ENHANCE_YOUR_CALM for the connection",
        limit: Some(Limit::Http2Continuations),
        default: None,
        place: |config| SettingRef::Continuations(&mut config.http2.continuations),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_windows",
        variable: "CONDUIT_HTTP2_STREAM_WINDOW",
        bounds: "bytes of a body that arrive before the handler reads them",
        over: "FLOW_CONTROL_ERROR for the stream",
        limit: Some(Limit::Http2Windows),
        default: None,
        place: |config| SettingRef::Window(&mut config.http2.stream_window),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_windows",
        variable: "CONDUIT_HTTP2_MAX_STREAM_WINDOW",
        bounds: "the size that the window of a body grows to while the handler reads all that arrives",
        over: "FLOW_CONTROL_ERROR for the stream",
        limit: Some(Limit::Http2Windows),
        default: None,
        place: |config| SettingRef::Window(&mut config.http2.max_stream_window),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_windows",
        variable: "CONDUIT_HTTP2_CONNECTION_WINDOW",
        bounds: "bytes of all bodies of a connection that arrive before handlers read them; a smaller number than 65535 counts as 65535",
        over: "FLOW_CONTROL_ERROR for the connection",
        limit: Some(Limit::Http2Windows),
        default: None,
        place: |config| SettingRef::Window(&mut config.http2.connection_window),
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
        place: |config| SettingRef::Frames(&mut config.http2.glitches),
    },
    #[cfg(feature = "http2")]
    Setting {
        method: "http2_glitch_limit",
        variable: "CONDUIT_HTTP2_GLITCH_RATE",
        bounds: "such frames in each second thereafter",
        over: "",
        limit: None,
        default: None,
        place: |config| SettingRef::Frames(&mut config.http2.glitches_per_second),
    },
    Setting {
        method: "tcp_keep_alive",
        variable: "CONDUIT_TCP_KEEP_ALIVE",
        bounds: "idle time of a TCP connection before the system probes the peer, 4 times in 60 s; `0s` disables probes",
        over: "close if the peer acknowledges no probe",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.tcp_keep_alive),
    },
    Setting {
        method: "blocked_after",
        variable: "CONDUIT_BLOCKED_AFTER",
        bounds: "a handler that blocks its worker",
        over: "a warning while it blocks, and another one when it ends; `0s` disables them",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.blocked_after),
    },
    Setting {
        method: "websocket_message_limit",
        variable: "CONDUIT_WEBSOCKET_MESSAGE_LIMIT",
        bounds: "a message of a WebSocket, after decompression; and a frame of it",
        over: "close with 1009",
        limit: Some(Limit::WebSocketMessage),
        default: None,
        place: |config| SettingRef::Memory(&mut config.websocket.message_bytes),
    },
    Setting {
        method: "websocket_fragment_limit",
        variable: "CONDUIT_WEBSOCKET_FRAGMENT_LIMIT",
        bounds: "frames of a message of a WebSocket",
        over: "close with 1008",
        limit: Some(Limit::WebSocketFragments),
        default: None,
        place: |config| SettingRef::Count(&mut config.websocket.fragments),
    },
    Setting {
        method: "websocket_queue_limit",
        variable: "CONDUIT_WEBSOCKET_QUEUE_LIMIT",
        bounds: "messages between a WebSocket and its handler, in each direction; each message counts its length plus 64 bytes, and frames that have arrived with the last one may double the bytes for the handler; up to 64 KiB that are being sent to the client do not count (256 KiB for messages of 8 KiB or more)",
        over: "`send` waits, or nothing more is read",
        limit: None,
        default: None,
        place: |config| SettingRef::Memory(&mut config.websocket.queue_bytes),
    },
    Setting {
        method: "websocket_ping_interval",
        variable: "CONDUIT_WEBSOCKET_PING_INTERVAL",
        bounds: "time without bytes from the client of a WebSocket",
        over: "a ping",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.websocket.ping_after),
    },
    Setting {
        method: "websocket_timeout",
        variable: "CONDUIT_WEBSOCKET_TIMEOUT",
        bounds: "time without bytes from the client of a WebSocket, such as those of a message or a pong",
        over: "close",
        limit: Some(Limit::WebSocketTime),
        default: None,
        place: |config| SettingRef::Duration(&mut config.websocket.timeout),
    },
    Setting {
        method: "shutdown_timeout",
        variable: "CONDUIT_SHUTDOWN_TIMEOUT",
        bounds: "requests in progress when the server stops",
        over: "named in the log and closed",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.shutdown_timeout),
    },
    Setting {
        method: "stop_delay",
        variable: "CONDUIT_STOP_DELAY",
        bounds: "time between the stop request and the end of accepting; `/readyz` already returns 503",
        over: "accepting stops",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.stop_delay),
    },
    Setting {
        method: "restart_timeout",
        variable: "CONDUIT_RESTART_TIMEOUT",
        bounds: "the start of the process that takes over at SIGUSR2",
        over: "the new process is killed; the old one continues to serve",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.restart_timeout),
    },
    Setting {
        method: "file_cache",
        variable: "CONDUIT_FILE_CACHE",
        bounds: "files that a worker keeps open for `Files`",
        over: "a file that was not requested lately is closed; `0` keeps none open",
        limit: None,
        default: None,
        place: |config| SettingRef::Fields(&mut config.files.files),
    },
    Setting {
        method: "file_check_interval",
        variable: "CONDUIT_FILE_CHECK_INTERVAL",
        bounds: "the time for which a worker serves an open file without checking its path",
        over: "the path is resolved again",
        limit: None,
        default: None,
        place: |config| SettingRef::Duration(&mut config.files.check_interval),
    },
];

/// A number of bytes: digits, and a unit of 1024 or none.
fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, unit) = split_unit(text);
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A duration: digits and a unit; without one it is seconds.
fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, unit) = split_unit(text);
    let number: u64 = digits.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits);
    (digits, unit.strip_prefix(' ').unwrap_or(unit))
}

fn show_bytes(bytes: u64) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => bytes.to_string(),
    }
}

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
            ("CONDUIT_IDLE_TIMEOUT", "soon", "a duration such as 10s, 500ms or 2m"),
            ("CONDUIT_IDLE_TIMEOUT", "", "a duration such as 10s, 500ms or 2m"),
        ] {
            let error = Config::default()
                .with_environment(|name| (name == variable).then(|| value.into()))
                .expect_err("the value is invalid");
            assert_eq!(
                error.to_string(),
                format!("invalid {variable}={value:?}: expected {expected}")
            );
        }
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
