//! Datagrams: each one is sent back to its sender.

use conduit_net::{Events, Interest, Poller, UdpSocket};
use std::error::Error;
use std::io::ErrorKind;

pub(crate) fn serve(socket: &UdpSocket) -> Result<(), Box<dyn Error>> {
    let poller = Poller::new()?;
    poller.add(socket, 0, Interest::READABLE)?;
    let mut events = Events::with_capacity(1);
    let mut buffer = vec![0; 65536];
    loop {
        poller.wait(&mut events, None)?;
        loop {
            match socket.recv_from(&mut buffer) {
                // A datagram that cannot be sent is dropped, as on the network.
                Ok((count, from)) => drop(socket.send_to(&buffer[..count], from)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
