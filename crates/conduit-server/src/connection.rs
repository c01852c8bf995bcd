//! One connection: a [`Link`] for bytes, room and time, and the [`Protocol`] that it speaks.
//!
//! The worker calls it for input, room, commands, timers and the shutdown. Each of these passes through the protocol and ends
//! in [`finish`](Connection::finish), which sends the output, lets the protocol continue, and derives the poller's interest
//! and the timer from its state. Reading, serving and sending are separate, so that a batch of connections does each together.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::commands::Command;
use crate::deadlines::Second;
use crate::exchange_id::{ConnectionId, ExchangeId};
use crate::link::{INPUT_BYTES, InputMode, Link, Timer};
use crate::listening::Accepted;
use crate::networks::Forwarding;
use crate::protocol::{Activity, ConnectionProtocol as _, ExchangeDriver as _, OutputStep, Protocol, Step, linger};
use crate::readiness::Readiness;
use crate::shared::Shared;

/// The number of bytes that a connection receives at most before its output is sent and other connections are served.
const INPUT_SHARE_BYTES: usize = 512 * 1024;

/// The state of a connection after an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(super) enum Disposition {
    Open,
    Closed,
}

/// The role of a peer as a client or a proxy.
pub(super) struct PeerRole {
    /// The connection counts for the limit of the peer's address: it is a client.
    pub(super) is_counted: bool,
    /// A PROXY header comes first.
    pub(super) sends_header: bool,
    /// The field in which the peer names its clients.
    pub(super) forwarding: Option<Arc<Forwarding>>,
}

pub(super) struct Connection {
    link: Link,
    protocol: Protocol,
}

impl Connection {
    pub(super) fn new(accepted: Accepted, role: PeerRole, id: ConnectionId, now: Second) -> Self {
        let Accepted { transport, peer, info } = accepted;
        let mut link = Link::new(transport, peer, info, id, now);
        if role.is_counted {
            link.set_counted();
        }
        if let Some(forwarding) = role.forwarding {
            link.update_info(|info| info.forwarding = Some(forwarding));
        }
        let protocol = Protocol::first(&link, role.sends_header);
        Connection { link, protocol }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.link.id
    }

    /// The second since which it has been without a request, if nothing is in progress.
    pub(super) fn idle_since(&self) -> Option<Second> {
        let is_idle = self.link.timer() == Timer::Idle && self.protocol.activity(&self.link) == Activity::Idle;
        is_idle.then(|| self.link.idle_since())
    }

    /// Returns whether the last response is sent, and the connection waits for the client's end.
    pub(super) fn is_lingering(&self) -> bool {
        self.protocol.activity(&self.link) == Activity::Lingering
    }

    /// Returns whether the system holds bytes of the client that were not received. It costs a system call.
    pub(super) fn has_unread_input(&self) -> bool {
        self.link.has_unread_input()
    }

    /// The readiness that a poller would report for a connection in memory.
    #[cfg(feature = "testing")]
    pub(super) fn memory_readiness(&self) -> Option<Readiness> {
        self.link.memory_readiness()
    }

    /// The memory that it holds for input, output and bodies.
    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        self.link.buffer_bytes() + self.protocol.buffer_bytes()
    }

    /// Returns whether the next bytes may be read into a part of the worker's buffer, to be served together with those of other
    /// connections. TLS decrypts in the whole buffer.
    pub(super) fn joins_batch(&self) -> bool {
        self.link.is_watched_for_input()
            && !self.link.is_secure()
            && self.protocol.input_mode(&self.link) == InputMode::Batched
    }

    /// The poller has reported readiness.
    pub(super) fn on_ready(&mut self, mut ready: Readiness, buffer: &mut [u8], shared: &mut Shared) -> Disposition {
        match self.link.end_pause(&shared.links) {
            // The poller reports the input again once the protocol reads.
            Ok(true) => (ready.readable, ready.read_closed) = (false, false),
            Ok(false) => {}
            Err(_) => return Disposition::Closed,
        }
        if (ready.hang_up || ready.read_closed) && !self.link.is_watched_for_input() {
            let ends = Activity::Serving { ends_with_client: true };
            if ready.hang_up || self.protocol.activity(&self.link) == ends {
                return Disposition::Closed;
            }
        }
        if ready.writable && (self.link.flush().is_err() || self.finish(shared) == Disposition::Closed) {
            return Disposition::Closed;
        }
        if ready.readable {
            return self.read_and_serve(buffer, ready.read_closed, shared);
        }
        Disposition::Open
    }

    /// Reads, and serves the input. A protocol that defers its output receives more at once, so that one send follows all of it.
    /// After peeked input the connection reads again, because the poller reports that input only once.
    pub(super) fn read_and_serve(&mut self, buffer: &mut [u8], read_closed: bool, shared: &mut Shared) -> Disposition {
        let mut share = INPUT_SHARE_BYTES;
        loop {
            let mode = self.protocol.input_mode(&self.link);
            let bytes = match self.read(mode, buffer, read_closed, shared) {
                ControlFlow::Break(disposition) => return disposition,
                ControlFlow::Continue(bytes) => bytes,
            };
            let has_more = self.link.undrained;
            if self.serve(&buffer[..bytes], shared) == Disposition::Closed {
                return Disposition::Closed;
            }
            if mode == InputMode::Peeked {
                continue;
            }
            share = share.saturating_sub(bytes);
            if share == 0 || !has_more || !self.protocol.defers_output(&self.link) {
                return self.finish(shared);
            }
            // The next read sets it again if there is more.
            self.link.undrained = false;
        }
    }

    /// Reads once, in the mode of the protocol. Returns the number of bytes to serve, or the disposition of a connection without
    /// any.
    pub(super) fn read(
        &mut self,
        mode: InputMode,
        buffer: &mut [u8],
        read_closed: bool,
        shared: &mut Shared,
    ) -> ControlFlow<Disposition, usize> {
        let most = match mode {
            #[cfg(feature = "websocket")]
            InputMode::Bulk => buffer.len(),
            _ => buffer.len().min(INPUT_BYTES),
        };
        let buffer = &mut buffer[..most];
        let input = match self.link.recv(mode, buffer, read_closed, &shared.links) {
            Ok(input) => input,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return ControlFlow::Break(self.finish(shared));
            }
            Err(_) if matches!(mode, InputMode::Raw | InputMode::Peeked) => {
                return ControlFlow::Break(Disposition::Closed);
            }
            Err(error) => return ControlFlow::Break(self.receive_failed(&error, shared)),
        };
        if input.bytes == 0 && !input.negotiated {
            return ControlFlow::Break(self.finish(shared));
        }
        ControlFlow::Continue(input.bytes)
    }

    /// The stream has failed. A client that broke the protocol of TLS gets time to read the alert: closing with bytes of it
    /// unread would reset the connection.
    #[cold]
    fn receive_failed(&mut self, error: &io::Error, shared: &mut Shared) -> Disposition {
        let is_protocol_fault = error.kind() == io::ErrorKind::InvalidData;
        if self.link.is_handshaking() {
            shared.counts().failed_handshakes.add(1);
            tracing::debug!(peer = %self.link.peer(), %error, "TLS handshake failed");
        } else if is_protocol_fault {
            tracing::debug!(peer = %self.link.peer(), %error, "TLS connection failed");
        }
        let lingers = !matches!(
            self.protocol.activity(&self.link),
            Activity::Serving { .. } | Activity::LongLived | Activity::Aborting
        );
        if !is_protocol_fault || !lingers || !self.link.output.is_empty() {
            return Disposition::Closed;
        }
        match linger(&mut self.link) {
            Step::Switch(next) => self.protocol = *next,
            _ => return Disposition::Closed,
        }
        self.finish(shared)
    }

    /// Serves input after the unused input. The output is sent by [`finish`](Self::finish), which must follow.
    #[inline]
    pub(super) fn serve(&mut self, fresh: &[u8], shared: &mut Shared) -> Disposition {
        if !self.link.unused_input.is_empty() {
            return self.serve_after_unused(fresh, shared);
        }
        let mut input = fresh;
        let disposition = self.pass_input(&mut input, shared);
        if !input.is_empty() {
            self.link.unused_input.set(input.to_vec());
        }
        disposition
    }

    #[cold]
    fn serve_after_unused(&mut self, fresh: &[u8], shared: &mut Shared) -> Disposition {
        let mut unused_input = self.link.unused_input.take();
        unused_input.extend_from_slice(fresh);
        let mut input = &unused_input[..];
        let disposition = self.pass_input(&mut input, shared);
        let used = unused_input.len() - input.len();
        if used < unused_input.len() {
            unused_input.drain(..used);
            self.link.unused_input.set(unused_input);
        }
        disposition
    }

    /// Passes input to the protocol, and the rest of it to the protocol that follows.
    #[inline]
    fn pass_input(&mut self, input: &mut &[u8], shared: &mut Shared) -> Disposition {
        loop {
            match self.protocol.on_input(&mut self.link, input, shared) {
                Step::Continue => return Disposition::Open,
                Step::Switch(next) => self.protocol = *next,
                Step::Close => return Disposition::Closed,
            }
        }
    }

    /// Sends as much output as the stream accepts, and continues the work of the protocol that waited for room. Then registers
    /// the interest and the timer that the protocol's state requires.
    pub(super) fn finish(&mut self, shared: &mut Shared) -> Disposition {
        loop {
            let activity = self.protocol.activity(&self.link);
            if self.link.send(activity == Activity::Ending, &mut shared.links).is_err() {
                return Disposition::Closed;
            }
            if self.link.is_at_rest() && activity == Activity::Idle && !shared.is_stopping() {
                // The interest and the timer stay as they are; only the idle time begins again.
                debug_assert_eq!(self.protocol.waits_for(&self.link, shared).1, Timer::Idle);
                self.link.idle_again(shared.now());
                return Disposition::Open;
            }
            let had_output = !self.link.output.is_empty();
            let must_end = activity == Activity::Ending && !had_output && !self.link.is_secure();
            let step = self.protocol.on_writable(&mut self.link, shared);
            debug_assert!(
                !must_end || !matches!(step, OutputStep::Other(Step::Continue)),
                "the kernel holds the last bytes back until the end"
            );
            // `on_writable` discards a file that cannot be sent to its end.
            let is_full = had_output && !self.link.output.is_empty();
            let continues = match step {
                OutputStep::Resume => true,
                OutputStep::Other(Step::Continue) => false,
                OutputStep::Other(Step::Switch(next)) => {
                    self.protocol = *next;
                    !self.link.unused_input.is_empty()
                }
                OutputStep::Other(Step::Close) => return Disposition::Closed,
            };
            if continues {
                if self.serve(&[], shared) == Disposition::Closed {
                    return Disposition::Closed;
                }
            } else if is_full || self.link.output.is_empty() {
                break;
            }
        }
        let (interest, timer) = self.protocol.waits_for(&self.link, shared);
        if let Err(error) = self.link.watch(interest, timer, &mut shared.links) {
            tracing::error!(%error, "cannot watch a connection");
            return Disposition::Closed;
        }
        Disposition::Open
    }

    /// A task has sent a command. [`finish`](Self::finish) must follow, and may follow several commands if the connection
    /// [defers its output](Self::defers_output).
    pub(super) fn on_command(&mut self, exchange: ExchangeId, command: Command, shared: &mut Shared) -> Disposition {
        let step = self.protocol.on_command(exchange, command, &mut self.link, shared);
        self.apply(step, shared)
    }

    /// Returns whether a further command may precede the send of the output.
    pub(super) fn defers_output(&self) -> bool {
        self.protocol.defers_output(&self.link)
    }

    /// The connection's slot of the wheel may be due. Input that has arrived is served before a deadline is enforced: a
    /// worker that was stalled may have left it in the kernel.
    pub(super) fn check_deadline(&mut self, buffer: &mut [u8], shared: &mut Shared) -> Disposition {
        if !self.link.take_due(&shared.links) {
            return Disposition::Open;
        }
        if self.link.flush_deferred().is_err() {
            return Disposition::Closed;
        }
        self.link.measure_reader(&shared.links);
        self.protocol.release_memory();
        // The state may have changed without a command: a handler that drops its body sends one only if the worker waits for it.
        let (_, timer) = self.protocol.waits_for(&self.link, shared);
        self.link.set_timer(timer, &mut shared.links);
        if !self.link.is_late(&shared.links) {
            return Disposition::Open;
        }
        if self.link.is_watched_for_input() {
            let disposition = self.read_and_serve(buffer, false, shared);
            if disposition == Disposition::Closed || !self.link.is_late(&shared.links) {
                return disposition;
            }
        }
        let step = self.protocol.on_timer(&mut self.link, shared);
        self.apply_and_finish(step, shared)
    }

    /// Returns whether the connection is one that its client opens for long, and opens again at once when it closes.
    pub(super) fn lives_long(&self) -> bool {
        self.protocol.activity(&self.link) == Activity::LongLived
    }

    /// The server stops: the connection closes after the requests that were sent before, which it may not have read yet.
    pub(super) fn on_shutdown(&mut self, buffer: &mut [u8], shared: &mut Shared) -> Disposition {
        let step = self.protocol.on_shutdown(&mut self.link, shared);
        if matches!(step, Step::Continue) && self.link.is_watched_for_input() {
            return self.read_and_serve(buffer, false, shared);
        }
        self.apply_and_finish(step, shared)
    }

    /// Logs the requests that the end of the shutdown timeout cuts off.
    pub(super) fn log_cut_off(&self, shared: &Shared) {
        self.protocol.log_cut_off(&self.link, shared);
    }

    #[inline]
    fn apply_and_finish(&mut self, step: Step, shared: &mut Shared) -> Disposition {
        match self.apply(step, shared) {
            Disposition::Open => self.finish(shared),
            Disposition::Closed => Disposition::Closed,
        }
    }

    /// Applies a step, without the send of the output. A protocol that follows takes the input that is left.
    #[inline]
    fn apply(&mut self, step: Step, shared: &mut Shared) -> Disposition {
        match step {
            Step::Continue => Disposition::Open,
            Step::Switch(next) => {
                self.protocol = *next;
                self.serve(&[], shared)
            }
            Step::Close => Disposition::Closed,
        }
    }

    /// Closes the connection and cancels everything that is in progress on it.
    pub(super) fn close(mut self, shared: &mut Shared) {
        // First the mandatory steps, before code that may panic.
        shared.counts().closed.add(1);
        self.link.leave_peers(&shared.peers);
        let resets = self.protocol.cancel(&mut self.link, shared);
        self.link.close(resets, &shared.links);
    }
}
