//! The client's side of one connection: the bytes that it sends, and the responses that it parses and compares.

use std::collections::VecDeque;

use conduit_proto::http_date;
use conduit_server::internal::clock;

use crate::http2::{Excuses, Http2};
use crate::model::{ConnectionOption, Exchange, Kind, TRAILER, Version};
use crate::secure::Wire;

/// One connection of a run.
pub(crate) struct Client {
    /// `None` once the client has closed it.
    pub(crate) connection: Option<Wire>,
    /// The streams of a client that uses HTTP/2, instead of the fields for HTTP/1.1: `outgoing` to `closing`.
    http2: Option<Http2>,
    /// The numbers of its exchanges, with the place in `outgoing` where each request ends.
    pub(crate) requests: Vec<(usize, usize)>,
    pub(crate) outgoing: Vec<u8>,
    /// The places in `outgoing` where the client pauses once: after each head that expects `100 Continue`.
    pauses: VecDeque<usize>,
    pub(crate) sent: usize,
    incoming: Vec<u8>,
    /// The number of complete responses.
    pub(crate) answered: usize,
    /// A response announced the end of the connection.
    pub(crate) closing: bool,
    /// The server has ended its half of the stream.
    pub(crate) ended: bool,
    /// The client has ended its half of the stream.
    pub(crate) half_closed: bool,
    /// The deadlines of the connection may have passed.
    pub(crate) late: bool,
    /// The number of bytes that the server had received before that; `None` while no deadline has passed.
    received_in_time: Option<usize>,
    /// The second, since 1970, before the start of the connection.
    begin: u64,
}

struct Response {
    status: u16,
    date: Option<String>,
    declared_length: Option<usize>,
    is_chunked: bool,
    /// The number of responses with 100 before it.
    continues: usize,
    close_delimited: bool,
    closes: bool,
    exchange: Option<String>,
    content: Vec<u8>,
    trailer: Option<String>,
    used: usize,
}

/// The part of a head after which the server knows that its response has no content.
const HEAD_METHOD: &str = "HEAD ";

/// The content of a response (RFC 9112, section 6.3).
#[derive(Clone, Copy, PartialEq, Eq)]
enum ContentRule {
    /// The content ends as the fields of the response declare.
    Framed,
    /// The response to `HEAD`.
    None,
    /// The same, except for a 408 that the server may have sent before the method had arrived.
    NoneUnlessLate,
}

impl Client {
    pub(crate) fn new(connection: Wire, http2: Option<Http2>) -> Self {
        Client {
            connection: Some(connection),
            http2,
            requests: Vec::new(),
            outgoing: Vec::new(),
            pauses: VecDeque::new(),
            sent: 0,
            incoming: Vec::new(),
            answered: 0,
            closing: false,
            ended: false,
            half_closed: false,
            late: false,
            received_in_time: None,
            begin: second_before(),
        }
    }

    /// Records that all deadlines of the connection pass.
    pub(crate) fn pass_deadlines(&mut self) {
        self.late = true;
        let is_sent = self.connection.as_ref().is_some_and(Wire::is_flushed);
        self.received_in_time.get_or_insert(if is_sent { self.sent } else { 0 });
    }

    /// Adds a request to what the client sends.
    pub(crate) fn add(&mut self, id: usize, exchange: &Exchange, request: &[u8]) {
        if let Some(http2) = &mut self.http2 {
            http2.add(id, exchange);
            self.requests.push((id, 0));
            return;
        }
        if exchange.expects_continue {
            let head = find(request, b"\r\n\r\n").expect("a head") + 4;
            self.pauses.push_back(self.outgoing.len() + head);
        }
        self.outgoing.extend_from_slice(request);
        self.requests.push((id, self.outgoing.len()));
    }

    /// Sends at most `length` bytes, and pending encrypted ones; returns the number of bytes sent.
    pub(crate) fn send(&mut self, most: usize) -> usize {
        let Some(connection) = self.connection.as_mut() else {
            return 0;
        };
        let flushed = connection.flush();
        if self.half_closed {
            return flushed;
        }
        if let Some(http2) = &mut self.http2 {
            return flushed + send_frames(connection, http2, most);
        }
        let mut end = self.outgoing.len().min(self.sent + most);
        if let Some(pause) = self.pauses.pop_front_if(|pause| *pause <= end) {
            end = pause.max(self.sent);
        }
        let sent = connection.send_now(&self.outgoing[self.sent..end]);
        self.sent += sent;
        flushed + sent
    }

    /// Reads at most `length` bytes; returns their number.
    pub(crate) fn read(&mut self, most: usize) -> usize {
        let Some(connection) = &mut self.connection else {
            return 0;
        };
        let bytes = connection.read_now(most.max(1));
        match &mut self.http2 {
            Some(http2) => http2.receive(&bytes),
            None => self.incoming.extend_from_slice(&bytes),
        }
        if bytes.is_empty() {
            self.ended = connection.is_closed();
        }
        bytes.len()
    }

    /// The number of requests that were sent completely.
    pub(crate) fn sent_requests(&self) -> usize {
        self.requests.iter().filter(|(_, end)| *end <= self.sent).count()
    }

    /// Compares the responses that have arrived with the plans of their exchanges.
    pub(crate) fn check(&mut self, exchanges: &[Exchange], stopped: bool) -> Result<(), String> {
        let excuses = self.excuses(stopped);
        if let Some(http2) = &mut self.http2 {
            return http2.check(excuses, self.begin);
        }
        while !self.incoming.is_empty() {
            if self.closing {
                return Err(format!("{} bytes after a closing response", self.incoming.len()));
            }
            let Some(&(id, _)) = self.requests.get(self.answered) else {
                return Err(format!("{} bytes without a request", self.incoming.len()));
            };
            let exchange = &exchanges[id];
            let Some(response) = parse(&self.incoming, self.content_rule(exchange), self.ended)? else {
                return Ok(());
            };
            self.incoming.drain(..response.used);
            self.compare(id, exchange, &response, stopped)?;
            self.answered += 1;
            self.closing = response.closes;
        }
        Ok(())
    }

    /// The rule for the content of the next response, which answers this exchange.
    fn content_rule(&self, exchange: &Exchange) -> ContentRule {
        let start = self.answered.checked_sub(1).map_or(0, |last| self.requests[last].1);
        match self.received_in_time {
            _ if exchange.kind != Kind::Head => ContentRule::Framed,
            Some(bytes) if bytes < start + HEAD_METHOD.len() => ContentRule::NoneUnlessLate,
            _ => ContentRule::None,
        }
    }

    fn compare(&self, id: usize, exchange: &Exchange, response: &Response, stopped: bool) -> Result<(), String> {
        check_date(response.date.as_deref(), self.begin)?;
        if response.is_chunked && exchange.version == Version::Http10 {
            return Err(format!("exchange {id}: a chunked response to HTTP/1.0"));
        }
        let sent_whole = self.answered < self.sent_requests();
        let refused = match response.status {
            408 => self.late,
            400 => self.half_closed && !sent_whole,
            _ => false,
        };
        if refused {
            return Ok(());
        }
        let wrong = |what: &str| {
            Err(format!(
                "exchange {id}: wrong {what}: {} for {exchange:?}",
                response.status
            ))
        };
        if response.continues > usize::from(exchange.may_continue()) {
            return wrong("number of responses with 100");
        }
        if response.status != exchange.status() {
            return wrong("status");
        }
        if exchange.is_handled() && response.declared_length != exchange.declared_length() {
            return wrong("content-length");
        }
        if exchange.fails() && exchange.version == Version::Http11 {
            return wrong("end: the stream failed and the response is complete");
        }
        if response.closes && !(exchange.may_close() || stopped || self.late || self.half_closed) {
            return wrong("close");
        }
        let must_close = exchange.option == ConnectionOption::Close || exchange.kind == Kind::Malformed;
        if must_close && !response.closes {
            return wrong("connection: the response does not announce its end");
        }
        if exchange.fails() {
            return Ok(());
        }
        // A pipe in memory shows a reset as an end: a client cannot see that a close-delimited response is incomplete.
        let may_end = response.close_delimited && (self.late || self.half_closed);
        let is_right = |expected: Vec<u8>| match may_end {
            true => expected.starts_with(&response.content),
            false => expected == response.content,
        };
        if !exchange.content(id).is_none_or(is_right) {
            return wrong("content");
        }
        if response.trailer != exchange.trailer_of_the_response(id) {
            return wrong("trailer");
        }
        if exchange.is_handled() && response.exchange != Some(exchange.read_by_the_handler(id)) {
            return wrong("request body in the handler");
        }
        Ok(())
    }

    /// Checks that all requests that must be answered are. Everything was sent that could be, every gate is open.
    pub(crate) fn check_end(&self, exchanges: &[Exchange], stopped: bool) -> Result<(), String> {
        if self.connection.is_none() || self.late {
            return Ok(());
        }
        if self.closing {
            return match self.ended {
                true => Ok(()),
                false => Err("the connection is open after a closing response".to_owned()),
            };
        }
        if let Some(http2) = &self.http2 {
            return http2.check_end(self.excuses(stopped));
        }
        let unanswered = &self.requests[self.answered..];
        if unanswered.first().is_some_and(|(id, _)| exchanges[*id].fails()) {
            return match self.ended {
                true => Ok(()),
                false => Err("the connection is open after a response that failed".to_owned()),
            };
        }
        // The head of a streamed response precedes the decision to discard no more of a long request body.
        let last = self
            .answered
            .checked_sub(1)
            .map(|last| &exchanges[self.requests[last].0]);
        if self.ended && last.is_some_and(Exchange::may_close) {
            return Ok(());
        }
        if !self.incoming.is_empty() && !self.half_closed {
            return Err(format!(
                "{} bytes of a response that is not complete",
                self.incoming.len()
            ));
        }
        // A sized response may be complete before the end of its stream, which a half-close still cuts off.
        let in_progress = &self.requests[self.answered.saturating_sub(1)..];
        let aborts = in_progress.iter().any(|(id, _)| exchanges[*id].aborts());
        if self.half_closed && aborts {
            return Ok(());
        }
        let missing = self.sent_requests() - self.answered.min(self.sent_requests());
        // A stop closes the connection between two requests.
        if missing > 0 && !stopped {
            return Err(format!(
                "{missing} requests have no response; the connection ended: {}",
                self.ended
            ));
        }
        if self.ended && !(stopped || self.half_closed) {
            return Err("the connection ended without an announcement".to_owned());
        }
        Ok(())
    }

    /// Returns whether the client has sent the whole request of each of its exchanges whose handler runs, and the server has a reason
    /// to stop the receipt of none: no deadline, no end of the client, and no byte that the client has not read.
    pub(crate) fn has_sent_whole(&self, id: usize) -> bool {
        let is_open = !(self.late || self.half_closed || self.ended || self.closing);
        let is_flushed = self.connection.as_ref().is_some_and(Wire::is_flushed);
        let is_sent = match &self.http2 {
            Some(http2) => http2.has_sent_whole(id),
            None => self
                .requests
                .iter()
                .any(|(other, end)| *other == id && *end <= self.sent),
        };
        is_open && is_flushed && is_sent
    }

    /// Returns whether an event of the client explains that a body of its request ends early while the handler runs.
    pub(crate) fn explains_an_aborted_body(&self, id: usize) -> bool {
        let is_reset = self.http2.as_ref().is_some_and(|http2| http2.is_reset(id));
        self.connection.is_none() || self.late || self.half_closed || is_reset
    }

    /// Closes a connection whose client can no longer open windows: one of HTTP/2 that has ended its half.
    pub(crate) fn close_without_windows(&mut self) {
        if self.http2.is_some() && self.half_closed {
            self.connection = None;
        }
    }

    fn excuses(&self, stopped: bool) -> Excuses {
        Excuses {
            late: self.late,
            half_closed: self.half_closed,
            cut: self.half_closed && self.http2.as_ref().is_some_and(Http2::has_unsent),
            ended: self.ended,
            stopped,
        }
    }

    pub(crate) fn describe(&self, exchanges: &[Exchange]) -> String {
        if let Some(http2) = &self.http2 {
            return format!("ended {}, {}", self.ended, http2.describe());
        }
        let plans: Vec<_> = self
            .requests
            .iter()
            .map(|(id, end)| (id, end, &exchanges[*id]))
            .collect();
        format!(
            "sent {} of {}, answered {}, unparsed {}, closing {}, ended {}, half closed {}, late {}: {plans:?}",
            self.sent,
            self.outgoing.len(),
            self.answered,
            self.incoming.len(),
            self.closing,
            self.ended,
            self.half_closed,
            self.late
        )
    }
}

/// The second, since 1970, before the current one: the worker changes its date in the turn after the end of a second.
fn second_before() -> u64 {
    clock::since_epoch().as_secs() - 1
}

/// Checks that a response has a date from this second on (RFC 9110, section 6.6.1).
pub(crate) fn check_date(date: Option<&str>, begin: u64) -> Result<(), String> {
    let mut seconds = (begin..=clock::since_epoch().as_secs()).rev();
    let is_second = |second| date.is_some_and(|date| date.as_bytes() == http_date(second));
    match seconds.any(is_second) {
        true => Ok(()),
        false => {
            let begin = String::from_utf8_lossy(&http_date(begin)).into_owned();
            Err(format!("the date is {date:?}, not one from {begin} on"))
        }
    }
}

/// Sends at most `length` bytes of frames; returns the number of bytes sent.
fn send_frames(connection: &mut Wire, http2: &mut Http2, most: usize) -> usize {
    let mut sent = 0;
    loop {
        let bytes = http2.outgoing();
        let length = bytes.len().min(most - sent);
        let taken = connection.send_now(&bytes[..length]);
        if taken == 0 {
            return sent;
        }
        http2.advance(taken);
        sent += taken;
    }
}

/// Parses a final response, if it is complete.
fn parse(bytes: &[u8], rule: ContentRule, ended: bool) -> Result<Option<Response>, String> {
    let (mut start, mut continues) = (0, 0);
    loop {
        let Some(length) = find(&bytes[start..], b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&bytes[start..start + length]).into_owned();
        start += length + 4;
        let status = head.get(9..12).and_then(|status| status.parse::<u16>().ok());
        let status = status
            .filter(|_| head.starts_with("HTTP/1.1 "))
            .ok_or_else(|| format!("not a status line: {:.60}", head))?;
        if status == 100 {
            continues += 1;
            continue;
        }
        let field = |name: &str| {
            let lines = head.lines().skip(1);
            let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned));
            let value = values.next();
            match values.next() {
                Some(_) => Err(format!("two fields {name}: {head}")),
                None => Ok(value),
            }
        };
        let (declared, coding) = (field("content-length")?, field("transfer-encoding")?);
        let is_chunked = coding.is_some();
        if declared.is_some() && is_chunked || coding.is_some_and(|coding| coding != "chunked") {
            return Err(format!("a wrong framing: {head}"));
        }
        let declared_length = match declared {
            Some(digits) => Some(digits.parse().map_err(|_| format!("content-length {digits:?}"))?),
            None => None,
        };
        let may_have_content = match rule {
            ContentRule::Framed => true,
            ContentRule::None => false,
            ContentRule::NoneUnlessLate => status == 408 && !(ended && start == bytes.len()),
        };
        let close_delimited = may_have_content && declared_length.is_none() && !is_chunked;
        let content = if !may_have_content {
            Some(Content::new(&[]))
        } else if is_chunked {
            chunks(&bytes[start..])?
        } else if let Some(length) = declared_length {
            bytes[start..].get(..length).map(Content::new)
        } else {
            ended.then(|| Content::new(&bytes[start..]))
        };
        let Some(content) = content else { return Ok(None) };
        return Ok(Some(Response {
            status,
            date: field("date")?,
            declared_length,
            is_chunked,
            continues,
            close_delimited,
            closes: close_delimited || field("connection")?.as_deref() == Some("close"),
            exchange: field("x-exchange")?,
            content: content.bytes,
            trailer: content.trailer,
            used: start + content.used,
        }));
    }
}

/// The content of a complete body, the value of its trailer field, and its length with the framing.
struct Content {
    bytes: Vec<u8>,
    trailer: Option<String>,
    used: usize,
}

impl Content {
    /// A body without a framing.
    fn new(bytes: &[u8]) -> Self {
        Content {
            bytes: bytes.to_vec(),
            trailer: None,
            used: bytes.len(),
        }
    }
}

/// The content of a chunked body, if it is complete.
fn chunks(bytes: &[u8]) -> Result<Option<Content>, String> {
    let (mut content, mut place) = (Vec::new(), 0);
    loop {
        let Some(line) = find(&bytes[place..], b"\r\n") else {
            return Ok(None);
        };
        let size = String::from_utf8_lossy(&bytes[place..place + line]).into_owned();
        let size = usize::from_str_radix(&size, 16).map_err(|_| format!("chunk size {size:.20?}"))?;
        place += line + 2;
        if size == 0 && !bytes[place..].starts_with(b"\r\n") {
            // The trailer section, and the empty line after it.
            let Some(length) = find(&bytes[place..], b"\r\n\r\n") else {
                return Ok(None);
            };
            let section = String::from_utf8_lossy(&bytes[place..place + length]);
            let value = section.strip_prefix(TRAILER).and_then(|rest| rest.strip_prefix(": "));
            let value = value.filter(|value| !value.contains("\r\n"));
            return Ok(Some(Content {
                bytes: content,
                trailer: Some(
                    value
                        .ok_or_else(|| format!("a trailer section {section:?}"))?
                        .to_owned(),
                ),
                used: place + length + 4,
            }));
        }
        let Some(chunk) = bytes.get(place..place + size + 2) else {
            return Ok(None);
        };
        if &chunk[size..] != b"\r\n" {
            return Err("a chunk without its end".to_owned());
        }
        content.extend_from_slice(&chunk[..size]);
        place += size + 2;
        if size == 0 {
            let bytes = content;
            return Ok(Some(Content {
                bytes,
                trailer: None,
                used: place,
            }));
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
