//! The stored form of a session.

use std::time::Duration;

use bytes::Bytes;

use super::SessionSettings;
use crate::server::clock;

/// The maximum number of messages; a further one displaces the oldest.
const FLASH_LIMIT: usize = 16;

/// The beginning of the stored form of a session that has another id. It is not a record of any version.
const TOMBSTONE: &[u8] = b"rotated\n";

/// The word in the first line of a record whose id is not the first one.
const ROTATED: &str = " r";

/// Returns the stored form of a session that has another id. It keeps the record of a visitor who had not signed in, so that a
/// form that is sent twice loses no data; of later records it keeps nothing, because their ids carried rights.
pub(super) fn tombstone(before: &[u8]) -> Vec<u8> {
    let is_first = Record::parse(before).is_some_and(|record| !record.is_rotated);
    [TOMBSTONE, if is_first { before } else { b"" }].concat()
}

/// Returns the record in a tombstone, which may be empty; `None` for other stored forms.
pub(super) fn in_tombstone(bytes: &Bytes) -> Option<Bytes> {
    let before = bytes.strip_prefix(TOMBSTONE)?;
    Some(bytes.slice_ref(before))
}

/// The stored form: a line with the version, two times and a mark after a rotation, a line with the messages, and the data, both
/// as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The beginning of the session or of its id, in seconds since 1970.
    pub(super) created: u64,
    /// The last request that was recorded.
    pub(super) touched: u64,
    /// The id was made by a rotation.
    pub(super) is_rotated: bool,
    pub(super) flashes: Vec<String>,
    /// The data as JSON; empty before the first write.
    pub(super) data: Vec<u8>,
}

impl Record {
    pub(super) fn new() -> Self {
        let now = now();
        Record {
            created: now,
            touched: now,
            is_rotated: false,
            flashes: Vec::new(),
            data: Vec::new(),
        }
    }

    /// The record of these bytes, if this version can read them.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
        let mut words = str::from_utf8(lines.next()?).ok()?.split(' ');
        if words.next()? != "1" {
            return None;
        }
        let mut number = || words.next()?.parse().ok();
        let (created, touched) = (number()?, number()?);
        Some(Record {
            created,
            touched,
            is_rotated: words.next().is_some(),
            flashes: serde_json::from_slice(lines.next()?).ok()?,
            data: lines.next()?.to_vec(),
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let flashes = serde_json::Value::from(self.flashes.clone());
        let rotated = if self.is_rotated { ROTATED } else { "" };
        let mut bytes = format!("1 {} {}{rotated}\n{flashes}\n", self.created, self.touched).into_bytes();
        bytes.extend_from_slice(&self.data);
        bytes
    }

    /// The time until the session ends; zero if it has ended. A clock that was set back does not end it.
    pub(super) fn remaining(&self, settings: &SessionSettings) -> Duration {
        let now = now();
        let rest = |since: u64, limit: Duration| limit.saturating_sub(Duration::from_secs(now.saturating_sub(since)));
        rest(self.touched, settings.idle).min(rest(self.created, settings.lifetime))
    }

    /// Returns whether to write the time of the last request: at most once per eighth of the idle time, so that most
    /// requests write nothing.
    pub(super) fn is_touch_due(&self, settings: &SessionSettings) -> bool {
        now().saturating_sub(self.touched) > settings.idle.as_secs() / 8
    }

    pub(super) fn touch(&mut self) {
        self.touched = now();
    }

    /// Restarts the lifetime for a new id.
    pub(super) fn rotate(&mut self) {
        self.touch();
        self.created = self.touched;
        self.is_rotated = true;
    }

    pub(super) fn push_flash(&mut self, text: String) {
        if self.flashes.len() == FLASH_LIMIT {
            self.flashes.remove(0);
        }
        self.flashes.push(text);
    }
}

/// The time in seconds since 1970.
fn now() -> u64 {
    clock::since_epoch().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_survives_its_stored_form() {
        let record = Record {
            created: 1,
            touched: u64::MAX,
            is_rotated: true,
            flashes: vec!["a\nb".to_owned(), String::new()],
            data: b"{\"a\":1}".to_vec(),
        };
        assert_eq!(Record::parse(&record.to_bytes()), Some(record));
        assert_eq!(Record::parse(&Record::new().to_bytes()), Some(Record::new()));
    }

    #[test]
    fn other_bytes_are_no_record() {
        for bytes in [
            &b""[..],
            b"1 2 3",
            b"1 2 3\n[]",
            b"2 2 3\n[]\n{}",
            b"1 2\n[]\n{}",
            b"1 -2 3\n[]\n{}",
            b"1 2 3\n{}\n{}",
            b"\xff\n\n",
            &tombstone(b""),
            &tombstone(&Record::new().to_bytes()),
        ] {
            assert_eq!(Record::parse(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn tombstone_keeps_only_the_record_of_the_first_id() {
        let mut record = Record::new();
        let first = Bytes::from(record.to_bytes());
        assert_eq!(in_tombstone(&tombstone(&first).into()), Some(first.clone()));
        record.rotate();
        assert_eq!(in_tombstone(&tombstone(&record.to_bytes()).into()), Some(Bytes::new()));
        assert_eq!(in_tombstone(&first), None);
    }

    #[test]
    fn messages_are_bounded() {
        let mut record = Record::new();
        for number in 0..20 {
            record.push_flash(number.to_string());
        }
        assert_eq!((record.flashes.len(), record.flashes[0].as_str()), (FLASH_LIMIT, "4"));
    }
}
