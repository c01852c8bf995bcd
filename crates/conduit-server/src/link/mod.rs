//! The byte stream of a connection, and the state that does not depend on the protocol: unconsumed input, unsent output, the
//! poller's interest, and the deadline.

pub(super) mod file;
#[cfg_attr(any(feature = "http2", feature = "websocket"), path = "gathered.rs")]
#[cfg_attr(not(any(feature = "http2", feature = "websocket")), path = "without_gathered.rs")]
mod gathered;
mod input;
pub(super) mod output;
#[cfg(feature = "testing")]
mod testing;
pub(super) mod timer;
mod uncopied;
mod unused_input;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use conduit_net::Interest;

pub(super) use self::input::{Arrived, BUFFER_BYTES, INPUT_BYTES, InputMode};
use self::output::Output;
pub(super) use self::timer::{Deadline, Timer};
pub(super) use self::uncopied::{UNCOPIED_BYTES, Uncopied};
use self::unused_input::UnusedInput;
use super::deadlines::Second;
use super::link_shared::LinkShared;
use super::peers::Peers;
use super::transport::Transport;
use crate::connection_info::{ConnectionInfo, Origin};
use crate::exchange_id::ConnectionId;

/// The time for which TLS messages, such as session tickets, wait for output. The first of these seconds has
/// begun already.
const DEFERRED_SECONDS: Second = 2;
/// The interest of a connection that reads. The end of the client's half is reported besides its last bytes, because a read
/// returns only one of them.
#[inline]
pub(super) fn reading() -> Interest {
    Interest::READABLE | Interest::HANG_UP
}

pub(super) struct Link {
    pub(super) id: ConnectionId,
    stream: Transport,
    peer: SocketAddr,
    pub(super) info: Option<Rc<ConnectionInfo>>,
    /// The connection counts for the limit of its client's address.
    is_counted: bool,
    /// Bytes that the protocol has not used.
    pub(super) unused_input: UnusedInput,
    pub(super) output: Output,
    /// The poller's interest; `None` while it does not watch the stream.
    interest: Option<Interest>,
    /// The protocol wants no event, and the poller keeps its interest until it reports the next one.
    is_paused: bool,
    /// The stream may have more input, or more room, than was used at the last event, and the poller reports each once.
    pub(super) undrained: bool,
    /// The client has ended its half of the stream.
    pub(super) read_closed: bool,
    deadline: Deadline,
}

impl Link {
    pub(super) fn new(
        stream: Transport,
        peer: SocketAddr,
        info: Option<Rc<ConnectionInfo>>,
        id: ConnectionId,
        now: Second,
    ) -> Self {
        Link {
            id,
            stream,
            peer,
            info,
            is_counted: false,
            unused_input: UnusedInput::default(),
            output: Output::default(),
            interest: None,
            is_paused: false,
            undrained: false,
            read_closed: false,
            deadline: Deadline::new(Timer::Idle, now),
        }
    }

    // The client.

    /// The address of the socket's peer.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The client's address: that of the PROXY header, or else that of the socket's peer.
    pub(super) fn client(&self) -> SocketAddr {
        match self.info.as_ref().map(|info| info.origin) {
            Some(Origin::Address(address)) => address,
            _ => self.peer,
        }
    }

    /// Changes the information about the connection.
    pub(super) fn update_info(&mut self, update: impl FnOnce(&mut ConnectionInfo)) {
        let mut info = self.info.as_deref().cloned().unwrap_or_default();
        update(&mut info);
        self.info = Some(Rc::new(info));
    }

    /// Counts the connection for the limit of its client's address.
    pub(super) fn set_counted(&mut self) {
        self.is_counted = true;
    }

    pub(super) fn is_secure(&self) -> bool {
        self.stream.is_secure()
    }

    pub(super) fn is_plain_tcp(&self) -> bool {
        matches!(self.stream, Transport::Tcp(_))
    }

    /// Returns whether the TLS handshake is not complete.
    pub(super) fn is_handshaking(&self) -> bool {
        self.is_secure() && self.info.as_ref().is_none_or(|info| info.tls.is_none())
    }

    /// Returns whether the TLS handshake has selected this application protocol.
    pub(super) fn has_selected(&self, protocol: &[u8]) -> bool {
        self.stream.has_selected(protocol)
    }

    // Input.

    /// Receives bytes, once. `read_closed` is set if the poller has reported the end of the client's half.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; otherwise the connection has failed, or has ended below TLS.
    #[inline]
    pub(super) fn recv(
        &mut self,
        mode: InputMode,
        buffer: &mut [u8],
        read_closed: bool,
        shared: &LinkShared,
    ) -> io::Result<Arrived> {
        match mode {
            InputMode::Raw | InputMode::Peeked => self.recv_raw(mode, buffer, read_closed, shared),
            _ => self.recv_decrypted(buffer, read_closed, shared),
        }
    }

    fn recv_decrypted(&mut self, buffer: &mut [u8], read_closed: bool, shared: &LinkShared) -> io::Result<Arrived> {
        let received = self.stream.recv(buffer)?;
        self.undrained |= received.more || (read_closed && !received.ended);
        self.read_closed |= received.ended;
        let mut negotiated = false;
        if let Some(info) = self.stream.take_info() {
            negotiated = true;
            self.update_info(|known| known.tls = info.tls);
        }
        shared.count_received(received.bytes as u64);
        self.deadline
            .received(received.raw_bytes as u64, shared.now, &shared.times);
        Ok(Arrived {
            bytes: received.bytes,
            negotiated,
        })
    }

    #[cold]
    fn recv_raw(
        &mut self,
        mode: InputMode,
        buffer: &mut [u8],
        read_closed: bool,
        shared: &LinkShared,
    ) -> io::Result<Arrived> {
        let bytes = if mode == InputMode::Peeked {
            self.stream.peek_raw(buffer)?
        } else {
            let bytes = self.stream.take_raw(buffer)?;
            self.undrained |= read_closed || bytes == buffer.len();
            // Records of TLS are discarded without a decryption.
            if !self.is_secure() {
                shared.count_received(bytes as u64);
            }
            bytes
        };
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Arrived {
            bytes,
            negotiated: false,
        })
    }

    /// Takes bytes that were [peeked](InputMode::Peeked).
    ///
    /// # Errors
    /// The connection has failed.
    pub(super) fn discard_raw(&self, mut bytes: usize) -> io::Result<()> {
        let mut buffer = [0; 256];
        while bytes > 0 {
            let most = bytes.min(buffer.len());
            match self.stream.take_raw(&mut buffer[..most])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                taken => bytes -= taken,
            }
        }
        Ok(())
    }

    /// Returns whether the system holds bytes of the client that were not received. It costs a system call.
    pub(super) fn has_unread_input(&self) -> bool {
        matches!(self.stream.peek_raw(&mut [0]), Ok(1))
    }

    /// Returns whether an incomplete TLS record has arrived.
    pub(super) fn holds_input(&self) -> bool {
        self.stream.holds_input()
    }

    // Output.

    /// Sends the output, as far as there is room. `ends` announces that the stream ends after it: [`shutdown`](Self::shutdown)
    /// follows as soon as all is sent.
    ///
    /// # Errors
    /// The connection has failed.
    #[inline]
    pub(super) fn send(&mut self, ends: bool, shared: &mut LinkShared) -> io::Result<()> {
        if self.output.has_uncopied() {
            self.undrained |= self.output.send_uncopied(&mut self.stream, shared)?;
            return Ok(());
        }
        self.output.send(&mut self.stream, ends, shared)
    }

    /// Returns whether encrypted bytes wait for room.
    #[inline]
    pub(super) fn holds_encrypted(&self) -> bool {
        self.stream.holds_output()
    }

    /// Sends the TLS messages that wait for the next output.
    ///
    /// # Errors
    /// The connection has failed.
    pub(super) fn flush_deferred(&mut self) -> io::Result<()> {
        if self.stream.defers_output() {
            self.stream.flush()?;
        }
        Ok(())
    }

    /// Sends the TLS records that wait for room.
    ///
    /// # Errors
    /// The connection has failed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }

    /// The number of sent bytes that the client's system has not received yet. It costs a system call.
    pub(super) fn outgoing_bytes(&self) -> u64 {
        self.stream.outgoing_bytes() as u64
    }

    /// The number of sent bytes that the client's system has received. It costs a system call.
    pub(super) fn taken_bytes(&self) -> u64 {
        self.output.sent_bytes().saturating_sub(self.outgoing_bytes())
    }

    // The poller and the deadline.

    /// Returns whether the poller watches for input. While it does not, a hang-up is final: no output reaches the client.
    pub(super) fn is_watched_for_input(&self) -> bool {
        !self.is_paused && self.interest.is_some_and(Interest::is_readable)
    }

    /// Removes the interest of a connection that wants no event, because the poller has reported one. Returns whether it did.
    ///
    /// # Errors
    /// An error of the system.
    pub(super) fn end_pause(&mut self, shared: &LinkShared) -> io::Result<bool> {
        if !std::mem::take(&mut self.is_paused) {
            return Ok(false);
        }
        self.stream.watch(&shared.poller, self.id, Interest::NONE, true)?;
        self.interest = Some(Interest::NONE);
        Ok(true)
    }

    /// Returns whether nothing has changed since the connection was idle last: [`idle_again`](Self::idle_again) is enough then.
    #[inline]
    pub(super) fn is_at_rest(&self) -> bool {
        !(self.read_closed | self.undrained | self.is_paused | self.stream.is_secure())
            && self.deadline.timer == Timer::Idle
            && self.interest == Some(reading())
            && self.output.is_empty()
    }

    /// Watches the stream for `interest`, and for room if there is output; and sets the deadline.
    ///
    /// # Errors
    /// An error of the system.
    pub(super) fn watch(&mut self, mut interest: Interest, timer: Timer, shared: &mut LinkShared) -> io::Result<()> {
        if (!self.output.is_empty() && !self.output.waits_for_disk()) || self.holds_encrypted() {
            interest = interest | Interest::WRITABLE;
        }
        // A pause is often over before the next event, and costs no system call then.
        let pauses = interest == Interest::NONE && self.interest == Some(reading());
        self.is_paused = pauses && self.stream.is_edge_triggered();
        if self.is_paused {
            self.set_timer(timer, shared);
            return Ok(());
        }
        let undrained = std::mem::take(&mut self.undrained);
        match self.interest {
            Some(watched) if watched == interest && !undrained => {}
            Some(watched) => {
                // The poller has to report the current state.
                shared.poll_again |= undrained || (watched | interest) != watched;
                self.stream.watch(&shared.poller, self.id, interest, true)?;
            }
            None => self.stream.watch(&shared.poller, self.id, interest, false)?,
        }
        self.interest = Some(interest);
        self.set_timer(timer, shared);
        Ok(())
    }

    pub(super) fn set_timer(&mut self, timer: Timer, shared: &mut LinkShared) {
        self.deadline.set(timer, shared.now, &shared.times);
        let second = self.deadline.second(&shared.times);
        let due = if timer == Timer::Send {
            // A reader is measured each second: the wheel takes the next second for one that has passed.
            Some(0)
        } else if self.stream.defers_output() {
            let flush = shared.now + DEFERRED_SECONDS;
            Some(second.map_or(flush, |second| second.min(flush)))
        } else {
            second
        };
        if let Some(due) = due {
            shared.wheel.schedule(self.id, &mut self.deadline.slot, due);
        }
    }

    /// The timer restarts when it is set next: it belongs to another message.
    #[inline]
    pub(super) fn restart_timer(&mut self) {
        self.deadline.restart();
    }

    /// Restarts the time of the timer now.
    pub(super) fn extend_timer(&mut self, shared: &LinkShared) {
        self.deadline.extend(shared.now);
    }

    #[inline]
    pub(super) fn idle_again(&mut self, now: Second) {
        self.deadline.idle_again(now);
    }

    pub(super) fn timer(&self) -> Timer {
        self.deadline.timer
    }

    pub(super) fn idle_since(&self) -> Second {
        self.deadline.idle_since
    }

    /// The seconds since the timer was set.
    pub(super) fn waited(&self, now: Second) -> Second {
        self.deadline.waited(now)
    }

    /// Returns whether the connection's slot of the wheel is due.
    pub(super) fn take_due(&mut self, shared: &LinkShared) -> bool {
        shared.wheel.take_due(&mut self.deadline.slot)
    }

    pub(super) fn is_late(&mut self, shared: &LinkShared) -> bool {
        let second = self.deadline.second(&shared.times);
        second.is_some_and(|second| second <= shared.now)
    }

    /// Measures the output that the client reads. Bytes in the buffer of the socket do not count: the system may hold
    /// megabytes, and accepts more only after the client has read many of them.
    pub(super) fn measure_reader(&mut self, shared: &LinkShared) {
        if self.deadline.timer == Timer::Send {
            self.take_measure(shared);
        }
    }

    /// The number of bytes that the client has read since the last measurement.
    pub(super) fn take_measure(&mut self, shared: &LinkShared) -> u64 {
        let taken = self.taken_bytes();
        self.deadline.rate.took(taken, shared.now, &shared.times)
    }

    /// Returns whether the client's system has acknowledged nothing since the last check, although bytes were in transit.
    pub(super) fn check_acknowledgements(&mut self) -> bool {
        let unacknowledged = self.stream.unacknowledged_bytes() as u64;
        self.deadline
            .rate
            .check_acknowledgements(self.output.sent_bytes(), unacknowledged)
    }

    // The end.

    /// Ends the server's half of the stream: the client reads the end after all earlier bytes.
    ///
    /// # Errors
    /// `WouldBlock` if the end of TLS waits for room; otherwise the connection has failed.
    pub(super) fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown()
    }

    /// Stops counting the connection for its client's address.
    pub(super) fn leave_peers(&mut self, peers: &Peers) {
        if std::mem::take(&mut self.is_counted) {
            peers.leave(self.client().ip());
        }
    }

    /// Closes the stream: with a reset if `resets`, otherwise with an end.
    pub(super) fn close(self, resets: bool, shared: &LinkShared) {
        let is_watched = self.interest.is_some();
        if resets {
            self.stream.reset(&shared.poller, is_watched);
        } else {
            self.stream.close(&shared.poller, is_watched);
        }
    }
}
