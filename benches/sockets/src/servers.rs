//! Five implementations of the same echo. Each serves on the given listener without an end.

use conduit_net::{Events, Interest, Poller, TcpListener, TcpStream, wait_writable};
use std::io::{ErrorKind, Read, Result, Write};
use std::os::fd::AsRawFd;

/// Serves on a listener without an end.
pub type Serve = fn(TcpListener) -> Result<()>;

/// Every server by its name.
pub const SERVERS: [(&str, Serve); 5] = [
    ("C epoll", c_epoll),
    ("conduit-net", conduit_net),
    ("mio", mio),
    ("tokio", tokio),
    ("std threads", std_threads),
];

const BUFFER: usize = 65536;

fn c_epoll(listener: TcpListener) -> Result<()> {
    unsafe extern "C" {
        fn c_echo(listener: i32) -> i32;
    }
    // SAFETY: the descriptor is a listening, non-blocking socket that stays open.
    let errno = unsafe { c_echo(listener.as_raw_fd()) };
    Err(std::io::Error::from_raw_os_error(errno))
}

fn conduit_net(listener: TcpListener) -> Result<()> {
    let poller = Poller::new()?;
    poller.add(&listener, 0, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut streams: Vec<Option<TcpStream>> = vec![None];
    let mut buffer = vec![0; BUFFER];
    loop {
        poller.wait(&mut events, None)?;
        for event in &events {
            if event.key == 0 {
                if let Ok((stream, _)) = listener.accept() {
                    poller.add(&stream, streams.len() as u64, Interest::READABLE)?;
                    streams.push(Some(stream));
                }
            } else if let Some(stream) = &streams[event.key as usize]
                && !echo(stream, &mut buffer)
            {
                streams[event.key as usize] = None;
            }
        }
    }
}

fn echo(stream: &TcpStream, buffer: &mut [u8]) -> bool {
    let count = match stream.recv(buffer) {
        Ok(0) => return false,
        Ok(count) => count,
        Err(error) => return error.kind() == ErrorKind::WouldBlock,
    };
    let mut rest = &buffer[..count];
    while !rest.is_empty() {
        match stream.send(rest) {
            Ok(sent) => rest = &rest[sent..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => drop(wait_writable(stream, None)),
            Err(_) => return false,
        }
    }
    true
}

fn mio(listener: TcpListener) -> Result<()> {
    let mut listener = mio::net::TcpListener::from_std(listener.into());
    let mut poll = mio::Poll::new()?;
    poll.registry()
        .register(&mut listener, mio::Token(0), mio::Interest::READABLE)?;
    let mut events = mio::Events::with_capacity(1024);
    let mut streams: Vec<Option<mio::net::TcpStream>> = vec![None];
    let mut buffer = vec![0; BUFFER];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let token = event.token();
            if token == mio::Token(0) {
                while let Ok((mut stream, _)) = listener.accept() {
                    poll.registry()
                        .register(&mut stream, mio::Token(streams.len()), mio::Interest::READABLE)?;
                    streams.push(Some(stream));
                }
            } else if let Some(stream) = &mut streams[token.0]
                && !mio_echo(stream, &mut buffer)
            {
                streams[token.0] = None;
            }
        }
    }
}

/// Edge-triggered: after a read that fills the buffer, more bytes may be pending; after a shorter one, none are.
fn mio_echo(stream: &mut mio::net::TcpStream, buffer: &mut [u8]) -> bool {
    loop {
        let count = match stream.read(buffer) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(sent) => rest = &rest[sent..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        if count < buffer.len() {
            return true;
        }
    }
}

fn tokio(listener: TcpListener) -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener.into())?;
            loop {
                let (mut stream, _) = listener.accept().await?;
                tokio::spawn(async move {
                    let mut buffer = vec![0; BUFFER];
                    while let Ok(count) = stream.read(&mut buffer).await {
                        if count == 0 || stream.write_all(&buffer[..count]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        })
}

fn std_threads(listener: TcpListener) -> Result<()> {
    let listener = std::net::TcpListener::from(listener);
    listener.set_nonblocking(false)?;
    loop {
        let (mut stream, _) = listener.accept()?;
        std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
            let mut buffer = vec![0; BUFFER];
            while let Ok(count) = stream.read(&mut buffer) {
                if count == 0 || stream.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        })?;
    }
}
