//! A server without sockets: feeds pieces of a stream to a connection, writes responses, and records everything
//! observable.

use conduit_proto::h1::{BodyLength, Connection, Event, Head, Limits, Phase, Reason};
use conduit_proto::http_date;
use http::{HeaderMap, StatusCode};

/// An event with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Request(Box<Request>),
    /// Consecutive pieces are joined, because their division is irrelevant.
    Body(Vec<u8>),
    End(Vec<(String, Vec<u8>)>),
    Error(StatusCode, Reason, Option<usize>),
    Closed,
    Upgraded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) authority: Option<String>,
    pub(crate) version: http::Version,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: BodyLength,
    pub(crate) expects_continue: bool,
    pub(crate) keep_alive: bool,
}

impl Request {
    fn of(head: &Head) -> Box<Self> {
        Box::new(Self {
            method: head.method().to_string(),
            target: head.target().to_owned(),
            path: head.path().to_owned(),
            query: head.query().map(str::to_owned),
            authority: head.authority().map(str::to_owned),
            version: head.version(),
            headers: head
                .headers()
                .map(|(name, value)| (name.to_owned(), value.to_vec()))
                .collect(),
            body: head.body(),
            expects_continue: head.expects_continue(),
            keep_alive: head.keep_alive(),
        })
    }
}

/// The observable behaviour of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub(crate) seen: Vec<Seen>,
    pub(crate) output: Vec<u8>,
    pub(crate) phase: Phase,
    pub(crate) keep_alive: bool,
}

impl Transcript {
    pub(crate) fn requests(&self) -> Vec<&Request> {
        self.seen
            .iter()
            .filter_map(|seen| match seen {
                Seen::Request(request) => Some(&**request),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn error(&self) -> Option<(StatusCode, Reason)> {
        self.seen.iter().find_map(|seen| match seen {
            Seen::Error(status, reason, _) => Some((*status, *reason)),
            _ => None,
        })
    }

    /// The concatenated bodies of all requests.
    pub(crate) fn body(&self) -> Vec<u8> {
        self.seen
            .iter()
            .filter_map(|seen| match seen {
                Seen::Body(piece) => Some(&piece[..]),
                _ => None,
            })
            .collect::<Vec<_>>()
            .concat()
    }
}

/// Runs a connection over the pieces of a stream.
///
/// The response to a request is written at its head if it has no body, else at its end. In the path, `/early` requests
/// a response at the head, `/stream` a streamed response, `/continue` a `100 Continue`; an `Upgrade` field switches
/// protocols.
pub(crate) fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Transcript {
    let mut server = Server {
        connection: Connection::new(),
        head: Head::new(),
        answered: false,
        seen: Vec::new(),
        output: Vec::new(),
    };
    let mut pending: Vec<u8> = Vec::new();
    for piece in pieces {
        pending.extend_from_slice(piece);
        let used = server.receive(&pending, limits);
        pending.drain(..used);
    }
    Transcript {
        seen: server.seen,
        output: server.output,
        phase: server.connection.phase(),
        keep_alive: server.connection.keep_alive(),
    }
}

pub(crate) fn run_whole(stream: &[u8], limits: &Limits) -> Transcript {
    run([stream], limits)
}

pub(crate) fn run_byte_by_byte(stream: &[u8], limits: &Limits) -> Transcript {
    run(stream.chunks(1), limits)
}

/// Cuts a stream into pieces of the given lengths, and the rest.
pub(crate) fn cut<'a>(mut stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &length in lengths {
        let (piece, rest) = stream.split_at(length.min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces.push(stream);
    pieces
}

struct Server {
    connection: Connection,
    head: Head,
    answered: bool,
    seen: Vec<Seen>,
    output: Vec<u8>,
}

impl Server {
    fn receive(&mut self, input: &[u8], limits: &Limits) -> usize {
        let mut at = 0;
        loop {
            let step = self.connection.handle_input(&input[at..], &mut self.head, limits);
            let (used, event) = match step {
                Ok(step) => step,
                Err(error) => {
                    let reason = error.reason();
                    self.note(Seen::Error(error.status(), reason, error.offset()));
                    assert!(!self.connection.keep_alive(), "continues after an error");
                    if self.connection.can_answer() {
                        self.answer(error.status());
                    } else {
                        self.connection.abort();
                    }
                    continue;
                }
            };
            at += used;
            assert!(at <= input.len(), "used more bytes than the input has");
            match event {
                Event::NeedMore => return at,
                Event::Request => {
                    self.note(Seen::Request(Request::of(&self.head)));
                    self.answered = false;
                    if self.head.path().contains("/continue") {
                        self.connection.write_continue(&mut self.output);
                    }
                    if self.head.body() == BodyLength::None || self.head.path().contains("/early") {
                        self.answer(StatusCode::OK);
                    }
                }
                Event::Body(piece) => {
                    assert!(!piece.is_empty());
                    self.note(Seen::Body(piece.to_vec()));
                }
                Event::End(trailers) => {
                    let trailers = trailers.unwrap_or_default();
                    let trailers = trailers
                        .iter()
                        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
                    self.note(Seen::End(trailers.collect()));
                    if !self.answered {
                        self.answer(StatusCode::OK);
                    }
                }
                Event::Blocked => panic!("blocked, though every request is answered"),
                Event::Closed => {
                    assert_eq!(at, input.len(), "input is left on a closed connection");
                    self.note(Seen::Closed);
                    return at;
                }
                Event::Upgraded => {
                    self.note(Seen::Upgraded);
                    return at;
                }
            }
        }
    }

    fn note(&mut self, seen: Seen) {
        match (self.seen.last_mut(), seen) {
            (Some(Seen::Body(body)), Seen::Body(piece)) => body.extend(piece),
            (Some(last), seen) if *last == seen && matches!(seen, Seen::Closed | Seen::Upgraded) => {}
            (_, seen) => self.seen.push(seen),
        }
    }

    fn answer(&mut self, status: StatusCode) {
        let (date, headers) = (http_date(0), HeaderMap::new());
        let (connection, out) = (&mut self.connection, &mut self.output);
        self.answered = true;
        if status == StatusCode::OK && self.head.header("upgrade").is_some() {
            let status = StatusCode::SWITCHING_PROTOCOLS;
            connection.write_head(out, status, &headers, BodyLength::None, &date);
        } else if status == StatusCode::OK && self.head.path().contains("/stream") {
            connection.write_head(out, status, &headers, BodyLength::Chunked, &date);
            for piece in [&b"streamed"[..], b"", b"answer"] {
                connection.write_body(out, piece).expect("no length");
            }
            connection.write_end(out, None).expect("no length");
        } else {
            let body = format!("{} {}", self.head.method(), self.head.target());
            connection.write_response(out, status, &headers, body.as_bytes(), &date);
        }
    }
}
