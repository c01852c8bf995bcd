//! The rows of the conformance table.

mod fields;
mod framing;
mod hpack;
mod settings;
mod streams;

use conduit_proto::h2::ErrorCode;

use crate::drive::{Request, Seen};

/// One row: what a client sends after its opening, and what follows.
pub(crate) struct Case {
    /// Of RFC 9113, unless it names another one.
    pub(crate) section: &'static str,
    pub(crate) name: String,
    pub(crate) input: Vec<u8>,
    /// The input begins with the preface.
    pub(crate) is_bare: bool,
    pub(crate) expect: Expect,
}

pub(crate) enum Expect {
    /// GOAWAY with this code.
    Connection(ErrorCode),
    /// One RST_STREAM with this code; the connection continues.
    Stream(u32, ErrorCode),
    /// These responses in this order, and no reset but NO_ERROR.
    Status(Vec<(u32, &'static str)>),
    /// A request for which this is true.
    Request(u32, fn(&Request) -> bool),
    /// Events for which this is true.
    Seen(fn(&[Seen]) -> bool),
}

/// The response of each valid request.
pub(crate) fn served(stream: u32) -> Expect {
    Expect::Status(vec![(stream, "200")])
}

/// No response, and no error.
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

/// A case that begins with the first byte of the connection.
fn bare(section: &'static str, name: &str, input: impl Parts, expect: Expect) -> Case {
    Case {
        is_bare: true,
        ..case(section, name, input, expect)
    }
}

/// One frame or several.
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
