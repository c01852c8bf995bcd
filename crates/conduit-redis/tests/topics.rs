//! Hubs of several processes with one server: order, losses of the connection and of the server, members, bounds.

#[path = "../../conduit/tests/support/redis.rs"]
mod redis_server;

use std::sync::Arc;
use std::time::Duration;

use conduit::hub::{
    Access, Hub, HubConfig, HubEngine, HubError, LagPolicy, Position, StartFrom, Subscription, Topic, TopicFamily,
    Update,
};
use conduit::prelude::*;
use conduit_redis::{RedisEngine, RedisEngineConfig};
use redis_server::RedisServer;
use rustix::process::Signal;
use tokio::task::LocalSet;

struct Numbers;

impl TopicFamily for Numbers {
    const NAME: &'static str = "numbers";
    type Message = u32;
    type Client = ();

    async fn authorize(_: &(), _: &str) -> Result<Access, Problem> {
        Ok(Access::PublishAndSubscribe)
    }
}

/// Requests wait for as long as a server may take to start on a machine under load.
fn patient() -> RedisEngineConfig {
    RedisEngineConfig {
        queue_timeout: Duration::from_secs(120),
        ..RedisEngineConfig::default()
    }
}

/// The hub of a process.
fn hub_with(server: &RedisServer, config: HubConfig, engine: RedisEngineConfig) -> Hub {
    Hub::with_engine(config, RedisEngine::with(server.url(), engine).expect("a URL"))
}

fn topic(hub: &Hub) -> Topic<Numbers> {
    hub.trusted("all").expect("a short key")
}

fn process(server: &RedisServer) -> Topic<Numbers> {
    topic(&hub_with(server, HubConfig::default(), patient()))
}

async fn connection(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("a connection")
}

async fn subscribe(topic: &Topic<Numbers>, from: StartFrom) -> Subscription<Numbers> {
    topic.subscribe(from).await.expect("a subscription")
}

/// The next message; `None` if messages are missing before it.
async fn next(updates: &mut Subscription<Numbers>) -> Option<(Position, u32)> {
    match updates.next().await.expect("the subscription continues") {
        Update::Message(message) => Some((message.position(), message.value().expect("a number"))),
        Update::Missed => None,
        other => panic!("unexpected: {other:?}"),
    }
}

/// Runs a test as a worker does.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn subscribers_of_all_processes_receive_all_messages_in_one_order() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let (one, two) = (process(&server), process(&server));
        let mut first = subscribe(&one, StartFrom::Now).await;
        let mut second = subscribe(&two, StartFrom::Now).await;
        let publish = async |topic: &Topic<Numbers>, from: u32| {
            for number in from..from + 50 {
                topic.publish(&number).await.expect("it is published");
            }
        };
        tokio::join!(publish(&one, 0), publish(&two, 1000), publish(&one, 2000));
        let mut seen = Vec::new();
        for _ in 0..150 {
            let message = next(&mut first).await.expect("no gap");
            assert_eq!(next(&mut second).await, Some(message));
            seen.push(message.1);
        }
        for from in [0, 1000, 2000] {
            let of_one: Vec<_> = seen
                .iter()
                .copied()
                .filter(|number| (from..from + 50).contains(number))
                .collect();
            assert_eq!(of_one, Vec::from_iter(from..from + 50), "the order of a publisher");
        }
        // A client continues at a third process, which has not followed the topic.
        let mut third = subscribe(&process(&server), StartFrom::History).await;
        let mut replayed = Vec::new();
        while replayed.last() != seen.last() {
            replayed.push(next(&mut third).await.expect("no gap").1);
        }
        assert_eq!(replayed, seen[50..], "the history has 100 messages");
    });
}

#[test]
fn position_continues_at_another_process_and_an_old_one_is_a_gap() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let one = process(&server);
        let mut positions = Vec::new();
        for number in 0..400 {
            positions.push(one.publish(&number).await.expect("it is published"));
        }
        let two = process(&server);
        let mut recent = subscribe(&two, StartFrom::After(positions[389])).await;
        for (position, number) in positions[390..].iter().zip(390..) {
            assert_eq!(next(&mut recent).await, Some((*position, number)));
        }
        let mut old = subscribe(&two, StartFrom::After(positions[10])).await;
        assert_eq!(next(&mut old).await, None);
        assert_eq!(next(&mut old).await, Some((positions[300], 300)));
        let mut foreign = subscribe(&two, StartFrom::After(Position::new(1, 1))).await;
        assert_eq!(next(&mut foreign).await, None);
    });
}

#[test]
fn stop_and_start_of_the_server_loses_and_repeats_nothing() {
    let Some(mut server) = RedisServer::durable() else {
        return;
    };
    run(async {
        let (one, two) = (process(&server), process(&server));
        let mut updates = subscribe(&two, StartFrom::Now).await;
        let publish = tokio::task::spawn_local(async move {
            for number in 0..300 {
                one.publish(&number).await.expect("it waits");
            }
        });
        for number in 0..300 {
            assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(number));
            if number % 100 == 50 {
                server.stop(Signal::TERM);
                server.start();
            }
        }
        publish.await.expect("no panic");
    });
}

/// A connection that is lost before the response: the publisher does not know whether the message was published.
#[test]
fn lost_connections_lose_and_repeat_nothing() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let (one, two) = (process(&server), process(&server));
        let mut updates = subscribe(&two, StartFrom::Now).await;
        let mut control = connection(&server).await;
        let publish = tokio::task::spawn_local(async move {
            for number in 0..300 {
                one.publish(&number).await.expect("it waits");
            }
        });
        for number in 0..300 {
            assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(number));
            if number % 30 == 10 {
                for kind in ["normal", "pubsub"] {
                    let mut kill = redis::cmd("CLIENT");
                    kill.arg("KILL").arg("TYPE").arg(kind).arg("SKIPME").arg("yes");
                    let _: i64 = kill.query_async(&mut control).await.expect("connections are closed");
                }
            }
        }
        publish.await.expect("no panic");
    });
}

#[test]
fn killed_server_without_its_data_is_a_gap_and_messages_continue() {
    let Some(mut server) = RedisServer::volatile() else {
        return;
    };
    run(async {
        let (one, two) = (process(&server), process(&server));
        let mut updates = subscribe(&two, StartFrom::Now).await;
        let mut closing = subscribe(&two, StartFrom::Now).await.on_lag(LagPolicy::Close);
        for number in 0..3 {
            one.publish(&number).await.expect("it is published");
            assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(number));
            assert!(next(&mut closing).await.is_some());
        }
        server.stop(Signal::KILL);
        server.start();
        let position = one.publish(&3).await.expect("it waits");
        assert_eq!(next(&mut updates).await, None);
        assert_eq!(next(&mut updates).await, Some((position, 3)));
        assert!(closing.next().await.is_none(), "a client connects again");
        let mut again = subscribe(&one, StartFrom::After(position)).await;
        one.publish(&4).await.expect("it is published");
        assert_eq!(next(&mut again).await.map(|(_, number)| number), Some(4));
    });
}

#[test]
fn publisher_receives_an_error_while_the_server_is_unavailable() {
    let Some(mut server) = RedisServer::volatile() else {
        return;
    };
    run(async {
        let engine = RedisEngineConfig {
            queue_timeout: Duration::ZERO,
            ..patient()
        };
        // Messages wait for the first connection of the other hub.
        let impatient = topic(&hub_with(&server, HubConfig::default(), engine));
        let engine = RedisEngineConfig {
            waiting_messages: 2,
            ..patient()
        };
        let bounded = topic(&hub_with(&server, HubConfig::default(), engine));
        bounded.publish(&0).await.expect("it is published");
        server.stop(Signal::TERM);
        while impatient.publish(&1).await != Err(HubError::Unavailable) {}
        assert!(impatient.subscribe(StartFrom::Now).await.is_err());
        let waiting = async || bounded.publish(&2).await.map(drop);
        let started = async {
            let full = async {
                tokio::task::yield_now().await;
                bounded.publish(&3).await
            };
            assert_eq!(
                full.await,
                Err(HubError::Full {
                    what: "waiting messages"
                })
            );
            server.start();
        };
        let (first, second, ()) = tokio::join!(waiting(), waiting(), started);
        assert_eq!((first, second), (Ok(()), Ok(())));
    });
}

#[test]
fn member_is_present_in_all_processes_until_it_or_its_process_leaves() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let engine = RedisEngineConfig {
            lease: Duration::from_millis(900),
            ..patient()
        };
        let one = topic(&hub_with(&server, HubConfig::default(), engine));
        let two = process(&server);
        let mut updates = subscribe(&one, StartFrom::Now).await.with_presence();
        let mut change = async || match updates.next().await.expect("the subscription continues") {
            Update::Joined(member) => format!("+{member}"),
            Update::Left(member) => format!("-{member}"),
            other => panic!("unexpected: {other:?}"),
        };
        let ada = two.join("ada").await.expect("room");
        assert_eq!(change().await, "+ada");
        let again = one.join("ada").await.expect("room");
        let bob = one.join("bob").await.expect("room");
        assert_eq!(change().await, "+bob");
        assert_eq!(one.present().await.expect("a connection"), ["ada", "bob"]);
        drop((ada, bob));
        assert_eq!(change().await, "-bob");
        drop(again);
        assert_eq!(change().await, "-ada");

        let third = process(&server);
        let _dave = third.join("dave").await.expect("room");
        assert_eq!(change().await, "+dave");

        // A process that ends without notice.
        let mut other = connection(&server).await;
        let now: (u64, u64) = redis::cmd("TIME").query_async(&mut other).await.expect("the time");
        let until = now.0 * 1000 + now.1 / 1000 + 1000;
        let (topic, member) = ("numbers\0all", "7 carol");
        let mut script = redis::pipe();
        script.cmd("ZADD").arg("conduit:processes").arg(until).arg("7").ignore();
        script
            .cmd("SADD")
            .arg(format!("conduit:members:{topic}"))
            .arg(member)
            .ignore();
        script
            .cmd("PUBLISH")
            .arg(format!("conduit:hub:{topic}"))
            .arg(format!("+{member}"))
            .ignore();
        let () = script.query_async(&mut other).await.expect("the member joins");
        assert_eq!(change().await, "+carol");
        assert_eq!(change().await, "-carol", "the lease has ended");
        assert_eq!(
            third.present().await.expect("a connection").last().map(String::as_str),
            Some("dave")
        );
    });
}

#[test]
fn members_are_bounded_and_return_after_the_server_was_lost() {
    let Some(mut server) = RedisServer::volatile() else {
        return;
    };
    run(async {
        let config = HubConfig {
            members: 2,
            ..HubConfig::default()
        };
        let one = topic(&hub_with(&server, config.clone(), patient()));
        let two = topic(&hub_with(&server, config, patient()));
        let _ada = one.join("ada").await.expect("room");
        let _bob = two.join("bob").await.expect("room");
        assert_eq!(two.join("carol").await.err(), Some(HubError::Full { what: "members" }));
        server.stop(Signal::KILL);
        server.start();
        let third = process(&server);
        while third.present().await.expect("it waits") != ["ada", "bob"] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn topic_without_history_continues_and_reports_its_gaps() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let config = HubConfig {
            history_messages: 0,
            ..HubConfig::default()
        };
        let one = topic(&hub_with(&server, config.clone(), patient()));
        let two = topic(&hub_with(&server, config, patient()));
        let mut updates = subscribe(&two, StartFrom::Now).await;
        for number in 0..20 {
            one.publish(&number).await.expect("it is published");
            assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(number));
        }
        let mut other = connection(&server).await;
        let length: u64 = redis::cmd("XLEN")
            .arg("conduit:hub:numbers\0all")
            .query_async(&mut other)
            .await
            .expect("a stream");
        assert_eq!(length, 0);
    });
}

#[test]
fn invented_topics_fill_neither_the_hub_nor_the_server() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let config = HubConfig {
            topics: 200,
            ..HubConfig::default()
        };
        let hub = hub_with(&server, config, patient());
        for number in 0..400 {
            let topic: Topic<Numbers> = hub.trusted(&number.to_string()).expect("a short key");
            drop(subscribe(&topic, StartFrom::History).await);
            assert_eq!(topic.present().await, Ok(Vec::new()));
        }
        let mut other = connection(&server).await;
        let mut ttl = redis::cmd("PTTL");
        let left: i64 = ttl
            .arg("conduit:hub:numbers\x000399")
            .query_async(&mut other)
            .await
            .expect("a time");
        assert!(left <= 60_000, "{left} ms");
    });
}

#[test]
fn key_of_another_type_ends_the_requests_of_its_topic_and_no_others() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let mut other = connection(&server).await;
        for key in ["hub:numbers\0foreign", "members:numbers\0members"] {
            let mut set = redis::cmd("SET");
            let () = set
                .arg(format!("conduit:{key}"))
                .arg("text")
                .query_async(&mut other)
                .await
                .expect("it is set");
        }
        let hub = hub_with(&server, HubConfig::default(), patient());
        let good = topic(&hub);
        let mut updates = subscribe(&good, StartFrom::Now).await;
        let foreign: Topic<Numbers> = hub.trusted("foreign").expect("a short key");
        let members: Topic<Numbers> = hub.trusted("members").expect("a short key");
        let (failed, first) = tokio::join!(foreign.publish(&1), good.publish(&1));
        assert_eq!((failed, first.is_ok()), (Err(HubError::Unavailable), true));
        assert_eq!(
            foreign.subscribe(StartFrom::Now).await.err(),
            Some(HubError::Unavailable)
        );
        assert_eq!(members.join("ada").await.err(), Some(HubError::Unavailable));
        good.publish(&2).await.expect("it is published");
        assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(1));
        assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(2));
    });
}

#[test]
fn full_server_refuses_messages_and_continues_when_it_has_memory() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let one = process(&server);
        let mut updates = subscribe(&one, StartFrom::Now).await;
        one.publish(&1).await.expect("it is published");
        let mut other = connection(&server).await;
        let mut limit = async |bytes: &str| {
            let mut set = redis::cmd("CONFIG");
            set.arg("SET").arg("maxmemory").arg(bytes);
            let () = set.query_async(&mut other).await.expect("it is set");
        };
        limit("1").await;
        assert_eq!(one.publish(&2).await, Err(HubError::Unavailable));
        assert_eq!(one.join("ada").await.err(), Some(HubError::Unavailable));
        limit("0").await;
        one.publish(&3).await.expect("it is published");
        assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(1));
        assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(3));
    });
}

#[test]
fn members_of_ended_processes_leave_room_for_others() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let mut other = connection(&server).await;
        let mut add = redis::cmd("SADD");
        add.arg("conduit:members:numbers\0all").arg("7 ada").arg("7 bob");
        let () = add.query_async(&mut other).await.expect("they are added");
        let config = HubConfig {
            members: 2,
            ..HubConfig::default()
        };
        // The subscription removes both members; the second addition is of a process that ends later.
        let one = topic(&hub_with(&server, config.clone(), patient()));
        let _watch = subscribe(&one, StartFrom::Now).await;
        let () = add.query_async(&mut other).await.expect("they are added");
        let _carol = one.join("carol").await.expect("room");
        let _dave = one.join("dave").await.expect("room");
        assert_eq!(one.join("eve").await.err(), Some(HubError::Full { what: "members" }));
    });
}

#[test]
fn members_that_leave_and_return_without_a_server_are_correct_after_it() {
    let Some(mut server) = RedisServer::durable() else {
        return;
    };
    run(async {
        let (one, two) = (process(&server), process(&server));
        let left = one.join("ada").await.expect("room");
        let returns = one.join("bob").await.expect("room");
        let mut updates = subscribe(&two, StartFrom::Now).await;
        assert_eq!(two.present().await, Ok(vec!["ada".to_owned(), "bob".to_owned()]));
        server.stop(Signal::KILL);
        drop((left, returns));
        let again = async { one.join("bob").await.expect("it waits") };
        let started = async {
            tokio::task::yield_now().await;
            server.start();
        };
        let (_bob, ()) = tokio::join!(again, started);
        one.publish(&1).await.expect("it waits");
        assert_eq!(next(&mut updates).await.map(|(_, number)| number), Some(1));
        while two.present().await.expect("it waits") != ["bob"] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

#[tokio::test]
async fn new_subscribers_and_members_that_wait_are_bounded() {
    let engine = RedisEngine::new("redis://127.0.0.1:1/").expect("a URL");
    let topic: Arc<str> = "room".into();
    let mut waiting: Vec<_> = (1..32 * 1024).map(|_| engine.follow(Arc::clone(&topic))).collect();
    waiting.push(engine.join(Arc::clone(&topic), "ada".into()));
    let full = Err(HubError::Full {
        what: "waiting requests",
    });
    assert_eq!(engine.follow(Arc::clone(&topic)).await, full);
    assert_eq!(engine.join(topic, "bob".into()).await, full);
}
