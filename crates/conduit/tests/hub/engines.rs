//! Two hubs, as in two processes, with an engine in memory: replicas, lost connections, and members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use conduit::hub::{EngineFuture, EngineMessage, HubEngine, HubError, Position, Replica, TopicSnapshot};

use crate::*;

/// The state that the engines of all processes share.
#[derive(Default)]
struct Center {
    topics: BTreeMap<Arc<str>, CenterTopic>,
    nodes: Vec<(bool, Option<Replica>, BTreeSet<Arc<str>>)>,
}

#[derive(Default)]
struct CenterTopic {
    messages: Vec<(Position, Arc<str>)>,
    last: u64,
    members: Vec<(u64, Arc<str>)>,
}

/// The engine of one process.
#[derive(Clone)]
struct Node {
    center: Arc<Mutex<Center>>,
    number: usize,
}

impl Node {
    fn new(center: &Arc<Mutex<Center>>) -> Self {
        let mut shared = center.lock().expect("no panic");
        shared.nodes.push((true, None, BTreeSet::new()));
        Node {
            center: Arc::clone(center),
            number: shared.nodes.len() - 1,
        }
    }

    fn update(&self, topic: &str, update: impl Fn(&Replica)) {
        let center = self.center.lock().expect("no panic");
        for (is_connected, replica, followed) in &center.nodes {
            if *is_connected && followed.contains(topic) {
                update(replica.as_ref().expect("it has started"));
            }
        }
    }

    /// Loses the connection, or restores it.
    fn set_connected(&self, is_connected: bool) {
        self.center.lock().expect("no panic").nodes[self.number].0 = is_connected;
        if is_connected {
            let followed = self.center.lock().expect("no panic").nodes[self.number].2.clone();
            followed.iter().for_each(|topic| self.synchronize(topic));
        }
    }

    fn synchronize(&self, topic: &Arc<str>) {
        let mut center = self.center.lock().expect("no panic");
        let found = center.topics.entry(Arc::clone(topic)).or_default();
        let first = found
            .messages
            .first()
            .map_or(found.last + 1, |(position, _)| position.number());
        let snapshot = TopicSnapshot {
            last: Position::new(1, found.last),
            complete_after: Position::new(1, first - 1),
            messages: found
                .messages
                .iter()
                .map(|(position, json)| EngineMessage {
                    position: *position,
                    json: Arc::clone(json),
                    age: std::time::Duration::ZERO,
                })
                .collect(),
            members: found.members.clone(),
        };
        let replica = center.nodes[self.number].1.clone();
        replica.expect("it has started").synchronize(topic, snapshot);
    }

    /// Keeps only the last messages of a topic.
    fn trim(&self, topic: &str, count: usize) {
        let mut center = self.center.lock().expect("no panic");
        let messages = &mut center.topics.get_mut(topic).expect("the topic exists").messages;
        let surplus = messages.len() - count;
        messages.drain(..surplus);
    }
}

impl HubEngine for Node {
    fn start(&self, replica: Replica) {
        self.center.lock().expect("no panic").nodes[self.number].1 = Some(replica);
    }

    fn publish(&self, topic: Arc<str>, json: Arc<str>) -> EngineFuture<Position> {
        let node = self.clone();
        Box::pin(async move {
            let position = {
                let mut center = node.center.lock().expect("no panic");
                if !center.nodes[node.number].0 {
                    return Err(HubError::Unavailable);
                }
                let found = center.topics.entry(Arc::clone(&topic)).or_default();
                found.last += 1;
                let position = Position::new(1, found.last);
                found.messages.push((position, Arc::clone(&json)));
                position
            };
            node.update(&topic, |replica| replica.receive(&topic, position, Arc::clone(&json)));
            Ok(position)
        })
    }

    fn follow(&self, topic: Arc<str>) -> EngineFuture<()> {
        let node = self.clone();
        Box::pin(async move {
            node.center.lock().expect("no panic").nodes[node.number]
                .2
                .insert(Arc::clone(&topic));
            node.synchronize(&topic);
            Ok(())
        })
    }

    fn unfollow(&self, topic: &Arc<str>) {
        self.center.lock().expect("no panic").nodes[self.number].2.remove(topic);
    }

    fn join(&self, topic: Arc<str>, member: Arc<str>) -> EngineFuture<()> {
        let node = self.clone();
        Box::pin(async move {
            let process = node.number as u64;
            {
                let mut center = node.center.lock().expect("no panic");
                let members = &mut center.topics.entry(Arc::clone(&topic)).or_default().members;
                if !members.contains(&(process, Arc::clone(&member))) {
                    members.push((process, Arc::clone(&member)));
                }
            }
            node.update(&topic, |replica| replica.joined(&topic, process, Arc::clone(&member)));
            Ok(())
        })
    }

    fn leave(&self, topic: &Arc<str>, member: &Arc<str>) {
        let (node, topic, member) = (self.clone(), Arc::clone(topic), Arc::clone(member));
        // The hub holds a lock that the replica needs.
        tokio::task::spawn_local(async move {
            let process = node.number as u64;
            {
                let mut center = node.center.lock().expect("no panic");
                let members = &mut center.topics.get_mut(&topic).expect("the topic exists").members;
                members.retain(|known| known != &(process, Arc::clone(&member)));
            }
            node.update(&topic, |replica| replica.left(&topic, process, &member));
        });
    }
}

struct Process {
    node: Node,
    client: TestClient,
}

fn process(center: &Arc<Mutex<Center>>) -> Process {
    let node = Node::new(center);
    let hub = Hub::with_engine(HubConfig::default(), node.clone());
    Process {
        node,
        client: TestClient::new(App::new(hub).routes(ROUTES)),
    }
}

fn resume(client: &TestClient, id: &str) -> TestStream {
    let request = client.get("/ada").header("x-user", "ada");
    request.header("last-event-id", id).stream()
}

const TOPIC: &str = "inbox\0ada";

#[test]
fn messages_reach_the_subscribers_of_all_processes_in_one_order() {
    let center = Arc::default();
    let (one, two) = (process(&center), process(&center));
    let (mut first, mut second) = (stream(&one.client, "/ada"), stream(&two.client, "/ada"));
    for number in 0..10 {
        let client = if number % 2 == 0 { &one.client } else { &two.client };
        say(client, "ada", &number.to_string());
    }
    for number in 0..10 {
        let [a, b] = [&mut first, &mut second].map(|stream| stream.event().expect("an event"));
        assert_eq!((&a.id, &a.data), (&b.id, &b.data));
        assert_eq!(text(Some(a)), number.to_string());
    }
    // A client continues on another process, which has no subscriber yet.
    let three = process(&center);
    let mut third = resume(&three.client, "1-8");
    assert_eq!(text(third.event()), "8");
    assert_eq!(text(third.event()), "9");
}

#[test]
fn lost_connection_of_an_engine_is_no_gap_within_the_history() {
    let center = Arc::default();
    let (one, two) = (process(&center), process(&center));
    let mut stream = stream(&one.client, "/ada");
    say(&two.client, "ada", "1");
    assert_eq!(text(stream.event()), "1");
    one.node.set_connected(false);
    say(&two.client, "ada", "2");
    say(&two.client, "ada", "3");
    let refused = one.client.post("/ada").header("x-user", "admin").text("lost").send();
    refused.assert_status(503);
    one.node.set_connected(true);
    assert_eq!(text(stream.event()), "2");
    assert_eq!(text(stream.event()), "3");

    one.node.set_connected(false);
    say(&two.client, "ada", "4");
    say(&two.client, "ada", "5");
    two.node.trim(TOPIC, 1);
    one.node.set_connected(true);
    assert_eq!(stream.event().expect("an event").event, "missed");
    assert_eq!(text(stream.event()), "5");
    say(&two.client, "ada", "6");
    assert_eq!(text(stream.event()), "6");
}

#[test]
fn member_is_present_while_one_process_has_it() {
    let center = Arc::default();
    let (one, two) = (process(&center), process(&center));
    let open = |process: &Process, name: &str| process.client.websocket(&format!("/ada/socket/{name}")).open();
    let members = |process: &Process| process.client.get("/ada/members").send().text().to_owned();
    let mut watcher = open(&one, "watcher");
    assert_eq!(watcher.recv().as_text(), Some("joined watcher"));
    let bob = open(&two, "bob");
    assert_eq!(watcher.recv().as_text(), Some("joined bob"));
    let mut again = open(&one, "bob");
    // The join of this WebSocket precedes its message.
    again.send("here");
    assert_eq!(watcher.recv().as_text(), Some(r#"{"text":"here"}"#));
    assert_eq!(members(&two), r#"["bob","watcher"]"#);
    drop(bob);
    drop(again);
    assert_eq!(watcher.recv().as_text(), Some("left bob"));
    assert_eq!(members(&one), r#"["watcher"]"#);
    // After the engine of a process has lost its connection, the other processes no longer list its members.
    let _carol = open(&two, "carol");
    assert_eq!(watcher.recv().as_text(), Some("joined carol"));
    let replica = center.lock().expect("no panic").nodes[0].1.clone();
    replica.expect("it has started").process_left(1);
    assert_eq!(watcher.recv().as_text(), Some("left carol"));
    assert_eq!(members(&one), r#"["watcher"]"#);
}
