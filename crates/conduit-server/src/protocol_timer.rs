//! The names of the timers that belong to one protocol.

/// An event that a protocol waits for, for a time that it chooses. A link only compares it with the one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ProtocolTimer {
    /// The end of the PROXY header.
    ProxyHeader,
    /// The end of the TLS handshake.
    Handshake,
    /// The end of the client's half of the stream, after the last response.
    Linger,
    /// HTTP/2: the transfers of streams, each with its rate, are checked each second.
    #[cfg(feature = "http2")]
    Streams,
    /// HTTP/2: the end of a pause after too many useless frames.
    #[cfg(feature = "http2")]
    Delay,
    /// HTTP/2: the acknowledgement of the server's SETTINGS.
    #[cfg(feature = "http2")]
    Settings,
    /// HTTP/2: the response to the PING of a shutdown. No request is in transit after it.
    #[cfg(feature = "http2")]
    GoAway,
    /// WebSocket: any bytes from the client.
    #[cfg(feature = "websocket")]
    Quiet,
    /// WebSocket: any bytes from the client after a ping.
    #[cfg(feature = "websocket")]
    Pong,
    /// WebSocket: the client's Close after the server's.
    #[cfg(feature = "websocket")]
    Close,
}
