//! The unsent output of a connection: a buffer, bytes that are sent from where they are between its parts, and the uncopied
//! output after it.

use std::io;

use crate::disk;
use crate::link::gathered::Gathered;
use crate::link::uncopied::{SendProgress, Uncopied, room};
use crate::link_shared::LinkShared;
use crate::panics::discard;
use crate::transport::Transport;

/// Above this number of unsent bytes the protocol uses no further input, and makes no further output.
const HIGH_WATER_BYTES: usize = 64 * 1024;

/// The output of a protocol, from when it is written until the stream has accepted it.
#[derive(Default)]
pub(crate) struct Output {
    /// Unsent bytes; empty when all of them are sent. The protocol appends to it.
    pub(crate) buffer: Vec<u8>,
    /// The number of sent bytes at the beginning of `buffer`: `sent < buffer.len()`, or 0.
    sent: usize,
    /// Follows `buffer`. The protocol writes nothing before it is sent.
    uncopied: Option<Box<Uncopied>>,
    /// Bytes between parts of `buffer`, which may continue after them.
    pub(crate) gathered: Gathered,
    /// The number of bytes that the stream has accepted in all.
    sent_bytes: u64,
}

impl Output {
    // The protocol.

    /// Takes a buffer of the worker, unless the output has memory.
    #[inline]
    pub(crate) fn begin(&mut self, shared: &mut LinkShared) {
        if self.buffer.capacity() == 0 {
            self.buffer = shared.take_buffer();
        }
    }

    /// Appends bytes that are sent without a copy.
    pub(crate) fn put_uncopied(&mut self, uncopied: Uncopied) {
        debug_assert!(
            self.uncopied.is_none(),
            "nothing is written while there is uncopied output"
        );
        self.uncopied = Some(Box::new(uncopied));
    }

    /// Returns whether all of it is sent.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.uncopied.is_none() && self.gathered.is_empty()
    }

    /// Returns whether more may be written.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.uncopied.is_none() && self.buffer.len() < HIGH_WATER_BYTES
    }

    /// The number of bytes that the stream has accepted in all.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    // The uncopied output.

    pub(crate) fn has_uncopied(&self) -> bool {
        self.uncopied.is_some()
    }

    /// The number of bytes of the uncopied output that are not sent.
    pub(crate) fn uncopied_left(&self) -> u64 {
        let unsent_bytes = self.buffer.len() - self.sent;
        self.uncopied.as_ref().map_or(0, |uncopied| uncopied.left(unsent_bytes))
    }

    /// Returns whether the output waits for the disk and not for the client.
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.uncopied.as_ref().is_some_and(|uncopied| uncopied.waits_for_disk())
    }

    /// Reads the next part of the file on another thread, if it is not in memory, then calls `then`, after which
    /// [`mark_loaded`](Self::mark_loaded) follows.
    pub(crate) fn load_file(&mut self, then: impl FnOnce() + 'static) {
        if let Some(part) = self.uncopied.as_mut().and_then(|uncopied| uncopied.take_load()) {
            disk::load(part, Box::new(then));
        }
    }

    pub(crate) fn mark_loaded(&mut self) {
        if let Some(uncopied) = &mut self.uncopied {
            uncopied.mark_loaded();
        }
    }

    /// Discards a file that cannot be sent to its end. Returns its error.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        let error = self.uncopied.as_mut()?.take_failure()?;
        discard(self.uncopied.take());
        Some(error)
    }

    // The link.

    /// Sends the buffer with the gathered bytes in it, as far as there is room. There is no uncopied output. The stream ends after
    /// it if `ends` is true.
    ///
    /// # Errors
    /// The connection has failed.
    #[inline]
    pub(super) fn send(&mut self, stream: &mut Transport, ends: bool, shared: &mut LinkShared) -> io::Result<()> {
        if !self.gathered.is_empty() {
            self.send_gathered(stream, shared)?;
            if !self.gathered.is_empty() {
                self.shrink();
                return Ok(());
            }
        } else if self.sent < self.buffer.len() {
            let rest = &self.buffer[self.sent..];
            let result = if ends {
                stream.send_last(rest)
            } else {
                stream.send(rest)
            };
            if let Some(count) = room(result)? {
                self.sent += count;
                self.count_sent(count as u64, shared);
            }
        }
        self.keep_or_shrink(shared);
        Ok(())
    }

    /// Sends the buffer with the gathered bytes in it.
    #[cold]
    fn send_gathered(&mut self, stream: &mut Transport, shared: &LinkShared) -> io::Result<()> {
        let count = self.gathered.send(stream, &self.buffer, &mut self.sent)?;
        self.count_sent(count, shared);
        Ok(())
    }

    /// Sends the buffer, and the uncopied output after it, as far as there is room. Returns whether the stream may have more room:
    /// the share of the turn is sent.
    ///
    /// # Errors
    /// The connection has failed.
    #[cold]
    pub(super) fn send_uncopied(&mut self, stream: &mut Transport, shared: &mut LinkShared) -> io::Result<bool> {
        let mut is_share = false;
        if let Some(mut uncopied) = self.uncopied.take_if(|uncopied| uncopied.is_sending()) {
            let (count, progress) = match uncopied.send(stream, &mut self.buffer, &mut self.sent) {
                Ok(sent) => sent,
                Err(error) => {
                    // The protocol subtracts the rest from the bytes that it has recorded.
                    self.uncopied = Some(uncopied);
                    return Err(error);
                }
            };
            self.count_sent(count, shared);
            is_share = matches!(progress, SendProgress::Share);
            if matches!(progress, SendProgress::Done) {
                discard(uncopied);
            } else {
                self.uncopied = Some(uncopied);
            }
        }
        self.keep_or_shrink(shared);
        Ok(is_share)
    }

    #[inline]
    fn count_sent(&mut self, bytes: u64, shared: &LinkShared) {
        self.sent_bytes += bytes;
        shared.count_sent(bytes);
    }

    /// Returns a sent buffer to the worker, and shrinks another one: a short write means that the socket is full. Always inlined,
    /// because each response ends with it.
    #[inline(always)]
    fn keep_or_shrink(&mut self, shared: &mut LinkShared) {
        if self.sent < self.buffer.len() {
            self.shrink();
        } else if self.buffer.capacity() > 0 {
            self.sent = 0;
            shared.keep_buffer(std::mem::take(&mut self.buffer));
        }
    }

    /// Shrinks the memory to that of the unsent bytes, because a buffer of the worker is larger.
    #[cold]
    fn shrink(&mut self) {
        if self.sent > self.buffer.len() / 2 {
            self.buffer.drain(..self.sent);
            self.gathered.shift(self.sent);
            self.sent = 0;
        }
        self.buffer.shrink_to(2 * self.buffer.len());
    }
}
