//! The client's side of a connection of HTTP/2: its streams, the frames that it sends, and the responses that it compares.

use std::collections::{BTreeMap, VecDeque};

use conduit_proto::h2::ErrorCode;
use conduit_proto::h2::hpack::Decoder;

use crate::client::check_date;
use crate::frames::{self, Received};
use crate::model::{ASSET_PATH, Exchange, Framing, Kind, TRAILER, Version, content};
use crate::random::Random;

pub(crate) const DEFAULT_WINDOW: i64 = 65_535;
/// The client opens a window with less than this.
pub(crate) const LOW_CREDIT: i64 = 10_000;
/// The stream number of the connection itself.
pub(crate) const CONNECTION: u32 = 0;

pub(crate) struct Http2 {
    random: Random,
    decoder: Decoder,
    /// The exchanges that have not begun.
    planned: VecDeque<(usize, Exchange)>,
    streams: BTreeMap<u32, Stream>,
    /// Frames that are not sent.
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    windows: Windows,
    /// The initial windows of streams.
    initial: Windows,
    /// The last stream that the server serves.
    last: Option<u32>,
}

/// The number of bytes that each side may send on a stream, or on the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    pub(crate) client: i64,
    pub(crate) server: i64,
}

#[derive(Debug)]
struct Stream {
    id: usize,
    exchange: Exchange,
    windows: Windows,
    /// The number of bytes of the body that are sent.
    sent: usize,
    upload_ended: bool,
    continues: usize,
    status: Option<u16>,
    /// The field `content-length`.
    declared_length: Option<String>,
    /// The field `x-exchange`.
    read: Option<String>,
    content: Vec<u8>,
    trailer: Option<String>,
    ended: bool,
    /// Either side has reset it.
    is_reset: bool,
    /// The server has reset it, after which it sends no further frame on it.
    is_reset_by_server: bool,
}

/// The events that excuse a missing or another response.
#[derive(Clone, Copy)]
pub(crate) struct Excuses {
    pub(crate) late: bool,
    pub(crate) half_closed: bool,
    /// The client has ended its half before it had sent all of its frames.
    pub(crate) cut: bool,
    pub(crate) ended: bool,
    pub(crate) stopped: bool,
}

/// The next frame that a client may send.
#[derive(Clone, Copy)]
enum Choice {
    Begin,
    Upload(u32),
    Grant(u32),
    Prioritize(u32),
}

impl Http2 {
    /// A client whose first frames are ready to be sent.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let window = [0, 100, 3000, 65_535, 1 << 20][random.below(5)];
        let settings = frames::settings(&[(4, window)]);
        let acknowledgement = frames::frame(frames::SETTINGS, frames::ACK, CONNECTION, &[]);
        let initial = Windows {
            client: DEFAULT_WINDOW,
            server: i64::from(window),
        };
        Http2 {
            random,
            decoder: Decoder::new(),
            planned: VecDeque::new(),
            streams: BTreeMap::new(),
            outgoing: [frames::PREFACE, &settings, &acknowledgement].concat(),
            incoming: Vec::new(),
            windows: Windows {
                client: DEFAULT_WINDOW,
                server: DEFAULT_WINDOW,
            },
            initial,
            last: None,
        }
    }

    pub(crate) fn add(&mut self, id: usize, exchange: &Exchange) {
        let mut exchange = exchange.clone();
        exchange.version = Version::Http11;
        self.planned.push_back((id, exchange));
    }

    /// The bytes that the client sends next; empty while it waits.
    pub(crate) fn outgoing(&mut self) -> &[u8] {
        if self.outgoing.is_empty() {
            let choices = self.choices();
            if !choices.is_empty() {
                let choice = choices[self.random.below(choices.len())];
                self.outgoing = self.frame(choice);
            }
        }
        &self.outgoing
    }

    /// Returns whether frames wait to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Removes bytes that were sent.
    pub(crate) fn advance(&mut self, sent: usize) {
        self.outgoing.drain(..sent);
    }

    fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        if !self.planned.is_empty() && self.last.is_none() {
            choices.push(Choice::Begin);
        }
        let is_open = |stream: &Stream| !(stream.is_reset || stream.ended);
        for (&number, stream) in &self.streams {
            let left = stream.exchange.body_length() - stream.sent;
            let has_room = left == 0 || stream.windows.client.min(self.windows.client) > 0;
            if !stream.upload_ended && !stream.is_reset && has_room {
                choices.push(Choice::Upload(number));
            }
            if is_open(stream) && stream.windows.server < LOW_CREDIT {
                choices.push(Choice::Grant(number));
            }
        }
        if let Some(number) = self.planned.len().checked_sub(1) {
            // Of an open stream, a closed one, or one that does not exist yet.
            choices.push(Choice::Prioritize(2 * number as u32 + 1));
        }
        if self.streams.values().any(is_open) && self.windows.server < LOW_CREDIT {
            choices.push(Choice::Grant(CONNECTION));
        }
        choices
    }

    fn frame(&mut self, choice: Choice) -> Vec<u8> {
        match choice {
            Choice::Begin => self.begin(),
            Choice::Upload(number) if self.random.chance(2) => self.reset(number),
            Choice::Upload(number) => self.upload(number),
            Choice::Prioritize(number) => {
                let value = format!("u={}, i=?{}", self.random.below(8), self.random.below(2));
                let payload = [&number.to_be_bytes()[..], value.as_bytes()].concat();
                frames::frame(frames::PRIORITY_UPDATE, 0, CONNECTION, &payload)
            }
            Choice::Grant(number) => {
                let increment = 1500 + self.random.below(60_000) as u32;
                let windows = match self.streams.get_mut(&number) {
                    Some(stream) => &mut stream.windows,
                    None => &mut self.windows,
                };
                windows.server += i64::from(increment);
                frames::window_update(number, increment)
            }
        }
    }

    /// HEADERS of the next exchange.
    fn begin(&mut self) -> Vec<u8> {
        let Some((id, exchange)) = self.planned.pop_front() else {
            return Vec::new();
        };
        let number = 2 * self.streams.len() as u32 + 1;
        let method = match exchange.kind {
            Kind::Get | Kind::Asset(_) | Kind::Missing | Kind::Malformed => "GET",
            Kind::Head => "HEAD",
            Kind::Post => "POST",
        };
        let policy = match exchange.kind {
            Kind::Missing => "missing",
            _ => exchange.policy.path(),
        };
        let path = match exchange.kind {
            Kind::Asset(_) => ASSET_PATH.to_owned(),
            _ => format!("/{policy}/{id}"),
        };
        let (range, length) = (exchange.range(), exchange.body_length().to_string());
        let mut fields = frames::pseudo(method, &path).to_vec();
        let priority = format!("u={}, i=?{}", self.random.below(8), self.random.below(2));
        fields.extend(self.random.chance(30).then_some(("priority", &priority[..])));
        fields.extend(range.as_deref().map(|range| ("range", range)));
        fields.extend(exchange.expects_continue.then_some(("expect", "100-continue")));
        fields.extend(matches!(exchange.body, Framing::Sized(_)).then_some(("content-length", &length[..])));
        fields.extend((exchange.kind == Kind::Malformed).then_some(("Upper-Case", "a")));
        let has_body = exchange.body != Framing::None;
        let flags = frames::END_HEADERS | if has_body { 0 } else { frames::END_STREAM };
        let stream = Stream {
            id,
            exchange,
            windows: self.initial,
            sent: 0,
            upload_ended: !has_body,
            continues: 0,
            status: None,
            declared_length: None,
            read: None,
            content: Vec::new(),
            trailer: None,
            ended: false,
            is_reset: false,
            is_reset_by_server: false,
        };
        self.streams.insert(number, stream);
        frames::frame(frames::HEADERS, flags, number, &frames::block(&fields))
    }

    /// DATA of a body, as the windows permit.
    fn upload(&mut self, number: u32) -> Vec<u8> {
        let most = 1 + self.random.length().min(16_383);
        let Some(stream) = self.streams.get_mut(&number) else {
            return Vec::new();
        };
        let body = content(stream.id, stream.exchange.body_length());
        let room = stream.windows.client.min(self.windows.client).max(0) as usize;
        let count = room.min(most).min(body.len() - stream.sent);
        let piece = &body[stream.sent..stream.sent + count];
        stream.sent += count;
        stream.windows.client -= count as i64;
        self.windows.client -= count as i64;
        stream.upload_ended = stream.sent == body.len();
        match stream.upload_ended {
            true if stream.exchange.has_trailer() => {
                let trailers = frames::trailers(number, &[(TRAILER, &stream.id.to_string())]);
                [frames::data(number, piece), trailers].concat()
            }
            true => frames::last_data(number, piece),
            false => frames::data(number, piece),
        }
    }

    fn reset(&mut self, number: u32) -> Vec<u8> {
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.is_reset = true;
        }
        frames::reset(number, ErrorCode::CANCEL)
    }

    /// Takes received bytes.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
    }

    fn stream_of(&self, id: usize) -> Option<&Stream> {
        self.streams.values().find(|stream| stream.id == id)
    }

    /// Returns whether the request of this exchange is sent, and neither side has reset its stream.
    pub(crate) fn has_sent_whole(&self, id: usize) -> bool {
        let is_sent = |stream: &Stream| stream.upload_ended && !stream.is_reset;
        self.outgoing.is_empty() && self.stream_of(id).is_some_and(is_sent)
    }

    /// Returns whether either side has reset the stream of this exchange.
    pub(crate) fn is_reset(&self, id: usize) -> bool {
        self.stream_of(id).is_some_and(|stream| stream.is_reset)
    }

    /// Compares the frames that have arrived with the plans of their exchanges. A date is in this second or a later one.
    pub(crate) fn check(&mut self, excuses: Excuses, begin: u64) -> Result<(), String> {
        let whole = whole_frames(&mut self.incoming);
        for frame in frames::parse(&whole, &mut self.decoder) {
            let text = format!("{frame:.200?}");
            self.take(frame, excuses, begin)
                .map_err(|violation| format!("{violation}: {text:.200}"))?;
        }
        Ok(())
    }

    fn take(&mut self, frame: Received, excuses: Excuses, begin: u64) -> Result<(), String> {
        match frame {
            Received::Head {
                stream,
                fields,
                end_stream,
            } => {
                let model = self.streams.get_mut(&stream).ok_or("a stream without a request")?;
                model.expect_frame()?;
                if model.status.is_some() && end_stream {
                    model.trailer = one(&fields, TRAILER)?;
                    if model.trailer.is_none() || fields.len() > 1 {
                        return Err(format!("trailers {fields:?}"));
                    }
                    return model.end(true, excuses);
                }
                let status = fields[0].1.parse().map_err(|_| "a head without a status")?;
                if status == 100 && model.status.is_none() {
                    model.continues += 1;
                    return Ok(());
                }
                if model.status.replace(status).is_some() {
                    return Err("a second head".to_owned());
                }
                check_date(one(&fields, "date")?.as_deref(), begin)?;
                model.declared_length = one(&fields, "content-length")?;
                model.read = one(&fields, "x-exchange")?;
                model.end(end_stream, excuses)
            }
            Received::Data {
                stream,
                bytes,
                end_stream,
            } => {
                self.windows.server -= bytes.len() as i64;
                let model = self.streams.get_mut(&stream).ok_or("a stream without a request")?;
                model.expect_frame()?;
                if model.status.is_none() {
                    return Err("DATA before HEADERS".to_owned());
                }
                model.windows.server -= bytes.len() as i64;
                if self.windows.server.min(model.windows.server) < 0 && !bytes.is_empty() {
                    return Err("more bytes than the window permits".to_owned());
                }
                model.content.extend(bytes);
                model.end(end_stream, excuses)
            }
            Received::Reset(stream, code) => {
                let model = self.streams.get_mut(&stream).ok_or("a stream without a request")?;
                model.reset(code, excuses)
            }
            Received::WindowUpdate(CONNECTION, increment) => {
                self.windows.client += i64::from(increment);
                Ok(())
            }
            Received::WindowUpdate(stream, increment) => {
                let model = self.streams.get_mut(&stream).ok_or("a stream without a request")?;
                model.windows.client += i64::from(increment);
                Ok(())
            }
            Received::Settings(settings) => {
                for (_, size) in settings.into_iter().filter(|(id, _)| *id == 4) {
                    let change = i64::from(size) - self.initial.client;
                    self.initial.client += change;
                    let streams = self.streams.values_mut();
                    streams.for_each(|stream| stream.windows.client += change);
                }
                Ok(())
            }
            Received::Ping(payload) => {
                let pong = frames::frame(frames::PING, frames::ACK, CONNECTION, &payload);
                self.outgoing.extend(pong);
                Ok(())
            }
            Received::GoAway(last, code) => {
                // A server never serves more streams than it has announced (RFC 9113, section 6.8).
                if self.last.replace(last).is_some_and(|before| last > before) {
                    return Err("the last stream increases".to_owned());
                }
                match excuses.late || excuses.half_closed || (excuses.stopped && code == ErrorCode::NO_ERROR) {
                    true => Ok(()),
                    false => Err("the connection ends without a reason".to_owned()),
                }
            }
            Received::SettingsAck | Received::Pong(_) => Ok(()),
        }
    }

    /// Checks that all requests that must be answered are. Everything was sent that could be, every gate is open.
    pub(crate) fn check_end(&self, excuses: Excuses) -> Result<(), String> {
        // After its half a client cannot open windows.
        if excuses.late || excuses.half_closed {
            return Ok(());
        }
        // A stop closes a connection that has no preface yet.
        let is_closed_before = excuses.stopped && self.streams.is_empty();
        if self.last.is_none() && !is_closed_before && (excuses.ended || !self.planned.is_empty()) {
            return Err(format!("the connection ended without GOAWAY: {}", excuses.ended));
        }
        if excuses.ended && !self.incoming.is_empty() {
            return Err("the connection ended within a frame".to_owned());
        }
        let last = self.last.unwrap_or(u32::MAX);
        let mut served = self.streams.iter().filter(|(number, _)| **number <= last);
        match served.find(|(_, stream)| !(stream.ended || stream.is_reset)) {
            Some((number, stream)) => Err(format!("stream {number} has no response: {stream:.500?}")),
            None => Ok(()),
        }
    }

    pub(crate) fn describe(&self) -> String {
        let streams: Vec<String> = self
            .streams
            .iter()
            .map(|(number, stream)| {
                let Stream {
                    id,
                    exchange,
                    windows,
                    sent,
                    status,
                    ended,
                    is_reset,
                    ..
                } = stream;
                format!(
                    "{number}: {id}, {windows:?}, sent {sent}, status {status:?}, ended {ended}, reset {is_reset}, {exchange:?}"
                )
            })
            .collect();
        format!(
            "HTTP/2, {} to begin, {} B to send, last {:?}, {:?}: {streams:#?}",
            self.planned.len(),
            self.outgoing.len(),
            self.last,
            self.windows
        )
    }
}

impl Stream {
    /// HEADERS or DATA may arrive: the server has not ended the stream.
    fn expect_frame(&self) -> Result<(), String> {
        match (self.ended, self.is_reset_by_server) {
            (true, _) => Err("a frame after the end of the stream".to_owned()),
            (_, true) => Err("a frame after the server has reset the stream".to_owned()),
            (false, false) => Ok(()),
        }
    }

    /// The client has not reset the stream, which the server may not know yet.
    fn end(&mut self, ended: bool, excuses: Excuses) -> Result<(), String> {
        self.ended |= ended;
        if self.exchange.kind == Kind::Head && !self.content.is_empty() {
            return Err(format!("exchange {}: content in the response to HEAD", self.id));
        }
        let differs = |declared: &String| *declared != self.content.len().to_string();
        if ended && self.exchange.kind != Kind::Head && self.declared_length.as_ref().is_some_and(differs) {
            return Err(format!("exchange {}: the content has not its length", self.id));
        }
        if !ended || self.is_reset || excuses.late || excuses.cut || (excuses.half_closed && !self.upload_ended) {
            return Ok(());
        }
        let (id, exchange) = (self.id, &self.exchange);
        let wrong = |what: &str| Err(format!("exchange {id}: wrong {what} for {exchange:?}"));
        if exchange.kind == Kind::Malformed || exchange.fails() {
            return wrong("end");
        }
        if self.continues > usize::from(exchange.may_continue()) {
            return wrong("number of responses with 100");
        }
        if self.status != Some(exchange.status()) {
            return wrong("status");
        }
        if exchange.content(id).is_some_and(|content| content != self.content) {
            return wrong("content");
        }
        let declared_length = exchange.declared_length().map(|length| length.to_string());
        if exchange.is_handled() && self.declared_length != declared_length {
            return wrong("content-length");
        }
        if self.trailer != exchange.trailer_of_the_response(id) {
            return wrong("trailer");
        }
        if exchange.is_handled() && self.read != Some(exchange.read_by_the_handler(id)) {
            return wrong("request body in the handler");
        }
        Ok(())
    }

    /// The server has reset the stream.
    fn reset(&mut self, code: ErrorCode, excuses: Excuses) -> Result<(), String> {
        if std::mem::replace(&mut self.is_reset_by_server, true) {
            return Err("a second reset".to_owned());
        }
        let was_reset = std::mem::replace(&mut self.is_reset, true);
        let is_expected = match self.exchange.kind {
            Kind::Malformed => code == ErrorCode::PROTOCOL_ERROR,
            // The response was complete before the request.
            _ if self.ended => code == ErrorCode::NO_ERROR,
            _ => self.exchange.fails(),
        };
        match is_expected || was_reset || excuses.late || excuses.half_closed {
            true => Ok(()),
            false => Err(format!("exchange {} is reset: {:?}", self.id, self.exchange)),
        }
    }
}

/// The value of a field, if it occurs.
fn one(fields: &[(String, String)], name: &str) -> Result<Option<String>, String> {
    let mut values = fields.iter().filter(|(other, _)| other == name);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(format!("two fields {name}: {fields:?}")),
        (value, None) => Ok(value.map(|(_, value)| value.clone())),
    }
}

/// Takes the whole frames at the beginning.
pub(crate) fn whole_frames(incoming: &mut Vec<u8>) -> Vec<u8> {
    let mut end = 0;
    while let Some([a, b, c, ..]) = incoming[end..].first_chunk::<9>() {
        let next = end + 9 + u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if next > incoming.len() {
            break;
        }
        end = next;
    }
    incoming.drain(..end).collect()
}
