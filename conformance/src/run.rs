//! Sends a row to a server, in pieces, and checks the responses.

use crate::case::{Answer, Case, Then, ok};
use crate::client::{Client, escape, expect_answers};
use crate::server::{PROBE, Running};

/// The number of concurrent connections when a row is split at each of its bytes.
const BATCH: usize = 128;

/// A longer row is not split at each byte, but at this number of bytes at either end, and at every 61st in between.
const CUT_EVERYWHERE_BYTES: usize = 512;

/// The request after each row; it closes the connection, so that all responses can be read.
const FOLLOWING: &[u8] = b"GET /probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n";

/// The pieces in which the bytes of a row are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In one write, with the final request.
    Whole,
    /// One byte in each write; over TLS, each in a separate record.
    Bytes,
    /// As [`Whole`](Self::Whole), with one byte per write to the socket: over TLS, this splits the record.
    Trickle,
    /// In two writes, for each position of the split; the server has read the first before the second is sent.
    Halves,
    /// As [`Halves`](Self::Halves), with a split only at every nth position.
    SomeHalves(usize),
}

/// Sends a row to the server.
///
/// # Errors
///
/// Returns the difference from the row, with the bytes.
pub fn run(server: &Running, case: &Case, delivery: Delivery) -> Result<(), String> {
    let input = case.input.bytes();
    let outcome = match delivery {
        Delivery::Whole => whole(server, case, &input, Client::send),
        Delivery::Trickle => whole(server, case, &input, Client::send_bytewise),
        Delivery::Bytes => {
            let mut client = server.connect();
            // The server may close before the last of them.
            let _ = input.iter().all(|byte| client.send(&[*byte]));
            finish(client, case, false)
        }
        Delivery::Halves | Delivery::SomeHalves(_) => {
            let step = match delivery {
                Delivery::SomeHalves(step) => step,
                _ => 1,
            };
            let places: Vec<usize> = places(input.len()).step_by(step).collect();
            places
                .chunks(BATCH)
                .try_for_each(|places| halves(server, case, &input, places))
        }
    };
    outcome.map_err(|what| {
        let Case { name, section, .. } = case;
        format!(
            "{name} (RFC {section}), {delivery:?}: {what}\n    sent {}",
            escape(&input)
        )
    })
}

/// Returns the number of connections that [`run`] opens for a row: at once, byte by byte, and split at each position.
#[must_use]
pub fn connections(case: &Case) -> usize {
    2 + places(case.input.bytes().len()).count()
}

/// Returns the positions at which input of this length is split.
fn places(length: usize) -> impl Iterator<Item = usize> {
    const END: usize = CUT_EVERYWHERE_BYTES / 4;
    (1..length)
        .filter(move |&place| length <= CUT_EVERYWHERE_BYTES || place < END || place + END > length || place % 61 == 0)
}

fn whole(server: &Running, case: &Case, input: &[u8], send: fn(&mut Client, &[u8]) -> bool) -> Result<(), String> {
    let mut client = server.connect();
    let follows = matches!(case.then, Then::Kept | Then::Closed) && case.after_continue.is_empty();
    let following = if follows { FOLLOWING } else { b"" };
    // The server may close before it has read everything.
    let _ = send(&mut client, &[input, following].concat());
    finish(client, case, follows)
}

/// Splits the input at each position, on separate connections.
///
/// A worker serves its connections and their bytes in order of arrival, so the response to the last request proves that all earlier
/// bytes have been read: first that all connections have been accepted, then that the first halves have been read.
fn halves(server: &Running, case: &Case, input: &[u8], places: &[usize]) -> Result<(), String> {
    let mut clients: Vec<Client> = places.iter().map(|_| server.connect()).collect();
    let mut last = server.connect();
    last.probe();
    for (client, &place) in clients.iter_mut().zip(places) {
        client.send(&input[..place]);
    }
    last.probe();
    for (client, &place) in clients.iter_mut().zip(places) {
        // The first half may have been rejected.
        client.send(&input[place..]);
    }
    for (client, &place) in clients.into_iter().zip(places) {
        finish(client, case, false).map_err(|what| format!("cut at {place}: {what}"))?;
    }
    Ok(())
}

/// Sends the final request, reads everything, and compares.
fn finish(mut client: Client, case: &Case, followed: bool) -> Result<(), String> {
    if !case.after_continue.is_empty() {
        client.read_until(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        client.send(case.after_continue);
    }
    match case.then {
        Then::Waits => client.end(),
        Then::Kept | Then::Closed if !followed => _ = client.send(FOLLOWING),
        Then::Kept | Then::Closed | Then::ClosedFirst => {}
    }
    if case.then == Then::Closed {
        // Ends the lingering of the server.
        client.end();
    }
    let mut answers: Vec<Answer> = case.answers.to_vec();
    if case.then == Then::Kept {
        answers.push(ok(PROBE).with(&[("connection", "close")]));
    }
    expect_answers(&client.rest()?, &answers)
}
