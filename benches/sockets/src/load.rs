//! The load: many clients on one thread, each with one message in flight.

use conduit_net::{Events, Interest, Poller, TcpStream};
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The result of the load.
pub struct Outcome {
    /// The number of round trips.
    pub messages: u64,
    /// The duration.
    pub took: Duration,
    /// The CPU time of the server.
    pub cpu: Duration,
}

/// Keeps `clients` busy with messages of `bytes`, and counts the round trips of `time` after a warm-up. `cpu` reads the server's
/// CPU time while all its connections (and the threads that serve them) exist.
pub fn run(
    address: SocketAddr,
    clients: usize,
    bytes: usize,
    time: Duration,
    cpu: impl Fn() -> Duration,
) -> Result<Outcome> {
    let poller = Poller::new()?;
    let message = vec![42; bytes];
    let mut streams = Vec::with_capacity(clients);
    for key in 0..clients {
        let stream = TcpStream::connect(address)?;
        stream.set_no_delay(true)?;
        poller.add(&stream, key as u64, Interest::READABLE)?;
        streams.push((stream, 0));
    }
    for (stream, _) in &streams {
        send_all(stream, &message)?;
    }
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 65536];
    let mut turn = |until: Instant| -> Result<u64> {
        let mut trips = 0;
        while Instant::now() < until {
            poller.wait(&mut events, None)?;
            for event in &events {
                let (stream, received) = &mut streams[event.key as usize];
                match stream.recv(&mut buffer) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(count) => *received += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
                if *received == bytes {
                    *received = 0;
                    trips += 1;
                    send_all(stream, &message)?;
                }
            }
        }
        Ok(trips)
    };
    turn(Instant::now() + Duration::from_millis(150))?;
    let (start, before) = (Instant::now(), cpu());
    let messages = turn(start + time)?;
    Ok(Outcome {
        messages,
        took: start.elapsed(),
        cpu: cpu() - before,
    })
}

fn send_all(stream: &TcpStream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match stream.send(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => drop(conduit_net::wait_writable(stream, None)?),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
