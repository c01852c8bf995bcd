//! Streams, their states, and the order of sending (RFC 9113, section 5.1; RFC 9218, section 10).

use std::collections::VecDeque;

use super::flow::{ReceiveWindow, SendWindow};
use super::priority::Priority;
use crate::message::MethodKind;

/// A request and its response.
///
/// Identifies an open stream of one connection; after the stream has closed, calls with it have no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId {
    number: u32,
    slot: u16,
}

impl StreamId {
    /// The number of the stream in frames: odd, and higher than those of all earlier streams.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// An index below [`Http2Limits::streams`](super::Http2Limits::streams), unique among the open streams, for a table
    /// of the caller.
    #[must_use]
    pub fn slot(self) -> usize {
        usize::from(self.slot)
    }
}

/// The request of a stream.
///
/// ```text
///   HEADERS ──> Body ──────── END_STREAM ──> Ended
///        │ over a limit                        ▲
///        └────> Discarded ─── END_STREAM ──────┤
///        └────────────────── END_STREAM ───────┘
/// ```
///
/// An RST_STREAM in either direction removes the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestState {
    /// The body is incomplete. `left` is the remaining part of `content-length`.
    Body { left: Option<u64> },
    /// The body is incomplete, and is discarded.
    Discarded,
    /// END_STREAM has arrived.
    Ended,
}

/// The response of a stream.
///
/// ```text
///   Head ── write_head ──> Body ── write_end ──> Ended
///      └────── without a body ─────────────────────▲
/// ```
///
/// A stream is removed when both of its directions have ended. If the response ends first, RST_STREAM(NO_ERROR) ends
/// the request (RFC 9113, section 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseState {
    Head,
    /// `left` is the remaining part of the declared length.
    Body {
        left: Option<u64>,
    },
    Ended,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) reading: RequestState,
    pub(super) writing: ResponseState,
    pub(super) method: MethodKind,
    /// The client expects `100 Continue`.
    pub(super) expects_continue: bool,
    pub(super) received: ReceiveWindow,
    pub(super) send: SendWindow,
    pub(super) priority: Priority,
    /// The caller has bytes to send.
    pub(super) pending: bool,
    /// The number of sent bytes of DATA.
    pub(super) sent: u64,
    /// The turn of the last send, for taking turns.
    pub(super) turn: u32,
}

/// A response is large after this number of sent bytes. Large responses of one urgency take turns, so that they do not
/// wait for each other, although RFC 9218, section 10 recommends sending one after the other.
const LARGE_BYTES: u64 = 64 * 1024;

/// The open streams of a connection. Later streams reuse the slots of closed ones.
#[derive(Debug)]
pub(super) struct Streams {
    /// The stream number in each slot; 0 for a free slot. Separate from the streams, so that a search reads few bytes.
    numbers: Vec<u32>,
    slots: Vec<Stream>,
    open: u32,
    turn: u32,
}

impl Streams {
    pub(super) const fn new() -> Self {
        Self {
            numbers: Vec::new(),
            slots: Vec::new(),
            open: 0,
            turn: 0,
        }
    }

    /// The number of open streams.
    pub(super) fn open(&self) -> u32 {
        self.open
    }

    pub(super) fn insert(&mut self, number: u32, stream: Stream) -> StreamId {
        self.open += 1;
        let slot = match self.numbers.iter().position(|&number| number == 0) {
            Some(slot) => {
                self.numbers[slot] = number;
                self.slots[slot] = stream;
                slot
            }
            None => {
                if self.slots.is_empty() {
                    // A connection that waits after one request holds no more than its slot.
                    self.slots.reserve_exact(1);
                }
                self.numbers.push(number);
                self.slots.push(stream);
                self.slots.len() - 1
            }
        };
        StreamId {
            number,
            // There are at most as many slots as permitted streams.
            slot: slot as u16,
        }
    }

    /// The open stream with this number.
    pub(super) fn find(&self, number: u32) -> Option<StreamId> {
        let slot = self.numbers.iter().position(|&other| other == number)? as u16;
        Some(StreamId { number, slot })
    }

    /// The open stream with this number, and its state.
    pub(super) fn find_mut(&mut self, number: u32) -> Option<(StreamId, &mut Stream)> {
        let id = self.find(number)?;
        Some((id, self.slots.get_mut(id.slot())?))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        match self.numbers.get(id.slot()) {
            Some(&number) if number == id.number => self.slots.get_mut(id.slot()),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn get(&self, id: StreamId) -> Option<&Stream> {
        match self.numbers.get(id.slot()) {
            Some(&number) if number == id.number => self.slots.get(id.slot()),
            _ => None,
        }
    }

    /// Frees the slot of an open stream. The slot keeps the last state of the stream.
    pub(super) fn remove(&mut self, id: StreamId) {
        if self.numbers.get(id.slot()) == Some(&id.number) {
            self.numbers[id.slot()] = 0;
            self.open -= 1;
        }
    }

    /// All open streams.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.numbers
            .iter()
            .zip(&self.slots)
            .enumerate()
            .filter(|(_, (number, _))| **number != 0)
            .map(|(slot, (&number, stream))| {
                let slot = slot as u16;
                (StreamId { number, slot }, stream)
            })
    }

    /// The numbers and states of all open streams.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Stream)> {
        self.numbers
            .iter()
            .zip(&mut self.slots)
            .map(|(&number, stream)| (number, stream))
            .filter(|(number, _)| *number != 0)
    }

    /// The stream that sends next: the most urgent one. Among streams of equal urgency, those that are neither large
    /// nor incremental send first, in the order of their requests; the others take turns.
    ///
    /// Every fourth choice prefers the others, so that small responses do not starve large ones.
    pub(super) fn next_pending(&mut self) -> Option<StreamId> {
        let favours_large = self.turn % 4 == 3;
        let key = |id: StreamId, stream: &Stream| {
            let takes_turns = stream.priority.incremental || stream.sent >= LARGE_BYTES;
            let order = if takes_turns { stream.turn } else { id.number };
            (stream.priority.urgency, takes_turns != favours_large, order)
        };
        let is_ready = |stream: &Stream| stream.pending && stream.send.available() > 0;
        let (id, _) = self
            .iter()
            .filter(|(_, stream)| is_ready(stream))
            .min_by_key(|(id, stream)| key(*id, stream))?;
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn;
        if let Some(stream) = self.get_mut(id) {
            stream.turn = turn;
        }
        Some(id)
    }

    /// Frees the memory of the slots if no stream is open.
    pub(super) fn shrink(&mut self) {
        if self.open == 0 {
            self.numbers = Vec::new();
            self.slots = Vec::new();
        }
    }

    /// The number of bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<u32>() + self.slots.capacity() * size_of::<Stream>()
    }
}

/// The streams that the server has reset before the end of the request: frames for them may still arrive and are
/// ignored (RFC 9113, section 5.1).
#[derive(Debug)]
pub(super) struct Resets {
    numbers: VecDeque<u32>,
    /// The highest number removed from the front; closed streams up to it may have been reset.
    forgotten: u32,
}

impl Resets {
    const KEPT: usize = 128;

    pub(super) const fn new() -> Self {
        Self {
            numbers: VecDeque::new(),
            forgotten: 0,
        }
    }

    pub(super) fn add(&mut self, number: u32) {
        if self.numbers.len() == Self::KEPT
            && let Some(oldest) = self.numbers.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest);
        }
        self.numbers.push_back(number);
    }

    /// Returns whether a closed stream may have been reset by the server.
    pub(super) fn contains(&self, number: u32) -> bool {
        number <= self.forgotten || self.numbers.contains(&number)
    }

    /// The number of bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<u32>()
    }
}
