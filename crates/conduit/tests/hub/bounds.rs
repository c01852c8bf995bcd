//! Slow subscribers, and the bounds of a hub.

use std::time::Duration;

use crate::*;

/// A client that reads nothing while this number of large messages is published. Each contains its number.
fn lagging(path: &str) -> (TestClient, TestStream) {
    let (client, _) = client_with(HubConfig {
        lag_messages: 10,
        ..HubConfig::default()
    });
    let stream = stream(&client, path);
    for number in 0..200 {
        say(&client, "ada", &format!("{number} {}", "a".repeat(10_000)));
    }
    (client, stream)
}

fn number(event: &ServerEvent) -> u32 {
    let text = serde_json::from_str::<Said>(&event.data).expect("a message").text;
    text.split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

#[test]
fn slow_subscriber_misses_the_oldest_messages() {
    let (_client, mut stream) = lagging("/ada");
    let (mut missed, mut last) = (0, None);
    while last != Some(199) {
        let event = stream.event().expect("an event");
        if event.event == "missed" {
            missed += 1;
        } else {
            assert!(last < Some(number(&event)), "no message twice");
            last = Some(number(&event));
        }
    }
    assert!(missed >= 1);
}

#[test]
fn slow_subscriber_receives_the_latest_message() {
    let (client, mut stream) = lagging("/ada/latest");
    let mut last = None;
    let mut count = 0;
    while last != Some(199) {
        let event = stream.event().expect("an event");
        assert_eq!(event.event, "");
        assert!(last < Some(number(&event)));
        last = Some(number(&event));
        count += 1;
    }
    assert!(count < 100, "{count} messages");
    say(&client, "ada", "200 next");
    assert_eq!(number(&stream.event().expect("an event")), 200);
}

/// Members that arrive displace the latest message of a topic, as later messages do.
#[test]
fn slow_subscriber_has_missed_the_latest_message_that_members_displace() {
    let (client, mut stream) = lagging("/ada/latest");
    let _members: Vec<_> = (0..11)
        .map(|number| {
            let mut member = client.websocket(&format!("/ada/socket/{number}")).open();
            let joined = format!("joined {number}");
            assert_eq!(member.recv().as_text(), Some(&joined[..]));
            member
        })
        .collect();
    let mut event = stream.event().expect("an event");
    while event.event != "missed" {
        assert!(number(&event) < 199, "the latest message is lost");
        event = stream.event().expect("an event");
    }
    say(&client, "ada", "200 next");
    assert_eq!(number(&stream.event().expect("an event")), 200);
}

#[test]
fn slow_subscriber_is_closed_and_continues_from_the_history() {
    let (client, mut stream) = lagging("/ada/close");
    let mut last = None;
    while let Some(event) = stream.event() {
        last = event.id;
    }
    let id = last.expect("some events");
    let mut again = client
        .get("/ada")
        .header("x-user", "ada")
        .header("last-event-id", &id)
        .stream();
    // The history of 256 KiB has the last messages only.
    assert_eq!(again.event().expect("an event").event, "missed");
    let mut event = again.event().expect("an event");
    while number(&event) < 199 {
        event = again.event().expect("an event");
    }
}

#[test]
fn bounds_are_errors_of_the_request_that_exceeds_them() {
    let (client, _) = client_with(HubConfig {
        topics: 2,
        worker_subscriptions: 3,
        members: 1,
        message_bytes: 100,
        ..HubConfig::default()
    });
    let get = |key: &str| client.get(&format!("/{key}")).header("x-user", key);
    let streams: Vec<TestStream> = (0..3).map(|_| stream(&client, "/a")).collect();
    let full = get("a").send();
    full.assert_status(503);
    assert!(full.text().contains("limit of subscriptions"), "{full}");
    drop(streams);
    // Until the worker has noticed.
    let mut open = loop {
        let open = get("a").stream();
        if open.head().status() == 200 {
            break open;
        }
    };
    let _other = stream(&client, "/b");
    let full = get("c").send();
    full.assert_status(503);
    assert!(full.text().contains("limit of topics"), "{full}");
    let long = client.post("/a").header("x-user", "admin").text("a".repeat(100)).send();
    long.assert_status(413);
    assert!(long.text().contains("at most 100 bytes"), "{long}");
    say(&client, "a", "short");
    assert_eq!(text(open.event()), "short");
}

#[test]
fn message_that_is_larger_than_the_queue_of_a_worker_is_delivered() {
    let hub = Hub::with(HubConfig {
        message_bytes: 16 << 20,
        ..HubConfig::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let test = async {
        let topic = hub.trusted::<Inbox>("ada").expect("a short key");
        let mut updates = topic.subscribe(StartFrom::Now).await.expect("room");
        let text = "a".repeat(9 << 20);
        topic.publish(&Said { text }).await.expect("it is published");
        let update = updates.next().await;
        assert!(matches!(&update, Some(Update::Message(message)) if message.json().len() > 9 << 20));
    };
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}

#[test]
fn histories_share_a_bound_of_memory() {
    let (client, _) = client_with(HubConfig {
        memory_bytes: 100_000,
        ..HubConfig::default()
    });
    for number in 0..100 {
        say(&client, &format!("topic-{number}"), &"a".repeat(10_000));
    }
    // The first topics have their message, and the others have none, which subscribers receive as a gap.
    assert_eq!(text(stream(&client, "/topic-0/history").event()).len(), 10_000);
    let last = say(&client, "topic-99", "short");
    let mut open = client
        .get("/topic-99")
        .header("x-user", "topic-99")
        .header("last-event-id", last)
        .stream();
    say(&client, "topic-99", &"b".repeat(10_000));
    assert_eq!(text(open.event()).len(), 10_000);
}

#[test]
fn quiet_topics_with_subscribers_free_the_memory_of_expired_messages() {
    let (client, hub) = client_with(HubConfig {
        memory_bytes: 100_000,
        ..HubConfig::default()
    });
    let mut quiet: Vec<TestStream> = (0..4)
        .map(|number| stream(&client, &format!("/quiet-{number}")))
        .collect();
    for (number, stream) in quiet.iter_mut().enumerate() {
        say(&client, &format!("quiet-{number}"), &"a".repeat(10_000));
        assert_eq!(text(stream.event()).len(), 10_000);
    }
    client.advance(Duration::from_secs(301));
    // Together these need all of the memory again.
    for number in 0..4 {
        let key = format!("new-{number}");
        say(&client, &key, &"b".repeat(10_000));
        let mut history = stream(&client, &format!("/{key}/history"));
        say(&client, &key, "not kept before");
        assert_eq!(text(history.event()).len(), 10_000, "{key}");
    }
    assert_eq!(hub.topics(), 8, "a topic with a subscriber remains");
    say(&client, "quiet-0", "next");
    assert_eq!(text(quiet[0].event()), "next");
}

/// The retention of an unused topic begins with the end of its last subscriber, and not with its last message.
#[test]
fn position_of_a_quiet_topic_has_no_gap_after_its_subscriber_reconnects() {
    let (client, _) = client_with(HubConfig {
        history_time: Duration::from_secs(20),
        ..HubConfig::default()
    });
    let mut socket = client.websocket("/ada/socket/s").open();
    assert_eq!(socket.recv().as_text(), Some("joined s"));
    let id = say(&client, "ada", "1");
    client.advance(Duration::from_secs(19));
    drop(socket);
    while client.get("/ada/members").send().text() != "[]" {}
    client.advance(Duration::from_secs(2));
    let mut again = client
        .get("/ada")
        .header("x-user", "ada")
        .header("last-event-id", id)
        .stream();
    say(&client, "ada", "2");
    assert_eq!(text(again.event()), "2");
}
