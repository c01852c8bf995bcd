//! One row of the table: bytes, and the expected responses.

/// Bytes for a live server, and the expected responses.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The property of the bytes.
    pub name: &'static str,
    /// The source of the rule: the number of an RFC and of its section.
    pub section: &'static str,
    /// The bytes, as pieces with their repetitions.
    pub input: Input,
    /// The bytes that the client sends after a 100; empty if the client does not wait.
    pub after_continue: &'static [u8],
    /// The responses, in order, without those with status 1xx.
    pub answers: &'static [Answer],
    /// The state of the connection after them.
    pub then: Then,
    /// The decision of the engine if the RFC leaves a choice; empty otherwise.
    pub choice: &'static str,
}

/// The input of a client.
#[derive(Debug, Clone, Copy)]
pub enum Input {
    /// These bytes.
    Bytes(&'static [u8]),
    /// These pieces, each repeated this many times.
    Repeated(&'static [(&'static [u8], usize)]),
}

impl Input {
    /// Returns all bytes.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Repeated(pieces) => pieces.iter().flat_map(|(piece, count)| piece.repeat(*count)).collect(),
        }
    }
}

/// The state of a connection after the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// A following request gets a response.
    Kept,
    /// A following request gets no response: the server closes.
    Closed,
    /// The server closes before further bytes arrive.
    ClosedFirst,
    /// The server waits for more bytes until the client ends its half, and then closes.
    Waits,
}

/// One response.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body after removal of its transfer coding, if it matters.
    pub body: Option<&'static str>,
    /// The required framing of the body.
    pub framing: Framing,
    /// Required fields, with exactly this value.
    pub fields: &'static [(&'static str, &'static str)],
    /// Forbidden fields.
    pub absent: &'static [&'static str],
}

/// The required framing of a response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length` or chunked.
    Delimited,
    /// No body follows the head, regardless of its fields.
    Bodiless,
    /// The end of the stream delimits the body.
    UntilClose,
}

/// Creates a row in which the request is rejected with 400, unless a method sets another outcome.
#[must_use]
pub const fn case(name: &'static str, section: &'static str, input: &'static [u8]) -> Case {
    Case {
        name,
        section,
        input: Input::Bytes(input),
        after_continue: b"",
        answers: const { &[problem(400)] },
        then: Then::Closed,
        choice: "",
    }
}

/// Creates a row as [`case`] does, for long input with repeated pieces.
#[must_use]
pub const fn repeated(name: &'static str, section: &'static str, pieces: &'static [(&'static [u8], usize)]) -> Case {
    Case {
        input: Input::Repeated(pieces),
        ..case(name, section, b"")
    }
}

impl Case {
    /// Expects these responses, after which the connection continues.
    #[must_use]
    pub const fn kept(self, answers: &'static [Answer]) -> Self {
        Self {
            answers,
            then: Then::Kept,
            ..self
        }
    }

    /// Expects these responses, after which the connection closes.
    #[must_use]
    pub const fn closed(self, answers: &'static [Answer]) -> Self {
        Self {
            answers,
            then: Then::Closed,
            ..self
        }
    }

    /// Expects these responses, after which the connection closes before the client sends more bytes, which would be a body.
    #[must_use]
    pub const fn closed_first(self, answers: &'static [Answer]) -> Self {
        Self {
            answers,
            then: Then::ClosedFirst,
            ..self
        }
    }

    /// Expects these responses; the server may wait for the client to end its half before some of them.
    #[must_use]
    pub const fn waits(self, answers: &'static [Answer]) -> Self {
        Self {
            answers,
            then: Then::Waits,
            ..self
        }
    }

    /// Expects one problem response with this status, after which the connection closes.
    #[must_use]
    pub const fn refused(self, status: u16) -> Self {
        let answers: &'static [Answer] = match status {
            400 => const { &[problem(400)] },
            413 => const { &[problem(413)] },
            414 => const { &[problem(414)] },
            417 => const { &[problem(417)] },
            431 => const { &[problem(431)] },
            501 => const { &[problem(501)] },
            505 => const { &[problem(505)] },
            _ => panic!("the server rejects with one of these statuses only"),
        };
        self.closed(answers)
    }

    /// Bytes that the client sends only after a 100.
    #[must_use]
    pub const fn after_continue(self, bytes: &'static [u8]) -> Self {
        Self {
            after_continue: bytes,
            ..self
        }
    }

    /// Describes the decision of the engine if the RFC leaves a choice.
    #[must_use]
    pub const fn choice(self, choice: &'static str) -> Self {
        Self { choice, ..self }
    }
}

/// Expects a response with this status and any body.
#[must_use]
pub const fn status(status: u16) -> Answer {
    Answer {
        status,
        body: None,
        framing: match status {
            204 | 304 => Framing::Bodiless,
            _ => Framing::Delimited,
        },
        fields: &[],
        absent: &[],
    }
}

/// Expects a 200 with this body.
#[must_use]
pub const fn ok(body: &'static str) -> Answer {
    Answer {
        body: Some(body),
        ..status(200)
    }
}

/// Expects a rejection, which announces the close of the connection and has a problem as its body (RFC 9457).
#[must_use]
pub const fn problem(code: u16) -> Answer {
    status(code).with(&[("connection", "close"), ("content-type", "application/problem+json")])
}

/// Expects a response to `HEAD`.
#[must_use]
pub const fn head(code: u16) -> Answer {
    Answer {
        framing: Framing::Bodiless,
        ..status(code)
    }
}

/// Expects a 200 with this body, delimited by the end of the stream.
#[must_use]
pub const fn until_close(body: &'static str) -> Answer {
    Answer {
        framing: Framing::UntilClose,
        ..ok(body)
    }
}

impl Answer {
    /// Requires these fields with exactly these values.
    #[must_use]
    pub const fn with(self, fields: &'static [(&'static str, &'static str)]) -> Self {
        Self { fields, ..self }
    }

    /// Forbids these fields.
    #[must_use]
    pub const fn without(self, absent: &'static [&'static str]) -> Self {
        Self { absent, ..self }
    }
}
