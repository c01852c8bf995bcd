//! The limits of a connection's handlers, whose memory the engine does not count.

use conduit_core::internal::charge::Charge;
use conduit_proto::h2;

use super::stream::Stream;
use crate::config::Config;
use crate::exchange_id::ExchangeId;
use crate::limit::Limit;

/// The bytes of heads and trailers that the handlers of a connection may hold, unless the limit of a head is large.
const HELD_BYTES: usize = 1024 * 1024;
/// The same as a number of the longest permitted heads.
const HELD_HEADS: usize = 16;

/// The bytes of heads and trailers of a connection that are not taken from the server's memory: those of a head of HTTP/1.1.
const FREE_BYTES: usize = 16 * 1024;
/// The server's memory is taken in multiples of this, so that most requests change no counter of the process.
const CHARGE_BYTES: usize = 16 * 1024;

/// The handlers that continue without their stream, and the bytes that all handlers hold.
#[derive(Default)]
pub(super) struct HandlerBudget {
    /// The bytes of heads and trailers that handlers may hold: the sum of the `held_bytes` of the open streams and of `detached`.
    held_bytes: usize,
    /// The bytes of bodies that detached handlers may hold: the sum of the `body_bytes` of `detached`.
    body_bytes: usize,
    /// The part of the server's memory for `held_bytes`. Bodies have a part for themselves.
    charge: Charge,
    /// The handlers that continue to run after the end of their stream.
    detached: Vec<Detached>,
}

/// A handler that continues to run after the end of its stream.
struct Detached {
    /// The number of the stream.
    number: u32,
    /// The part of the connection's held bytes.
    held_bytes: usize,
    /// The part of the connection's bytes of bodies.
    body_bytes: usize,
}

/// The memory that has no room for a head or for trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldMemory {
    /// That of the connection.
    Connection,
    /// That of the server. The hit of its limit is counted.
    Server,
}

impl HandlerBudget {
    /// Counts bytes of a head or of trailers that the handler of a stream may hold.
    ///
    /// # Errors
    /// The memory that has no room for them. A connection that holds nothing may hold one head, if the server has room.
    pub(super) fn hold(&mut self, stream: &mut Stream, bytes: usize, config: &Config) -> Result<(), HeldMemory> {
        let held_bytes = self.held_bytes.saturating_add(bytes);
        let holds_some = self.held_bytes > 0 || self.body_bytes > 0;
        if holds_some && held_bytes.saturating_add(self.body_bytes) > held_limit(config) {
            return Err(HeldMemory::Connection);
        }
        if held_bytes > FREE_BYTES {
            let raised = self.charge.raise_to(charged(held_bytes), held_bytes - FREE_BYTES);
            raised.map_err(|_| HeldMemory::Server)?;
        }
        self.held_bytes = held_bytes;
        stream.held_bytes += bytes;
        Ok(())
    }

    /// The handler of a stream holds no bytes.
    pub(super) fn release(&mut self, stream: &mut Stream) {
        self.return_held(std::mem::take(&mut stream.held_bytes));
    }

    /// Handlers have ended that held this number of bytes. The charge remains up to that for twice the rest, so that a connection
    /// does not change it with each request.
    fn return_held(&mut self, bytes: usize) {
        self.held_bytes -= bytes;
        if self.charge.is_some() {
            self.charge.lower_to(charged(self.held_bytes.saturating_mul(2)));
        }
    }

    /// The handler of a stream continues without it. The engine no longer counts the `body_bytes` of a complete body that the
    /// handler may still read.
    pub(super) fn detach(&mut self, id: h2::StreamId, stream: &mut Stream, body_bytes: usize) {
        self.body_bytes += body_bytes;
        self.detached.push(Detached {
            number: id.number(),
            held_bytes: std::mem::take(&mut stream.held_bytes),
            body_bytes,
        });
    }

    /// A handler without a stream has ended.
    pub(super) fn end_detached(&mut self, exchange: ExchangeId) {
        let mut detached = self.detached.iter();
        if let Some(index) = detached.position(|detached| detached.number == exchange.generation) {
            let ended = self.detached.swap_remove(index);
            self.body_bytes -= ended.body_bytes;
            self.return_held(ended.held_bytes);
        }
    }

    /// The limit that handlers of closed streams use up. Nothing is read until handlers have ended, since a client may open
    /// further streams and reset them.
    pub(super) fn used_up_limit(&self, config: &Config) -> Option<Limit> {
        if self.detached.len() >= stream_limit(config) {
            Some(Limit::Http2Streams)
        } else if self.held_bytes.saturating_add(self.body_bytes) > held_limit(config) {
            // Heads and trailers alone stay within it.
            Some(Limit::Http2Windows)
        } else {
            None
        }
    }

    /// Frees memory that the last requests needed.
    pub(super) fn release_memory(&mut self) {
        if self.detached.is_empty() {
            debug_assert_eq!((self.held_bytes, self.body_bytes), (0, 0), "no stream is open");
            self.detached = Vec::new();
        }
    }
}

/// The number of requests that may be in progress.
fn stream_limit(config: &Config) -> usize {
    config.http2.streams.min(u32::from(u16::MAX)) as usize
}

/// The part of the server's memory for this number of held bytes.
fn charged(held_bytes: usize) -> usize {
    held_bytes
        .saturating_sub(FREE_BYTES)
        .div_ceil(CHARGE_BYTES)
        .saturating_mul(CHARGE_BYTES)
}

/// The largest number of held bytes.
fn held_limit(config: &Config) -> usize {
    HELD_BYTES.max(HELD_HEADS.saturating_mul(config.http2.header_list_bytes))
}
