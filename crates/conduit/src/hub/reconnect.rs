//! The attempts to connect to the server of an engine, and the other processes, which reconnect at other times.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::engine::TopicSnapshot;
use super::topic_server::SessionError;

/// The pauses before another attempt to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The failed attempts since a session has last served requests. A session that fails in its first requests counts as one.
#[derive(Default)]
pub(super) struct FailedAttempts {
    /// The pause before the next attempt.
    pub(super) pause: Duration,
    pub(super) is_logged: bool,
}

impl FailedAttempts {
    /// Counts a failed attempt, and logs the first one.
    pub(super) fn add(&mut self, server: &str, error: &SessionError) {
        if !std::mem::replace(&mut self.is_logged, true) {
            tracing::error!(%error, "cannot connect to {server}; retrying");
        }
        self.pause = (2 * self.pause).clamp(FIRST_PAUSE, LONGEST_PAUSE);
    }
}

/// The other processes with members in a topic of the replica.
///
/// An outage of the server that is longer than a lease ends the leases of all processes. The first one that reconnects would
/// see all members of the others leave, such as the runs that they continue. Their members stay for the time of one lease
/// after a reconnect.
#[derive(Default)]
pub(super) struct OtherProcesses {
    known: HashSet<u64>,
    /// The processes that had a lease when this process last renewed its own.
    live: HashSet<u64>,
    /// The time at which the processes without a lease have ended.
    grace_end: Option<Instant>,
    /// The topics with a member that the server may lack.
    kept: HashSet<Arc<str>>,
}

impl OtherProcesses {
    pub(super) fn insert(&mut self, process: u64) {
        self.known.insert(process);
    }

    /// This process has reconnected: the others have this time.
    pub(super) fn wait_for_reconnects(&mut self, time: Duration) {
        self.grace_end = Instant::now().checked_add(time);
        self.live.clear();
    }

    pub(super) fn may_reconnect(&self) -> bool {
        self.grace_end.is_some_and(|end| Instant::now() < end)
    }

    /// Sets the processes with a lease. Returns the processes that have ended.
    pub(super) fn set_live(&mut self, live: Vec<u64>) -> Vec<u64> {
        self.live = live.into_iter().collect();
        if self.may_reconnect() {
            return Vec::new();
        }
        let ended = self.known.difference(&self.live).copied().collect();
        self.known.retain(|process| self.live.contains(process));
        ended
    }

    /// Adds to a snapshot the members that the replica has from processes that may reconnect.
    pub(super) fn keep_members(
        &mut self,
        topic: &Arc<str>,
        snapshot: &mut TopicSnapshot,
        replica: Vec<(u64, Arc<str>)>,
    ) {
        let read: HashSet<_> = snapshot.members.iter().cloned().collect();
        let is_kept = |member: &(u64, Arc<str>)| !self.live.contains(&member.0) && !read.contains(member);
        let before = snapshot.members.len();
        snapshot.members.extend(replica.into_iter().filter(is_kept));
        if snapshot.members.len() > before {
            self.kept.insert(Arc::clone(topic));
        }
    }

    /// The topics whose members must be read again, after the time for reconnects.
    pub(super) fn take_kept(&mut self) -> Vec<Arc<str>> {
        match self.may_reconnect() {
            true => Vec::new(),
            false => self.kept.drain().collect(),
        }
    }
}
