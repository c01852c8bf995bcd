//! One row of the table: bytes, and the expected answers.

/// Bytes for a live server, and the expected answers.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The property of the bytes.
    pub name: &'static str,
    /// The source of the rule: the number of an RFC and of its section.
    pub section: &'static str,
    /// The bytes, as pieces with how often each is repeated.
    pub input: Input,
    /// The bytes that the client sends after a 100; empty if the client does not wait.
    pub after_continue: &'static [u8],
    /// The answers, in order, without those of status 1xx.
    pub answers: &'static [Answer],
    /// The state of the connection after them.
    pub then: Then,
    /// The decision of the engine where the RFC leaves a choice; empty otherwise.
    pub choice: &'static str,
}

/// The input of a client.
#[derive(Debug, Clone, Copy)]
pub enum Input {
    /// These bytes.
    Bytes(&'static [u8]),
    /// These pieces, each so many times.
    Repeated(&'static [(&'static [u8], usize)]),
}

impl Input {
    /// All the bytes.
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
    /// A request that follows is answered.
    Kept,
    /// A request that follows is not answered: the server closes.
    Closed,
    /// The server closes before anything follows.
    ClosedFirst,
    /// The server waits for more until the client ends its half, and closes then.
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
    /// Fields that must be there with just this value.
    pub fields: &'static [(&'static str, &'static str)],
    /// Fields that must not be there.
    pub absent: &'static [&'static str],
}

/// The required framing of a response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By `Content-Length` or chunked.
    Delimited,
    /// No body follows the head, regardless of its fields.
    Bodiless,
    /// By the end of the stream.
    UntilClose,
}

/// A row whose request is refused with 400, unless one of the methods sets another outcome.
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

/// As [`case`], for bytes that are long because pieces of them are repeated.
#[must_use]
pub const fn repeated(name: &'static str, section: &'static str, pieces: &'static [(&'static [u8], usize)]) -> Case {
    Case {
        input: Input::Repeated(pieces),
        ..case(name, section, b"")
    }
}

impl Case {
    /// These answers, and the connection continues.
    #[must_use]
    pub const fn kept(self, answers: &'static [Answer]) -> Self {
        Self {
            answers,
            then: Then::Kept,
            ..self
        }
    }

    /// These answers, and the connection closes.
    #[must_use]
    pub const fn closed(self, answers: &'static [Answer]) -> Self {
        Self {
            answers,
            then: Then::Closed,
            ..self
        }
    }

    /// These answers, and the connection closes before the client sends anything more, which would be a body.
    #[must_use]
    pub const fn closed_first(self, answers: &'static [Answer]) -> Self {
        Self {
            answers,
            then: Then::ClosedFirst,
            ..self
        }
    }

    /// These answers, some perhaps because the client ends its half, for which the server waits.
    #[must_use]
    pub const fn waits(self, answers: &'static [Answer]) -> Self {
        Self {
            answers,
            then: Then::Waits,
            ..self
        }
    }

    /// One answer with this status in the form of a problem, and the connection closes.
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
            _ => panic!("the server refuses with no other status"),
        };
        self.closed(answers)
    }

    /// The client sends this when, and only when, it has seen a 100.
    #[must_use]
    pub const fn after_continue(self, bytes: &'static [u8]) -> Self {
        Self {
            after_continue: bytes,
            ..self
        }
    }

    /// Describes the choice that the RFC leaves open here.
    #[must_use]
    pub const fn choice(self, choice: &'static str) -> Self {
        Self { choice, ..self }
    }
}

/// A response of this status, with any body.
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

/// A 200 with this body.
#[must_use]
pub const fn ok(body: &'static str) -> Answer {
    Answer {
        body: Some(body),
        ..status(200)
    }
}

/// A refusal: the connection is announced to close, and the body is a problem (RFC 9457).
#[must_use]
pub const fn problem(code: u16) -> Answer {
    status(code).with(&[("connection", "close"), ("content-type", "application/problem+json")])
}

/// A response to `HEAD`.
#[must_use]
pub const fn head(code: u16) -> Answer {
    Answer {
        framing: Framing::Bodiless,
        ..status(code)
    }
}

/// A 200 with this body, which the end of the stream ends.
#[must_use]
pub const fn until_close(body: &'static str) -> Answer {
    Answer {
        framing: Framing::UntilClose,
        ..ok(body)
    }
}

impl Answer {
    /// These fields must be there with just these values.
    #[must_use]
    pub const fn with(self, fields: &'static [(&'static str, &'static str)]) -> Self {
        Self { fields, ..self }
    }

    /// These fields must not be there.
    #[must_use]
    pub const fn without(self, absent: &'static [&'static str]) -> Self {
        Self { absent, ..self }
    }
}
