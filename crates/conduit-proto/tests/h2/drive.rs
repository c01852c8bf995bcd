//! A server without sockets: feeds pieces of a stream to a connection, responds, and records everything observable.

use std::time::Duration;

use conduit_proto::h1::{BodyLength, Head};
use conduit_proto::h2::hpack::Decoder;
use conduit_proto::h2::{ConnectionError, Http2Connection, Http2Event, Http2Limits, Http2Reason, ResetCause, StreamId};
use conduit_proto::http_date;
use http::{HeaderMap, StatusCode};

use crate::frames::{Received, parse};

/// An event with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Request(u32, Request),
    Refused(u32, Http2Reason),
    /// Consecutive pieces are joined.
    Body(u32, Vec<u8>),
    End(u32, Vec<(String, Vec<u8>)>),
    Reset(u32, ResetCause),
    Rejected(Http2Reason),
    Delayed,
    Error(ConnectionError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) authority: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: BodyLength,
}

impl Request {
    pub(crate) fn of(head: &Head) -> Self {
        assert_eq!(head.version(), http::Version::HTTP_2);
        let map = head.header_map();
        let headers: Vec<_> = head
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect();
        assert_eq!(map.len(), headers.len());
        let mut with_host = head.clone();
        with_host.add_host();
        let has_host = head.header("host").is_some() || head.authority().is_none();
        assert_eq!(with_host.header_map().len(), headers.len() + usize::from(!has_host));
        for (name, value) in &headers {
            assert!(map.get_all(name).iter().any(|other| other.as_bytes() == value));
        }
        Self {
            method: head.method().to_string(),
            target: head.target().to_owned(),
            path: head.path().to_owned(),
            query: head.query().map(str::to_owned),
            authority: head.authority().map(str::to_owned),
            protocol: head.protocol().map(str::to_owned),
            headers,
            body: head.body(),
        }
    }
}

/// A server with one connection. It responds to a complete request with its method and target. In the path, `/early`
/// requests a response at the head, `/hold` none, and `/unread` that the body is not consumed at once.
pub(crate) struct Server {
    pub(crate) connection: Http2Connection,
    head: Head,
    pending: Vec<u8>,
    held: Vec<(StreamId, Held)>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) output: Vec<u8>,
    pub(crate) now: Duration,
    decoder: Decoder,
}

struct Held {
    path: String,
    body: String,
}

impl Server {
    pub(crate) fn new(limits: &Http2Limits) -> Self {
        let mut output = Vec::new();
        Self {
            connection: Http2Connection::new(limits, &mut output),
            head: Head::new(),
            pending: Vec::new(),
            held: Vec::new(),
            seen: Vec::new(),
            output,
            now: Duration::ZERO,
            decoder: Decoder::new(),
        }
    }

    /// A server that has received the preface and empty SETTINGS, and whose first output is read.
    pub(crate) fn open(limits: &Http2Limits) -> Self {
        let mut server = Self::new(limits);
        server.receive(&crate::frames::opening());
        server.read();
        server
    }

    /// The frames since the last call.
    pub(crate) fn read(&mut self) -> Vec<Received> {
        parse(&std::mem::take(&mut self.output), &mut self.decoder)
    }

    /// The open stream with this number.
    pub(crate) fn stream(&self, number: u32) -> StreamId {
        let held = self.held.iter().find(|(id, _)| id.number() == number);
        held.expect("the stream has a request").0
    }

    pub(crate) fn receive(&mut self, piece: &[u8]) {
        self.pending.extend_from_slice(piece);
        let input = std::mem::take(&mut self.pending);
        let mut at = 0;
        loop {
            let (rest, head) = (&input[at..], &mut self.head);
            let step = self.connection.handle_input(rest, head, &mut self.output, self.now);
            let (used, event) = match step {
                Ok(step) => step,
                Err(error) => {
                    self.seen.push(Seen::Error(error));
                    assert!(self.connection.is_finished());
                    continue;
                }
            };
            at += used;
            match event {
                Http2Event::NeedMore => break,
                Http2Event::Closed => {
                    assert_eq!(at, input.len());
                    break;
                }
                Http2Event::Delayed(until) => {
                    assert!(until > self.now);
                    if self.seen.last() != Some(&Seen::Delayed) {
                        self.seen.push(Seen::Delayed);
                    }
                    break;
                }
                Http2Event::Request(id) => {
                    let request = Request::of(&self.head);
                    let held = Held {
                        path: request.path.clone(),
                        body: format!("{} {}", request.method, request.target),
                    };
                    let is_complete = request.body == BodyLength::None || held.path.contains("/early");
                    self.seen.push(Seen::Request(id.number(), request));
                    self.held.push((id, held));
                    if self.head.expects_continue() {
                        self.connection.write_continue(&mut self.output, id);
                    }
                    if is_complete {
                        self.respond(id);
                    }
                }
                Http2Event::Refused(id, reason) => {
                    self.seen.push(Seen::Refused(id.number(), reason));
                    let status = reason.status().unwrap();
                    self.write(id, status, b"refused");
                }
                Http2Event::Body(id, piece) => {
                    assert!(!piece.is_empty());
                    let length = piece.len();
                    match self.seen.last_mut() {
                        Some(Seen::Body(number, body)) if *number == id.number() => body.extend(piece),
                        _ => self.seen.push(Seen::Body(id.number(), piece.to_vec())),
                    }
                    let is_unread = |(other, held): &(StreamId, Held)| *other == id && held.path.contains("/unread");
                    if !self.held.iter().any(is_unread) {
                        self.connection.consumed(&mut self.output, id, length);
                    }
                }
                Http2Event::End(id, trailers) => {
                    let trailers = trailers.unwrap_or_default();
                    let trailers = trailers
                        .iter()
                        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
                    self.seen.push(Seen::End(id.number(), trailers.collect()));
                    self.respond(id);
                }
                Http2Event::Reset(id, cause) => {
                    assert!(!self.connection.is_open(id));
                    self.held.retain(|(other, _)| *other != id);
                    self.seen.push(Seen::Reset(id.number(), cause));
                }
                Http2Event::Rejected(reason) => self.seen.push(Seen::Rejected(reason)),
            }
        }
        self.pending = input[at..].to_vec();
        assert!(self.pending.len() <= 16_393 || matches!(self.seen.last(), Some(Seen::Delayed)));
    }

    /// The heap memory of the head, in bytes.
    pub(crate) fn head_bytes(&self) -> usize {
        self.head.heap_bytes()
    }

    fn respond(&mut self, id: StreamId) {
        let index = self.held.iter().position(|(other, _)| *other == id).unwrap();
        if self.held[index].1.path.contains("/hold") {
            return;
        }
        let (_, held) = self.held.swap_remove(index);
        self.write(id, StatusCode::OK, held.body.as_bytes());
    }

    fn write(&mut self, id: StreamId, status: StatusCode, body: &[u8]) {
        let (headers, date) = (HeaderMap::new(), http_date(0));
        let output = &mut self.output;
        self.connection
            .write_response(output, id, status, &headers, body, &date);
    }

    /// The connection error, if any.
    pub(crate) fn error(&self) -> Option<ConnectionError> {
        self.seen.iter().find_map(|seen| match seen {
            Seen::Error(error) => Some(*error),
            _ => None,
        })
    }
}
