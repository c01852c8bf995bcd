//! Incremental parsing of field sections, and the trailer section.

use http::HeaderMap;

use super::Limits;
use super::error::{Reason, RequestError};
use super::framing::is_allowed_trailer;
use super::map::fill_map;
use super::scan::{self, Line};

/// The progress of parsing an incomplete head or trailer section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Lines before this position are complete and valid; `checked <= scanned`.
    pub(super) checked: u32,
    /// The end of the scanned bytes: no LF is between `checked` and this position.
    scanned: u32,
    /// The number of fields before `checked`.
    pub(super) fields: u32,
}

/// The allowed fields of a trailer section, if there are any.
type Trailers = Option<Box<HeaderMap>>;

impl Progress {
    pub(super) const START: Self = Self {
        checked: 0,
        scanned: 0,
        fields: 0,
    };

    /// Returns whether a line has been completed since the last call, or this is the first call.
    #[inline]
    pub(super) fn has_new_line(&self, window: &[u8]) -> bool {
        let scanned = self.scanned as usize;
        // If the caller passes fewer bytes than before, nothing is new; it must not cause a panic.
        scanned == 0
            || window
                .get(scanned..)
                .is_some_and(|new| scan::find_line_feed(new).is_some())
    }

    /// Records that the input was scanned; returns an error if the limit leaves no room for more input.
    #[cold]
    pub(super) fn wait<T>(&mut self, input: &[u8], limit: usize) -> Result<Option<T>, RequestError> {
        if let Some(window) = input.get(..limit) {
            let reason = match self.checked {
                0 if scan::is_token(window) => Reason::MethodTooLong,
                0 => Reason::RequestLineTooLong,
                _ => Reason::HeadTooLarge,
            };
            return Err(RequestError::at(reason, limit));
        }
        self.scanned = input.len() as u32;
        Ok(None)
    }

    /// Parses the trailer section at the start of `input`, incrementally as [`Head::parse`](super::Head::parse).
    ///
    /// `left` is the remaining part of the head limit. Returns the length of the section, and its allowed fields, if
    /// there are any.
    pub(super) fn parse_trailers(
        &mut self,
        input: &[u8],
        left: &Limits,
    ) -> Result<Option<(usize, Trailers)>, RequestError> {
        const TOO_LARGE: RequestError = RequestError::new(Reason::TrailersTooLarge);
        let window = &input[..input.len().min(left.head_bytes)];
        if !self.has_new_line(window) {
            return self.wait(input, left.head_bytes).map_err(|_| TOO_LARGE);
        }
        let mut fields = Vec::new();
        let mut next = self.checked as usize;
        let from_start = next == 0;
        loop {
            let line =
                scan::field_line(window, next, &mut fields).map_err(|error| RequestError::new(error.reason()))?;
            match line {
                Line::Field(end) => {
                    self.fields += 1;
                    if self.fields as usize > left.headers {
                        return Err(TOO_LARGE);
                    }
                    next = end;
                }
                Line::End(end) if from_start => {
                    let mut map = HeaderMap::new();
                    fill_map(&mut map, window, &fields, is_allowed_trailer);
                    let map = (!map.is_empty()).then(|| Box::new(map));
                    return Ok(Some((end, map)));
                }
                Line::End(end) => {
                    *self = Self::START;
                    return self.parse_trailers(&window[..end], left);
                }
                Line::Partial => {
                    self.checked = next as u32;
                    return self.wait(input, left.head_bytes).map_err(|_| TOO_LARGE);
                }
            }
        }
    }
}
