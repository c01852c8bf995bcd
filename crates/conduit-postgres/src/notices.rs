//! The notices of changed topics: the payloads of `NOTIFY`, and the topics that they name.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use conduit::hub::remote::RemoteUpdate;

/// The payload for all topics. One with the names of many would exceed the 8,000 bytes of PostgreSQL.
pub(crate) const ALL: &str = "*";
const PAYLOAD_BYTES: usize = 7900;

/// The change that a notice names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Messages,
    Members,
}

/// The topics of a session, and those that a notice has named since the last update.
#[derive(Default)]
pub(crate) struct Notices {
    topics: HashMap<u64, Vec<Arc<str>>>,
    published: HashSet<Arc<str>>,
    changed: HashSet<Arc<str>>,
}

impl Notices {
    pub(crate) fn subscribe(&mut self, topic: &Arc<str>) {
        let topics = self.topics.entry(hash(topic)).or_default();
        if !topics.contains(topic) {
            topics.push(Arc::clone(topic));
        }
    }

    pub(crate) fn unsubscribe(&mut self, topic: &Arc<str>) {
        let key = hash(topic);
        if let Some(topics) = self.topics.get_mut(&key) {
            topics.retain(|known| known != topic);
            if topics.is_empty() {
                self.topics.remove(&key);
            }
        }
        self.published.remove(topic);
        self.changed.remove(topic);
    }

    /// Notes the topics of a payload. Another publisher may use the channel.
    pub(crate) fn note(&mut self, payload: &str) {
        if payload == ALL {
            self.changed.extend(self.topics.values().flatten().cloned());
            return;
        }
        for word in payload.split(' ') {
            let Some((kind, key)) = word.split_at_checked(1) else {
                continue;
            };
            let named = u64::from_str_radix(key, 16).ok().and_then(|key| self.topics.get(&key));
            let noted = match kind {
                "m" => &mut self.published,
                _ => &mut self.changed,
            };
            noted.extend(named.into_iter().flatten().cloned());
        }
    }

    /// The update for the topics that were noted.
    pub(crate) fn take(&mut self) -> Option<RemoteUpdate> {
        if !self.changed.is_empty() {
            return Some(RemoteUpdate::Changed(self.changed.drain().collect()));
        }
        let published = &mut self.published;
        (!published.is_empty()).then(|| RemoteUpdate::Published(published.drain().collect()))
    }
}

/// The payload that names these topics, each once.
pub(crate) fn payload<'a>(change: Change, topics: impl Iterator<Item = &'a Arc<str>>) -> String {
    let mut payload = String::new();
    let kind = match change {
        Change::Messages => 'm',
        Change::Members => 'p',
    };
    let named: HashSet<u64> = topics.map(|topic| hash(topic)).collect();
    for key in named {
        let space = if payload.is_empty() { "" } else { " " };
        // A `String` has no errors.
        let _ = write!(payload, "{space}{kind}{key:x}");
    }
    match payload.len() > PAYLOAD_BYTES {
        true => ALL.to_owned(),
        false => payload,
    }
}

/// FNV-1a, the same in all processes. Two topics with one hash are read when one of them changes.
fn hash(topic: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    topic.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> Arc<str> {
        number.to_string().into()
    }

    #[test]
    fn payload_names_the_topics_of_a_batch_and_all_of_too_many() {
        let mut notices = Notices::default();
        let topics: Vec<_> = (0..1000).map(name).collect();
        for topic in &topics {
            notices.subscribe(topic);
        }
        let batch = payload(Change::Messages, topics[..128].iter().chain(&topics[..1]));
        assert!(batch.len() < 8000);
        notices.unsubscribe(&topics[0]);
        notices.note(&batch);
        let Some(RemoteUpdate::Published(mut named)) = notices.take() else {
            panic!("messages");
        };
        let mut expected = topics[1..128].to_vec();
        named.sort();
        expected.sort();
        assert_eq!(named, expected);
        assert!(notices.take().is_none());

        let all = payload(Change::Members, topics.iter());
        assert_eq!(all, "*");
        notices.note(&all);
        assert!(matches!(notices.take(), Some(RemoteUpdate::Changed(named)) if named.len() == 999));
    }

    #[test]
    fn foreign_payload_is_ignored() {
        let mut notices = Notices::default();
        notices.subscribe(&name(1));
        for payload in ["", " ", "m", "mé", "é1", "m1 pffffffffffffffffff", "hello world"] {
            notices.note(payload);
        }
        assert!(notices.take().is_none());
    }
}
