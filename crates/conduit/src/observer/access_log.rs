//! The access log: one `tracing` event for each request, after the last byte of its response.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use http::{Method, Version};

use crate::excerpt::{log_escaped, logged};
use crate::extract::Client;
use crate::layer::RequestId;
use crate::request::Request;
use crate::server::clock;
use crate::server::observer::RequestEnd;

/// The maximum capacity of a text buffer that is reused for the next request.
const KEPT_BYTES: usize = 1024;

/// The format of the access log; see [`App::access_log`](crate::App::access_log).
///
/// Both forms are `tracing` events at the level `INFO` with the target `conduit::access`, so that a subscriber decides their
/// destination. In client input, bytes other than visible ASCII are written as `\xHH`, and a target, method or field longer
/// than 1 KiB is truncated to 1 KiB and `…`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessLog {
    /// No event.
    #[default]
    Off,
    /// An event with fields and without a message, which a subscriber formats, for example as JSON: `client` (the address
    /// of the [`Client`], empty if unknown), `peer` (the address of the nearest hop), `method`, `target` (as received),
    /// `version`, `route` (the template, empty if none matched), `status`, `bytes` (of the response body), `duration_us`,
    /// `complete` (false if the response was aborted), `referer`, `user_agent`, `request_id` (of the layer
    /// [`RequestIds`](crate::layer::RequestIds), empty without it and if the client disconnected before the response). An
    /// invalid request has only `client`, `peer`, `status` and `bytes`; its other strings are empty.
    ///
    /// The event of a WebSocket follows its end: `bytes` are those of the frames to the client, `complete` is true if both
    /// sides have sent Close, and `close_code`, which no other event has, is the code of its end.
    Fields,
    /// An event whose message is a line in the combined log format of Apache and nginx, followed by the duration in
    /// microseconds, without fields:
    /// `192.0.2.1 - - [23/Nov/2026:22:14:29 +0000] "GET /users/7 HTTP/1.1" 200 13 "-" "curl/8.5.0" 184`.
    /// With the layer [`RequestIds`](crate::layer::RequestIds) the id of the request follows the duration.
    /// The address is that of the [`Client`], or `-` if it is unknown. The request line of an invalid request is `"-"`, as in
    /// nginx.
    Combined,
}

/// Returns whether a subscriber enables the events.
pub(super) fn is_enabled() -> bool {
    tracing::enabled!(target: "conduit::access", tracing::Level::INFO)
}

/// The data of a request for its line.
#[derive(Default)]
pub(super) struct Line {
    used: bool,
    peer: Option<SocketAddr>,
    client: Option<IpAddr>,
    /// `None`: the request was invalid.
    start: Option<(Method, Version)>,
    target: String,
    route: &'static str,
    referer: String,
    agent: String,
    /// The id that the layer `RequestIds` assigned.
    id: String,
    /// The formatted line of the combined format.
    text: String,
}

impl Line {
    pub(super) fn fill(&mut self, request: &Request, route: Option<&'static str>, peer: SocketAddr) {
        self.used = true;
        self.peer = Some(peer);
        self.client = Client::address_of(request);
        self.start = Some((request.method().clone(), request.version()));
        self.route = route.unwrap_or_default();
        escape(request.head().target().as_bytes(), &mut self.target);
        escape(request.header("referer").unwrap_or_default(), &mut self.referer);
        escape(request.header("user-agent").unwrap_or_default(), &mut self.agent);
    }

    pub(super) fn fill_id(&mut self, id: &RequestId) {
        // An id contains only letters, digits and `-_.`, so it needs no escaping.
        self.id.clear();
        self.id.push_str(id.as_str());
    }

    /// The line of an invalid request.
    pub(super) fn refused(peer: SocketAddr) -> Self {
        Line {
            peer: Some(peer),
            client: Some(peer.ip().to_canonical()).filter(|address| !address.is_unspecified()),
            ..Line::default()
        }
    }

    pub(super) fn is_used(&self) -> bool {
        self.used
    }

    pub(super) fn clear(&mut self) {
        self.used = false;
        for text in [
            &mut self.target,
            &mut self.referer,
            &mut self.agent,
            &mut self.id,
            &mut self.text,
        ] {
            text.clear();
            text.shrink_to(KEPT_BYTES);
        }
    }

    pub(super) fn write(&mut self, form: AccessLog, status: u16, end: &RequestEnd) {
        let (duration_us, bytes) = (end.micros, end.body_bytes);
        let Some(peer) = self.peer else { return };
        let client = |unknown| Address(self.client, unknown);
        let (method, version) = match &self.start {
            Some((method, Version::HTTP_10)) => (logged(method.as_str()), "HTTP/1.0"),
            Some((method, Version::HTTP_2)) => (logged(method.as_str()), "HTTP/2.0"),
            Some((method, _)) => (logged(method.as_str()), "HTTP/1.1"),
            None => (Cow::Borrowed(""), ""),
        };
        match form {
            AccessLog::Off => {}
            AccessLog::Fields => tracing::info!(
                target: "conduit::access",
                client = %client(""),
                peer = %peer.ip(),
                method = &*method,
                target = self.target,
                version,
                route = self.route,
                status,
                bytes,
                duration_us,
                complete = end.is_complete,
                close_code = end.close_code,
                referer = self.referer,
                user_agent = self.agent,
                request_id = self.id,
            ),
            AccessLog::Combined => {
                let time = CommonTime(conduit_proto::http_date(clock::since_epoch().as_secs()));
                let (target, referer, agent) = (&self.target, or_dash(&self.referer), or_dash(&self.agent));
                // Writing to a string cannot fail.
                let _ = write!(self.text, "{} - - [{time}] ", client("-"));
                let _ = match &self.start {
                    Some(_) => write!(self.text, "\"{method} {target} {version}\""),
                    None => write!(self.text, "\"-\""),
                };
                let _ = write!(self.text, " {status} {bytes} \"{referer}\" \"{agent}\" {duration_us}");
                if !self.id.is_empty() {
                    let _ = write!(self.text, " {}", self.id);
                }
                tracing::info!(target: "conduit::access", "{}", self.text);
            }
        }
    }
}

/// An address, or the placeholder for an unknown one.
struct Address(Option<IpAddr>, &'static str);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str(self.1),
        }
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Appends a client's text, escaped for quotes and truncated to the maximum length.
fn escape(bytes: &[u8], text: &mut String) {
    log_escaped(bytes, text, |byte, text| match byte {
        b' '..=b'~' if byte != b'"' && byte != b'\\' => text.push(byte.into()),
        _ => {
            let _ = write!(text, "\\x{byte:02X}");
        }
    });
}

/// An HTTP date, displayed in the common log format.
struct CommonTime([u8; 29]);

impl std::fmt::Display for CommonTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // "Mon, 23 Nov 2026 22:14:29 GMT"
        let text = str::from_utf8(&self.0).unwrap_or_default();
        let (day, month, year, time) = (&text[5..7], &text[8..11], &text[12..16], &text[17..25]);
        write!(f, "{day}/{month}/{year}:{time} +0000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_text_cannot_leave_its_quotes_or_its_line() {
        let mut text = String::new();
        escape(b"a\"b\\c\r\nd\x1b[2J\xe4", &mut text);
        assert_eq!(text, "a\\x22b\\x5Cc\\x0D\\x0Ad\\x1B[2J\\xE4");
    }

    #[test]
    fn the_time_is_in_the_order_of_the_common_format() {
        let time = CommonTime(conduit_proto::http_date(784_111_777));
        assert_eq!(time.to_string(), "06/Nov/1994:08:49:37 +0000");
    }
}
