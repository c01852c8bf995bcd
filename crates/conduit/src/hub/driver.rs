//! The task of a remote engine: it connects, executes the requests of the hub in their order, and updates the replica.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use super::engine::{Replica, TopicSnapshot};
use super::error::HubError;
use super::message::Position;
use super::reconnect::{FailedAttempts, OtherProcesses};
use super::request::{Membership, PublishRequest, Request};
use super::topic_server::{
    MemberChange, MemberChangeKind, RemoteEngineConfig, RemoteMessage, RemoteUpdate, SessionError, TopicServer,
    TopicSession, time_to_live,
};
use crate::health::Dependency;

/// The interval between checks of the requests that wait for a connection.
const CHECK: Duration = Duration::from_millis(20);
/// The maximum number of requests of one kind that are sent together, and of the bytes of their messages.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 1024 * 1024;
/// The maximum number of topics whose messages are in memory at once.
const READ_AT_ONCE: usize = 16;
/// The interval between refreshes of topics without a message, which the server removes after a minute.
const FRESH: Duration = Duration::from_secs(20);
/// The pause between two removals of expired state, in which the driver executes requests.
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);
/// The maximum number of topics that are checked at each renewal of the lease.
const CHECKED_AT_ONCE: usize = 4096;

pub(super) struct Driver<S> {
    server: S,
    config: RemoteEngineConfig,
    replica: Replica,
    receiver: UnboundedReceiver<Request>,
    dependency: Dependency,
    /// Identifies this process among those that use the server.
    process: u64,
    /// The requests that have not succeeded, in their order.
    backlog: VecDeque<Request>,
    /// The followed topics, each with the last position of the replica.
    topics: HashMap<Arc<str>, Position>,
    /// Topics that had no message when they were last read, since the last refresh of such topics.
    fresh: HashSet<Arc<str>>,
    /// Topics that the server has refused to read; each renewal of the lease reads them again.
    stale: HashSet<Arc<str>>,
    /// The members that this process has added, or may have added in a request whose connection was lost.
    members: HashSet<Membership>,
    /// The members that have left while there was no connection: `true` if the server may have the member, `false` if only a
    /// request of the backlog adds it.
    leaving: HashMap<Membership, bool>,
    /// The members that the server may have and whose departure it has refused; each renewal of the lease repeats it.
    refused: HashSet<Membership>,
    others: OtherProcesses,
    failed_attempts: FailedAttempts,
    /// The number of topics that the current round of checks has read.
    checked: usize,
}

/// The relation of a message to the replica.
enum Receipt {
    Next,
    /// Messages before it are missing, or the topic was created again.
    Gap,
    /// The replica has the message, or the topic is not followed.
    Ignored,
}

impl<S: TopicServer> Driver<S> {
    pub(super) fn new(
        server: S,
        config: RemoteEngineConfig,
        replica: Replica,
        receiver: UnboundedReceiver<Request>,
        dependency: Dependency,
        process: u64,
    ) -> Self {
        Driver {
            server,
            config,
            replica,
            receiver,
            dependency,
            process,
            backlog: VecDeque::new(),
            topics: HashMap::new(),
            fresh: HashSet::new(),
            stale: HashSet::new(),
            members: HashSet::new(),
            leaving: HashMap::new(),
            refused: HashSet::new(),
            others: OtherProcesses::default(),
            failed_attempts: FailedAttempts::default(),
            checked: 0,
        }
    }

    /// Runs until the hub is dropped.
    pub(super) async fn run(mut self) {
        let mut loss = None;
        while let Some(mut session) = self.connect(loss.take()).await {
            match self.serve(&mut session).await {
                Ok(()) => return,
                Err(error) => loss = Some(error),
            }
        }
    }

    /// Connects, with retries. Returns `None` when the hub was dropped.
    async fn connect(&mut self, loss: Option<SessionError>) -> Option<S::Session> {
        if self.dependency.set_available(false) {
            let error = loss.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(
                error,
                "the connection to {} was lost; messages wait for up to {:?}",
                S::NAME,
                self.config.queue_timeout
            );
            self.failed_attempts.is_logged = true;
        } else if let Some(error) = loss {
            self.failed_attempts.add(S::NAME, &error);
        }
        for request in std::mem::take(&mut self.backlog) {
            self.defer(request);
        }
        self.end_expired();
        let mut checks = interval_of(CHECK);
        loop {
            let pause = self.failed_attempts.pause;
            let opened = self.server.open(self.replica.config(), &self.config);
            let mut attempt = pin!(async move {
                sleep(pause).await;
                opened.await
            });
            let opened = loop {
                tokio::select! {
                    opened = &mut attempt => break opened,
                    request = self.receiver.recv() => self.defer(request?),
                    _ = checks.tick() => self.end_expired(),
                }
            };
            match opened {
                Ok(session) => return Some(session),
                Err(error) => self.failed_attempts.add(S::NAME, &error),
            }
        }
    }

    /// Handles a request while there is no connection. Applies the end of a subscription or of a presence at once, so that
    /// the backlog has only requests with a waiting caller.
    fn defer(&mut self, request: Request) {
        match request {
            Request::Unfollow(topic) => drop(self.forget(&topic)),
            Request::Leave(membership) => {
                let is_known = self.members.remove(&membership);
                *self.leaving.entry(membership).or_default() |= is_known;
            }
            Request::Join(membership, pending, permit) => {
                if self.leaving.remove(&membership) == Some(true) {
                    self.members.insert(membership.clone());
                }
                self.backlog.push_back(Request::Join(membership, pending, permit));
            }
            request => self.backlog.push_back(request),
        }
    }

    fn forget(&mut self, topic: &Arc<str>) -> bool {
        self.fresh.remove(topic);
        self.stale.remove(topic);
        self.topics.remove(topic).is_some()
    }

    /// Fails the requests whose deadline has passed, and removes the requests without a caller.
    fn end_expired(&mut self) {
        let now = Instant::now();
        let has_history = self.replica.config().history_messages > 0;
        self.backlog.retain_mut(|request| {
            // Without a history, the server cannot detect a repeated message.
            let is_unknown = matches!(&*request, Request::Publish(request) if request.was_sent && !has_history);
            let is_abandoned = matches!(&*request, Request::Follow(_, pending, _) if pending.is_abandoned());
            !(is_abandoned || request.end_if(|deadline| is_unknown || deadline <= now))
        });
        let mut joining = HashSet::new();
        if !self.leaving.is_empty() {
            joining.extend(self.backlog.iter().filter_map(|request| match request {
                Request::Join(membership, ..) => Some(membership),
                _ => None,
            }));
        }
        self.leaving
            .retain(|membership, is_known| *is_known || joining.contains(membership));
    }

    /// Serves requests until a connection is lost, or until the hub is dropped.
    async fn serve(&mut self, session: &mut S::Session) -> Result<(), SessionError> {
        let topics: Vec<_> = self.topics.keys().cloned().collect();
        if !topics.is_empty() {
            self.others.wait_for_reconnects(self.config.lease);
        }
        self.renew_lease(session).await?;
        self.subscribe(session, &topics).await?;
        self.announce_members(session).await?;
        self.dependency.set_available(true);
        self.failed_attempts = FailedAttempts::default();
        tracing::info!("connected to {}", S::NAME);
        let lease_third = (self.config.lease / 3).max(Duration::from_millis(1));
        let mut leases = interval_of(lease_third);
        let mut refreshes = interval_of(time_to_live(self.replica.config()) / 2);
        let mut fresh = interval_of(FRESH);
        let mut removals = interval_of(lease_third);
        loop {
            while !self.backlog.is_empty() {
                self.execute(session).await?;
            }
            self.end_presences(session).await?;
            tokio::select! {
                request = self.receiver.recv() => match request {
                    Some(request) => {
                        self.backlog.push_back(request);
                        while self.backlog.len() < BATCH && let Ok(request) = self.receiver.try_recv() {
                            self.backlog.push_back(request);
                        }
                    }
                    None => return self.leave(session).await,
                },
                update = session.update() => {
                    self.update(session, update?).await?;
                }
                _ = leases.tick() => {
                    self.renew_lease(session).await?;
                    self.replica.remove_expired();
                    self.leaving.extend(self.refused.drain().map(|membership| (membership, true)));
                    let mut topics = self.others.take_kept();
                    topics.retain(|topic| self.topics.contains_key(topic));
                    self.synchronize(session, &topics).await?;
                    let topics: Vec<_> = self.stale.drain().collect();
                    self.subscribe(session, &topics).await?;
                    self.check(session).await?;
                }
                _ = removals.tick() => {
                    if unless_lost(session.remove_expired().await)? == Some(true) {
                        removals.reset_after(REMOVAL_PAUSE.min(lease_third));
                    }
                }
                _ = fresh.tick() => {
                    let mut topics: Vec<_> = self.fresh.drain().collect();
                    topics.retain(|topic| self.topics.contains_key(topic));
                    refresh(session, &topics).await?;
                }
                _ = refreshes.tick() => {
                    let topics: Vec<_> = self.topics.keys().cloned().collect();
                    refresh(session, &topics).await?;
                }
            }
        }
    }

    /// Executes the first requests of the backlog that are of one kind. After an error they remain in the backlog.
    async fn execute(&mut self, session: &mut S::Session) -> Result<(), SessionError> {
        match self.backlog.front() {
            Some(Request::Publish(_)) => self.publish(session).await,
            Some(Request::Follow(..)) => self.follow(session).await,
            Some(Request::Unfollow(topic)) => {
                let topic = Arc::clone(topic);
                if self.forget(&topic) {
                    unless_lost(session.unsubscribe(&topic).await)?;
                }
                self.backlog.pop_front();
                Ok(())
            }
            Some(Request::Join(..) | Request::Leave(_)) => self.change_members(session).await,
            None => Ok(()),
        }
    }

    async fn publish(&mut self, session: &mut S::Session) -> Result<(), SessionError> {
        let mut bytes = 0;
        let mut messages = Vec::new();
        for request in &mut self.backlog {
            let Request::Publish(PublishRequest {
                topic,
                json,
                number,
                was_sent,
                ..
            }) = request
            else {
                break;
            };
            bytes += json.len();
            if !messages.is_empty() && (messages.len() >= BATCH || bytes > BATCH_BYTES) {
                break;
            }
            let is_retry = std::mem::replace(was_sent, true);
            messages.push(RemoteMessage {
                topic: Arc::clone(topic),
                json: Arc::clone(json),
                token: format!("{}-{number}", self.process),
                is_retry,
            });
        }
        let count = messages.len();
        let results = unless_lost(session.publish(&messages).await)?;
        let refused = || vec![Err("the server refused the whole batch".to_owned()); count];
        for result in results.unwrap_or_else(refused) {
            let Some(Request::Publish(mut request)) = self.backlog.pop_front() else {
                continue;
            };
            request.pending.end(result.map_err(|error| {
                tracing::error!(
                    error,
                    "{} refused a message; its publisher gets `HubError::Unavailable`",
                    S::NAME
                );
                HubError::Unavailable
            }));
        }
        Ok(())
    }

    async fn follow(&mut self, session: &mut S::Session) -> Result<(), SessionError> {
        let mut topics: Vec<Arc<str>> = Vec::new();
        let mut count = 0;
        for request in self.backlog.iter().take(BATCH) {
            let Request::Follow(topic, pending, _) = request else {
                break;
            };
            count += 1;
            if !pending.is_abandoned() && !self.topics.contains_key(topic) && !topics.contains(topic) {
                topics.push(Arc::clone(topic));
            }
        }
        self.subscribe(session, &topics).await?;
        let mut failed: Vec<Arc<str>> = Vec::new();
        for request in self.backlog.drain(..count) {
            if let Request::Follow(topic, mut pending, _) = request {
                let is_followed = self.topics.contains_key(&topic);
                pending.end(is_followed.then_some(()).ok_or(HubError::Unavailable));
                if !is_followed && !failed.contains(&topic) {
                    failed.push(topic);
                }
            }
        }
        for topic in failed {
            self.stale.remove(&topic);
            unless_lost(session.unsubscribe(&topic).await)?;
        }
        Ok(())
    }

    async fn change_members(&mut self, session: &mut S::Session) -> Result<(), SessionError> {
        let mut changes = Vec::new();
        for request in self.backlog.iter().take(BATCH) {
            let (kind, membership) = match request {
                Request::Join(membership, ..) => (MemberChangeKind::Join, membership),
                Request::Leave(membership) => (MemberChangeKind::Leave, membership),
                _ => break,
            };
            changes.push(change_of(kind, membership));
        }
        let count = changes.len();
        let changed = session.change_members(self.process, &changes).await;
        if matches!(changed, Err(SessionError::Lost(_))) {
            // The server may have added these members, and their callers may not wait for another connection.
            for request in self.backlog.iter().take(count) {
                if let Request::Join(membership, ..) = request {
                    self.members.insert(membership.clone());
                }
            }
        }
        let results = unless_lost(changed)?;
        for result in results.unwrap_or_else(|| vec![Err(HubError::Unavailable); count]) {
            match self.backlog.pop_front() {
                Some(Request::Join(membership, mut pending, _)) => {
                    if result.is_ok() {
                        // The caller may look for the member before the message of the channel arrives.
                        let Membership { topic, member } = &membership;
                        self.replica.joined(topic, self.process, Arc::clone(member));
                        self.refused.remove(&membership);
                        self.members.insert(membership);
                    }
                    // The caller of a refused request drops its presence, which sends a departure.
                    pending.end(result);
                }
                Some(Request::Leave(membership)) => {
                    let was_member = self.members.remove(&membership);
                    if was_member && result.is_err() {
                        self.refused.insert(membership);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Subscribes to topics, and synchronizes the replica with the server.
    async fn subscribe(&mut self, session: &mut S::Session, topics: &[Arc<str>]) -> Result<(), SessionError> {
        for topics in topics.chunks(BATCH) {
            match unless_lost(session.subscribe(topics).await)? {
                Some(()) => self.synchronize(session, topics).await?,
                None => self.stale.extend(topics.iter().cloned()),
            }
        }
        Ok(())
    }

    /// Synchronizes topics of the replica with the server. Topics that the server refuses to read become stale.
    async fn synchronize(&mut self, session: &mut S::Session, topics: &[Arc<str>]) -> Result<(), SessionError> {
        for topics in topics.chunks(READ_AT_ONCE) {
            let known = |topic: &Arc<str>| (Arc::clone(topic), self.topics.get(topic).copied());
            let known: Vec<_> = topics.iter().map(known).collect();
            let snapshots: Vec<_> = topics.iter().zip(session.read(&known).await?).collect();
            let is_incomplete = |topic: &Arc<str>, snapshot: &TopicSnapshot| {
                S::Session::SENDS_HINTS && self.topics.get(topic).is_some_and(|&last| is_gap(last, snapshot))
            };
            let incomplete: Vec<_> = snapshots
                .iter()
                .filter(|(topic, snapshot)| snapshot.as_ref().is_ok_and(|snapshot| is_incomplete(topic, snapshot)))
                .map(|(topic, _)| Arc::clone(topic))
                .collect();
            // The server may have the messages between the replica and the snapshot. Its members apply after these messages.
            self.catch_up(session, &incomplete).await?;
            for (topic, snapshot) in snapshots {
                match snapshot {
                    Ok(_) if incomplete.contains(topic) && self.stale.contains(topic) => {}
                    Ok(snapshot) => self.apply(topic, snapshot),
                    Err(error) => {
                        tracing::error!(
                            error,
                            ?topic,
                            "{} rejected the read of a topic: check the type of its key and the rights of the user",
                            S::NAME
                        );
                        self.stale.insert(Arc::clone(topic));
                    }
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, topic: &Arc<str>, mut snapshot: TopicSnapshot) {
        // The replica may have later messages than the snapshot.
        if let Some(&last) = self.topics.get(topic)
            && S::Session::SENDS_HINTS
            && last.epoch() == snapshot.last.epoch()
        {
            snapshot.last = snapshot.last.max(last);
        }
        if self.others.may_reconnect() {
            let mut members = self.replica.members(topic);
            members.retain(|(process, _)| *process != self.process);
            self.others.keep_members(topic, &mut snapshot, members);
        }
        for (process, _) in &snapshot.members {
            self.others.insert(*process);
        }
        if snapshot.last.number() == 0 {
            self.fresh.insert(Arc::clone(topic));
        }
        self.topics.insert(Arc::clone(topic), snapshot.last);
        self.replica.synchronize(topic, snapshot);
    }

    async fn update(&mut self, session: &mut S::Session, update: RemoteUpdate) -> Result<(), SessionError> {
        match update {
            RemoteUpdate::Message(topic, position, json) => match self.receive(&topic, position, json) {
                // The replica lacks the messages before this one, or the topic was created again.
                Receipt::Gap => self.synchronize(session, &[topic]).await,
                Receipt::Next | Receipt::Ignored => Ok(()),
            },
            RemoteUpdate::Joined(topic, process, member) => {
                if self.topics.contains_key(&topic) {
                    self.others.insert(process);
                    self.replica.joined(&topic, process, member);
                }
                Ok(())
            }
            RemoteUpdate::Left(topic, process, member) => {
                if self.topics.contains_key(&topic) {
                    self.replica.left(&topic, process, &member);
                }
                Ok(())
            }
            RemoteUpdate::Published(topics) => self.read_messages(session, topics).await,
            RemoteUpdate::Changed(mut topics) => {
                topics.retain(|topic| self.topics.contains_key(topic));
                self.synchronize(session, &topics).await
            }
        }
    }

    /// Forwards a message to the replica if it is the next one of its topic.
    fn receive(&mut self, topic: &Arc<str>, position: Position, json: Arc<str>) -> Receipt {
        let Some(last) = self.topics.get_mut(topic) else {
            return Receipt::Ignored;
        };
        let known = *last;
        if position.epoch() == known.epoch() && position.number() == known.number() + 1 {
            *last = position;
            self.replica.receive(topic, position, json);
            return Receipt::Next;
        }
        match position.epoch() != known.epoch() || position > known {
            true => Receipt::Gap,
            false => Receipt::Ignored,
        }
    }

    /// Reads the messages of topics that the replica lacks.
    async fn read_messages(&mut self, session: &mut S::Session, topics: Vec<Arc<str>>) -> Result<(), SessionError> {
        for topics in topics.chunks(READ_AT_ONCE) {
            let gaps = self.catch_up(session, topics).await?;
            self.synchronize(session, &gaps).await?;
        }
        Ok(())
    }

    /// Reads the messages of topics that the replica lacks and forwards them to it, until the server has no more. Returns
    /// the topics with a gap. Topics that the server refuses to read become stale.
    async fn catch_up(&mut self, session: &mut S::Session, topics: &[Arc<str>]) -> Result<Vec<Arc<str>>, SessionError> {
        let mut lagging = topics.to_vec();
        let mut gaps = Vec::new();
        while !lagging.is_empty() {
            let known = |topic: &Arc<str>| self.topics.get(topic).map(|&last| (Arc::clone(topic), last));
            let known: Vec<_> = lagging.iter().filter_map(known).collect();
            let Some(later) = unless_lost(session.read_after(&known).await)? else {
                self.stale.extend(known.into_iter().map(|(topic, _)| topic));
                break;
            };
            let mut advanced = HashSet::new();
            for (topic, position, json) in later.messages {
                match self.receive(&topic, position, json) {
                    Receipt::Next => drop(advanced.insert(topic)),
                    Receipt::Gap if !gaps.contains(&topic) => gaps.push(topic),
                    Receipt::Gap | Receipt::Ignored => {}
                }
            }
            if !later.has_more {
                break;
            }
            lagging.retain(|topic| advanced.contains(topic) && !gaps.contains(topic));
        }
        Ok(gaps)
    }

    /// Reads the messages of some topics whose hints may be lost, for example because a process ended between publishing and
    /// sending the hint.
    async fn check(&mut self, session: &mut S::Session) -> Result<(), SessionError> {
        if !S::Session::SENDS_HINTS {
            return Ok(());
        }
        if self.checked >= self.topics.len() {
            self.checked = 0;
        }
        let topics: Vec<_> = self
            .topics
            .keys()
            .skip(self.checked)
            .take(CHECKED_AT_ONCE)
            .cloned()
            .collect();
        self.checked += topics.len();
        self.read_messages(session, topics).await
    }

    /// Renews the lease of this process, and removes the members of processes whose lease has expired.
    async fn renew_lease(&mut self, session: &mut S::Session) -> Result<(), SessionError> {
        let lease = unless_lost(session.renew_lease(self.process, self.config.lease).await)?;
        let Some(lease) = lease else { return Ok(()) };
        for process in self.others.set_live(lease.live) {
            self.replica.process_left(process);
        }
        if lease.had_ended {
            self.announce_members(session).await?;
        }
        Ok(())
    }

    /// Announces the members of this process: the server or the other processes may have lost them.
    async fn announce_members(&mut self, session: &mut S::Session) -> Result<(), SessionError> {
        let change = |membership| change_of(MemberChangeKind::Announce, membership);
        let changes: Vec<_> = self.members.iter().map(change).collect();
        for changes in changes.chunks(BATCH) {
            unless_lost(session.change_members(self.process, changes).await)?;
        }
        Ok(())
    }

    /// Removes from the server the members that have left while there was no connection.
    async fn end_presences(&mut self, session: &mut S::Session) -> Result<(), SessionError> {
        while !self.leaving.is_empty() {
            let members: Vec<_> = self.leaving.keys().take(BATCH).cloned().collect();
            let change = |membership| change_of(MemberChangeKind::Leave, membership);
            let changes: Vec<_> = members.iter().map(change).collect();
            let changed = session.change_members(self.process, &changes).await;
            if matches!(changed, Err(SessionError::Lost(_))) {
                // Another connection tries again.
                self.leaving
                    .extend(members.iter().map(|membership| (membership.clone(), true)));
            }
            let results = unless_lost(changed)?;
            let refused = || vec![Err(HubError::Unavailable); members.len()];
            for (membership, result) in members.iter().zip(results.unwrap_or_else(refused)) {
                let may_be_present = self.leaving.remove(membership) == Some(true);
                if (self.members.remove(membership) || may_be_present) && result.is_err() {
                    self.refused.insert(membership.clone());
                }
            }
        }
        Ok(())
    }

    /// Removes all members of this process, after the drop of the hub.
    async fn leave(&mut self, session: &mut S::Session) -> Result<(), SessionError> {
        self.leaving
            .extend(self.members.drain().map(|membership| (membership, true)));
        self.end_presences(session).await
    }
}

/// Returns whether messages are missing between this last one and a snapshot of the same epoch.
fn is_gap(last: Position, snapshot: &TopicSnapshot) -> bool {
    last.epoch() == snapshot.last.epoch() && last < snapshot.complete_after
}

fn change_of(kind: MemberChangeKind, membership: &Membership) -> MemberChange {
    MemberChange {
        kind,
        topic: Arc::clone(&membership.topic),
        member: Arc::clone(&membership.member),
    }
}

/// Logs an error that concerns one request, such as a rejection by a full server, and returns `None`; returns an error that
/// ends the session.
fn unless_lost<T>(result: Result<T, SessionError>) -> Result<Option<T>, SessionError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(SessionError::Refused(error)) => {
            tracing::error!(error, "the server of an engine has refused a request");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// An interval that delays all later ticks after a delayed one.
fn interval_of(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn refresh(session: &mut impl TopicSession, topics: &[Arc<str>]) -> Result<(), SessionError> {
    for topics in topics.chunks(BATCH) {
        unless_lost(session.refresh(topics).await)?;
    }
    Ok(())
}
