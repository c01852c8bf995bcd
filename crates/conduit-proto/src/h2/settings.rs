//! Settings in both directions (RFC 9113, section 6.5).

use super::Http2Limits;
use super::error::Http2Reason;
use super::flow::{DEFAULT_WINDOW, MAX_WINDOW};
use super::frame::{self, FrameKind, MAX_PAYLOAD};

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
/// RFC 8441, section 3.
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
/// RFC 9218, section 2.1.
const NO_RFC7540_PRIORITIES: u16 = 0x9;

/// The settings of the peer that affect what is sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PeerSettings {
    pub(super) initial_window: u32,
    pub(super) max_payload: usize,
    /// SETTINGS_NO_RFC7540_PRIORITIES of the first frame; later frames must not change it.
    no_old_priorities: Option<u32>,
    pub(super) arrived: bool,
}

impl PeerSettings {
    pub(super) const DEFAULT: Self = Self {
        initial_window: DEFAULT_WINDOW,
        max_payload: MAX_PAYLOAD,
        no_old_priorities: None,
        arrived: false,
    };

    /// Applies the values of a frame in their order. Calls `table_size` for each SETTINGS_HEADER_TABLE_SIZE.
    pub(super) fn read(&mut self, payload: &[u8], mut table_size: impl FnMut(u32)) -> Result<(), Http2Reason> {
        let (settings, []) = payload.as_chunks::<6>() else {
            return Err(Http2Reason::FrameSize);
        };
        let mut no_old_priorities = 0;
        for &[id_high, id_low, a, b, c, d] in settings {
            let value = u32::from_be_bytes([a, b, c, d]);
            match u16::from_be_bytes([id_high, id_low]) {
                HEADER_TABLE_SIZE => table_size(value),
                ENABLE_PUSH | ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(Http2Reason::SettingValue),
                INITIAL_WINDOW_SIZE if value > MAX_WINDOW => return Err(Http2Reason::SettingWindow),
                INITIAL_WINDOW_SIZE => self.initial_window = value,
                MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => return Err(Http2Reason::SettingValue),
                // Larger frames would let one stream occupy the connection.
                MAX_FRAME_SIZE => self.max_payload = (value as usize).min(MAX_PAYLOAD),
                NO_RFC7540_PRIORITIES if value > 1 => return Err(Http2Reason::SettingValue),
                NO_RFC7540_PRIORITIES => no_old_priorities = value,
                _ => {}
            }
        }
        match self.no_old_priorities {
            None => self.no_old_priorities = Some(no_old_priorities),
            // A later frame may omit the setting.
            Some(first) if no_old_priorities > first => return Err(Http2Reason::SettingValue),
            Some(_) => {}
        }
        self.arrived = true;
        Ok(())
    }
}

/// Appends the server's SETTINGS, and the WINDOW_UPDATE that sets the window of the connection.
pub(super) fn write(out: &mut Vec<u8>, limits: &Http2Limits) {
    let settings = [
        (MAX_CONCURRENT_STREAMS, limits.streams),
        (INITIAL_WINDOW_SIZE, limits.stream_window),
        (MAX_HEADER_LIST_SIZE, limits.header_list_bytes as u32),
        (NO_RFC7540_PRIORITIES, 1),
        (ENABLE_CONNECT_PROTOCOL, 1),
    ];
    let settings = match limits.extended_connect {
        true => &settings[..],
        false => &settings[..4],
    };
    frame::write_header(out, settings.len() * 6, FrameKind::Settings, 0, 0);
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
    if limits.connection_window > DEFAULT_WINDOW {
        frame::write_window_update(out, 0, limits.connection_window - DEFAULT_WINDOW);
    }
}
