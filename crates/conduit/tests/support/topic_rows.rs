//! Hubs of several processes with one server: order, losses of the connection and of the server, members, bounds. Each engine
//! has these rows.

use std::sync::Arc;
use std::time::Duration;

use conduit::hub::remote::RemoteEngineConfig;
use conduit::hub::{HubConfig, HubEngine, HubError, LagPolicy, Position, StartFrom, Topic, Update};

use crate::topic_server::{
    Numbers, TestServer, hub_with, next, next_number, patient, process, run, subscribe, topic, wait_until,
};

/// The rows as tests of a server.
macro_rules! topic_rows {
    ($server:ty) => {
        topic_rows!($server:
            subscribers_of_all_processes_receive_all_messages_in_one_order,
            position_continues_at_another_process_and_an_old_one_is_a_gap,
            stop_and_start_of_the_server_loses_and_repeats_nothing,
            lost_connections_lose_and_repeat_nothing,
            killed_server_without_its_data_is_a_gap_and_messages_continue,
            publisher_receives_an_error_while_the_server_is_unavailable,
            member_is_present_in_all_processes_until_it_or_its_process_leaves,
            members_are_bounded_and_return_after_the_server_was_lost,
            topic_without_history_continues_without_a_gap,
            joins_within_a_burst_without_history_lose_no_message,
            member_leaves_after_its_messages,
            joins_of_one_member_have_one_result,
            invented_topics_do_not_fill_the_hub,
            members_of_ended_processes_leave_room_for_others,
            members_that_leave_and_return_without_a_server_are_correct_after_it,
            new_subscribers_and_members_that_wait_are_bounded);
    };
    ($server:ty: $($row:ident),*) => {
        $(
            #[test]
            fn $row() {
                topic_rows::$row::<$server>();
            }
        )*
    };
}
pub(crate) use topic_rows;

/// The name of the topic of most rows.
const ALL: &str = "numbers\0all";

/// Two processes of a hub whose history has all messages of a row: one may publish most of them before the other has a
/// connection again.
fn two_processes_with_a_long_history(server: &impl TestServer) -> (Topic<Numbers>, Topic<Numbers>) {
    let config = HubConfig {
        history_messages: 1000,
        lag_messages: 1000,
        ..HubConfig::default()
    };
    let process = || topic(&hub_with(server, config.clone(), patient()));
    (process(), process())
}

pub(crate) fn subscribers_of_all_processes_receive_all_messages_in_one_order<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
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

pub(crate) fn position_continues_at_another_process_and_an_old_one_is_a_gap<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
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

/// One process publishes messages, and another receives each of them once while the server is disturbed.
async fn nothing_is_lost_or_repeated<S: TestServer>(server: &mut S, disturb: impl AsyncFn(&mut S, u32)) {
    let (one, two) = two_processes_with_a_long_history(server);
    let mut updates = subscribe(&two, StartFrom::Now).await;
    let publish = tokio::task::spawn_local(async move {
        for number in 0..300 {
            one.publish(&number).await.expect("it waits");
        }
    });
    for number in 0..300 {
        assert_eq!(next_number(&mut updates).await, Some(number));
        disturb(server, number).await;
    }
    publish.await.expect("no panic");
}

pub(crate) fn stop_and_start_of_the_server_loses_and_repeats_nothing<S: TestServer>() {
    let Some(mut server) = S::durable() else {
        return;
    };
    run(nothing_is_lost_or_repeated(
        &mut server,
        async |server: &mut S, number| {
            if number % 100 == 50 {
                server.stop();
                server.start();
            }
        },
    ));
}

/// A connection that is lost before the response: the publisher does not know whether the message was published.
pub(crate) fn lost_connections_lose_and_repeat_nothing<S: TestServer>() {
    let Some(mut server) = S::volatile() else { return };
    run(nothing_is_lost_or_repeated(
        &mut server,
        async |server: &mut S, number| {
            if number % 30 == 10 {
                server.close_connections().await;
            }
        },
    ));
}

pub(crate) fn killed_server_without_its_data_is_a_gap_and_messages_continue<S: TestServer>() {
    let Some(mut server) = S::volatile() else {
        return;
    };
    run(async {
        let (one, two) = (process(&server), process(&server));
        let mut updates = subscribe(&two, StartFrom::Now).await;
        let mut closing = subscribe(&two, StartFrom::Now).await.on_lag(LagPolicy::Close);
        for number in 0..3 {
            one.publish(&number).await.expect("it is published");
            assert_eq!(next_number(&mut updates).await, Some(number));
            assert!(next(&mut closing).await.is_some());
        }
        server.kill();
        server.start();
        let position = one.publish(&3).await.expect("it waits");
        assert_eq!(next(&mut updates).await, None);
        assert_eq!(next(&mut updates).await, Some((position, 3)));
        assert!(closing.next().await.is_none(), "a client connects again");
        let mut again = subscribe(&one, StartFrom::After(position)).await;
        one.publish(&4).await.expect("it is published");
        assert_eq!(next_number(&mut again).await, Some(4));
    });
}

pub(crate) fn publisher_receives_an_error_while_the_server_is_unavailable<S: TestServer>() {
    let Some(mut server) = S::volatile() else {
        return;
    };
    run(async {
        let engine = RemoteEngineConfig {
            queue_timeout: Duration::ZERO,
            ..patient()
        };
        // Messages wait for the first connection of the other hub.
        let impatient = topic(&hub_with(&server, HubConfig::default(), engine));
        let engine = RemoteEngineConfig {
            waiting_messages: 2,
            ..patient()
        };
        let bounded = topic(&hub_with(&server, HubConfig::default(), engine));
        bounded.publish(&0).await.expect("it is published");
        server.stop();
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

pub(crate) fn member_is_present_in_all_processes_until_it_or_its_process_leaves<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
    run(async {
        let (one, two) = (process(&server), process(&server));
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
        let lease = Some(Duration::from_secs(3600));
        server.join_elsewhere(ALL, 7, &["carol"], lease).await;
        assert_eq!(change().await, "+carol");
        server.end_lease(7).await;
        assert_eq!(change().await, "-carol", "the lease has ended");
        assert_eq!(
            third.present().await.expect("a connection").last().map(String::as_str),
            Some("dave")
        );
    });
}

pub(crate) fn members_are_bounded_and_return_after_the_server_was_lost<S: TestServer>() {
    let Some(mut server) = S::volatile() else {
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
        server.kill();
        server.start();
        let third = process(&server);
        let are_present = async || third.present().await.expect("it waits") == ["ada", "bob"];
        wait_until("both members are present", are_present).await;
    });
}

pub(crate) fn topic_without_history_continues_without_a_gap<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
    run(async {
        for history_bytes in [0, HubConfig::default().history_bytes] {
            let config = HubConfig {
                history_messages: 0,
                history_bytes,
                ..HubConfig::default()
            };
            let one = topic(&hub_with(&server, config.clone(), patient()));
            let two = topic(&hub_with(&server, config, patient()));
            let mut updates = subscribe(&two, StartFrom::Now).await;
            for number in 0..20 {
                one.publish(&number).await.expect("it is published");
                assert_eq!(next_number(&mut updates).await, Some(number));
            }
        }
    });
}

pub(crate) fn joins_within_a_burst_without_history_lose_no_message<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
    run(async {
        let config = HubConfig {
            history_messages: 0,
            lag_messages: 1000,
            ..HubConfig::default()
        };
        let one = topic(&hub_with(&server, config.clone(), patient()));
        let two = topic(&hub_with(&server, config, patient()));
        let mut updates = subscribe(&two, StartFrom::Now).await;
        let mut published = Vec::new();
        let mut present = Vec::new();
        for number in 0..300 {
            let publisher = one.clone();
            published.push(tokio::task::spawn_local(async move {
                publisher.publish(&number).await.expect("it is published")
            }));
            if number % 10 == 5 {
                let joining = one.clone();
                present.push(tokio::task::spawn_local(async move {
                    joining.join(&number.to_string()).await.expect("room")
                }));
            }
        }
        for number in 0..300 {
            assert_eq!(next_number(&mut updates).await, Some(number));
        }
    });
}

/// A subscriber treats the end of a presence as the end of its messages.
pub(crate) fn member_leaves_after_its_messages<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
    run(async {
        let (one, two) = (process(&server), process(&server));
        let mut updates = subscribe(&two, StartFrom::Now).await.with_presence();
        let publish = tokio::task::spawn_local(async move {
            for number in 1..=100 {
                let presence = one.join(&number.to_string()).await.expect("room");
                one.publish(&number).await.expect("it is published");
                drop(presence);
            }
        });
        let mut last = 0;
        while last < 100 {
            match updates.next().await.expect("the subscription continues") {
                Update::Message(message) => last = message.value().expect("a number"),
                Update::Left(member) => {
                    let member: u32 = member.parse().expect("a number");
                    assert!(
                        member <= last,
                        "{member} has left before its message, after that of {last}"
                    );
                }
                Update::Joined(_) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
        publish.await.expect("no panic");
    });
}

pub(crate) fn joins_of_one_member_have_one_result<S: TestServer>() {
    let Some(mut server) = S::durable() else {
        return;
    };
    run(async {
        let config = HubConfig {
            members: 2,
            ..HubConfig::default()
        };
        let engine = RemoteEngineConfig {
            lease: Duration::from_secs(600),
            ..patient()
        };
        let one = topic(&hub_with(&server, config.clone(), engine.clone()));
        let two = topic(&hub_with(&server, config, engine));
        let _ada = one.join("ada").await.expect("room");
        let _bob = one.join("bob").await.expect("room");
        // The topic is followed, so that the joins are one request of the next connection.
        let _watch = subscribe(&two, StartFrom::Now).await;
        server.stop();
        let started = async {
            tokio::task::yield_now().await;
            server.start();
        };
        let (first, second, ()) = tokio::join!(two.join("carol"), two.join("carol"), started);
        let full = Some(HubError::Full { what: "members" });
        assert_eq!((first.err(), second.err()), (full, full));
    });
}

pub(crate) fn invented_topics_do_not_fill_the_hub<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
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
    });
}

pub(crate) fn members_of_ended_processes_leave_room_for_others<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
    run(async {
        server.join_elsewhere(ALL, 7, &["ada", "bob"], None).await;
        let config = HubConfig {
            members: 2,
            ..HubConfig::default()
        };
        // The subscription removes both members; the second addition is of a process that ends later.
        let one = topic(&hub_with(&server, config.clone(), patient()));
        let _watch = subscribe(&one, StartFrom::Now).await;
        server.join_elsewhere(ALL, 7, &["ada", "bob"], None).await;
        let _carol = one.join("carol").await.expect("room");
        let _dave = one.join("dave").await.expect("room");
        assert_eq!(one.join("eve").await.err(), Some(HubError::Full { what: "members" }));
    });
}

pub(crate) fn members_that_leave_and_return_without_a_server_are_correct_after_it<S: TestServer>() {
    let Some(mut server) = S::durable() else {
        return;
    };
    run(async {
        let (one, two) = (process(&server), process(&server));
        let left = one.join("ada").await.expect("room");
        let returns = one.join("bob").await.expect("room");
        let mut updates = subscribe(&two, StartFrom::Now).await;
        assert_eq!(two.present().await, Ok(vec!["ada".to_owned(), "bob".to_owned()]));
        server.kill();
        drop((left, returns));
        let again = async { one.join("bob").await.expect("it waits") };
        let started = async {
            tokio::task::yield_now().await;
            server.start();
        };
        let (_bob, ()) = tokio::join!(again, started);
        one.publish(&1).await.expect("it waits");
        assert_eq!(next_number(&mut updates).await, Some(1));
        let is_present = async || two.present().await.expect("it waits") == ["bob"];
        wait_until("one member is present", is_present).await;
    });
}

pub(crate) fn new_subscribers_and_members_that_wait_are_bounded<S: TestServer>() {
    run(async {
        let engine = S::without_server();
        let topic: Arc<str> = "room".into();
        let mut waiting: Vec<_> = (1..32 * 1024).map(|_| engine.follow(Arc::clone(&topic))).collect();
        waiting.push(engine.join(Arc::clone(&topic), "ada".into()));
        let full = Err(HubError::Full {
            what: "waiting requests",
        });
        assert_eq!(engine.follow(Arc::clone(&topic)).await, full);
        assert_eq!(engine.join(topic, "bob".into()).await, full);
    });
}
