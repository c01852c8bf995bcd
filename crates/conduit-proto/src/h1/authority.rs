//! The authority of a request: of its target and of `Host` (RFC 9110, sections 4.2.3 and 7.2).

use std::net::Ipv6Addr;

use super::scan;
use crate::digits::decimal;

/// The start of the authority in an absolute target with a supported scheme.
pub(super) fn absolute_prefix(target: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|prefix| {
            target
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        })
        .map(<[u8]>::len)
}

/// Returns whether this is `uri-host [":" port]` (RFC 9110, section 7.2). The host and the port may be empty, as in the
/// grammar.
pub(super) fn is_authority(value: &[u8]) -> bool {
    match host_length(value).map(|length| &value[length..]) {
        Some([] | [b':']) => true,
        Some([b':', port @ ..]) => is_port(port),
        _ => false,
    }
}

/// Returns whether this is a non-empty host and a port (RFC 9112, section 3.2.3).
pub(crate) fn is_connect_authority(target: &[u8]) -> bool {
    match host_length(target).map(|length| target.split_at(length)) {
        Some((host @ [_, ..], [b':', port @ ..])) => !is_encoded(host) && !port.is_empty() && is_port(port),
        _ => false,
    }
}

/// Returns whether a host is percent-encoded, which is rejected in a target: [`http::uri::Authority`] does not support
/// it, and browsers decode a host before sending it.
pub(super) fn is_encoded(host: &[u8]) -> bool {
    host.contains(&b'%')
}

/// The length of the host at the start; `None` without a host. Brackets contain an IPv6 address (RFC 3986, section
/// 3.2.2) without a zone, which is meaningless to another machine. The format for future versions (`[v1.x]`) is
/// rejected, because no such version exists.
fn host_length(value: &[u8]) -> Option<usize> {
    if value.first() == Some(&b'[') {
        let end = value.iter().position(|&byte| byte == b']')?;
        let literal = str::from_utf8(&value[1..end]).ok()?;
        return literal.parse::<Ipv6Addr>().is_ok().then_some(end + 1);
    }
    let mut at = 0;
    loop {
        at = scan::skip_reg_name(value, at);
        if value.get(at) != Some(&b'%') {
            return Some(at);
        }
        match value.get(at + 1..at + 3) {
            Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => at += 3,
            _ => return None,
        }
    }
}

/// Returns whether this is a number up to 65535, with optional leading zeros.
fn is_port(digits: &[u8]) -> bool {
    // Five digits cannot overflow.
    if digits.len() > 5 {
        return decimal(digits).is_some_and(|port| port <= 65_535);
    }
    let mut port = 0_u32;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return false;
        }
        port = port * 10 + u32::from(digit);
    }
    port <= 65_535
}
