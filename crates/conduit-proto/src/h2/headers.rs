//! HEADERS and CONTINUATION: requests and trailers (RFC 9113, sections 6.2 and 8.1).

use std::time::Duration;

use super::Http2Event;
use super::connection::{Block, Http2Connection, Input, Shutdown};
use super::error::Http2Reason;
use super::flow::{DEFAULT_WINDOW, ReceiveWindow, SendWindow};
use super::frame::{self, FrameHeader, MAX_PAYLOAD, flags, number, without_padding};
use super::priority::Priority;
use super::receive::Handled;
use super::request::{self, Fault};
use super::stream::{RequestState, ResponseState, Stream, StreamId};
use crate::h1::Head;
use crate::message::MethodKind;

/// A whole field section.
#[derive(Clone, Copy)]
struct FieldSection<'a> {
    stream: u32,
    end_stream: bool,
    /// The deprecated priority refers to the stream itself.
    depends_on_itself: bool,
    block: &'a [u8],
}

impl Http2Connection {
    pub(super) fn headers<'a>(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        head: &mut Head,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Handled<'a> {
        if header.stream.is_multiple_of(2) {
            return Err(Http2Reason::StreamNumber);
        }
        let mut block = without_padding(header, payload)?;
        let mut depends_on_itself = false;
        if header.has(flags::PRIORITY) {
            let (priority, rest) = block.split_first_chunk::<5>().ok_or(Http2Reason::FrameSize)?;
            let [a, b, c, d, _weight] = *priority;
            depends_on_itself = number([a, b, c, d]) == header.stream;
            block = rest;
        }
        let (stream, end_stream) = (header.stream, header.has(flags::END_STREAM));
        if !header.has(flags::END_HEADERS) {
            self.input = Input::Block(Box::new(Block {
                stream,
                end_stream,
                depends_on_itself,
                continuations: 0,
                bytes: block.to_vec(),
            }));
            return Ok(None);
        }
        let section = FieldSection {
            stream,
            end_stream,
            depends_on_itself,
            block,
        };
        self.section(section, head, out, now)
    }

    pub(super) fn continuation<'a>(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        head: &mut Head,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Handled<'a> {
        let Input::Block(block) = &mut self.input else {
            return Err(Http2Reason::UnexpectedContinuation);
        };
        if block.continuations >= self.limits.continuations {
            return Err(Http2Reason::TooManyContinuations);
        }
        block.continuations += 1;
        if block.bytes.len() + payload.len() > self.limits.header_list_bytes + MAX_PAYLOAD {
            return Err(Http2Reason::BlockTooLarge);
        }
        block.bytes.extend_from_slice(payload);
        if !header.has(flags::END_HEADERS) {
            return Ok(None);
        }
        let Input::Block(block) = std::mem::replace(&mut self.input, Input::Frame) else {
            return Ok(None);
        };
        let section = FieldSection {
            stream: block.stream,
            end_stream: block.end_stream,
            depends_on_itself: block.depends_on_itself,
            block: &block.bytes,
        };
        self.section(section, head, out, now)
    }

    /// Processes a section as the request of a new stream or the trailers of an open one. Every section is decoded,
    /// because the tables of both sides must remain equal (RFC 9113, section 4.3).
    fn section<'a>(
        &mut self,
        section: FieldSection<'_>,
        head: &mut Head,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Handled<'a> {
        if section.stream > self.last_stream {
            return self.request(section, head, out, now);
        }
        if let Some(id) = self.streams.find(section.stream) {
            return self.trailers(section, id, out, now);
        }
        if !self.is_ignored(section.stream) {
            return Err(match self.skipped.contains(&section.stream) {
                true => Http2Reason::StreamOrder,
                false => Http2Reason::ClosedStream,
            });
        }
        self.ignore(section)?;
        self.glitch(now)?;
        Ok(None)
    }

    fn request<'a>(
        &mut self,
        section: FieldSection<'_>,
        head: &mut Head,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Handled<'a> {
        let next = if self.last_stream == 0 { 1 } else { self.last_stream + 2 };
        if section.stream > next {
            self.skipped = next..section.stream;
        }
        self.last_stream = section.stream;
        if matches!(self.shutdown, Shutdown::Last(_)) {
            self.ignore(section)?;
            self.glitch(now)?;
            return Ok(None);
        }
        if self.streams.open() >= self.limits.streams {
            self.ignore(section)?;
            return self.reject(section, Http2Reason::TooManyStreams, out, now);
        }
        if section.depends_on_itself {
            self.ignore(section)?;
            return self.reject(section, Http2Reason::SelfDependency, out, now);
        }
        let read = request::read_head(&mut self.decoder, section.block, section.end_stream, head, &self.limits);
        let mut reading = RequestState::Ended;
        match read {
            Ok(accepted) => {
                if !section.end_stream {
                    reading = RequestState::Body {
                        left: accepted.content_length,
                    };
                }
                let id = self.open(section.stream, reading, accepted.priority, head);
                Ok(Some(Http2Event::Request(id)))
            }
            Err(Fault::Connection) => Err(Http2Reason::Compression),
            Err(Fault::Stream(reason)) if reason.status().is_some() => {
                if !section.end_stream {
                    reading = RequestState::Discarded;
                }
                let id = self.open(section.stream, reading, Priority::default(), head);
                Ok(Some(Http2Event::Refused(id, reason)))
            }
            Err(Fault::Stream(reason)) => self.reject(section, reason, out, now),
        }
    }

    /// Opens a stream in a free slot.
    fn open(&mut self, stream: u32, reading: RequestState, priority: Priority, head: &Head) -> StreamId {
        let early = self.early_priorities.iter().position(|(other, _)| *other == stream);
        let priority = match early {
            Some(index) => self.early_priorities.swap_remove(index).1,
            None => priority,
        };
        let method = MethodKind::of(head.method());
        // A client that has not acknowledged the settings may use the default window.
        let window = match self.settings_acknowledged {
            true => self.limits.stream_window,
            false => self.limits.stream_window.max(DEFAULT_WINDOW),
        };
        self.add_credit();
        self.streams.insert(
            stream,
            Stream {
                reading,
                writing: ResponseState::Head,
                method,
                expects_continue: head.expects_continue(),
                received: ReceiveWindow::new(window, self.limits.max_stream_window),
                send: SendWindow::new(self.peer.initial_window),
                priority,
                pending: false,
                sent: 0,
                turn: 0,
            },
        )
    }

    fn trailers<'a>(
        &mut self,
        section: FieldSection<'_>,
        id: StreamId,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Handled<'a> {
        let (mut fault, mut is_wanted) = (None, false);
        if let Some(stream) = self.streams.get(id) {
            is_wanted = matches!(stream.reading, RequestState::Body { .. });
            fault = match stream.reading {
                RequestState::Ended => Some(Http2Reason::HalfClosed),
                _ if stream.method == MethodKind::Connect && stream.writing != ResponseState::Head => {
                    Some(Http2Reason::Connected)
                }
                _ if !section.end_stream => Some(Http2Reason::TrailersWithoutEnd),
                _ if section.depends_on_itself => Some(Http2Reason::SelfDependency),
                RequestState::Body { left: Some(1..) } => Some(Http2Reason::BodyLength),
                _ => None,
            };
        }
        if let Some(reason) = fault {
            self.ignore(section)?;
            return self.stream_error(out, id, reason, now).map(Some);
        }
        let trailers = match request::read_trailers(&mut self.decoder, section.block, &self.limits) {
            Ok(trailers) => trailers,
            Err(Fault::Connection) => return Err(Http2Reason::Compression),
            Err(Fault::Stream(reason)) => return self.stream_error(out, id, reason, now).map(Some),
        };
        self.end_request(id);
        Ok(is_wanted.then_some(Http2Event::End(id, trailers)))
    }

    /// Resets a stream before it opens.
    fn reject<'a>(
        &mut self,
        section: FieldSection<'_>,
        reason: Http2Reason,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Handled<'a> {
        if !section.end_stream {
            self.resets.add(section.stream);
        }
        frame::write_reset(out, section.stream, reason.code());
        self.glitch(now)?;
        Ok(Some(Http2Event::Rejected(reason)))
    }

    /// Decodes a section for its effect on the dynamic table.
    fn ignore(&mut self, section: FieldSection<'_>) -> Result<(), Http2Reason> {
        request::ignore_section(&mut self.decoder, section.block, &self.limits).map_err(|_| Http2Reason::Compression)
    }
}
