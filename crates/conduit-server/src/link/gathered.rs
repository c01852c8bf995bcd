//! Bytes of DATA frames and WebSocket messages that are sent from where they are, between the parts of the output before and
//! after them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf as _, Bytes};

use super::uncopied::room;
use crate::panics::discard;
use crate::transport::Transport;

/// The number of pieces of one call.
const PIECES: usize = 64;

/// The gathered bytes of an output, without memory when all are sent. Encryption copies all bytes: an encrypted output has none.
#[derive(Default)]
pub(crate) struct Gathered(Option<Box<Parts>>);

/// Bytes, each with the position in the output that they precede.
#[derive(Default)]
struct Parts {
    parts: VecDeque<(usize, Bytes)>,
    /// The total length of the parts.
    length: usize,
}

impl Gathered {
    /// Returns whether all of them are sent.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The number of bytes that are not sent.
    pub(crate) fn length(&self) -> usize {
        self.0.as_ref().map_or(0, |gathered| gathered.length)
    }

    /// Adds bytes before the output from a position on, which follows all earlier ones.
    pub(crate) fn push(&mut self, position: usize, bytes: Bytes) {
        let gathered = self.0.get_or_insert_default();
        gathered.length += bytes.len();
        gathered.parts.push_back((position, bytes));
    }

    /// The first `count` bytes of the output are removed; they are sent.
    pub(super) fn shift(&mut self, count: usize) {
        let parts = self.0.iter_mut().flat_map(|gathered| &mut gathered.parts);
        for (position, _) in parts {
            *position -= count;
        }
    }

    /// Sends the output from `sent` on, and the parts at their positions, as far as there is room. Returns the number of sent
    /// bytes.
    ///
    /// # Errors
    /// The connection has failed.
    pub(super) fn send(&mut self, transport: &mut Transport, output: &[u8], sent: &mut usize) -> io::Result<u64> {
        let Some(gathered) = &mut self.0 else { return Ok(0) };
        let mut total = 0;
        loop {
            let (count, offered) = gathered.send_pieces(transport, output, sent)?;
            total += count as u64;
            if count < offered || gathered.parts.is_empty() {
                break;
            }
        }
        self.0.take_if(|gathered| gathered.length == 0);
        Ok(total)
    }
}

impl Parts {
    /// Sends with one call. Returns the numbers of sent and of offered bytes.
    fn send_pieces(
        &mut self,
        transport: &mut Transport,
        output: &[u8],
        sent: &mut usize,
    ) -> io::Result<(usize, usize)> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let (mut used, mut from) = (0, *sent);
        // A part needs two pieces, and the rest of the output a last one.
        for (position, bytes) in self.parts.iter().take((PIECES - 1) / 2) {
            pieces[used] = IoSlice::new(&output[from..*position]);
            pieces[used + 1] = IoSlice::new(bytes);
            (used, from) = (used + 2, *position);
        }
        if used / 2 == self.parts.len() {
            pieces[used] = IoSlice::new(&output[from..]);
            used += 1;
        }
        let pieces = &pieces[..used];
        let offered = pieces.iter().map(|piece| piece.len()).sum();
        let count = room(transport.send_vectored(pieces))?.unwrap_or(0);
        self.advance(count, sent);
        Ok((count, offered))
    }

    /// Removes bytes that are sent.
    fn advance(&mut self, count: usize, sent: &mut usize) {
        let mut left = count;
        while let Some((position, bytes)) = self.parts.front_mut() {
            let before = left.min(*position - *sent);
            (*sent, left) = (*sent + before, left - before);
            let of_part = left.min(bytes.len());
            (self.length, left) = (self.length - of_part, left - of_part);
            bytes.advance(of_part);
            if !bytes.is_empty() {
                return;
            }
            discard(self.parts.pop_front());
        }
        *sent += left;
    }
}
