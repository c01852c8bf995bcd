//! The clients of a server that stops: the times at which its WebSockets close, and the rate at which the clients connect to
//! another server.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::process::Signal;
use rustix::time::Timespec;

use crate::arguments::Arguments;
use crate::process::Process;
use crate::servers::Source;
use crate::{Result, memory, websocket};

/// The longest time of a stop.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Close with its code, masked by zeros.
const CLOSE: [u8; 6] = [0x88, 0x82, 0, 0, 0, 0];

/// The end of a WebSocket, after the signal.
struct End {
    after: Duration,
    /// `None` if the connection ended without Close, which browsers report as 1006.
    code: Option<u16>,
}

/// Stops a server with ten thousand WebSockets, and reports on the ends.
///
/// # Errors
///
/// Returns an error if a server does not build, a connection fails, or a WebSocket stays open.
pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    let count = memory::raise_descriptor_limit()?;
    let source = Source::Package("bench-conduit-live");
    let program = source.build(arguments.jobs)?;
    let start = || {
        let command = |address| source.command(&program, address, "", false, &std::env::temp_dir());
        Process::start(command, arguments.server_core, arguments.load_core)
    };
    let (mut first, mut second) = (start()?, start()?);
    drop(second.connect_when_ready()?);
    drop(first.connect_when_ready()?);
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| format!("cannot poll: {error}"))?;
    let mut sockets = Vec::new();
    for index in 0..count {
        let stream = connect(&first)?;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        epoll::add(
            &poller,
            &stream,
            epoll::EventData::new_u64(index),
            epoll::EventFlags::IN,
        )
        .map_err(|error| format!("cannot poll a connection: {error}"))?;
        sockets.push(Some(stream));
    }
    first.signal(Signal::TERM)?;
    let began = Instant::now();
    let mut ends = Vec::new();
    let mut reconnected = Vec::new();
    let mut events = Vec::with_capacity(1024);
    while ends.len() < sockets.len() {
        events.clear();
        let pause = Timespec { tv_sec: 1, tv_nsec: 0 };
        epoll::wait(&poller, rustix::buffer::spare_capacity(&mut events), Some(&pause))
            .map_err(|error| format!("cannot poll: {error}"))?;
        for event in &events {
            let slot = &mut sockets[event.data.u64() as usize];
            let Some(code) = slot.as_mut().and_then(end_of) else {
                continue;
            };
            let after = began.elapsed();
            ends.push(End { after, code });
            *slot = None;
            reconnected.push(connect(&second)?);
        }
        if began.elapsed() > TIMEOUT {
            return Err(format!(
                "{} WebSockets are open after {TIMEOUT:?}",
                sockets.len() - ends.len()
            ));
        }
    }
    Ok(report(&ends))
}

fn connect(server: &Process) -> Result<TcpStream> {
    let stream = TcpStream::connect(server.address).map_err(|error| format!("refused a connection: {error}"))?;
    Ok(websocket::open(stream, "/echo", false)?.stream)
}

/// Responds to Close. Returns the code once the WebSocket has ended.
fn end_of(stream: &mut TcpStream) -> Option<Option<u16>> {
    let mut buffer = [0; 256];
    match stream.read(&mut buffer) {
        Ok(count) if count >= 4 && buffer[0] == 0x88 => {
            // The server waits for it; a failure means that the connection has ended.
            let _ = stream.write_all(&[&CLOSE[..], &buffer[2..4]].concat());
            Some(Some(u16::from_be_bytes([buffer[2], buffer[3]])))
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        _ => Some(None),
    }
}

fn report(ends: &[End]) -> String {
    let last = ends.iter().map(|end| end.after).max().unwrap_or_default();
    let mut seconds = vec![0_u32; last.as_secs() as usize + 1];
    for end in ends {
        seconds[end.after.as_secs() as usize] += 1;
    }
    let peak = seconds.iter().max().copied().unwrap_or_default();
    let mean = ends.len() as f64 / last.as_secs_f64().max(1.0);
    let mut codes: Vec<u16> = ends.iter().map(|end| end.code.unwrap_or(1006)).collect();
    codes.sort_unstable();
    let codes = codes
        .chunk_by(|a, b| a == b)
        .map(|equal| format!("{} × {}", equal.len(), equal[0]));
    format!(
        "{} WebSockets closed in {:.1} s: {}; peak {peak} in a second, mean {mean:.0}: {:.2}×",
        ends.len(),
        last.as_secs_f64(),
        codes.collect::<Vec<_>>().join(", "),
        f64::from(peak) / mean
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_has_the_peak_the_mean_and_the_codes() {
        let end = |millis, code| End {
            after: Duration::from_millis(millis),
            code,
        };
        let ends = [
            end(0, Some(1001)),
            end(1500, Some(1001)),
            end(1600, None),
            end(2000, Some(1001)),
        ];
        let expected = "4 WebSockets closed in 2.0 s: 3 × 1001, 1 × 1006; peak 2 in a second, mean 2: 1.00×";
        assert_eq!(report(&ends), expected);
    }
}
