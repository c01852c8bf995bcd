//! Conversion of a decoded field section into the head of a request (RFC 9113, section 8.3).

use std::ops::Range;

use http::{HeaderMap, Method, Version};

use super::Http2Limits;
use super::error::Http2Reason;
use super::hpack::{Decoder, FieldKind, Sink};
use super::priority::Priority;
use crate::digits::decimal;
use crate::h1::authority::is_connect_authority;
use crate::h1::framing::is_allowed_trailer;
use crate::h1::head::check_host;
use crate::h1::map::fill_map;
use crate::h1::scan::{self, Field};
use crate::h1::{BodyLength, Head, TARGET_LIMIT};

/// A range of the head's bytes.
type ByteSpan = (u32, u32);

/// The values of pseudo-header fields that most requests have, and a name. Each head begins with them, so that they need no copy.
const KNOWN: &[u8; 16] = b"GETPOSThttpshost";
/// The range of `host` in [`KNOWN`].
const HOST_NAME: ByteSpan = (12, 16);
/// A longer buffer of a head keeps no spare capacity: a connection may hold one for each stream.
const SPARE_BYTES: usize = 16 * 1024;

/// The kind and the range in [`KNOWN`] of an entry of the static table.
fn known_range(index: usize) -> Option<(FieldKind, ByteSpan)> {
    Some(match index {
        2 => (FieldKind::Method, (0, 3)),
        3 => (FieldKind::Method, (3, 7)),
        6 => (FieldKind::Scheme, (7, 11)),
        7 => (FieldKind::Scheme, (7, 12)),
        _ => return None,
    })
}

/// The overhead that RFC 9113, section 6.5.2 adds to the length of each field.
const OVERHEAD: usize = 32;

/// The lengths of the names of pseudo-header fields, by their kinds.
const PSEUDO_NAMES: [usize; 5] = [
    ":method".len(),
    ":scheme".len(),
    ":authority".len(),
    ":path".len(),
    ":protocol".len(),
];

/// The section that is being decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SectionKind {
    Head,
    Trailers,
    /// The section is discarded.
    Ignored,
}

/// The fields of a section, as far as they are decoded.
struct Assembly<'a> {
    section: SectionKind,
    limits: &'a Http2Limits,
    fields: &'a mut Vec<Field>,
    /// The ranges of the pseudo-header fields, by their [`FieldKind`].
    pseudo: [Option<ByteSpan>; 5],
    /// The size of the section as defined for SETTINGS_MAX_HEADER_LIST_SIZE.
    list_bytes: usize,
    content_length: Option<u64>,
    host: Option<u32>,
    cookies: u32,
    expects_continue: bool,
    has_unknown_expectation: bool,
    priority: Priority,
    /// The first rule that the section violates, or the limit that it exceeds.
    fault: Option<Http2Reason>,
    /// After the fault, `:method` may follow among the pseudo-header fields: the response depends on it, too.
    seeks_method: bool,
}

/// The properties of a request that are not in the [`Head`].
pub(super) struct Accepted {
    pub(super) content_length: Option<u64>,
    pub(super) priority: Priority,
}

impl<'a> Assembly<'a> {
    fn new(section: SectionKind, limits: &'a Http2Limits, fields: &'a mut Vec<Field>) -> Self {
        Self {
            section,
            limits,
            fields,
            pseudo: [None; 5],
            list_bytes: 0,
            content_length: None,
            host: None,
            cookies: 0,
            expects_continue: false,
            has_unknown_expectation: false,
            priority: Priority::default(),
            fault: None,
            seeks_method: false,
        }
    }

    /// Takes a field after the fault. At most one of each kind precedes `:method`, which bounds the work.
    #[cold]
    fn seek_method(&mut self, kind: FieldKind, field: Field) {
        let is_first = kind.is_pseudo() && self.pseudo[kind as usize].is_none();
        if is_first {
            self.pseudo[kind as usize] = Some((field.value, field.value_end));
        }
        self.seeks_method = is_first && kind != FieldKind::Method;
    }

    fn add(&mut self, bytes: &[u8], kind: FieldKind, field: Field) -> Result<(), Http2Reason> {
        self.list_bytes += (field.value_end - field.name) as usize + OVERHEAD;
        if kind.is_pseudo() && field.name == field.name_end {
            self.list_bytes += PSEUDO_NAMES[kind as usize];
        }
        if self.list_bytes > self.limits.header_list_bytes {
            return Err(Http2Reason::HeadTooLarge);
        }
        let value = field.value(bytes);
        match kind {
            FieldKind::Method | FieldKind::Scheme | FieldKind::Authority | FieldKind::Path | FieldKind::Protocol => {
                let is_misplaced = self.section != SectionKind::Head || !self.fields.is_empty();
                let range = (field.value, field.value_end);
                return match self.pseudo[kind as usize].replace(range) {
                    None if !is_misplaced => Ok(()),
                    _ => Err(Http2Reason::PseudoField),
                };
            }
            FieldKind::UnknownPseudo => return Err(Http2Reason::PseudoField),
            FieldKind::ConnectionSpecific => return Err(Http2Reason::ConnectionField),
            FieldKind::InvalidName => return Err(Http2Reason::FieldName),
            FieldKind::InvalidValue => return Err(Http2Reason::FieldValue),
            FieldKind::Te if !value.eq_ignore_ascii_case(b"trailers") => return Err(Http2Reason::Te),
            FieldKind::ContentLength => {
                let length = decimal(value).ok_or(Http2Reason::ContentLength)?;
                if self.content_length.replace(length).is_some() {
                    return Err(Http2Reason::ContentLength);
                }
            }
            FieldKind::Host => {
                if self.host.replace(self.fields.len() as u32).is_some() {
                    return Err(Http2Reason::Host);
                }
            }
            FieldKind::Cookie => self.cookies += 1,
            FieldKind::Expect if value.eq_ignore_ascii_case(b"100-continue") => self.expects_continue = true,
            FieldKind::Expect => self.has_unknown_expectation = true,
            FieldKind::Priority => self.priority = Priority::parse(value),
            FieldKind::Te | FieldKind::Other => {}
        }
        if self.fields.len() == self.limits.headers {
            return Err(Http2Reason::TooManyFields);
        }
        self.fields.push(field);
        Ok(())
    }
}

impl Sink for Assembly<'_> {
    const OMITS_PSEUDO_NAMES: bool = true;

    fn wants_more(&self) -> bool {
        (self.fault.is_none() || self.seeks_method) && self.section != SectionKind::Ignored
    }

    #[inline]
    fn known(&mut self, index: usize) -> bool {
        let Some((kind, range)) = known_range(index) else {
            return false;
        };
        let list_bytes = self.list_bytes + (range.1 - range.0) as usize + PSEUDO_NAMES[kind as usize] + OVERHEAD;
        let pseudo = &mut self.pseudo[kind as usize];
        let is_in_place = self.section == SectionKind::Head && self.fields.is_empty() && pseudo.is_none();
        // Otherwise the general way finds the fault.
        let is_valid = is_in_place && list_bytes <= self.limits.header_list_bytes;
        if is_valid {
            (*pseudo, self.list_bytes) = (Some(range), list_bytes);
        }
        is_valid
    }

    #[inline]
    fn field(&mut self, bytes: &mut Vec<u8>, kind: FieldKind, field: Field) {
        if self.seeks_method {
            self.seek_method(kind, field);
        } else if let Err(reason) = self.add(bytes, kind, field) {
            self.fault = Some(reason);
            let is_before_method = self.fields.is_empty() && self.pseudo[FieldKind::Method as usize].is_none();
            self.seeks_method = self.section == SectionKind::Head && is_before_method && kind.is_pseudo();
        }
    }
}

/// The error of a section, for the connection or only for its stream.
pub(super) enum Fault {
    Connection,
    Stream(Http2Reason),
}

/// Decodes the block of a request into its head.
pub(super) fn read_head(
    decoder: &mut Decoder,
    block: &[u8],
    end_stream: bool,
    head: &mut Head,
    limits: &Http2Limits,
) -> Result<Accepted, Fault> {
    head.clear();
    head.bytes.extend_from_slice(KNOWN);
    let mut assembly = Assembly::new(SectionKind::Head, limits, &mut head.fields);
    decoder
        .decode_into(block, &mut head.bytes, &mut assembly)
        .map_err(|_| Fault::Connection)?;
    if let Some(reason) = assembly.fault {
        // The response to a request that exceeds a limit depends on its method.
        if matches!(assembly.pseudo[FieldKind::Method as usize], Some(method) if slice(&head.bytes, method) == b"HEAD")
        {
            head.method = Method::HEAD;
        }
        return Err(Fault::Stream(reason));
    }
    let Assembly {
        pseudo,
        content_length,
        host,
        cookies,
        expects_continue,
        has_unknown_expectation,
        priority,
        ..
    } = assembly;
    head.host = host;
    head.version = Version::HTTP_2;
    read_target(head, pseudo, limits).map_err(Fault::Stream)?;
    if cookies > 1 {
        join_cookies(head);
    }
    if head.bytes.capacity() > SPARE_BYTES {
        head.bytes.shrink_to_fit();
    }
    head.body = match content_length {
        None | Some(0) if end_stream => BodyLength::None,
        Some(_) if end_stream => return Err(Fault::Stream(Http2Reason::BodyLength)),
        Some(length) => BodyLength::Exact(length),
        None => BodyLength::Chunked,
    };
    if has_unknown_expectation {
        return Err(Fault::Stream(Http2Reason::UnknownExpectation));
    }
    head.expects_continue = expects_continue && !end_stream;
    Ok(Accepted {
        content_length,
        priority,
    })
}

/// Checks the pseudo-header fields and sets method, target and authority (RFC 9113, section 8.3.1; RFC 8441, section 4).
fn read_target(head: &mut Head, pseudo: [Option<ByteSpan>; 5], limits: &Http2Limits) -> Result<(), Http2Reason> {
    let [method, scheme, authority, path, protocol] = pseudo;
    let method = method.ok_or(Http2Reason::MissingPseudoField)?;
    let name = slice(&head.bytes, method);
    if name != b"GET" {
        head.method = Method::from_bytes(name).map_err(|_| Http2Reason::Method)?;
    }
    let is_connect = head.method == Method::CONNECT;
    if protocol.is_some() && !(is_connect && limits.extended_connect) {
        return Err(Http2Reason::PseudoField);
    }
    if is_connect && protocol.is_none() {
        let (None, None, Some(authority)) = (scheme, path, authority) else {
            return Err(Http2Reason::MissingPseudoField);
        };
        if !is_connect_authority(slice(&head.bytes, authority)) {
            return Err(Http2Reason::Authority);
        }
        (head.target_start, head.target_end) = authority;
        let length = authority.1 - authority.0;
        (head.path_start, head.path_end) = (length, length);
        return read_authority(head, Some(authority), true);
    }
    let (Some(scheme), Some(path)) = (scheme, path) else {
        return Err(Http2Reason::MissingPseudoField);
    };
    let scheme = slice(&head.bytes, scheme);
    // A scheme is compared without case (RFC 3986, section 3.1).
    let needs_authority = matches!(scheme, b"https" | b"http")
        || scheme.eq_ignore_ascii_case(b"https")
        || scheme.eq_ignore_ascii_case(b"http");
    if !needs_authority && !is_scheme(scheme) {
        return Err(Http2Reason::Scheme);
    }
    let target = slice(&head.bytes, path);
    if target.len() > TARGET_LIMIT {
        return Err(Http2Reason::TargetTooLong);
    }
    let path_length = match scan::path_length(target) {
        Some(length) => length,
        None if target == b"*" && head.method == Method::OPTIONS => target.len(),
        None => return Err(Http2Reason::Path),
    };
    (head.path_start, head.path_end) = (0, path_length as u32);
    (head.target_start, head.target_end) = path;
    if let Some(protocol) = protocol {
        if !is_protocol(slice(&head.bytes, protocol)) {
            return Err(Http2Reason::PseudoField);
        }
        (head.protocol_start, head.protocol_end) = protocol;
    }
    read_authority(head, authority, needs_authority)
}

/// Checks `:authority` and `host`: a request to an HTTP server has at least one of them, and they must be equal.
fn read_authority(head: &mut Head, authority: Option<ByteSpan>, is_needed: bool) -> Result<(), Http2Reason> {
    let host = head.host.map(|index| {
        let field = &head.fields[index as usize];
        (field.value, field.value_end)
    });
    let Some(range) = authority.or(host) else {
        return if is_needed {
            Err(Http2Reason::MissingPseudoField)
        } else {
            Ok(())
        };
    };
    let value = slice(&head.bytes, range);
    if value.is_empty() && (is_needed || authority.is_some()) {
        return Err(Http2Reason::Authority);
    }
    check_host(value, &mut head.valid_host).map_err(|_| Http2Reason::Authority)?;
    if let (Some(_), Some(host)) = (authority, host)
        && !slice(&head.bytes, host).eq_ignore_ascii_case(value)
    {
        return Err(Http2Reason::Host);
    }
    if authority.is_some() {
        (head.authority_start, head.authority_end) = range;
    }
    Ok(())
}

/// Joins the parts of the field `cookie` (RFC 9113, section 8.2.3). The joined field is the last one, because the bytes
/// of fields are stored in order; it takes the memory of its parts.
#[cold]
fn join_cookies(head: &mut Head) {
    let joined = head.bytes.len();
    head.bytes.extend_from_slice(b"cookie");
    let value = head.bytes.len();
    let mut is_first = true;
    for field in &head.fields {
        if field.name(&head.bytes) == b"cookie" {
            if !std::mem::take(&mut is_first) {
                head.bytes.extend_from_slice(b"; ");
            }
            head.bytes
                .extend_from_within(field.value as usize..field.value_end as usize);
        }
    }
    let (name_length, total) = (value - joined, head.bytes.len());
    let host = head.host.take();
    let (mut index, mut kept) = (0, 0);
    // The other fields, and then the joined one, move to the end of those before.
    let mut end = head.fields.first().map_or(joined, |field| field.name as usize);
    let (bytes, moved_host) = (&mut head.bytes, &mut head.host);
    head.fields.retain_mut(|field| {
        let is_cookie = field.name(bytes) == b"cookie";
        if !is_cookie {
            if host == Some(index) {
                *moved_host = Some(kept);
            }
            kept += 1;
            *field = moved(
                bytes,
                field.name as usize..field.value_end as usize,
                field.name_end - field.name,
                &mut end,
            );
        }
        index += 1;
        !is_cookie
    });
    let cookie = moved(bytes, joined..total, name_length as u32, &mut end);
    head.bytes.truncate(end);
    head.fields.push(cookie);
}

/// Moves the bytes of a field, whose value follows its name, to `end`, which advances.
fn moved(bytes: &mut [u8], from: Range<usize>, name_length: u32, end: &mut usize) -> Field {
    let (name, length) = (*end as u32, from.len());
    bytes.copy_within(from, *end);
    *end += length;
    Field {
        name,
        name_end: name + name_length,
        value: name + name_length,
        value_end: *end as u32,
    }
}

impl Head {
    /// Adds the field `host` with the [authority](Self::authority) of a request in HTTP/2 if it is missing (RFC 9113,
    /// section 8.3.1), so that handlers find the host in the same field with each version of HTTP. It is the first field.
    pub fn add_host(&mut self) {
        if self.version != Version::HTTP_2 || self.host.is_some() || self.authority_start == self.authority_end {
            return;
        }
        self.host = Some(0);
        // The fields are in the order of their bytes, which have the authority before all others.
        let host = Field {
            name: HOST_NAME.0,
            name_end: HOST_NAME.1,
            value: self.authority_start,
            value_end: self.authority_end,
        };
        self.fields.insert(0, host);
    }
}

/// Decodes the block of a trailer section, and returns its allowed fields, if there are any.
pub(super) fn read_trailers(
    decoder: &mut Decoder,
    block: &[u8],
    limits: &Http2Limits,
) -> Result<Option<Box<HeaderMap>>, Fault> {
    let (mut bytes, mut fields) = (Vec::new(), Vec::new());
    let mut assembly = Assembly::new(SectionKind::Trailers, limits, &mut fields);
    decoder
        .decode_into(block, &mut bytes, &mut assembly)
        .map_err(|_| Fault::Connection)?;
    match assembly.fault {
        None => {}
        Some(Http2Reason::HeadTooLarge | Http2Reason::TooManyFields) => {
            return Err(Fault::Stream(Http2Reason::TrailersTooLarge));
        }
        Some(reason) => return Err(Fault::Stream(reason)),
    }
    let mut map = HeaderMap::new();
    fill_map(&mut map, &bytes, &fields, is_allowed_trailer);
    Ok((!map.is_empty()).then(|| Box::new(map)))
}

/// Decodes a block for its effect on the dynamic table (RFC 9113, section 4.3).
pub(super) fn ignore_section(decoder: &mut Decoder, block: &[u8], limits: &Http2Limits) -> Result<(), Fault> {
    let mut fields = Vec::new();
    let mut assembly = Assembly::new(SectionKind::Ignored, limits, &mut fields);
    decoder
        .decode_into(block, &mut Vec::new(), &mut assembly)
        .map_err(|_| Fault::Connection)
}

fn slice(bytes: &[u8], (start, end): ByteSpan) -> &[u8] {
    &bytes[start as usize..end as usize]
}

/// Returns whether this is a valid scheme (RFC 3986, section 3.1).
fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Returns whether this is a protocol with an optional version (RFC 9110, section 7.8).
fn is_protocol(protocol: &[u8]) -> bool {
    let mut parts = protocol.splitn(2, |&byte| byte == b'/');
    parts.all(|part| !part.is_empty() && part.iter().all(|&byte| scan::is_token_byte(byte)))
}
