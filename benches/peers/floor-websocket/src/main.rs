//! The floor of WebSocket echoes: a bare, level-triggered epoll loop that echoes the payload of each data frame. One `recv`
//! and one `send` a turn; no UTF-8 validation, fragments, control frames, limits or timeouts. The response to the handshake is
//! valid for the key of the RFC's example, which the load sends.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};

const HANDSHAKE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// More than a batch of 16 frames with 64 KiB each.
const BUFFER_BYTES: usize = 2 * 1024 * 1024;

struct Connection {
    socket: OwnedFd,
    is_open: bool,
    /// The beginning of an incomplete frame.
    partial: Vec<u8>,
    /// Frames that the socket had no room for.
    unsent: Vec<u8>,
}

/// The buffers that all connections share.
struct Buffers {
    input: Vec<u8>,
    output: Vec<u8>,
}

/// The length of the header, the mask, and the length of the payload, if all of the header has arrived.
fn header(input: &[u8]) -> Option<(usize, [u8; 4], usize)> {
    let (at, length) = match input.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*input.get(2..)?.first_chunk()?) as usize),
        length => (2, usize::from(length)),
    };
    Some((at + 4, *input.get(at..)?.first_chunk()?, length))
}

/// Appends the responses to the complete frames, and returns the number of consumed bytes.
fn echo(input: &[u8], output: &mut Vec<u8>) -> usize {
    let mut used = 0;
    while let Some((start, mask, length)) = header(&input[used..]) {
        let Some(payload) = input.get(used + start..used + start + length) else {
            break;
        };
        output.push(input[used]);
        match length {
            0..126 => output.push(length as u8),
            126..65_536 => {
                output.push(126);
                output.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                output.push(127);
                output.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let at = output.len();
        output.extend_from_slice(payload);
        let (words, rest) = output[at..].as_chunks_mut::<8>();
        let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        used += start + length;
    }
    used
}

impl Connection {
    /// Reads once and sends once. Returns `false` when the connection has ended.
    fn turn(&mut self, buffers: &mut Buffers) -> bool {
        let Buffers { input, output } = buffers;
        output.clear();
        if !self.unsent.is_empty() {
            std::mem::swap(output, &mut self.unsent);
            self.unsent.clear();
            return self.send(output);
        }
        let kept = self.partial.len();
        input[..kept].copy_from_slice(&self.partial);
        let received = match recv(&self.socket, &mut input[kept..], RecvFlags::empty()) {
            Ok((0, _)) => return false,
            Ok((received, _)) => received,
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => return false,
        };
        let input = &input[..kept + received];
        let used = match self.is_open {
            true => echo(input, output),
            false if input.ends_with(b"\r\n\r\n") => {
                self.is_open = true;
                output.extend_from_slice(HANDSHAKE);
                input.len()
            }
            false => 0,
        };
        self.partial.clear();
        self.partial.extend_from_slice(&input[used..]);
        output.is_empty() || self.send(output)
    }

    fn send(&mut self, output: &[u8]) -> bool {
        let sent = match send(&self.socket, output, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(_) => return false,
        };
        self.unsent.extend_from_slice(&output[sent..]);
        true
    }
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).and_then(|address| address.parse().ok());
    let address: SocketAddr = address.expect("usage: bench-floor-websocket ADDRESS");
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let listener_key = u64::MAX;
    epoll::add(&epoll, &listener, EventData::new_u64(listener_key), EventFlags::IN)?;

    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffers = Buffers {
        input: vec![0; BUFFER_BYTES],
        output: Vec::with_capacity(BUFFER_BYTES),
    };
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let key = event.data.u64();
            if key == listener_key {
                let Ok(socket) = accept_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) else {
                    continue;
                };
                rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
                let index = socket.as_raw_fd() as usize;
                epoll::add(&epoll, &socket, EventData::new_u64(index as u64), EventFlags::IN)?;
                if connections.len() <= index {
                    connections.resize_with(index + 1, || None);
                }
                connections[index] = Some(Connection {
                    socket,
                    is_open: false,
                    partial: Vec::new(),
                    unsent: Vec::new(),
                });
                continue;
            }
            let slot = &mut connections[key as usize];
            let Some(connection) = slot else { continue };
            let was_blocked = !connection.unsent.is_empty();
            if !connection.turn(&mut buffers) {
                // Closing the descriptor removes it from the epoll set.
                *slot = None;
                continue;
            }
            let is_blocked = !connection.unsent.is_empty();
            if is_blocked != was_blocked {
                let interest = if is_blocked { EventFlags::OUT } else { EventFlags::IN };
                epoll::modify(&epoll, &connection.socket, EventData::new_u64(key), interest)?;
            }
        }
    }
}
