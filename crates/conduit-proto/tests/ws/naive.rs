//! A naive second implementation of the rules, for a whole stream and without regard to speed.

use conduit_proto::ws::WebSocketLimits;

/// An event of either twin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Naive {
    Message(bool, Vec<u8>),
    Control(u8, Vec<u8>),
    Close(Option<u16>, Vec<u8>),
    /// The end, with this code.
    Error(u16),
}

/// The events of a whole stream without extensions.
pub(crate) fn events(stream: &[u8], limits: &WebSocketLimits) -> Vec<Naive> {
    let mut events = Vec::new();
    if let Err(code) = read(stream, limits, &mut events) {
        events.push(Naive::Error(code));
    }
    events
}

fn read(mut stream: &[u8], limits: &WebSocketLimits, events: &mut Vec<Naive>) -> Result<(), u16> {
    let mut message: Option<(bool, Vec<u8>, u32)> = None;
    loop {
        let [first, second, rest @ ..] = stream else {
            return Ok(());
        };
        let (opcode, is_final, short) = (first & 0xf, first & 0x80 != 0, second & 0x7f);
        if !matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10) || first & 0x30 != 0 || second & 0x80 == 0 {
            return Err(1002);
        }
        if opcode >= 8 && (!is_final || short > 125 || first & 0x40 != 0) {
            return Err(1002);
        }
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((length, rest)) = rest.split_at_checked(wide) else {
            return Ok(());
        };
        let length = match wide {
            0 => u64::from(short),
            _ => length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        if (wide == 2 && length < 126) || (wide == 8 && (length < 65536 || length >> 63 != 0)) {
            return Err(1002);
        }
        let Some((mask, rest)) = rest.split_at_checked(4) else {
            return Ok(());
        };
        let available = rest.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        let payload: Vec<u8> = (0..available).map(|at| rest[at] ^ mask[at % 4]).collect();
        let is_whole = available as u64 == length;
        if opcode >= 8 {
            if !is_whole {
                return Ok(());
            }
            if opcode == 8 {
                return close(&payload, events);
            }
            events.push(Naive::Control(opcode, payload));
        } else {
            if first & 0x40 != 0 || (opcode == 0) != message.is_some() {
                return Err(1002);
            }
            let (is_text, mut bytes, fragments) = message.take().unwrap_or((opcode == 1, Vec::new(), 0));
            if fragments + 1 > limits.fragments {
                return Err(1008);
            }
            if length > limits.frame_bytes.into() || bytes.len() as u64 + length > limits.message_bytes.into() {
                return Err(1009);
            }
            bytes.extend_from_slice(&payload);
            let is_end = is_whole && is_final;
            if is_text && !may_be_text(&bytes, is_end) {
                return Err(1007);
            }
            if is_end {
                events.push(Naive::Message(is_text, bytes));
            } else {
                message = Some((is_text, bytes, fragments + 1));
            }
            if !is_whole {
                return Ok(());
            }
        }
        stream = &rest[available..];
    }
}

/// Returns whether the bytes are UTF-8 or a prefix of UTF-8.
fn may_be_text(bytes: &[u8], is_whole: bool) -> bool {
    if std::str::from_utf8(bytes).is_ok() {
        return true;
    }
    let continues = |tail: &[u8]| std::str::from_utf8(&[bytes, tail].concat()).is_ok();
    !is_whole && (0x80..=0xbf).any(|a| continues(&[a]) || continues(&[a, 0x80]) || continues(&[a, 0x80, 0x80]))
}

fn close(payload: &[u8], events: &mut Vec<Naive>) -> Result<(), u16> {
    match payload {
        [] => events.push(Naive::Close(None, Vec::new())),
        [_] => return Err(1002),
        [a, b, reason @ ..] => {
            let code = u16::from(*a) << 8 | u16::from(*b);
            let invalid = [1004, 1005, 1006, 1015];
            if !(1000..5000).contains(&code) || (1015..3000).contains(&code) || invalid.contains(&code) {
                return Err(1002);
            }
            if std::str::from_utf8(reason).is_err() {
                return Err(1007);
            }
            events.push(Naive::Close(Some(code), reason.to_vec()));
        }
    }
    Ok(())
}
