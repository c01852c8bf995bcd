//! The memory of an idle server: a fresh one, and one with many idle connections.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Result;
use crate::probe::Connection;
use crate::process::Process;
use crate::rows::{self, Idle};
use crate::websocket::{self, Echo};
use crate::{http2, probe};

const CONNECTIONS: u64 = 10_000;
/// Descriptors that a server or the harness needs in addition.
const RESERVE: u64 = 256;

/// Raises the soft descriptor limit to the hard one, for the harness and the servers that inherit it, and returns the number of
/// idle connections that fit: 10,000, or fewer under a lower limit.
///
/// # Errors
///
/// Returns an error if the kernel refuses.
pub(crate) fn raise_descriptor_limit() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .map_err(|error| format!("cannot raise the descriptor limit to {:?}: {error}", limit.maximum))?;
    let descriptors = limit.maximum.unwrap_or(u64::MAX);
    Ok(CONNECTIONS.min(descriptors.saturating_sub(RESERVE)))
}

/// Opens `count` connections, sends one request on each, and returns the bytes of anonymous memory that each has added.
///
/// Each request is complete before the next connection is opened: a server may close a connection that is silent at first.
///
/// # Errors
///
/// Returns an error if a connection is refused, gets a wrong response, or is closed before the memory is read.
pub(crate) fn idle_connection_bytes(server: &mut Process, count: u64, kind: Idle) -> Result<f64> {
    let serve = |stream: TcpStream| -> Result<Connection> {
        if kind == Idle::WebSocket {
            let stream = websocket::open(stream, "/echo", false)?.stream;
            let echo = Echo { bytes: 16, pipeline: 1 };
            echo.once(&stream)?;
            return Ok(Connection::Plain(stream));
        }
        let mut connection = Connection::new(stream, kind == Idle::Https)?;
        match kind {
            Idle::Http2 => http2::ask(&mut connection)?,
            _ => probe::ask(&mut connection, &rows::PLAINTEXT)?,
        }
        Ok(connection)
    };
    // The first response initialises the state that all connections share.
    serve(server.connect_when_ready()?)?;
    server.settle()?;
    let before = server.memory()?;
    let mut connections = Vec::new();
    for number in 1..=count {
        let connection = TcpStream::connect(server.address);
        let connection = connection.map_err(|error| format!("refused connection {number} of {count}: {error}"))?;
        let connection = serve(connection).map_err(|error| format!("{error} (connection {number} of {count})"))?;
        connections.push(connection);
    }
    server.settle()?;
    let after = server.memory()?;
    let closed = connections
        .iter()
        .filter(|connection| !is_open(connection.stream()))
        .count();
    if closed > 0 {
        return Err(format!(
            "closed {closed} of {count} idle connections before its memory was read"
        ));
    }
    Ok((after.anonymous as f64 - before.anonymous as f64) / count as f64)
}

fn is_open(connection: &TcpStream) -> bool {
    let open = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
    connection.set_nonblocking(true).is_ok() && connection.peek(&mut [0]).is_err_and(open)
}

/// Returns the seconds from `start`, just before the start of the server, until its first response has been checked.
///
/// # Errors
///
/// Returns an error if the server does not listen, or if its response is wrong.
pub(crate) fn first_answer_seconds(server: &mut Process, start: Instant) -> Result<f64> {
    let stream = server.connect_when_ready()?;
    probe::ask(&mut Connection::new(stream, false)?, &rows::PLAINTEXT)?;
    Ok(start.elapsed().as_secs_f64())
}
