//! Streams of any kind: one poller, one shared buffer, and unsent bytes per connection only if the client reads slowly.

use conduit_net::{Events, Interest, Poller, TcpStream, UnixStream, can_accept_after};
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// A connection with or without TLS.
pub(crate) trait Wire: Read + Write {
    /// Changes the interest of the connection.
    fn watch(&self, poller: &Poller, key: u64, interest: Interest, new: bool) -> io::Result<()>;

    /// The interest that the stream itself requires.
    fn wants(&self) -> Interest {
        Interest::READABLE
    }

    /// Sends the end of the data, if the protocol of the stream has one.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The type of an accepted connection.
pub(crate) type Accepted = io::Result<Box<dyn Wire>>;

/// Registers anything with a descriptor, or changes its interest.
pub(crate) fn watch(source: &impl AsFd, poller: &Poller, key: u64, interest: Interest, new: bool) -> io::Result<()> {
    if new {
        poller.add(source, key, interest)
    } else {
        poller.modify(source, key, interest)
    }
}

impl Wire for TcpStream {
    fn watch(&self, poller: &Poller, key: u64, interest: Interest, new: bool) -> io::Result<()> {
        watch(self, poller, key, interest, new)
    }
}

impl Wire for UnixStream {
    fn watch(&self, poller: &Poller, key: u64, interest: Interest, new: bool) -> io::Result<()> {
        watch(self, poller, key, interest, new)
    }
}

struct Connection {
    wire: Box<dyn Wire>,
    /// Received bytes that are not sent back yet; reading pauses until they are sent.
    rest: Vec<u8>,
    ended: bool,
    interest: Interest,
}

const LISTENER: u64 = u64::MAX - 1;

/// The maximum number of accepted connections per turn, so that other sources get their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// The time after which a paused listener accepts again, if no connection has closed before.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn serve(listener: &impl AsFd, accept: impl Fn() -> Accepted) -> Result<(), Box<dyn Error>> {
    let poller = Poller::new()?;
    poller.add(listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut paused = false;
    loop {
        // Without a connection, descriptors and memory become free without an event.
        if poller.wait(&mut events, paused.then_some(PAUSE))? == 0 && paused {
            paused = false;
            poller.modify(listener, LISTENER, Interest::READABLE)?;
        }
        for event in &events {
            if event.key == LISTENER {
                paused = !accept_some(&poller, &accept, &mut connections, &mut free)?;
                if paused {
                    // No descriptor is available: pending connections are accepted after another one has closed.
                    poller.modify(listener, LISTENER, Interest::NONE)?;
                }
                continue;
            }
            let index = event.key as usize;
            let Some(connection) = connections[index].as_mut() else {
                continue;
            };
            if connection.turn(&poller, event.key, &mut buffer).is_err() {
                connections[index] = None;
                free.push(index);
                if paused {
                    paused = false;
                    poller.modify(listener, LISTENER, Interest::READABLE)?;
                }
            }
        }
    }
}

/// Returns false if the system has no descriptor or memory for another connection.
fn accept_some(
    poller: &Poller,
    accept: &impl Fn() -> Accepted,
    connections: &mut Vec<Option<Connection>>,
    free: &mut Vec<usize>,
) -> io::Result<bool> {
    for _ in 0..ACCEPTS_PER_TURN {
        let wire = match accept() {
            Ok(wire) => wire,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // The client has closed its connection; continue with the next one.
            Err(error) if can_accept_after(&error) => continue,
            Err(_) => return Ok(false),
        };
        let index = free.pop().unwrap_or_else(|| {
            connections.push(None);
            connections.len() - 1
        });
        wire.watch(poller, index as u64, Interest::READABLE, true)?;
        connections[index] = Some(Connection {
            wire,
            rest: Vec::new(),
            ended: false,
            interest: Interest::READABLE,
        });
    }
    Ok(true)
}

impl Connection {
    /// Sends and receives until either would block; an error or the end closes the connection.
    fn turn(&mut self, poller: &Poller, key: u64, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            while !self.rest.is_empty() {
                match self.wire.write(&self.rest) {
                    Ok(count) => drop(self.rest.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        return self.watch(poller, key, Interest::WRITABLE);
                    }
                    Err(error) => return Err(error),
                }
            }
            match self.wire.flush() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.watch(poller, key, Interest::WRITABLE);
                }
                result => result?,
            }
            if self.ended {
                return match self.wire.finish() {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => self.watch(poller, key, Interest::WRITABLE),
                    _ => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
            match self.wire.read(buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    let sent = match self.wire.write(&buffer[..count]) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                        result => result?,
                    };
                    self.rest.extend_from_slice(&buffer[sent..count]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // The memory of a large rest is freed, because the client may be idle for hours.
                    self.rest = Vec::new();
                    return self.watch(poller, key, self.wire.wants());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn watch(&mut self, poller: &Poller, key: u64, interest: Interest) -> io::Result<()> {
        if self.interest != interest {
            self.wire.watch(poller, key, interest, false)?;
            self.interest = interest;
        }
        Ok(())
    }
}
