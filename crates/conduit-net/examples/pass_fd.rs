//! Passes a listener to another process while clients remain connected: the old server sends its descriptor over a Unix
//! socket, continues to serve its clients, and exits after the last one.
//!
//! ```text
//! pass_fd serve HANDOVER   # listens on 127.0.0.1, and passes the listener to a process that connects to HANDOVER
//! pass_fd take HANDOVER    # receives the listener, and continues to serve
//! ```
//! Each server responds to every line with its process ID.
#![allow(clippy::print_stdout, reason = "the banner is for the terminal")]

use conduit_net::io::{IoSlice, IoSliceMut};
use conduit_net::{
    ControlMessage, Events, Interest, ListenOptions, Poller, ReceiveControl, SendControl, TcpListener, TcpStream,
    UnixAddress, UnixListener, UnixStream, can_accept_after, wait_readable,
};
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::Duration;

const LISTENER: u64 = 0;
const HANDOVER: u64 = 1;

/// The time after which the sockets accept again, if the process had no descriptor and no client has left before.
const PAUSE: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [action, path] = arguments.as_slice() else {
        return Err("usage: pass_fd serve|take PATH".into());
    };
    let address = UnixAddress::from_path(path.as_str())?;
    let listener = match action.as_str() {
        "serve" => TcpListener::bind("127.0.0.1:0".parse()?, &ListenOptions::new())?,
        "take" => take(&UnixStream::connect(&address)?)?,
        other => return Err(format!("unknown action {other}: expected serve or take").into()),
    };
    // The previous process has closed its socket, but the file remains until it is removed.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let handover = UnixListener::bind(&address)?;
    println!("process {} listens on {}", std::process::id(), listener.local_addr()?);
    serve(listener, handover)
}

fn take(from: &UnixStream) -> Result<TcpListener, Box<dyn Error>> {
    wait_readable(from, None)?;
    let mut control = ReceiveControl::new();
    from.receive_message(&mut [IoSliceMut::new(&mut [0])], &mut control)?;
    for message in control.messages() {
        if let ControlMessage::Descriptors(mut descriptors) = message
            && let Some(listener) = descriptors.next()
        {
            return Ok(TcpListener::from(listener));
        }
    }
    Err("the other process passed no listener".into())
}

fn serve(listener: TcpListener, handover: UnixListener) -> Result<(), Box<dyn Error>> {
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER, Interest::READABLE)?;
    poller.add(&handover, HANDOVER, Interest::READABLE)?;
    let mut sockets = Some((listener, handover));
    let mut clients: HashMap<u64, TcpStream> = HashMap::new();
    let mut next_key = HANDOVER + 1;
    let mut events = Events::with_capacity(64);
    let mut is_paused = false;
    while sockets.is_some() || !clients.is_empty() {
        let was_paused = is_paused;
        let mut resumes = poller.wait(&mut events, is_paused.then_some(PAUSE))? == 0;
        for event in &events {
            match (event.key, &sockets) {
                (LISTENER, Some((listener, _))) => match listener.accept() {
                    Ok((client, _)) => {
                        poller.add(&client, next_key, Interest::READABLE)?;
                        clients.insert(next_key, client);
                        next_key += 1;
                    }
                    Err(error) if has_no_connection(&error) => {}
                    // No descriptor is free: pending connections remain in the queue.
                    Err(_) => is_paused = true,
                },
                (HANDOVER, Some((listener, handover))) => match pass(listener, handover) {
                    // The successor has the same socket, so pending connections remain in its queue. The poller must
                    // remove it explicitly, because closing one of two descriptors does not.
                    Ok(()) => {
                        poller.remove(listener)?;
                        poller.remove(handover)?;
                        sockets = None;
                    }
                    Err(error) if has_no_connection(&error) => {}
                    Err(error) => {
                        eprintln!("pass_fd: cannot pass the listener: {error}");
                        is_paused = true;
                    }
                },
                (key, _) => {
                    if let Some(client) = clients.get(&key)
                        && !answer(client)?
                    {
                        clients.remove(&key);
                        resumes = true;
                    }
                }
            }
        }
        is_paused &= !resumes;
        if is_paused != was_paused
            && let Some((listener, handover)) = &sockets
        {
            let interest = if is_paused { Interest::NONE } else { Interest::READABLE };
            poller.modify(listener, LISTENER, interest)?;
            poller.modify(handover, HANDOVER, interest)?;
        }
    }
    println!("process {} has served its last client", std::process::id());
    Ok(())
}

/// Passes the listener to a process that connects to the handover socket.
fn pass(listener: &TcpListener, handover: &UnixListener) -> io::Result<()> {
    let (successor, _) = handover.accept()?;
    let mut control = SendControl::new();
    control.push_descriptors(&[listener.as_fd()])?;
    successor.send_message(&[IoSlice::new(b"L")], &control)?;
    Ok(())
}

/// Returns whether another process has accepted the connection, or the client has closed it.
fn has_no_connection(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock || can_accept_after(error)
}

/// Returns false if the client has closed the connection.
fn answer(client: &TcpStream) -> Result<bool, Box<dyn Error>> {
    let mut bytes = [0; 1024];
    match client.recv(&mut bytes) {
        Ok(0) | Err(_) => Ok(false),
        Ok(_) => Ok(client.send(format!("{}\n", std::process::id()).as_bytes()).is_ok()),
    }
}
