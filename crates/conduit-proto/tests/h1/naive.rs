//! A second parser for heads and chunks, written for obvious correctness: it processes whole lines by the string
//! functions of the standard library, without regard to speed.

use conduit_proto::h1::BodyLength;

/// The result for the start of a stream.
#[derive(Debug)]
pub(crate) enum Naive<T> {
    Incomplete,
    /// Rejected with any of these statuses: the order in which several errors are found is unspecified.
    Refused(Vec<u16>),
    Accepted(T),
}

#[derive(Debug)]
pub(crate) struct NaiveHead {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: BodyLength,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    /// The length of the head.
    pub(crate) length: usize,
}

/// The first line with its LF, and the bytes after it.
fn line(stream: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = stream.iter().position(|&byte| byte == b'\n')? + 1;
    Some(stream.split_at(end))
}

fn is_token(text: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_tchar)
}

fn is_value(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    &text[start..end]
}

fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    (is_token(name) && is_value(value)).then(|| (String::from_utf8_lossy(name).into_owned(), trim(value).to_vec()))
}

/// Parses a head at the start of a stream without empty lines before it.
pub(crate) fn head(stream: &[u8]) -> Naive<NaiveHead> {
    if stream.first().is_some_and(|first| !is_token(&[*first])) {
        return Naive::Refused(vec![400]);
    }
    let Some((first, mut rest)) = line(stream) else {
        return Naive::Incomplete;
    };
    let (method, target, minor) = match request_line(first) {
        Ok(parts) => parts,
        Err(status) => return Naive::Refused(vec![status]),
    };
    let mut headers = Vec::new();
    loop {
        let Some((next, behind)) = line(rest) else {
            return Naive::Incomplete;
        };
        rest = behind;
        if next == b"\r\n" {
            break;
        }
        match next.strip_suffix(b"\r\n").and_then(field) {
            Some(field) => headers.push(field),
            None => return Naive::Refused(vec![400]),
        }
    }
    match meaning(&method, &target, minor, &headers) {
        Err(statuses) => Naive::Refused(statuses),
        Ok((body, keep_alive, expects_continue)) => Naive::Accepted(NaiveHead {
            method,
            target,
            headers,
            body,
            keep_alive,
            expects_continue,
            length: stream.len() - rest.len(),
        }),
    }
}

fn request_line(line: &[u8]) -> Result<(String, String, u8), u16> {
    let line = line.strip_suffix(b"\r\n").ok_or(400_u16)?;
    let parts: Vec<_> = line.split(|&byte| byte == b' ').collect();
    let &[method, target, version] = &parts[..] else {
        return Err(400);
    };
    let path_length = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(path_length);
    let is_text = |text: &[u8], rejected: &[u8]| {
        text.iter()
            .all(|byte| byte.is_ascii_graphic() && !rejected.contains(byte))
    };
    if !is_token(method) || target.is_empty() || !is_text(path, b"#<>`") || !is_text(query, b"#<>\"") {
        return Err(400);
    }
    let minor = match version {
        b"HTTP/1.0" => 0,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => 1,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(505),
        _ => return Err(400),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(method), text(target), minor))
}

fn values(headers: &[(String, Vec<u8>)], name: &str) -> Vec<String> {
    headers
        .iter()
        .filter(|(found, _)| found.to_lowercase() == name)
        // One character for each byte; non-ASCII bytes match nothing.
        .map(|(_, value)| value.iter().map(|&byte| char::from(byte)).collect())
        .collect()
}

fn list(headers: &[(String, Vec<u8>)], name: &str) -> Vec<String> {
    let all = values(headers, name).join(",");
    all.split(',')
        .map(|item| item.trim_matches([' ', '\t']).to_ascii_lowercase())
        .collect()
}

/// Body, keep-alive and expectation; or the statuses of all errors.
fn meaning(
    method: &str,
    target: &str,
    minor: u8,
    headers: &[(String, Vec<u8>)],
) -> Result<(BodyLength, bool, bool), Vec<u16>> {
    let mut wrong = Vec::new();
    if !is_target(method, target) {
        wrong.push(400);
    }
    let hosts = values(headers, "host");
    if hosts.len() > 1 || (hosts.is_empty() && minor == 1) || !hosts.iter().all(|h| is_host(h)) {
        wrong.push(400);
    }
    let expectations = values(headers, "expect");
    if minor == 1 && !expectations.iter().all(|e| e.eq_ignore_ascii_case("100-continue")) {
        wrong.push(417);
    }

    let lengths = values(headers, "content-length");
    let codings = values(headers, "transfer-encoding");
    let mut body = BodyLength::None;
    for length in &lengths {
        let digits = !length.is_empty() && length.chars().all(|c| c.is_ascii_digit());
        match length.parse() {
            Ok(0) if digits => {}
            Ok(length) if digits => body = BodyLength::Exact(length),
            _ => wrong.push(400),
        }
    }
    if lengths.len() > 1 || (!lengths.is_empty() && !codings.is_empty()) {
        wrong.push(400);
    }
    if !codings.is_empty() {
        body = BodyLength::Chunked;
        let codings = list(headers, "transfer-encoding");
        let chunked = codings.iter().filter(|coding| *coding == "chunked").count();
        let last = codings.last().is_some_and(|coding| coding == "chunked");
        if minor == 0 || chunked != 1 || !last || codings.iter().any(String::is_empty) {
            wrong.push(400);
        } else if codings.len() > 1 {
            wrong.push(501);
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let options = list(headers, "connection");
    let has = |option: &str| options.iter().any(|found| found == option);
    let keep_alive = !has("close") && (minor == 1 || has("keep-alive"));
    let expects = minor == 1 && !expectations.is_empty() && body != BodyLength::None;
    Ok((body, keep_alive, expects))
}

fn is_target(method: &str, target: &str) -> bool {
    if method == "CONNECT" {
        let parts = target.rsplit_once(':');
        // A colon within brackets leaves an invalid host before it.
        let splits = |(host, port): (&str, &str)| !host.is_empty() && is_host(host) && !port.is_empty();
        return !target.contains('%') && is_host(target) && parts.is_some_and(splits);
    }
    if target.starts_with('/') || (method == "OPTIONS" && target == "*") {
        return true;
    }
    let Some((scheme, rest)) = target.split_once("://") else {
        return false;
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let scheme = scheme.to_ascii_lowercase();
    ["http", "https"].contains(&scheme.as_str())
        && !host.is_empty()
        && !host.starts_with(':')
        && !host.contains('%')
        && is_host(host)
}

/// `host`, `host:` or `host:port`, where host is a name, possibly empty, or an IP address in brackets.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, port)) => {
            if !is_ipv6(literal) {
                return false;
            }
            ("", port)
        }
        None => match text.find(':') {
            Some(colon) => text.split_at(colon),
            None => (text, ""),
        },
    };
    let port_is_valid = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some("") => true,
        Some(port) => {
            port.chars().all(|c| c.is_ascii_digit())
                && port.trim_start_matches('0').len() <= 5
                && port.parse::<f64>().is_ok_and(|port| port <= 65_535.0)
        }
    };
    port_is_valid && is_name(host)
}

/// Eight groups, or fewer around one gap; an IPv4 address may replace the last two (RFC 3986, section 3.2.2).
fn is_ipv6(literal: &str) -> bool {
    /// The number of groups in a text; `None` if one is invalid.
    fn groups(text: &str, ipv4: bool) -> Option<usize> {
        let is_octet = |octet: &str| octet.parse::<u8>().is_ok_and(|number| number.to_string() == octet);
        let is_ipv4 = |group: &str| group.split('.').count() == 4 && group.split('.').all(is_octet);
        let is_group = |group: &str| (1..=4).contains(&group.len()) && group.chars().all(|c| c.is_ascii_hexdigit());
        let (before, last) = text.rsplit_once(':').unwrap_or(("", text));
        let all = text.split(':').count();
        match text {
            "" => Some(0),
            _ if text.split(':').all(is_group) => Some(all),
            _ if ipv4 && is_ipv4(last) && (all == 1 || before.split(':').all(is_group)) => Some(all + 1),
            _ => None,
        }
    }

    match literal.split_once("::") {
        None => groups(literal, true) == Some(8),
        Some((before, behind)) => match (groups(before, false), groups(behind, true)) {
            (Some(before), Some(behind)) => before + behind < 8,
            _ => false,
        },
    }
}

fn is_name(host: &str) -> bool {
    let mut parts = host.split('%');
    let plain = |part: &str| {
        part.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(c))
    };
    let encoded = |part: &str| {
        part.len() >= 2
            && part.is_char_boundary(2)
            && part[..2].chars().all(|c| c.is_ascii_hexdigit())
            && plain(&part[2..])
    };
    parts.next().is_some_and(plain) && parts.all(encoded)
}

/// Parses a chunked body: its data, and its length in the stream.
pub(crate) fn chunked(mut stream: &[u8]) -> Naive<(Vec<u8>, usize)> {
    let total = stream.len();
    let mut data = Vec::new();
    loop {
        let Some((size_line, rest)) = line(stream) else {
            return Naive::Incomplete;
        };
        let Some(size) = size_line.strip_suffix(b"\r\n").and_then(chunk_size) else {
            return Naive::Refused(vec![400]);
        };
        if size == 0 {
            stream = rest;
            break;
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some((piece, rest)) = rest.split_at_checked(size) else {
            return Naive::Incomplete;
        };
        data.extend_from_slice(piece);
        match rest {
            [b'\r', b'\n', rest @ ..] => stream = rest,
            [] | [b'\r'] => return Naive::Incomplete,
            _ => return Naive::Refused(vec![400]),
        }
    }
    loop {
        let Some((trailer, rest)) = line(stream) else {
            return Naive::Incomplete;
        };
        stream = rest;
        if trailer == b"\r\n" {
            return Naive::Accepted((data, total - stream.len()));
        }
        if trailer.strip_suffix(b"\r\n").and_then(field).is_none() {
            return Naive::Refused(vec![400]);
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let text = str::from_utf8(line).ok();
    let semicolon = line.iter().position(|&byte| byte == b';');
    let size = match semicolon {
        None => text?,
        Some(semicolon) => {
            if !are_extensions(&line[semicolon..]) {
                return None;
            }
            str::from_utf8(trim_end(&line[..semicolon])).ok()?
        }
    };
    let digits = (1..=16).contains(&size.len()) && size.chars().all(|c| c.is_ascii_hexdigit());
    if !digits {
        return None;
    }
    u64::from_str_radix(size, 16).ok().filter(|size| *size < 1 << 63)
}

/// Any number of `BWS ";" BWS name [BWS "=" BWS value]` (RFC 9112, section 7.1.1).
fn are_extensions(text: &[u8]) -> bool {
    if text.is_empty() {
        return true;
    }
    let Some(rest) = trim_start(text).strip_prefix(b";") else {
        return false;
    };
    let Some(rest) = after_token(trim_start(rest)) else {
        return false;
    };
    match trim_start(rest).strip_prefix(b"=") {
        None => are_extensions(rest),
        Some(value) => {
            let value = trim_start(value);
            after_quoted(value)
                .or_else(|| after_token(value))
                .is_some_and(are_extensions)
        }
    }
}

fn after_token(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|byte| !is_token(&[*byte])).unwrap_or(text.len());
    (end > 0).then(|| &text[end..])
}

fn after_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] if is_value(&[*byte]) => rest,
            _ => return None,
        };
    }
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| *byte != b' ' && *byte != b'\t');
    &text[start.unwrap_or(text.len())..]
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != b' ' && *byte != b'\t');
    &text[..end.map_or(0, |last| last + 1)]
}
