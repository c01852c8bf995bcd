//! The head of a request: the request line and the fields.

use http::header::HOST;
use http::{HeaderMap, Method, Version};

use super::authority::{absolute_prefix, is_authority, is_connect_authority, is_encoded};
use super::error::{Reason, RequestError};
use super::framing::Framing;
use super::map::map_of;
use super::progress::Progress;
use super::scan::{self, Field, Line, RequestLine};
use super::{BodyLength, Limits, TARGET_LIMIT};

/// The head of a request.
///
/// It owns a copy of the bytes and is meant for reuse: [`Connection::handle_input`] clears and fills it. It keeps its
/// capacity, so that parsing does not allocate once the capacity suffices for the largest request. One per worker is
/// enough, because it contains nothing of an incomplete request.
///
/// [`Connection::handle_input`]: super::Connection::handle_input
///
/// ```
/// use conduit_proto::h1::{Connection, Event, Head, Limits};
///
/// let mut head = Head::new();
/// let input = b"GET /users/7?full HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n";
/// let (_, event) = Connection::new().handle_input(input, &mut head, &Limits::default())?;
/// assert!(matches!(event, Event::Request));
/// assert_eq!(head.path(), "/users/7");
/// assert_eq!(head.path_bytes(), b"/users/7");
/// assert_eq!(head.query(), Some("full"));
/// assert_eq!(head.authority(), Some("example.org"));
/// assert_eq!(head.header("accept"), Some(&b"*/*"[..]));
/// # Ok::<(), conduit_proto::h1::RequestError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Head {
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// The target is `bytes[target_start..target_end]`: a URI reference in visible ASCII.
    pub(crate) target_start: u32,
    pub(crate) target_end: u32,
    /// The path is `target[path_start..path_end]`; `path_start <= path_end <= target.len()`.
    pub(crate) path_start: u32,
    pub(crate) path_end: u32,
    /// The authority of the received target is `bytes[authority_start..authority_end]`, unless empty.
    pub(crate) authority_start: u32,
    pub(crate) authority_end: u32,
    /// The protocol of an extended `CONNECT` in HTTP/2 is `bytes[protocol_start..protocol_end]`, unless empty.
    pub(crate) protocol_start: u32,
    pub(crate) protocol_end: u32,
    /// The whole head, from the request line to the empty line, and then replacements of its parts. The fields are ranges of it.
    pub(crate) bytes: Vec<u8>,
    pub(crate) fields: Vec<Field>,
    /// The index of the field `Host`.
    pub(crate) host: Option<u32>,
    /// The last valid value of `Host`, which is not checked again: most requests have the same value. Not a part of
    /// this request.
    pub(crate) valid_host: Vec<u8>,
    pub(crate) body: BodyLength,
    pub(crate) expects_continue: bool,
    pub(crate) keep_alive: bool,
}

impl Head {
    /// An empty head, with the method `GET` and an empty target. Allocates at the first request.
    #[must_use]
    pub fn new() -> Self {
        Self {
            method: Method::GET,
            version: Version::HTTP_11,
            target_start: 0,
            target_end: 0,
            path_start: 0,
            path_end: 0,
            authority_start: 0,
            authority_end: 0,
            protocol_start: 0,
            protocol_end: 0,
            bytes: Vec::new(),
            fields: Vec::new(),
            host: None,
            valid_host: Vec::new(),
            body: BodyLength::None,
            expects_continue: false,
            keep_alive: true,
        }
    }

    /// Removes the request and keeps the capacity.
    pub fn clear(&mut self) {
        self.method = Method::GET;
        self.version = Version::HTTP_11;
        (self.target_start, self.target_end) = (0, 0);
        (self.path_start, self.path_end) = (0, 0);
        (self.authority_start, self.authority_end) = (0, 0);
        (self.protocol_start, self.protocol_end) = (0, 0);
        self.bytes.clear();
        self.fields.clear();
        self.host = None;
        self.body = BodyLength::None;
        self.expects_continue = false;
        self.keep_alive = true;
    }

    /// The method, case-sensitive; any token is allowed (RFC 9110, section 9.1).
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Replaces the method for later readers of the head. The connection continues with the original one.
    pub fn set_method(&mut self, method: Method) {
        self.method = method;
    }

    /// Turns an extended `CONNECT` into the `GET` that opens the same protocol in HTTP/1.1 (RFC 8441, section 5), for
    /// later readers of the head: it has no body, because the DATA of its stream belongs to the protocol. The name of the
    /// [`protocol`](Self::protocol) stays.
    pub fn tunnel_as_get(&mut self) {
        self.method = Method::GET;
        self.body = BodyLength::None;
        self.expects_continue = false;
    }

    /// Replaces the target by another one in origin form, which starts with a slash. The authority is unchanged.
    ///
    /// # Panics
    ///
    /// If `target` is not a path with an optional query that the engine accepts (RFC 9112, section 3.2.1), or is longer
    /// than [`TARGET_LIMIT`].
    pub fn set_target(&mut self, target: &str) {
        assert!(
            scan::path_length(target.as_bytes()).is_some(),
            "invalid target {:?}: expected a path with a leading slash, of at most {TARGET_LIMIT} bytes that a URI allows",
            target.chars().take(40).collect::<String>()
        );
        // Appended to the received head, because the fields and the authority are ranges of it.
        (self.target_start, self.target_end) = append(&mut self.bytes, target.as_bytes());
        let end = target.find('?').unwrap_or(target.len());
        (self.path_start, self.path_end) = (0, end as u32);
    }

    /// Fills the head with a request that another parser has read, such as another server. Only the target is checked.
    /// The head then describes neither a body nor a connection.
    ///
    /// # Panics
    ///
    /// If `target` is neither `*`, nor empty for `CONNECT`, nor valid for [`set_target`](Self::set_target); or if the
    /// head is longer than 4 GiB.
    pub fn assemble(&mut self, method: Method, version: Version, target: &str, headers: &HeaderMap) {
        self.clear();
        if target == "*" {
            self.bytes.push(b'*');
            (self.target_end, self.path_end) = (1, 1);
        } else if !(target.is_empty() && method == Method::CONNECT) {
            self.set_target(target);
        }
        self.method = method;
        self.version = version;
        for (name, value) in headers {
            if *name == HOST && self.host.is_none() {
                self.host = Some(self.fields.len() as u32);
            }
            let (name, name_end) = append(&mut self.bytes, name.as_str().as_bytes());
            let (value, value_end) = append(&mut self.bytes, value.as_bytes());
            self.fields.push(Field {
                name,
                name_end,
                value,
                value_end,
            });
        }
    }

    /// `HTTP_10`, `HTTP_11` or `HTTP_2`; a higher 1.x is treated as 1.1 (RFC 9110, section 2.5). An
    /// [assembled](Self::assemble) head has the given version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The request target as received, in a form that its method allows (RFC 9112, section 3.2). It is a valid
    /// [`http::Uri`], with the same path, query and authority.
    #[must_use]
    pub fn target(&self) -> &str {
        text(self.target_bytes())
    }

    fn target_bytes(&self) -> &[u8] {
        &self.bytes[self.target_start as usize..self.target_end as usize]
    }

    /// The path of the target, without decoding and without the query.
    ///
    /// It starts with `/`, except for `*`, the asterisk form of `OPTIONS`, and the empty path of `CONNECT`. An absolute
    /// target without a path has the path `/`, or `*` for `OPTIONS` without a query (RFC 9112, section 3.2.4).
    #[must_use]
    pub fn path(&self) -> &str {
        text(self.path_bytes())
    }

    /// The bytes of [`path`](Self::path), which are ASCII. Unlike `path`, it does not validate the text on each call.
    #[must_use]
    #[inline]
    pub fn path_bytes(&self) -> &[u8] {
        let target = self.target_bytes();
        let path = &target[self.path_start as usize..self.path_end as usize];
        if path.is_empty() {
            return self.empty_path(self.path_end as usize == target.len());
        }
        path
    }

    /// The path of a target whose path is empty.
    #[cold]
    fn empty_path(&self, without_query: bool) -> &'static [u8] {
        match self.method {
            Method::CONNECT => b"",
            Method::OPTIONS if without_query => b"*",
            _ => b"/",
        }
    }

    /// The text after the first `?` of the target, without decoding; `Some("")` if the `?` is its last byte.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target_bytes()[self.path_end as usize..]
            .strip_prefix(b"?")
            .map(text)
    }

    /// The host of the request: the authority of an absolute target or of `CONNECT`, else the value of `Host`. An
    /// absolute target takes precedence over `Host` (RFC 9112, section 3.2.2).
    ///
    /// It is a host with an optional port, without user information. `None` if `Host` is empty or, in HTTP/1.0,
    /// missing.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        if self.authority_start < self.authority_end {
            let range = self.authority_start as usize..self.authority_end as usize;
            return Some(text(&self.bytes[range]));
        }
        let host = self.fields.get(self.host? as usize)?.value(&self.bytes);
        str::from_utf8(host).ok().filter(|host| !host.is_empty())
    }

    /// The protocol of an extended `CONNECT` in HTTP/2, such as `websocket` (RFC 8441, section 4).
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        if self.version != Version::HTTP_2 || self.protocol_start == self.protocol_end {
            return None;
        }
        Some(text(
            &self.bytes[self.protocol_start as usize..self.protocol_end as usize],
        ))
    }

    /// The fields in their received order and case. `Host` is the last field, in lower case, if the target names the host: it
    /// then has the [authority](Self::authority) of the target (RFC 9112, section 3.2.2). A value has no surrounding white
    /// space and may contain bytes above 0x7f (RFC 9110, section 5.5). A `cookie` that is joined of parts may end with `"; "` (RFC 9113, section 8.2.3).
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| {
            // A name consists of token bytes, which are ASCII, so the default is never used.
            let name = str::from_utf8(field.name(&self.bytes)).unwrap_or_default();
            (name, field.value(&self.bytes))
        })
    }

    /// The value of the first field with this name, case-insensitive. Searches all fields; builds no map.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.header_all(name).next()
    }

    /// The values of all fields with this name, case-insensitive, in order.
    pub fn header_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.name(&self.bytes).eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value(&self.bytes))
    }

    /// All fields as a map. The values share one buffer: one allocation, or two for more than 256 bytes, and those of
    /// the map. The names are kept for the next map of the thread.
    #[must_use]
    pub fn header_map(&self) -> HeaderMap {
        map_of(&self.bytes, &self.fields)
    }

    /// The number of bytes of its content, without the spare capacity of its buffers.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.bytes.len() + self.fields.len() * size_of::<Field>()
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.fields.capacity() * size_of::<Field>() + self.valid_host.capacity()
    }

    /// The framing of the request's body.
    #[must_use]
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// Returns whether the client expects `100 Continue` before it sends its body (RFC 9110, section 10.1.1). Always
    /// false without a body, and in HTTP/1.0.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Returns whether the client allows the connection to persist after this request (RFC 9112, section 9.3).
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Parses the head at the start of `input`, which is the start of a request line.
    ///
    /// Returns the length of the head if it is complete. Until then, `progress` records the parsed part: each byte is
    /// searched for the end of its line once, and each line is checked once when it is complete and again with the
    /// whole head. So the work is linear in the number of bytes, independent of the pieces.
    // Inlined into a large function, it would keep its positions in memory instead of registers.
    #[inline(never)]
    pub(super) fn parse(
        &mut self,
        input: &[u8],
        progress: &mut Progress,
        limits: &Limits,
    ) -> Result<Option<usize>, RequestError> {
        let limit = limits.head_limit();
        let window = &input[..input.len().min(limit)];
        if !progress.has_new_line(window) {
            return progress.wait(input, limit);
        }

        self.fields.clear();
        let mut next = progress.checked as usize;
        let mut line = None;
        if next == 0 {
            match scan::request_line(window)? {
                None => return progress.wait(input, limit),
                Some(request_line) => {
                    next = request_line.end;
                    line = Some(request_line);
                }
            }
        }
        let mut count = progress.fields as usize;
        loop {
            match scan::field_line(window, next, &mut self.fields)? {
                Line::Field(end) => {
                    count += 1;
                    if count > limits.field_limit() {
                        return Err(RequestError::at(Reason::TooManyFields, next));
                    }
                    next = end;
                }
                Line::End(end) => {
                    let Some(line) = line else {
                        // Earlier calls have checked the first lines; now the head is complete.
                        *progress = Progress::START;
                        return self.parse(&window[..end], progress, limits);
                    };
                    self.fill(&window[..end], &line)?;
                    return Ok(Some(end));
                }
                Line::Partial => {
                    progress.checked = next as u32;
                    progress.fields = count as u32;
                    return progress.wait(input, limit);
                }
            }
        }
    }

    /// Takes over a complete head whose lines are all valid.
    // Not inlined, for the same reason as `parse`.
    #[inline(never)]
    fn fill(&mut self, bytes: &[u8], line: &RequestLine) -> Result<(), RequestError> {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.version = match line.minor {
            0 => Version::HTTP_10,
            _ => Version::HTTP_11,
        };
        let method = &bytes[..line.method_end];
        // Most requests have the same method as the previous one.
        if method != b"GET" || self.method != Method::GET {
            self.method = Method::from_bytes(method).map_err(|_| RequestError::at(Reason::Method, 0))?;
        }
        let start = line.method_end + 1;
        (self.target_start, self.target_end) = (start as u32, line.target_end as u32);
        (self.authority_start, self.authority_end) = (0, 0);
        let query = line.query_start - start;
        self.split_target(query)
            .ok_or(RequestError::at(Reason::Target, start))?;
        self.read_framing()
    }

    /// Splits the target into authority, path and query; `query` is the position of its first `?` before any fragment,
    /// or its end. Returns `None` if the target has no valid form.
    #[inline]
    fn split_target(&mut self, query: usize) -> Option<()> {
        let target = &self.bytes[self.target_start as usize..self.target_end as usize];
        let path = match target {
            [b'/', ..] if self.method != Method::CONNECT => 0,
            [b'*'] if self.method == Method::OPTIONS => {
                (self.path_start, self.path_end) = (0, 1);
                return Some(());
            }
            _ => self.read_authority()?,
        };
        // A `?` before the path would have ended the authority, which cannot contain one.
        debug_assert!(path <= query && query <= (self.target_end - self.target_start) as usize);
        (self.path_start, self.path_end) = (path as u32, query as u32);
        Some(())
    }

    /// Finds the authority of a target that has one: the target of `CONNECT`, or one in absolute form. Returns the position of
    /// the path.
    #[cold]
    fn read_authority(&mut self) -> Option<usize> {
        let target = &self.bytes[self.target_start as usize..self.target_end as usize];
        let (start, end) = if self.method == Method::CONNECT {
            is_connect_authority(target).then_some((0, target.len()))?
        } else {
            let start = absolute_prefix(target)?;
            let length = target[start..]
                .iter()
                .position(|byte| matches!(byte, b'/' | b'?'))
                .unwrap_or(target.len() - start);
            let authority = &target[start..start + length];
            if length == 0 || authority[0] == b':' || is_encoded(authority) || !is_authority(authority) {
                return None;
            }
            (start, start + length)
        };
        self.authority_start = self.target_start + start as u32;
        self.authority_end = self.target_start + end as u32;
        self.replace_host();
        Some(end)
    }

    /// Replaces the field `Host` by the authority of the target (RFC 9112, section 3.2.2). It becomes the last field, because
    /// the fields are in the order of their bytes. An invalid or repeated field stays, and none is added to HTTP/1.1
    /// without one: the request is rejected later. HTTP/1.0 needs no field, so it is added.
    fn replace_host(&mut self) {
        let is_host = |(_, field): &(usize, &Field)| field.name(&self.bytes).eq_ignore_ascii_case(b"host");
        let mut hosts = self.fields.iter().enumerate().filter(is_host);
        match (hosts.next(), hosts.next()) {
            (Some((index, host)), None) if is_authority(host.value(&self.bytes)) => drop(self.fields.remove(index)),
            (None, None) if self.version == Version::HTTP_10 => {}
            _ => return,
        }
        let (name, name_end) = append(&mut self.bytes, b"host");
        self.bytes
            .extend_from_within(self.authority_start as usize..self.authority_end as usize);
        self.fields.push(Field {
            name,
            name_end,
            value: name_end,
            value_end: self.bytes.len() as u32,
        });
    }

    /// Parses the fields that determine the length of the message and the end of the connection.
    fn read_framing(&mut self) -> Result<(), RequestError> {
        let mut framing = Framing::default();
        self.host = None;
        let is_http_10 = self.version == Version::HTTP_10;
        for (index, field) in self.fields.iter().enumerate() {
            let name = field.name(&self.bytes);
            // Few fields have one of these lengths, so most fields cost one comparison.
            let read = match name.len() {
                4 if is_host(name) => match self.host.replace(index as u32) {
                    None => check_host(field.value(&self.bytes), &mut self.valid_host),
                    Some(_) => Err(Reason::RepeatedHost),
                },
                6 | 10 | 14 | 17 => framing.read(name, field.value(&self.bytes), is_http_10),
                _ => continue,
            };
            read.map_err(|reason| RequestError::at(reason, field.name as usize))?;
        }
        self.body = framing.body(is_http_10)?;
        self.expects_continue = framing.expects_continue && self.body != BodyLength::None;
        self.keep_alive = !framing.close && (!is_http_10 || framing.keep_alive);
        if self.host.is_none() && !is_http_10 {
            return Err(RequestError::new(Reason::MissingHost));
        }
        Ok(())
    }
}

/// Appends bytes and returns their range.
fn append(all: &mut Vec<u8>, bytes: &[u8]) -> (u32, u32) {
    let place = |all: &Vec<u8>| u32::try_from(all.len()).expect("a head is shorter than 4 GiB");
    let start = place(all);
    all.extend_from_slice(bytes);
    (start, place(all))
}

impl Default for Head {
    fn default() -> Self {
        Self::new()
    }
}

/// Checks the value of `Host`; `valid` is the last valid value, which is not checked again.
#[inline]
pub(crate) fn check_host(value: &[u8], valid: &mut Vec<u8>) -> Result<(), Reason> {
    /// A host name has at most 253 bytes; caching a longer value, which the grammar allows, is not worth its memory.
    const KEPT_BYTES: usize = 256;
    if value == valid && !value.is_empty() {
        return Ok(());
    }
    if !is_authority(value) {
        return Err(Reason::Host);
    }
    if value.len() <= KEPT_BYTES {
        valid.clear();
        valid.extend_from_slice(value);
    }
    Ok(())
}

/// Returns whether these four bytes of a name are `host`, case-insensitive.
#[inline]
fn is_host(name: &[u8]) -> bool {
    // The bit converts an upper-case letter to lower case, and no other token byte into a letter.
    name.first_chunk()
        .is_some_and(|name| u32::from_ne_bytes(*name) | 0x2020_2020 == u32::from_ne_bytes(*b"host"))
}

/// The text of bytes that the scanner accepted: they are visible ASCII, so the default is never used.
fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}
