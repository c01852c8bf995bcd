//! The opening handshake (RFC 6455, section 4.2).

use std::fmt;

use http::header::{self, AsHeaderName};
use http::{HeaderMap, Method, StatusCode, Version};
use sha1::{Digest, Sha1};

/// The suffix of the key (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A request for a WebSocket that follows the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    accept: Option<String>,
}

impl Handshake {
    /// Checks an upgrade of HTTP/1.1. The check of its origin is the caller's.
    ///
    /// # Errors
    ///
    /// Returns the rule that the request breaks.
    pub fn parse(method: &Method, version: Version, headers: &HeaderMap) -> Result<Self, HandshakeError> {
        if method != Method::GET {
            return Err(HandshakeError::Method);
        }
        if version != Version::HTTP_11 {
            return Err(HandshakeError::Version);
        }
        if !offers_websocket(headers) || !has_token(headers, header::CONNECTION, "upgrade") {
            return Err(HandshakeError::Upgrade);
        }
        if single(headers, header::SEC_WEBSOCKET_VERSION) != Some(b"13") {
            return Err(HandshakeError::WebSocketVersion);
        }
        match single(headers, header::SEC_WEBSOCKET_KEY) {
            Some(key) if is_key(key) => Ok(Self {
                accept: Some(accept(key)),
            }),
            _ => Err(HandshakeError::Key),
        }
    }

    /// Checks an extended CONNECT of HTTP/2 whose `:protocol` is `websocket` (RFC 8441, section 5): it has no key, because
    /// a `CONNECT` cannot be mistaken for another request. The check of its origin is the caller's.
    ///
    /// # Errors
    ///
    /// The rule that the request breaks.
    pub fn parse_connect(headers: &HeaderMap) -> Result<Self, HandshakeError> {
        match single(headers, header::SEC_WEBSOCKET_VERSION) {
            Some(b"13") => Ok(Self { accept: None }),
            _ => Err(HandshakeError::WebSocketVersion),
        }
    }

    /// The value of `sec-websocket-accept` in the response; `None` in HTTP/2.
    #[must_use]
    pub fn accept(&self) -> Option<&str> {
        self.accept.as_deref()
    }
}

/// Returns whether a request of HTTP/1.1 offers WebSocket among the protocols of `upgrade`; a server ignores the protocols that
/// it does not support (RFC 9110, section 7.8).
#[must_use]
pub fn offers_websocket(headers: &HeaderMap) -> bool {
    has_token(headers, header::UPGRADE, "websocket")
}

/// The first of the supported subprotocols that the client offers; names are compared exactly (RFC 6455, section 4.2.2).
#[must_use]
pub fn choose_subprotocol<'a>(headers: &HeaderMap, supported: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    supported.into_iter().find(|supported| {
        tokens(headers, header::SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == supported.as_bytes())
    })
}

/// The fault of a request for an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The method is not GET.
    Method,
    /// The version is not HTTP/1.1, and the request is no extended CONNECT of HTTP/2.
    Version,
    /// The fields `upgrade: websocket` and `connection: upgrade` are not both present.
    Upgrade,
    /// `sec-websocket-version` is not 13.
    WebSocketVersion,
    /// `sec-websocket-key` is not one value of 16 bytes in base64.
    Key,
}

impl HandshakeError {
    /// The status of the response: 426 needs `upgrade: websocket` and `sec-websocket-version: 13`.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Upgrade | Self::WebSocketVersion | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Method | Self::Key => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "the handshake of a WebSocket does not use the method GET: send GET",
            Self::Version => {
                "this version of HTTP cannot open a WebSocket: use HTTP/1.1, or CONNECT with ':protocol: websocket' in HTTP/2"
            }
            Self::Upgrade => "this path accepts only WebSockets: send 'upgrade: websocket' and 'connection: upgrade'",
            Self::WebSocketVersion => "the version of WebSocket is not supported: send 'sec-websocket-version: 13'",
            Self::Key => "sec-websocket-key is missing, repeated or invalid: send 16 bytes in base64, once",
        })
    }
}

impl std::error::Error for HandshakeError {}

/// The value of a field that occurs exactly once.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes().trim_ascii())
}

/// The members of a list (RFC 9110, section 5.6.1).
fn tokens(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(name).into_iter();
    let members = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
}

/// Returns whether this is the base64 form of 16 bytes. Unused bits of the last digit are ignored, as by other servers.
fn is_key(key: &[u8]) -> bool {
    let Some((padding, digits)) = key.split_last_chunk::<2>().map(|(digits, padding)| (padding, digits)) else {
        return false;
    };
    padding == b"==" && digits.len() == 22 && digits.iter().all(|digit| BASE64.contains(digit))
}

/// The response to a key (RFC 6455, section 4.2.2).
fn accept(key: &[u8]) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut text = String::with_capacity(28);
    for group in digest.chunks(3) {
        let mut bytes = [0; 4];
        bytes[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bytes);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 0x3f;
            text.push(if digit <= group.len() {
                char::from(BASE64[value as usize])
            } else {
                '='
            });
        }
    }
    text
}
