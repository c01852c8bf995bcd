//! The limits that protect a server.

macro_rules! limits {
    ($($(#[$doc:meta])* $variant:ident: $name:literal;)*) => {
        /// A limit or deadline that can be hit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Limit {
            $($(#[$doc])* $variant,)*
        }

        impl Limit {
            /// Each limit, at the index that is its discriminant.
            pub const ALL: [Limit; [$($name),*].len()] = [$(Limit::$variant),*];

            /// Returns the name of the limit in metrics and in the log.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Limit::$variant => $name,)*
                }
            }
        }
    };
}

limits! {
    /// The connections of a worker (`App::connection_limit`): the times at which a worker stopped accepting.
    Connections: "connections";
    /// The connections of a worker (`App::connection_limit`): the connections that were closed for new ones, because they
    /// had been without a request for the longest.
    IdleConnections: "idle_connections";
    /// The connections of one peer address (`App::peer_connection_limit`).
    PeerConnections: "peer_connections";
    /// The requests of one connection (`App::request_limit`).
    Requests: "requests";
    /// The time for a handshake (`App::handshake_timeout`).
    HandshakeTime: "handshake_time";
    /// The time for a head (`App::head_timeout`).
    HeadTime: "head_time";
    /// The size of a head (`App::head_limit`).
    HeadBytes: "head_bytes";
    /// The number of header fields (`App::header_limit`).
    Headers: "headers";
    /// The size of a body (`App::body_limit`).
    BodyBytes: "body_bytes";
    /// The memory for bodies, large heads and unfinished messages (`App::body_memory`).
    BodyMemory: "body_memory";
    /// The memory for compressed streams, which depends on that for bodies (`App::body_memory`).
    CompressionMemory: "compression_memory";
    /// The rate (`App::minimum_rate`) of a body or of a message of a WebSocket.
    BodyRate: "body_rate";
    /// The rate (`App::minimum_rate`) at which the client receives a response.
    WriteRate: "write_rate";
    /// The time without a request (`App::idle_timeout`).
    IdleTime: "idle_time";
    /// The concurrent streams of an HTTP/2 connection (`App::http2_stream_limit`), handlers of reset streams included.
    Http2Streams: "http2_streams";
    /// The frames of a head in HTTP/2 (`App::http2_continuation_limit`).
    Http2Continuations: "http2_continuations";
    /// The windows of request bodies in HTTP/2 (`App::http2_windows`).
    Http2Windows: "http2_windows";
    /// The useless frames in HTTP/2 (`App::http2_glitch_limit`): the delays, and the connections that were closed.
    Http2Glitches: "http2_glitches";
    /// The size of a message of a WebSocket (`App::websocket_message_limit`).
    WebSocketMessage: "websocket_message";
    /// The number of frames of a message of a WebSocket (`App::websocket_fragment_limit`).
    WebSocketFragments: "websocket_fragments";
    /// The time without a sign of life of a WebSocket's client (`App::websocket_timeout`).
    WebSocketTime: "websocket_time";
}

#[cfg(test)]
mod tests {
    use super::Limit;

    #[test]
    fn discriminants_are_the_indices_of_all() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index, "{limit:?}");
        }
    }
}
