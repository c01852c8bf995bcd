//! Connections of the test client in the memory of this process: the worker serves them as it serves sockets.
//!
//! A `Pipe` replaces the kernel's two socket buffers. The worker queries the pipes each turn, as it queries the poller: all code
//! above `Transport` is that of production. The clock is tokio's, which a test may advance.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use conduit_net::{Interest, Shutdown};

use crate::clock::since_epoch;
use crate::readiness::Readiness;

/// The capacity of each direction of a pipe, like that of a socket's buffer.
const PIPE_BYTES: usize = 64 * 1024;
/// The number of turns for other tasks after each step of the clock.
const TURNS_PER_STEP: usize = 8;
/// The clock advances in at most this many steps, of at least a second.
const STEPS: u32 = 1000;

/// The state that the test client and the worker share.
#[derive(Debug, Default)]
pub struct InProcess {
    worker: Mutex<Option<Waker>>,
    arrivals: Mutex<Vec<(ServerEnd, SocketAddr)>>,
    advances: Mutex<Vec<(Duration, mpsc::Sender<()>)>>,
    /// The number of clients that wait for bytes while the clock may skip.
    waiting: AtomicUsize,
    /// True if the clock is paused except for skips; only the worker's thread changes it.
    paused: AtomicBool,
    /// The difference of the worker's wall-clock time from the system's, in milliseconds.
    ahead_millis: AtomicI64,
    resources: Mutex<Resources>,
}

/// The bytes that a client writes on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Requests; the client sends no PROXY header.
    Requests,
    /// All bytes, with a PROXY header where the address of the client must send one.
    Raw,
    /// All bytes, which are those of a TLS client.
    Encrypted,
}

/// The resources that an application holds in process, at the end of a turn of its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resources {
    /// Open connections that wait for a request.
    pub idle_connections: usize,
    /// The memory of idle connections for input, output and bodies. It is 0 unless the server has a fault.
    pub idle_buffer_bytes: usize,
    /// The memory of all connections for input, output and bodies.
    pub buffer_bytes: usize,
    /// Handlers that were not ready at once, with or without a client.
    pub handlers: usize,
    /// `Tasks` in progress.
    pub tasks: usize,
    /// The used part of the memory for bodies (`App::body_memory`).
    pub body_memory_bytes: usize,
}

impl InProcess {
    /// A new connection from this address. With `skips` the clock jumps to the next timer while the client waits.
    pub fn connect(self: &Arc<Self>, peer: SocketAddr, skips: bool, opening: Opening) -> ClientEnd {
        let pipe = Arc::new(Pipe {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let server = ServerEnd {
            pipe: Arc::clone(&pipe),
            process: Arc::clone(self),
            opening,
        };
        lock(&self.arrivals).push((server, peer));
        self.wake();
        ClientEnd {
            pipe,
            process: Arc::clone(self),
            skips,
        }
    }

    /// Advances the clock, and runs everything that waited for it. Returns false if the server has ended.
    pub fn advance(&self, duration: Duration) -> bool {
        let (done, is_done) = mpsc::channel();
        lock(&self.advances).push((duration, done));
        self.wake();
        is_done.recv_timeout(Duration::from_secs(60)).is_ok()
    }

    /// The wall-clock time of the worker's clock.
    pub fn now(&self) -> SystemTime {
        let ahead = self.ahead_millis.load(Ordering::Acquire);
        let distance = Duration::from_millis(ahead.unsigned_abs());
        match ahead < 0 {
            true => SystemTime::now() - distance,
            false => SystemTime::now() + distance,
        }
    }

    /// The resources at the end of the worker's last turn. Wakes the worker for another one.
    pub fn resources(&self) -> Resources {
        self.wake();
        lock(&self.resources).clone()
    }

    /// The last step of each turn of the worker.
    pub(super) fn end_turn(&self, resources: Resources) {
        *lock(&self.resources) = resources;
    }

    fn wake(&self) {
        if let Some(waker) = &*lock(&self.worker) {
            waker.wake_by_ref();
        }
    }

    /// Stops or starts the clock, as the clients need it; to be called on the worker's thread.
    fn settle_clock(&self) {
        let pause = self.waiting.load(Ordering::Acquire) > 0;
        if self.paused.swap(pause, Ordering::AcqRel) != pause {
            if pause {
                tokio::time::pause();
            } else {
                tokio::time::resume();
            }
        }
    }

    fn step(&self, duration: Duration) {
        let paused = self.paused.load(Ordering::Acquire);
        if !paused {
            tokio::time::pause();
        }
        // The first poll moves the clock; the caller does the rest of its work.
        let advance = pin!(tokio::time::advance(duration));
        let _ = advance.poll(&mut Context::from_waker(Waker::noop()));
        if !paused {
            tokio::time::resume();
        }
    }

    /// The worker's step at each turn before it serves connections; returns new connections.
    pub(super) fn begin_turn(self: &Arc<Self>, waker: &Waker) -> Vec<(ServerEnd, SocketAddr)> {
        *lock(&self.worker) = Some(waker.clone());
        self.settle_clock();
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ahead = since_epoch().as_millis() as i64 - system.as_millis() as i64;
        self.ahead_millis.store(ahead, Ordering::Release);
        for (duration, done) in std::mem::take(&mut *lock(&self.advances)) {
            let process = Arc::clone(self);
            tokio::task::spawn_local(async move {
                process.advance_in_steps(duration).await;
                // The caller may have stopped waiting.
                let _ = done.send(());
            });
        }
        std::mem::take(&mut *lock(&self.arrivals))
    }

    /// Advances the clock in steps, so that the effects of one timer precede the next one.
    async fn advance_in_steps(&self, duration: Duration) {
        let step = (duration / STEPS).max(Duration::from_secs(1));
        let mut left = duration;
        loop {
            let now = left.min(step);
            self.step(now);
            left -= now;
            for _ in 0..TURNS_PER_STEP {
                self.wake();
                tokio::task::yield_now().await;
            }
            if left.is_zero() {
                return;
            }
        }
    }
}

/// Both directions of a connection.
#[derive(Debug)]
struct Pipe {
    state: Mutex<PipeState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct PipeState {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    client: ClientState,
    server: ServerState,
    /// The client's machine is unreachable: it acknowledges nothing, in each state of its end.
    client_vanished: bool,
    /// The client waits for bytes, and the clock may skip until they arrive.
    skipping: bool,
    /// The state of the generator that shortens the server's transfers, if a test has seeded it.
    shortened: Option<u64>,
    /// The number of calls by which the server has sent bytes.
    sends: usize,
}

/// The client's end. A state changes only to a later one, so that a reset stays a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum ClientState {
    #[default]
    Open,
    /// The client sends nothing more, and receives.
    Ended,
    /// The client has closed both directions.
    Gone,
    /// The client has reset the connection: bytes in both directions are lost.
    Reset,
}

/// The server's end. A state changes only to a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum ServerState {
    #[default]
    Open,
    /// The server sends nothing more, and receives.
    Ended,
    /// The server has closed both directions.
    Gone,
}

impl ClientState {
    /// Returns whether the client sends nothing more.
    fn has_ended(self) -> bool {
        self >= ClientState::Ended
    }

    /// Returns whether the client receives nothing more.
    fn is_gone(self) -> bool {
        self >= ClientState::Gone
    }
}

impl ServerState {
    /// Returns whether the server sends nothing more.
    fn has_ended(self) -> bool {
        self >= ServerState::Ended
    }
}

impl PipeState {
    /// Moves the client's end to this state, unless a later one holds.
    fn advance_client(&mut self, state: ClientState) {
        self.client = self.client.max(state);
    }

    /// Moves the server's end to this state, unless a later one holds.
    fn advance_server(&mut self, state: ServerState) {
        self.server = self.server.max(state);
    }

    /// Returns whether the connection takes no bytes of the client: the server or the client has closed it.
    fn is_closed_for_client(&self) -> bool {
        self.server == ServerState::Gone || self.client.is_gone()
    }

    /// Checks that the connection is not reset.
    ///
    /// # Errors
    /// `ConnectionReset` after a reset.
    fn check_reset(&self) -> io::Result<()> {
        match self.client {
            ClientState::Reset => Err(io::ErrorKind::ConnectionReset.into()),
            ClientState::Open | ClientState::Ended | ClientState::Gone => Ok(()),
        }
    }

    /// Returns the length of the server's next transfer: `bytes` unless a test has seeded short transfers.
    ///
    /// # Errors
    /// `WouldBlock` for some of the shortened transfers, as after a spurious event.
    fn transfer(&mut self, bytes: usize) -> io::Result<usize> {
        let Some(generator) = &mut self.shortened else {
            return Ok(bytes);
        };
        *generator = generator
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let random = (*generator >> 35) as usize;
        match random % 8 {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            1 | 2 => Ok(bytes.min(1 + random / 8 % 4)),
            3..=5 => Ok(bytes.min(1 + random / 8 % 2048)),
            _ => Ok(bytes),
        }
    }
}

/// The worker's end; its drop closes the connection.
#[derive(Debug)]
pub struct ServerEnd {
    pipe: Arc<Pipe>,
    process: Arc<InProcess>,
    opening: Opening,
}

impl ServerEnd {
    /// Returns whether the client writes every byte itself, the PROXY header included.
    pub(super) fn is_raw(&self) -> bool {
        self.opening != Opening::Requests
    }

    /// Returns whether the client expects TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        self.opening == Opening::Encrypted
    }

    /// Receives as [`recv`](Self::recv) does, without consuming the bytes.
    pub(super) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = lock(&self.pipe.state);
        state.check_reset()?;
        if state.to_server.is_empty() && !state.client.has_ended() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (first, second) = state.to_server.as_slices();
        let mut count = 0;
        for (place, byte) in buffer.iter_mut().zip(first.iter().chain(second)) {
            *place = *byte;
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = lock(&self.pipe.state);
        state.check_reset()?;
        if state.to_server.is_empty() {
            return if state.client.has_ended() {
                Ok(0)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        let most = state.transfer(buffer.len())?;
        let count = io::Read::read(&mut state.to_server, &mut buffer[..most])?;
        self.pipe.changed.notify_all();
        Ok(count)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.pipe.state);
        state.check_reset()?;
        if state.client.is_gone() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = PIPE_BYTES.saturating_sub(state.to_client.len()).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let room = state.transfer(room)?;
        state.sends += 1;
        state.to_client.extend(&bytes[..room]);
        self.notify_client(state);
        Ok(room)
    }

    /// Sends as [`send`](Self::send) does, several pieces with one call.
    pub(super) fn send_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
        self.send(&bytes.concat())
    }

    /// The bytes that the client has not read yet, as of a socket.
    pub(super) fn outgoing_bytes(&self) -> io::Result<usize> {
        Ok(lock(&self.pipe.state).to_client.len())
    }

    /// The bytes that the client's system has not acknowledged.
    pub(super) fn unacknowledged_bytes(&self) -> usize {
        let state = lock(&self.pipe.state);
        if state.client_vanished {
            state.to_client.len()
        } else {
            0
        }
    }

    /// Ends the direction to the client, as of a socket.
    pub(super) fn shutdown(&self, direction: Shutdown) -> io::Result<()> {
        debug_assert_eq!(direction, Shutdown::Write, "the server ends no other direction");
        let mut state = lock(&self.pipe.state);
        state.advance_server(ServerState::Ended);
        self.notify_client(state);
        Ok(())
    }

    /// The readiness that a poller with this interest would report now.
    pub(super) fn readiness(&self, interest: Interest) -> Option<Readiness> {
        let state = lock(&self.pipe.state);
        let readable = interest.is_readable() && (!state.to_server.is_empty() || state.client.has_ended());
        let writable = interest.is_writable() && (state.client.is_gone() || state.to_client.len() < PIPE_BYTES);
        // A reset is reported without any interest, as EPOLLERR and EPOLLHUP are.
        let is_reset = state.client == ClientState::Reset;
        let hang_up = is_reset || (state.client.is_gone() && !interest.is_readable());
        // If the bytes before the end are read, the rest is reported again.
        let read_closed = interest.is_hang_up() && !interest.is_readable() && state.client.has_ended();
        (readable || writable || hang_up || read_closed).then_some(Readiness {
            readable,
            read_closed,
            writable,
            hang_up,
        })
    }

    /// Wakes the client, and ends a jump of the clock.
    fn notify_client(&self, mut state: MutexGuard<'_, PipeState>) {
        if std::mem::take(&mut state.skipping) {
            self.process.waiting.fetch_sub(1, Ordering::AcqRel);
            self.process.settle_clock();
        }
        drop(state);
        self.pipe.changed.notify_all();
    }
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        let mut state = lock(&self.pipe.state);
        state.advance_server(ServerState::Gone);
        if std::mem::take(&mut state.skipping) {
            // The worker's next turn, if there is one, starts the clock.
            self.process.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        drop(state);
        self.pipe.changed.notify_all();
    }
}

/// The client's end; its drop closes the connection.
#[derive(Debug)]
pub struct ClientEnd {
    pipe: Arc<Pipe>,
    process: Arc<InProcess>,
    skips: bool,
}

impl ClientEnd {
    /// Reads the bytes that have arrived, at least one; 0 is the end.
    pub fn read(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let until = Instant::now() + timeout;
        let mut state = lock(&self.pipe.state);
        loop {
            if !state.to_client.is_empty() {
                let count = io::Read::read(&mut state.to_client, buffer)?;
                drop(state);
                self.process.wake();
                return Ok(count);
            }
            if state.server.has_ended() {
                return Ok(0);
            }
            if self.skips && !state.skipping {
                state.skipping = true;
                self.process.waiting.fetch_add(1, Ordering::AcqRel);
                self.process.wake();
            }
            state = self.wait(state, until)?;
        }
    }

    /// Writes all bytes, as the server reads them.
    pub fn write_all(&self, mut bytes: &[u8], timeout: Duration) -> io::Result<()> {
        let until = Instant::now() + timeout;
        let mut state = lock(&self.pipe.state);
        while !bytes.is_empty() {
            if state.is_closed_for_client() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let room = PIPE_BYTES.saturating_sub(state.to_server.len()).min(bytes.len());
            if room == 0 {
                state = self.wait(state, until)?;
                continue;
            }
            state.to_server.extend(&bytes[..room]);
            bytes = &bytes[room..];
            self.process.wake();
        }
        Ok(())
    }

    /// Writes as many of these bytes as the pipe has room for, and returns their number.
    pub fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.pipe.state);
        if state.is_closed_for_client() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = PIPE_BYTES.saturating_sub(state.to_server.len()).min(bytes.len());
        state.to_server.extend(&bytes[..room]);
        drop(state);
        self.process.wake();
        Ok(room)
    }

    /// The number of calls by which the server has sent bytes.
    pub fn sends(&self) -> usize {
        lock(&self.pipe.state).sends
    }

    /// Shortens the server's transfers to lengths that depend on this seed.
    pub fn shorten_transfers(&self, seed: u64) {
        lock(&self.pipe.state).shortened = Some(seed);
    }

    /// Ends the direction to the server.
    pub fn end(&self) {
        lock(&self.pipe.state).advance_client(ClientState::Ended);
        self.process.wake();
    }

    /// Cuts the connection without a notice to the server.
    pub fn vanish(&self) {
        lock(&self.pipe.state).client_vanished = true;
    }

    /// Closes both directions.
    pub fn close(&self) {
        self.leave(lock(&self.pipe.state), ClientState::Gone);
    }

    /// Resets the connection: closes both directions, and discards the bytes in them.
    pub fn reset(&self) {
        let mut state = lock(&self.pipe.state);
        state.to_server.clear();
        state.to_client.clear();
        self.leave(state, ClientState::Reset);
    }

    fn leave(&self, mut state: MutexGuard<'_, PipeState>, end: ClientState) {
        state.advance_client(end);
        self.stop_skipping(&mut state);
        drop(state);
        self.pipe.changed.notify_all();
        self.process.wake();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, PipeState>, until: Instant) -> io::Result<MutexGuard<'a, PipeState>> {
        let left = until.saturating_duration_since(Instant::now());
        let (mut state, _) = self
            .pipe
            .changed
            .wait_timeout(state, left)
            .unwrap_or_else(PoisonError::into_inner);
        if left.is_zero() {
            self.stop_skipping(&mut state);
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(state)
    }

    fn stop_skipping(&self, state: &mut PipeState) {
        if std::mem::take(&mut state.skipping) {
            self.process.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        self.close();
    }
}

/// Locks a mutex, also after a panic, because no panic leaves the state under these locks incomplete.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_that_closes_after_a_reset_stays_reset() {
        let mut state = PipeState::default();
        for (next, expected) in [
            (ClientState::Ended, ClientState::Ended),
            (ClientState::Gone, ClientState::Gone),
            (ClientState::Ended, ClientState::Gone),
            (ClientState::Reset, ClientState::Reset),
            (ClientState::Gone, ClientState::Reset),
        ] {
            state.advance_client(next);
            assert_eq!(state.client, expected);
        }
        assert!(state.check_reset().is_err());
    }

    #[test]
    fn client_that_vanishes_has_not_ended() {
        let process = Arc::new(InProcess::default());
        let client = process.connect(SocketAddr::from(([127, 0, 0, 1], 1)), false, Opening::Raw);
        client.vanish();
        assert_eq!(lock(&client.pipe.state).client, ClientState::Open);
        client.end();
        assert!(lock(&client.pipe.state).client_vanished);
    }
}
