//! A TCP echo server without std: `tiny_echo [PORT]`, by default 8080, on all IPv4 addresses.
//!
//! One thread serves up to 1,000 connections without a buffer for any of them: it peeks at the received bytes, sends
//! them back, and removes only the sent ones from the socket.
#![no_std]
#![no_main]

use conduit_net::io::{Error, Result};
use conduit_net::{EventSlot, Interest, ListenOptions, Poller, TcpListener, TcpStream, can_accept_after};
use core::ffi::{CStr, c_char, c_int};
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

/// Descriptors are small numbers, so they are also the keys.
const CONNECTIONS: usize = 1_000;
const LISTENER: u64 = u64::MAX - 1;

/// The time after which the listener accepts again, if the process had no descriptor and no connection has closed before.
const PAUSE: Duration = Duration::from_secs(1);

/// # Safety
/// The C runtime calls it with the arguments of the program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    let port = if count > 1 {
        // SAFETY: `arguments` has `count` pointers to zero-terminated strings.
        parse(unsafe { CStr::from_ptr(*arguments.add(1)) }.to_bytes())
    } else {
        Some(8080)
    };
    let Some(port) = port else {
        return fail(b"tiny_echo: invalid port: expected a number from 0 to 65535\n");
    };
    match serve(port) {
        Err(Error::ADDRINUSE) => fail(b"tiny_echo: another program listens on the port: choose another\n"),
        Err(_) => fail(b"tiny_echo: cannot listen on the port\n"),
        Ok(()) => 0,
    }
}

fn serve(port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listener = TcpListener::bind(address, &ListenOptions::new())
        .map_err(|error| Error::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO)))?;
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER, Interest::READABLE)?;
    banner(listener.local_addr()?.port());

    let mut connections = [const { None::<TcpStream> }; CONNECTIONS];
    let mut slots = [EventSlot::EMPTY; 64];
    let mut buffer = [0; 16 * 1024];
    let mut is_paused = false;
    loop {
        let (mut has_events, mut has_closed) = (false, false);
        for event in poller.wait_into(&mut slots, is_paused.then_some(PAUSE))? {
            has_events = true;
            if event.key == LISTENER {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let key = key_of(&stream);
                        // A connection beyond the limit is closed by dropping it.
                        if let Some(place) = connections.get_mut(key) {
                            poller.add(&stream, key as u64, Interest::READABLE)?;
                            *place = Some(stream);
                        }
                    }
                    Err(Error::AGAIN) => {}
                    Err(error) if can_accept_after(&error) => {}
                    // No descriptor is free: pending connections remain in the queue.
                    Err(_) => {
                        is_paused = true;
                        poller.modify(&listener, LISTENER, Interest::NONE)?;
                    }
                }
                continue;
            }
            let Some(place) = connections.get_mut(event.key as usize) else {
                continue;
            };
            let Some(stream) = place else { continue };
            match echo(stream, &mut buffer) {
                Ok(Next::Read) => {
                    if event.writable {
                        poller.modify(stream, event.key, Interest::READABLE)?;
                    }
                }
                Ok(Next::Write) => poller.modify(stream, event.key, Interest::WRITABLE)?,
                Ok(Next::Close) | Err(_) => {
                    *place = None;
                    has_closed = true;
                }
            }
        }
        if is_paused && (has_closed || !has_events) {
            is_paused = false;
            poller.modify(&listener, LISTENER, Interest::READABLE)?;
        }
    }
}

/// The interest of a connection.
enum Next {
    Read,
    Write,
    Close,
}

fn echo(stream: &TcpStream, buffer: &mut [u8]) -> Result<Next> {
    let came = match stream.peek(buffer) {
        Ok(0) => return Ok(Next::Close),
        Ok(came) => came,
        Err(Error::AGAIN) => return Ok(Next::Read),
        Err(error) => return Err(error),
    };
    match stream.send(&buffer[..came]) {
        Ok(sent) => {
            stream.recv(&mut buffer[..sent])?;
            Ok(if sent < came { Next::Write } else { Next::Read })
        }
        Err(Error::AGAIN) => Ok(Next::Write),
        Err(error) => Err(error),
    }
}

fn key_of(stream: &TcpStream) -> usize {
    use rustix::fd::AsRawFd;
    stream.as_raw_fd() as usize
}

fn parse(text: &[u8]) -> Option<u16> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

fn banner(port: u16) {
    let mut line = *b"tiny_echo listens on 0.0.0.0:     \n";
    let mut rest = port;
    let digits = rest.checked_ilog10().unwrap_or(0) as usize + 1;
    for place in line[29..29 + digits].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    line[29 + digits] = b'\n';
    say(&line[..30 + digits]);
}

fn fail(text: &[u8]) -> c_int {
    say(text);
    1
}

fn say(text: &[u8]) {
    // SAFETY: descriptor 1 is the standard output; if it is closed, writing fails and nothing else happens.
    let _ = rustix::io::write(unsafe { rustix::stdio::stdout() }, text);
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::abort() }
}
