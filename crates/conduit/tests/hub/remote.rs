//! The task of a remote engine, with a server whose responses the test sets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use conduit::hub::remote::{
    MemberChange, MemberChangeKind, ProcessLease, RemoteEngine, RemoteEngineConfig, RemoteMessage, RemoteUpdate,
    SessionError, TopicServer, TopicSession,
};
use conduit::hub::{HubError, Position, Subscription, Topic, TopicSnapshot};
use tokio::task::LocalSet;

use crate::*;

/// A server with one state for all topics.
#[derive(Clone, Default)]
struct ScriptedServer(Arc<Mutex<ServerState>>);

#[derive(Default)]
struct ServerState {
    opened: Vec<Instant>,
    is_read_only: bool,
    /// The other processes with a lease, and their members.
    live: Vec<u64>,
    members: Vec<(u64, Arc<str>)>,
    /// The number of departures that the server refuses.
    refusals: usize,
    /// The errors of the next requests that change members, and the changes in these requests.
    errors: VecDeque<SessionError>,
    failed_changes: Vec<MemberChangeKind>,
    changes: Vec<MemberChangeKind>,
    renewals: usize,
    last: u64,
    updates: VecDeque<Result<RemoteUpdate, SessionError>>,
    unsubscribed: Vec<Arc<str>>,
}

impl ScriptedServer {
    fn state(&self) -> MutexGuard<'_, ServerState> {
        self.0.lock().expect("no panic")
    }

    fn hub(&self, config: HubConfig, lease: Duration) -> Hub {
        let engine = RemoteEngineConfig {
            lease,
            queue_timeout: Duration::MAX,
            ..RemoteEngineConfig::default()
        };
        Hub::with_engine(config, RemoteEngine::new(self.clone(), engine))
    }

    /// Loses the connection, in the state that these changes describe.
    fn lose_connection(&self, change: impl FnOnce(&mut ServerState)) {
        let mut state = self.state();
        change(&mut state);
        state.updates.push_back(Err(SessionError::Lost("lost".to_owned())));
    }

    async fn wait_until(&self, condition: impl Fn(&ServerState) -> bool) {
        let start = Instant::now();
        while !condition(&self.state()) {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "the condition is still false"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl TopicServer for ScriptedServer {
    type Session = ScriptedServer;

    const NAME: &'static str = "the scripted server";
    const NOT_CONNECTED: &'static str = "no connection to the scripted server";

    fn open(
        &self,
        _: &HubConfig,
        _: &RemoteEngineConfig,
    ) -> impl Future<Output = Result<Self, SessionError>> + 'static {
        let server = self.clone();
        async move {
            server.state().opened.push(Instant::now());
            Ok(server)
        }
    }
}

impl TopicSession for ScriptedServer {
    async fn update(&mut self) -> Result<RemoteUpdate, SessionError> {
        loop {
            if let Some(update) = self.state().updates.pop_front() {
                return update;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn subscribe(&mut self, _: &[Arc<str>]) -> Result<(), SessionError> {
        Ok(())
    }

    async fn unsubscribe(&mut self, topic: &Arc<str>) -> Result<(), SessionError> {
        self.state().unsubscribed.push(Arc::clone(topic));
        Ok(())
    }

    async fn read(
        &mut self,
        topics: &[(Arc<str>, Option<Position>)],
    ) -> Result<Vec<Result<TopicSnapshot, String>>, SessionError> {
        let state = self.state();
        let last = Position::new(1, state.last);
        let snapshot = TopicSnapshot {
            last,
            complete_after: last,
            messages: Vec::new(),
            members: state.members.clone(),
        };
        Ok(vec![Ok(snapshot); topics.len()])
    }

    async fn publish(&mut self, messages: &[RemoteMessage]) -> Result<Vec<Result<Position, String>>, SessionError> {
        let mut state = self.state();
        let mut positions = Vec::new();
        for message in messages {
            state.last += 1;
            let position = Position::new(1, state.last);
            let (topic, json) = (Arc::clone(&message.topic), Arc::clone(&message.json));
            state
                .updates
                .push_back(Ok(RemoteUpdate::Message(topic, position, json)));
            positions.push(Ok(position));
        }
        Ok(positions)
    }

    async fn change_members(
        &mut self,
        _: u64,
        changes: &[MemberChange],
    ) -> Result<Vec<Result<(), HubError>>, SessionError> {
        let mut state = self.state();
        if let Some(error) = state.errors.pop_front() {
            state.failed_changes.extend(changes.iter().map(|change| change.kind));
            return Err(error);
        }
        if state.refusals > 0 && changes.iter().any(|change| change.kind == MemberChangeKind::Leave) {
            state.refusals -= 1;
            return Err(SessionError::Refused("the statement takes too long".to_owned()));
        }
        state.changes.extend(changes.iter().map(|change| change.kind));
        Ok(vec![Ok(()); changes.len()])
    }

    async fn renew_lease(&mut self, process: u64, _: Duration) -> Result<ProcessLease, SessionError> {
        let mut state = self.state();
        state.renewals += 1;
        if state.is_read_only {
            return Err(SessionError::Lost("the scripted server is read-only".to_owned()));
        }
        let mut live = state.live.clone();
        live.push(process);
        Ok(ProcessLease { had_ended: false, live })
    }

    async fn refresh(&mut self, _: &[Arc<str>]) -> Result<(), SessionError> {
        Ok(())
    }
}

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(300);

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}

fn topic(hub: &Hub) -> Topic<Inbox> {
    hub.trusted("ada").expect("a short key")
}

/// Publishes a message, and returns the updates that precede it.
async fn updates_before_a_message(topic: &Topic<Inbox>, updates: &mut Subscription<Inbox>) -> Vec<String> {
    let message = Said { text: "1".to_owned() };
    topic.publish(&message).await.expect("it is published");
    let mut before = Vec::new();
    loop {
        match updates.next().await {
            Some(Update::Message(_)) => return before,
            update => before.push(format!("{update:?}")),
        }
    }
}

/// A subscriber of a topic in which another process has a member.
async fn subscriber_with_a_member(server: &ScriptedServer, lease: Duration) -> (Topic<Inbox>, Subscription<Inbox>) {
    server.state().live.push(7);
    server.state().members.push((7, "run".into()));
    let topic = topic(&server.hub(HubConfig::default(), lease));
    let updates = topic.subscribe(StartFrom::Now).await.expect("room").with_presence();
    assert_eq!(topic.present().await, Ok(vec!["run".to_owned()]));
    // The session renews the lease when it begins, and again in its first turn.
    server.wait_until(|state| state.renewals >= 2).await;
    (topic, updates)
}

/// The server has ended the lease of another process, and has removed its members.
fn end_lease(state: &mut ServerState) {
    state.live.clear();
    state.members.clear();
}

#[test]
fn session_that_fails_in_its_first_requests_is_opened_again_after_pauses_and_is_logged() {
    log::listen();
    let server = ScriptedServer::default();
    server.state().is_read_only = true;
    let hub = server.hub(HubConfig::default(), LONG);
    run(async {
        server.wait_until(|state| state.opened.len() >= 5).await;
        let opened = server.state().opened.clone();
        // 50, 100, 200 and 400 ms.
        assert!(opened[4] - opened[0] >= Duration::from_millis(750), "{opened:?}");
        let lines = log::text();
        let is_of_server = |line: &&str| line.contains("the scripted server is read-only");
        let lines: Vec<_> = lines.lines().filter(is_of_server).collect();
        assert!(
            matches!(lines[..], [line] if line.contains("cannot connect to the scripted server")),
            "{lines:?}"
        );
        server.state().is_read_only = false;
        topic(&hub)
            .publish(&Said { text: String::new() })
            .await
            .expect("it is published");
    });
}

#[test]
fn member_of_a_process_that_reconnects_later_stays() {
    run(async {
        let server = ScriptedServer::default();
        let (topic, mut updates) = subscriber_with_a_member(&server, LONG).await;
        server.lose_connection(end_lease);
        server.wait_until(|state| state.opened.len() == 2).await;
        assert_eq!(updates_before_a_message(&topic, &mut updates).await, [""; 0]);
        assert_eq!(topic.present().await, Ok(vec!["run".to_owned()]));
        // It leaves by itself.
        let left = RemoteUpdate::Left("inbox\0ada".into(), 7, "run".into());
        server.state().updates.push_back(Ok(left));
        assert_eq!(
            updates_before_a_message(&topic, &mut updates).await,
            [r#"Some(Left("run"))"#]
        );
    });
}

#[test]
fn member_of_a_process_that_does_not_reconnect_leaves_after_a_lease() {
    run(async {
        let server = ScriptedServer::default();
        let (topic, mut updates) = subscriber_with_a_member(&server, SHORT).await;
        server.lose_connection(end_lease);
        assert!(matches!(updates.next().await, Some(Update::Left(member)) if &*member == "run"));
        assert_eq!(topic.present().await, Ok(Vec::new()));
    });
}

/// The process has renewed its lease, but not announced the member, which left during the outage.
#[test]
fn member_that_left_during_an_outage_does_not_stay_after_a_lease() {
    run(async {
        let server = ScriptedServer::default();
        let (_topic, mut updates) = subscriber_with_a_member(&server, SHORT).await;
        server.lose_connection(|state| {
            end_lease(state);
            state.renewals = 0;
        });
        server
            .wait_until(|state| state.opened.len() == 2 && state.renewals > 0)
            .await;
        server.state().live.push(7);
        assert!(matches!(updates.next().await, Some(Update::Left(member)) if &*member == "run"));
    });
}

#[test]
fn departure_that_the_server_refuses_is_repeated() {
    run(async {
        let server = ScriptedServer::default();
        let topic = topic(&server.hub(HubConfig::default(), SHORT));
        let presence = topic.join("ada").await.expect("room");
        server.state().refusals = 2;
        drop(presence);
        server
            .wait_until(|state| state.changes == [MemberChangeKind::Join, MemberChangeKind::Leave])
            .await;
        assert_eq!(server.state().refusals, 0);
    });
}

fn refused() -> SessionError {
    SessionError::Refused("the disk is full".to_owned())
}

/// Each refused join left a departure that was repeated as long as the server refused it.
#[test]
fn departure_of_a_member_that_the_server_has_refused_is_not_repeated() {
    run(async {
        let server = ScriptedServer::default();
        let topic = topic(&server.hub(HubConfig::default(), SHORT));
        server.state().errors.extend((0..1000).map(|_| refused()));
        for name in ["ada", "eve", "tom"] {
            assert_eq!(topic.join(name).await.err(), Some(HubError::Unavailable));
        }
        server.wait_until(|state| state.failed_changes.len() >= 6).await;
        let renewals = server.state().renewals;
        server.wait_until(|state| state.renewals >= renewals + 3).await;
        assert_eq!(server.state().failed_changes.len(), 6);
    });
}

#[test]
fn departure_of_a_member_that_a_lost_request_may_have_added_is_repeated() {
    run(async {
        let server = ScriptedServer::default();
        let topic = topic(&server.hub(HubConfig::default(), SHORT));
        let lost = SessionError::Lost("lost".to_owned());
        server
            .state()
            .errors
            .extend([lost, refused(), refused(), refused(), refused()]);
        assert_eq!(topic.join("ada").await.err(), Some(HubError::Unavailable));
        server.wait_until(|state| !state.changes.is_empty()).await;
        use MemberChangeKind::{Announce, Join, Leave};
        let state = server.state();
        assert_eq!(state.failed_changes, [Join, Announce, Join, Leave, Leave]);
        assert_eq!(state.changes, [Leave]);
    });
}

#[test]
fn unused_topic_is_no_longer_followed_after_the_time_of_the_history() {
    run(async {
        let server = ScriptedServer::default();
        let config = HubConfig {
            history_time: SHORT,
            ..HubConfig::default()
        };
        let topic = topic(&server.hub(config, SHORT));
        let mut updates = topic.subscribe(StartFrom::Now).await.expect("room");
        updates_before_a_message(&topic, &mut updates).await;
        drop(updates);
        server
            .wait_until(|state| state.unsubscribed == ["inbox\0ada".into()])
            .await;
    });
}
