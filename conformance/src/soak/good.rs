//! Well-behaved clients, which check all responses.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Field;
use super::random::Random;
use super::response::Reader;
use crate::stream::Stream;

/// The time without a byte after which a response counts as missing: far above any deadline of the server, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A request, and the correct response.
struct Exchange {
    request: Vec<u8>,
    status: u16,
    /// `None` if only the status matters.
    body: Option<Vec<u8>>,
}

/// One connection with some requests, pipelined or one after the other.
pub(super) fn session(field: &Field, random: &mut Random) -> Result<(), String> {
    let door = &field.doors[random.below(field.doors.len())];
    let stream = door.connect(TIMEOUT).map_err(|error| format!("connecting: {error}"))?;
    let mut reader = Reader::new(stream);
    let exchanges: Vec<Exchange> = (0..=random.below(20)).map(|_| exchange(random)).collect();
    let depth = if random.below(3) == 0 { exchanges.len() } else { 1 };
    let half_closes = random.below(4) == 0;
    for (index, batch) in exchanges.chunks(depth).enumerate() {
        let bytes: Vec<u8> = batch
            .iter()
            .flat_map(|exchange| exchange.request.iter().copied())
            .collect();
        send(&mut reader.stream, &bytes, random)?;
        if half_closes && (index + 1) * depth >= exchanges.len() {
            // The server still responds to the sent requests.
            reader.stream.end().map_err(|error| error.to_string())?;
        }
        for exchange in batch {
            let asked = || {
                exchange.request[..exchange.request.len().min(80)]
                    .escape_ascii()
                    .to_string()
            };
            let (status, body) = reader.response().map_err(|what| format!("{what}, at {}", asked()))?;
            if status != exchange.status || exchange.body.as_ref().is_some_and(|expected| *expected != body) {
                let body = body[..body.len().min(80)].escape_ascii();
                return Err(format!("status {status}, body {body}, at {}", asked()));
            }
            field.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Sends in one piece or in several. The kernel's buffers have room for a pipeline of this length and its responses.
fn send(stream: &mut Stream, bytes: &[u8], random: &mut Random) -> Result<(), String> {
    let piece = if random.below(4) == 0 {
        1 + random.below(2000)
    } else {
        bytes.len()
    };
    bytes
        .chunks(piece)
        .try_for_each(|piece| stream.write_all(piece))
        .map_err(|error| format!("sending: {error}"))
}

fn exchange(random: &mut Random) -> Exchange {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let (request, status, body) = match random.below(16) {
        0..=4 => (get("/plain"), 200, Some(b"plain".to_vec())),
        5..=7 => {
            let number = random.below(1 << 30).to_string();
            (
                get(&format!("/echo/{number}%20x")),
                200,
                Some(format!("{number} x").into_bytes()),
            )
        }
        8 | 9 => {
            let body = vec![b'u'; random.below(20_000)];
            let head = format!(
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            ([head.as_bytes(), &body].concat(), 200, Some(body))
        }
        10 | 11 => {
            let body = vec![b'c'; 1 + random.below(20_000)];
            let mut request = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            // Extensions of more than 16 KiB in total would be rejected, correctly.
            for piece in body.chunks(100 + random.below(3000)) {
                request.extend(format!("{:x};x=y\r\n", piece.len()).into_bytes());
                request.extend_from_slice(piece);
                request.extend_from_slice(b"\r\n");
            }
            request.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
            (request, 200, Some(body))
        }
        12 => {
            let pieces = random.below(40);
            (get(&format!("/stream/{pieces}")), 200, Some(vec![b's'; pieces * 1024]))
        }
        13 => (
            get(&format!("/later/{}", random.below(20))),
            200,
            Some(b"later".to_vec()),
        ),
        14 => (get(["/panic", "/error"][random.below(2)]), 500, None),
        _ => (get("/nowhere"), 404, None),
    };
    Exchange { request, status, body }
}
