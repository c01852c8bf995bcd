//! The limits and deadlines of WebSockets.

use std::time::Duration;

/// The settings of WebSockets.
#[derive(Clone, Debug)]
pub struct WebSocketConfig {
    /// The size of a message, and of a frame.
    pub message_bytes: usize,
    /// The number of frames of a message.
    pub fragments: u64,
    /// The size of each queue between a WebSocket and its handler.
    pub queue_bytes: usize,
    /// The silence of the client before a ping.
    pub ping_after: Duration,
    /// The silence of the client before the connection is closed.
    pub timeout: Duration,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        WebSocketConfig {
            message_bytes: 1024 * 1024,
            fragments: 1024,
            queue_bytes: 64 * 1024,
            ping_after: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
        }
    }
}
