//! What is written goes out as far as there is room; the rest stays with the connection.

use std::io;

use conduit_proto::h1::Phase;

use super::{Connection, Stage};
use crate::panics::discard;
use crate::server::batch::TOGETHER;
use crate::server::mailbox::Letter;
use crate::server::tail::Progress;
use crate::server::worker::Shared;

/// While this much waits to be sent on a connection, no further request of it is served and no further piece of a stream
/// is asked for.
pub(super) const OUTPUT_HIGH_WATER_BYTES: usize = 64 * 1024;
/// How many output buffers a worker keeps: one for each connection that it answers together with others.
const KEPT_OUTPUTS: usize = TOGETHER;
/// An output buffer is freed rather than kept when a response has made it larger than this.
const KEPT_OUTPUT_BYTES: usize = 256 * 1024;

impl Connection {
    /// The buffer to write into: what is not sent yet, or one of the worker's.
    pub(super) fn take_output(&mut self, shared: &mut Shared) -> Vec<u8> {
        if self.unsent.is_empty() {
            shared.outputs.pop().unwrap_or_default()
        } else {
            std::mem::take(&mut self.unsent)
        }
    }

    /// Sends as much as there is room for; the rest stays with the connection.
    pub(super) fn send(&mut self, mut output: Vec<u8>, shared: &mut Shared) -> io::Result<()> {
        let before = std::mem::take(&mut self.sent);
        let mut sent = before;
        if self.tail.is_some() {
            sent = self.send_tail(&mut output, before, shared)?;
        } else if before < output.len() {
            if self.sends_last() {
                self.transport.end_with_next_send();
            }
            match self.transport.send(&output[before..]) {
                Ok(count) => {
                    sent += count;
                    self.sent_bytes += count as u64;
                    shared.counts().sent_bytes.add(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        // A short write means that there is no more room.
        if sent < output.len() {
            if sent > output.len() / 2 {
                output.drain(..sent);
                sent = 0;
            }
            // One of the worker's is larger than what a connection may hold for its rest.
            output.shrink_to(2 * output.len());
            self.unsent = output;
            self.sent = sent;
            return Ok(());
        }
        if shared.outputs.len() < KEPT_OUTPUTS {
            output.clear();
            output.shrink_to(KEPT_OUTPUT_BYTES);
            shared.outputs.push(output);
        }
        if let Stage::Streaming(outlet, _) = &self.stage
            && self.has_room()
        {
            outlet.has_room();
        }
        Ok(())
    }

    /// As [`send`](Self::send), with the tail behind the buffer. Gives how much of the buffer is sent.
    #[cold]
    pub(super) fn send_tail(
        &mut self,
        output: &mut Vec<u8>,
        mut sent: usize,
        shared: &mut Shared,
    ) -> io::Result<usize> {
        let Some(mut tail) = self.tail.take_if(|tail| !tail.is_reading()) else {
            return Ok(sent);
        };
        let left = tail.left(output.len() - sent);
        let result = tail.send(&mut self.transport, output, &mut sent);
        if let Some(observed) = &mut self.observed {
            observed.body_bytes += left.saturating_sub(tail.left(output.len() - sent));
        }
        let (count, progress) = match result {
            Ok(sent) => sent,
            Err(error) => {
                discard(tail);
                return Err(error);
            }
        };
        self.sent_bytes += count;
        shared.counts().sent_bytes.add(count);
        match progress {
            Progress::Done => {
                discard(tail);
                if !matches!(self.stage, Stage::Streaming(..)) {
                    self.end_watch(true, shared);
                }
                return Ok(sent);
            }
            Progress::NoRoom => {}
            Progress::Share => self.undrained = true,
            Progress::NotInMemory => {
                if let Some(part) = tail.start_reading() {
                    let outbox = self.outbox(shared);
                    let reading = tokio::task::spawn_blocking(|| part.load());
                    tokio::task::spawn_local(async move {
                        // A thread that could not read tells so by what the next read finds.
                        let _ = reading.await;
                        outbox.send(Letter::FileRead);
                    });
                }
            }
            Progress::Broken(error) => {
                self.break_stream(&error.to_string(), shared);
                return Ok(sent);
            }
        }
        self.tail = Some(tail);
        Ok(sent)
    }

    /// Whether the output ends the stream: the last response is complete, and the connection closes after it.
    fn sends_last(&self) -> bool {
        !self.engine.keep_alive() && !self.is_serving() && !self.cut && self.engine.phase() != Phase::Upgraded
    }

    /// Whether something waits to be sent.
    pub(super) fn has_output(&self) -> bool {
        !self.unsent.is_empty() || self.tail.is_some()
    }

    /// Whether more may be written.
    pub(super) fn has_room(&self) -> bool {
        self.tail.is_none() && self.unsent.len() < OUTPUT_HIGH_WATER_BYTES
    }

    /// Whether the next of a file is being read from the disk: the client is not waited for.
    pub(super) fn is_reading_file(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.is_reading())
    }
}
