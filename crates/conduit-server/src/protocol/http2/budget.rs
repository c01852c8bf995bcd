//! The limits of a connection's handlers, whose memory the engine does not count.

use conduit_proto::h2;

use super::stream::Stream;
use crate::config::Config;
use crate::exchange_id::ExchangeId;
use crate::limit::Limit;

/// The bytes of heads and trailers that the handlers of a connection may hold, unless the limit of a head is large.
const HELD_BYTES: usize = 1024 * 1024;
/// The same as a number of the longest permitted heads.
const HELD_HEADS: usize = 16;

/// The handlers that continue without their stream, and the bytes that all handlers hold.
#[derive(Default)]
pub(super) struct HandlerBudget {
    /// The bytes of heads and trailers that handlers may hold, and of bodies that detached ones may hold: the sum of the
    /// `held_bytes` of the open streams and of `detached`.
    held_bytes: usize,
    /// The handlers that continue to run after the end of their stream.
    detached: Vec<Detached>,
}

/// A handler that continues to run after the end of its stream.
struct Detached {
    /// The number of the stream.
    number: u32,
    /// The part of the connection's held bytes.
    held_bytes: usize,
}

impl HandlerBudget {
    /// Counts bytes of a head or of trailers that the handler of a stream may hold. Returns false where those of the connection
    /// are used up; a connection without any may always hold one head.
    pub(super) fn hold(&mut self, stream: &mut Stream, bytes: usize, config: &Config) -> bool {
        if self.held_bytes > 0 && self.held_bytes.saturating_add(bytes) > held_limit(config) {
            return false;
        }
        self.held_bytes += bytes;
        stream.held_bytes += bytes;
        true
    }

    /// The handler of a stream holds no bytes.
    pub(super) fn release(&mut self, stream: &mut Stream) {
        self.held_bytes -= std::mem::take(&mut stream.held_bytes);
    }

    /// The handler of a stream continues without it. The engine no longer counts the `body_bytes` of a complete body that the
    /// handler may still read.
    pub(super) fn detach(&mut self, id: h2::StreamId, stream: &mut Stream, body_bytes: usize) {
        self.held_bytes += body_bytes;
        let held_bytes = std::mem::take(&mut stream.held_bytes) + body_bytes;
        self.detached.push(Detached {
            number: id.number(),
            held_bytes,
        });
    }

    /// A handler without a stream has ended.
    pub(super) fn end_detached(&mut self, exchange: ExchangeId) {
        let mut detached = self.detached.iter();
        if let Some(index) = detached.position(|detached| detached.number == exchange.generation) {
            self.held_bytes -= self.detached.swap_remove(index).held_bytes;
        }
    }

    /// The limit that handlers of closed streams use up. Nothing is read until handlers have ended, since a client may open
    /// further streams and reset them.
    pub(super) fn used_up_limit(&self, config: &Config) -> Option<Limit> {
        if self.detached.len() >= stream_limit(config) {
            Some(Limit::Http2Streams)
        } else if self.held_bytes > held_limit(config) {
            // Heads and trailers alone stay within it.
            Some(Limit::Http2Windows)
        } else {
            None
        }
    }

    /// Frees memory that the last requests needed.
    pub(super) fn release_memory(&mut self) {
        if self.detached.is_empty() {
            debug_assert_eq!(self.held_bytes, 0, "no stream is open");
            self.detached = Vec::new();
        }
    }
}

/// The number of requests that may be in progress.
fn stream_limit(config: &Config) -> usize {
    config.http2.streams.min(u32::from(u16::MAX)) as usize
}

/// The largest number of held bytes.
fn held_limit(config: &Config) -> usize {
    HELD_BYTES.max(HELD_HEADS.saturating_mul(config.http2.header_list_bytes))
}
