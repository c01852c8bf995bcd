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
    UnixAddress, UnixListener, UnixStream, wait_readable,
};
use std::collections::HashMap;
use std::error::Error;
use std::io::ErrorKind;
use std::os::fd::AsFd;

const LISTENER: u64 = 0;
const HANDOVER: u64 = 1;

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
    while sockets.is_some() || !clients.is_empty() {
        poller.wait(&mut events, None)?;
        for event in &events {
            match (event.key, &sockets) {
                (LISTENER, Some((listener, _))) => match listener.accept() {
                    Ok((client, _)) => {
                        poller.add(&client, next_key, Interest::READABLE)?;
                        clients.insert(next_key, client);
                        next_key += 1;
                    }
                    // The other process may have accepted the connection.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                },
                (HANDOVER, Some((listener, handover))) => {
                    let (successor, _) = handover.accept()?;
                    let mut control = SendControl::new();
                    control.push_descriptors(&[listener.as_fd()])?;
                    successor.send_message(&[IoSlice::new(b"L")], &control)?;
                    // The successor has the same socket, so pending connections remain in its queue. The poller must
                    // remove it explicitly, because closing one of two descriptors does not.
                    poller.remove(listener)?;
                    poller.remove(handover)?;
                    sockets = None;
                }
                (key, _) => {
                    if let Some(client) = clients.get(&key)
                        && !answer(client)?
                    {
                        clients.remove(&key);
                    }
                }
            }
        }
    }
    println!("process {} has served its last client", std::process::id());
    Ok(())
}

/// Returns false if the client has closed the connection.
fn answer(client: &TcpStream) -> Result<bool, Box<dyn Error>> {
    let mut bytes = [0; 1024];
    match client.recv(&mut bytes) {
        Ok(0) | Err(_) => Ok(false),
        Ok(_) => Ok(client.send(format!("{}\n", std::process::id()).as_bytes()).is_ok()),
    }
}
