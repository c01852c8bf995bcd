//! The exchanges of a run, and the response that each of them must have.

use crate::random::Random;

/// The name of the field that follows bodies; its value is the number of the exchange.
pub(crate) const TRAILER: &str = "x-trailer";

/// A file that the application embeds.
pub(crate) const ASSET_PATH: &str = "/assets/app.js";
const ASSET: &[u8] = include_bytes!("../assets/app.js");

/// One request and its response, as both sides plan it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) kind: Kind,
    pub(crate) version: Version,
    pub(crate) body: Framing,
    pub(crate) expects_continue: bool,
    pub(crate) option: ConnectionOption,
    pub(crate) policy: DisconnectPolicy,
    pub(crate) waits_first: bool,
    pub(crate) reads: Reads,
    pub(crate) waits_after: bool,
    pub(crate) answer: Answer,
}

/// The version of a request that is not one of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

/// The use of the connection that the client asks for (RFC 9110, section 7.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionOption {
    /// The default of HTTP/1.1, a field of HTTP/1.0.
    KeepAlive,
    Close,
    /// To a protocol that the server does not know. Only of HTTP/1.1.
    Upgrade,
}

/// The `disconnect` that the route declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DisconnectPolicy {
    Finish,
    Abort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Get,
    Head,
    Post,
    /// A `GET` of an embedded file, or of a range of its bytes.
    Asset(Option<(usize, usize)>),
    /// A `GET` that no route matches.
    Missing,
    /// A head that is not valid.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Sized(usize),
    Chunked(usize),
    /// Chunked, and a trailer field follows.
    ChunkedWithTrailer(usize),
}

/// The handler's use of the request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    All,
    /// The first piece; the rest is dropped.
    Part,
    Drops,
    /// The body lives unread until the handler returns.
    Holds,
    /// A task reads it, which may continue after the response: it waits for the simulator before this number of its reads.
    Task(usize),
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Text(usize),
    /// A part of a file.
    File(usize),
    Problem,
    Panic,
    Stream {
        pieces: Vec<Piece>,
        end: StreamEnd,
    },
}

/// The end of a streamed response, as its head declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    Unknown,
    Sized,
    /// A trailer field follows the body.
    Trailer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Bytes(usize),
    /// The stream is pending until the simulator opens its gate.
    Wait,
    Fail,
}

impl Exchange {
    pub(crate) fn random(random: &mut Random) -> Self {
        let kind = match random.below(20) {
            0 if random.chance(50) => Kind::Asset(None),
            0 => {
                let first = random.below(ASSET.len());
                Kind::Asset(Some((first, first + random.below(ASSET.len() - first))))
            }
            1..=7 => Kind::Get,
            8 | 9 => Kind::Head,
            10..=17 => Kind::Post,
            18 => Kind::Missing,
            _ if random.chance(40) => Kind::Malformed,
            _ => Kind::Get,
        };
        let body = match random.below(4) {
            _ if kind != Kind::Post => Framing::None,
            0 | 1 => Framing::Sized(random.length()),
            _ => Framing::Chunked(random.length()),
        };
        let version = match random.chance(4) && !matches!(body, Framing::Chunked(_)) {
            true => Version::Http10,
            false => Version::Http11,
        };
        let closes = random.chance(5);
        let expects_continue = body != Framing::None && version == Version::Http11 && random.chance(10);
        let body = match body {
            Framing::Chunked(length) if random.chance(40) => Framing::ChunkedWithTrailer(length),
            other => other,
        };
        let upgrades = version == Version::Http11 && random.chance(5);
        Exchange {
            kind,
            version,
            body,
            expects_continue,
            option: match (closes, upgrades) {
                (true, _) => ConnectionOption::Close,
                (false, true) => ConnectionOption::Upgrade,
                (false, false) => ConnectionOption::KeepAlive,
            },
            policy: DisconnectPolicy::random(random),
            waits_first: random.chance(15),
            reads: match random.below(10) {
                0 => Reads::Part,
                1 => Reads::Drops,
                2 => Reads::Holds,
                3 | 4 => Reads::Task(random.below(4)),
                _ => Reads::All,
            },
            waits_after: random.chance(25),
            answer: match random.below(20) {
                // The files have no streams.
                _ if matches!(kind, Kind::Asset(_)) => Answer::Text(0),
                0..=6 => Answer::Text(random.length()),
                7..=9 => Answer::File(random.length()),
                10 => Answer::Problem,
                11 if random.chance(40) => Answer::Panic,
                _ => Answer::Stream {
                    pieces: pieces(random),
                    end: match random.below(10) {
                        0..=3 => StreamEnd::Sized,
                        4..=6 => StreamEnd::Trailer,
                        _ => StreamEnd::Unknown,
                    },
                },
            },
        }
    }

    /// A request of a client that uploads. In turns, a task holds a body that is longer than the server buffers, and a handler
    /// waits while it holds one that the client announces: commands about the first body may arrive late, during the second
    /// exchange, and must not act on it.
    pub(crate) fn upload(is_long: bool, random: &mut Random) -> Self {
        Exchange {
            kind: Kind::Post,
            body: Framing::Sized(if is_long {
                65_000 + random.below(65_000)
            } else {
                1 + random.below(300)
            }),
            version: Version::Http11,
            expects_continue: !is_long,
            option: ConnectionOption::KeepAlive,
            policy: DisconnectPolicy::random(random),
            waits_first: false,
            reads: if is_long {
                Reads::Task(random.below(3))
            } else {
                Reads::Holds
            },
            waits_after: true,
            answer: Answer::Text(random.length()),
        }
    }

    /// The bytes of the request with this number.
    pub(crate) fn request(&self, id: usize, random: &mut Random) -> Vec<u8> {
        let version = match self.version {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
        };
        let policy = self.policy.path();
        let line = match self.kind {
            Kind::Get => format!("GET /{policy}/{id}"),
            Kind::Head => format!("HEAD /{policy}/{id}"),
            Kind::Post => format!("POST /{policy}/{id}"),
            Kind::Missing => format!("GET /missing/{id}"),
            Kind::Asset(_) => format!("GET {ASSET_PATH}"),
            Kind::Malformed => return format!("GET /finish/{id} HTTP/1.1\r\nhost : a\r\n\r\n").into_bytes(),
        };
        let mut head = format!("{line} HTTP/{version}\r\nhost: a\r\n");
        match (self.option, self.version) {
            (ConnectionOption::KeepAlive, Version::Http10) => head.push_str("connection: keep-alive\r\n"),
            (ConnectionOption::KeepAlive, Version::Http11) => {}
            (ConnectionOption::Close, _) => head.push_str("connection: close\r\n"),
            (ConnectionOption::Upgrade, _) => head.push_str("connection: upgrade\r\nupgrade: simulated\r\n"),
        }
        if let Some(range) = self.range() {
            head.push_str(&format!("range: {range}\r\n"));
        }
        if self.expects_continue {
            head.push_str("expect: 100-continue\r\n");
        }
        let length = self.body_length();
        match self.body {
            Framing::None => {}
            Framing::Sized(_) => head.push_str(&format!("content-length: {length}\r\n")),
            Framing::Chunked(_) | Framing::ChunkedWithTrailer(_) => head.push_str("transfer-encoding: chunked\r\n"),
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        let body = content(id, length);
        match self.body {
            Framing::Chunked(_) | Framing::ChunkedWithTrailer(_) => {
                let mut rest = &body[..];
                while !rest.is_empty() {
                    let (chunk, after) = rest.split_at((1 + random.length()).min(rest.len()));
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                    rest = after;
                }
                let trailer = match self.has_trailer() {
                    true => format!("{TRAILER}: {id}\r\n"),
                    false => String::new(),
                };
                bytes.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
            }
            _ => bytes.extend_from_slice(&body),
        }
        bytes
    }

    pub(crate) fn body_length(&self) -> usize {
        match self.body {
            Framing::None => 0,
            Framing::Sized(length) | Framing::Chunked(length) | Framing::ChunkedWithTrailer(length) => length,
        }
    }

    /// Returns whether a trailer field follows the body of the request.
    pub(crate) fn has_trailer(&self) -> bool {
        matches!(self.body, Framing::ChunkedWithTrailer(_))
    }

    /// Returns whether the end of the client's connection aborts the handler.
    pub(crate) fn aborts(&self) -> bool {
        self.policy == DisconnectPolicy::Abort
    }

    /// The status of the response.
    pub(crate) fn status(&self) -> u16 {
        match (self.kind, &self.answer) {
            (Kind::Missing, _) => 404,
            (Kind::Asset(Some(_)), _) => 206,
            (Kind::Malformed, _) => 400,
            (_, Answer::Problem) => 418,
            (_, Answer::Panic) => 500,
            _ => 200,
        }
    }

    /// The content of the response; `None` where it is a problem document.
    pub(crate) fn content(&self, id: usize) -> Option<Vec<u8>> {
        match self.kind {
            Kind::Head => return Some(Vec::new()),
            Kind::Asset(None) => return Some(ASSET.to_vec()),
            Kind::Asset(Some((first, last))) => return Some(ASSET[first..=last].to_vec()),
            _ => {}
        }
        if self.status() != 200 {
            return None;
        }
        match &self.answer {
            Answer::Text(length) | Answer::File(length) => Some(content(id, *length)),
            Answer::Stream { pieces, .. } => Some(content(id, streamed_bytes(pieces))),
            _ => None,
        }
    }

    /// The length that the head of the response declares, also to `HEAD`; `None` if it declares none, or is a problem document.
    pub(crate) fn declared_length(&self) -> Option<usize> {
        match (self.kind, &self.answer) {
            (Kind::Asset(None), _) => Some(ASSET.len()),
            (Kind::Asset(Some((first, last))), _) => Some(last + 1 - first),
            _ if self.status() != 200 => None,
            (_, Answer::Text(length) | Answer::File(length)) => Some(*length),
            (_, Answer::Stream { pieces, end }) if *end == StreamEnd::Sized => {
                Some(streamed_bytes(pieces) + usize::from(pieces.contains(&Piece::Fail)))
            }
            _ => None,
        }
    }

    /// The value of `range`.
    pub(crate) fn range(&self) -> Option<String> {
        match self.kind {
            Kind::Asset(Some((first, last))) => Some(format!("bytes={first}-{last}")),
            _ => None,
        }
    }

    /// Returns whether the response is that of a handler which has succeeded.
    pub(crate) fn is_handled(&self) -> bool {
        self.status() == 200 && !matches!(self.kind, Kind::Asset(_))
    }

    /// The text with which the handler reports its use of the request body, in the field `x-exchange`.
    pub(crate) fn read_by_the_handler(&self, id: usize) -> String {
        let read = match self.reads {
            Reads::All if self.has_trailer() => format!("{} {id}", digest(&content(id, self.body_length()))),
            Reads::All => digest(&content(id, self.body_length())),
            Reads::Part => "a part".to_owned(),
            Reads::Drops | Reads::Holds | Reads::Task(_) => "nothing".to_owned(),
        };
        format!("{id} {read}")
    }

    /// The value of the trailer field of the response.
    pub(crate) fn trailer_of_the_response(&self, id: usize) -> Option<String> {
        let has_trailer = matches!(
            self.answer,
            Answer::Stream {
                end: StreamEnd::Trailer,
                ..
            }
        );
        let is_sent = has_trailer && self.version == Version::Http11 && self.status() == 200 && self.kind != Kind::Head;
        is_sent.then(|| id.to_string())
    }

    /// Returns whether the server may request the body with `100 Continue`: the handler reads from it.
    pub(crate) fn may_continue(&self) -> bool {
        let reads = !matches!(self.reads, Reads::Drops | Reads::Holds);
        self.expects_continue && reads && self.kind == Kind::Post
    }

    /// The response ends before its content is complete.
    pub(crate) fn fails(&self) -> bool {
        let fails = matches!(&self.answer, Answer::Stream { pieces, .. } if pieces.contains(&Piece::Fail));
        fails && self.status() == 200 && self.kind != Kind::Head
    }

    /// The server may close the connection after the response although neither side was asked to.
    pub(crate) fn may_close(&self) -> bool {
        let is_chunked = matches!(self.body, Framing::Chunked(_) | Framing::ChunkedWithTrailer(_));
        let has_body = self.body_length() > 0 || is_chunked;
        let unread = has_body && (self.reads != Reads::All || self.kind == Kind::Missing);
        let closes = self.option == ConnectionOption::Close || self.version == Version::Http10;
        unread || closes || self.kind == Kind::Malformed
    }
}

impl DisconnectPolicy {
    fn random(random: &mut Random) -> Self {
        match random.chance(30) {
            true => DisconnectPolicy::Abort,
            false => DisconnectPolicy::Finish,
        }
    }

    /// The first segment of the path of its routes.
    pub(crate) fn path(self) -> &'static str {
        match self {
            DisconnectPolicy::Finish => "finish",
            DisconnectPolicy::Abort => "abort",
        }
    }
}

fn pieces(random: &mut Random) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = (0..random.below(6))
        .map(|_| match random.below(4) {
            0 => Piece::Wait,
            _ => Piece::Bytes(1 + random.length()),
        })
        .collect();
    if random.chance(10) {
        pieces.push(Piece::Fail);
    }
    pieces
}

/// The number of bytes of a stream.
pub(crate) fn streamed_bytes(pieces: &[Piece]) -> usize {
    let length = |piece: &Piece| match piece {
        Piece::Bytes(length) => *length,
        Piece::Wait | Piece::Fail => 0,
    };
    pieces.iter().map(length).sum()
}

/// The content of a message: a pattern that differs for each exchange.
pub(crate) fn content(id: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| (place * 7 + place / 251 + id * 13) as u8)
        .collect()
}

/// The digest of a body, as handlers return it (FNV-1a).
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
    });
    format!("{}-{hash:x}", bytes.len())
}
