//! The limits that protect a server.

/// A limit or deadline that can be hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The connections of a worker (`App::connection_limit`): the times at which a worker stopped accepting.
    Connections,
    /// The connections of a worker (`App::connection_limit`): the connections that were closed for new ones, because they
    /// had been without a request for the longest.
    IdleConnections,
    /// The connections of one peer address (`App::peer_connection_limit`).
    PeerConnections,
    /// The requests of one connection (`App::request_limit`).
    Requests,
    /// The time for a handshake (`App::handshake_timeout`).
    HandshakeTime,
    /// The time for a head (`App::head_timeout`).
    HeadTime,
    /// The size of a head (`App::head_limit`).
    HeadBytes,
    /// The number of header fields (`App::header_limit`).
    Headers,
    /// The size of a body (`App::body_limit`).
    BodyBytes,
    /// The memory for bodies (`App::body_memory`).
    BodyMemory,
    /// The memory for compressed streams, which depends on that for bodies (`App::body_memory`).
    CompressionMemory,
    /// The rate (`App::minimum_rate`) of a body.
    BodyRate,
    /// The rate (`App::minimum_rate`) at which the client receives a response.
    WriteRate,
    /// The time without a request (`App::idle_timeout`).
    IdleTime,
    /// The concurrent streams of an HTTP/2 connection (`App::http2_stream_limit`), handlers of reset streams included.
    Http2Streams,
    /// The frames of a head in HTTP/2 (`App::http2_continuation_limit`).
    Http2Continuations,
    /// The windows of request bodies in HTTP/2 (`App::http2_windows`).
    Http2Windows,
    /// The useless frames in HTTP/2 (`App::http2_glitch_limit`): the delays, and the connections that were closed.
    Http2Glitches,
    /// The size of a message of a WebSocket (`App::websocket_message_limit`).
    WebSocketMessage,
    /// The number of frames of a message of a WebSocket (`App::websocket_fragment_limit`).
    WebSocketFragments,
    /// The time without a sign of life of a WebSocket's client (`App::websocket_timeout`).
    WebSocketTime,
}

impl Limit {
    /// Each limit.
    pub const ALL: [Limit; 21] = [
        Limit::Connections,
        Limit::IdleConnections,
        Limit::PeerConnections,
        Limit::Requests,
        Limit::HandshakeTime,
        Limit::HeadTime,
        Limit::HeadBytes,
        Limit::Headers,
        Limit::BodyBytes,
        Limit::BodyMemory,
        Limit::CompressionMemory,
        Limit::BodyRate,
        Limit::WriteRate,
        Limit::IdleTime,
        Limit::Http2Streams,
        Limit::Http2Continuations,
        Limit::Http2Windows,
        Limit::Http2Glitches,
        Limit::WebSocketMessage,
        Limit::WebSocketFragments,
        Limit::WebSocketTime,
    ];

    /// Returns the name of the limit in metrics and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Connections => "connections",
            Limit::IdleConnections => "idle_connections",
            Limit::PeerConnections => "peer_connections",
            Limit::Requests => "requests",
            Limit::HandshakeTime => "handshake_time",
            Limit::HeadTime => "head_time",
            Limit::HeadBytes => "head_bytes",
            Limit::Headers => "headers",
            Limit::BodyBytes => "body_bytes",
            Limit::BodyMemory => "body_memory",
            Limit::CompressionMemory => "compression_memory",
            Limit::BodyRate => "body_rate",
            Limit::WriteRate => "write_rate",
            Limit::IdleTime => "idle_time",
            Limit::Http2Streams => "http2_streams",
            Limit::Http2Continuations => "http2_continuations",
            Limit::Http2Windows => "http2_windows",
            Limit::Http2Glitches => "http2_glitches",
            Limit::WebSocketMessage => "websocket_message",
            Limit::WebSocketFragments => "websocket_fragments",
            Limit::WebSocketTime => "websocket_time",
        }
    }
}
