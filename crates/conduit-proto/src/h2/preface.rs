//! The client's connection preface (RFC 9113, section 3.4).

/// The first bytes of each client.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first line of the preface: a request line that HTTP/1.1 does not have. A connection that starts with it uses HTTP/2.
pub const PREFACE_LINE: &[u8; 16] = b"PRI * HTTP/2.0\r\n";

/// The result of [`detect_preface`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preface {
    /// The input starts with the whole preface: the client uses HTTP/2.
    Whole,
    /// The input is empty or a proper prefix of the preface: more input is required.
    Partial,
    /// The client uses another protocol.
    Mismatch,
}

/// Compares the first bytes of a connection with the preface, which no HTTP/1.1 request starts with.
///
/// ```
/// use conduit_proto::h2::{Preface, detect_preface};
///
/// assert_eq!(detect_preface(b"PRI * HT"), Preface::Partial);
/// assert_eq!(detect_preface(b"PUT / HTTP/1.1\r\n"), Preface::Mismatch);
/// assert_eq!(detect_preface(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0"), Preface::Whole);
/// ```
#[must_use]
pub fn detect_preface(input: &[u8]) -> Preface {
    if input.starts_with(PREFACE) {
        Preface::Whole
    } else if PREFACE.starts_with(input) {
        Preface::Partial
    } else {
        Preface::Mismatch
    }
}
