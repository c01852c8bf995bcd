//! The rows of the conformance table.

mod fields;
mod framing;
mod hpack;
mod settings;
mod streams;

use conduit_proto::h2::ErrorCode;

use crate::drive::{Request, Seen};
use crate::frames::Received;

/// One row: the input of a client after its opening, and the expected result.
pub(crate) struct Case {
    /// The section of RFC 9113, unless another RFC is named.
    pub(crate) section: &'static str,
    pub(crate) name: String,
    pub(crate) input: Vec<u8>,
    /// The input starts with the preface.
    pub(crate) is_bare: bool,
    pub(crate) expect: Expect,
}

pub(crate) enum Expect {
    /// GOAWAY with this code.
    Connection(ErrorCode),
    /// One RST_STREAM with this code; the connection continues.
    Stream(u32, ErrorCode),
    /// These responses in this order, and no reset except NO_ERROR.
    Status(Vec<(u32, &'static str)>),
    /// A request for which the predicate holds.
    Request(u32, fn(&Request) -> bool),
    /// Events for which the predicate holds.
    Seen(fn(&[Seen]) -> bool),
    /// Frames of the server for which the predicate holds.
    Sent(fn(&[Received]) -> bool),
}

/// Expects the response to a valid request.
pub(crate) fn served(stream: u32) -> Expect {
    Expect::Status(vec![(stream, "200")])
}

/// Expects no response and no error.
pub(crate) fn ignored() -> Expect {
    Expect::Status(Vec::new())
}

fn case(section: &'static str, name: impl Into<String>, input: impl Parts, expect: Expect) -> Case {
    Case {
        section,
        name: name.into(),
        input: input.join(),
        is_bare: false,
        expect,
    }
}

/// A case whose input starts with the first byte of the connection.
fn bare(section: &'static str, name: &str, input: impl Parts, expect: Expect) -> Case {
    Case {
        is_bare: true,
        ..case(section, name, input, expect)
    }
}

/// One or several frames.
trait Parts {
    fn join(self) -> Vec<u8>;
}

impl Parts for Vec<u8> {
    fn join(self) -> Vec<u8> {
        self
    }
}

impl<const COUNT: usize> Parts for [Vec<u8>; COUNT] {
    fn join(self) -> Vec<u8> {
        self.concat()
    }
}

pub(crate) fn all() -> Vec<Case> {
    [
        framing::cases(),
        streams::cases(),
        settings::cases(),
        fields::cases(),
        hpack::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
