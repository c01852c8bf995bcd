//! Subscribers that continue, and the history.

use std::time::Duration;

use crate::*;

fn resume(client: &TestClient, key: &str, id: &str) -> TestStream {
    client
        .get(&format!("/{key}"))
        .header("x-user", key)
        .header("last-event-id", id)
        .stream()
}

#[test]
fn reconnect_continues_without_a_gap_and_without_repetition() {
    let (client, _) = client();
    let mut first = stream(&client, "/ada");
    say(&client, "ada", "1");
    let id = first.event().and_then(|event| event.id).expect("a position");
    drop(first);
    for number in 2..=4 {
        say(&client, "ada", &number.to_string());
    }
    let mut again = resume(&client, "ada", &id);
    say(&client, "ada", "5");
    for number in 2..=5 {
        assert_eq!(text(again.event()), number.to_string());
    }
}

/// A position is not bound to a client: the position of another user's event must not replay events of that user
/// (GHSA-84j6-jc92-77jm).
#[test]
fn position_of_another_topic_replays_nothing_of_it() {
    let (client, _) = client();
    let secret = say(&client, "ada", "a secret");
    say(&client, "ada", "another secret");
    say(&client, "bob", "hello");
    let mut bob = resume(&client, "bob", &secret);
    let missed = bob.event().expect("an event");
    assert_eq!((&missed.event[..], &missed.data[..]), ("missed", "null"));
    assert_eq!(text(bob.event()), "hello");
    say(&client, "bob", "next");
    assert_eq!(text(bob.event()), "next");
    client
        .get("/ada")
        .header("x-user", "bob")
        .header("last-event-id", secret)
        .send()
        .assert_status(403);
}

#[test]
fn unknown_position_is_a_gap_and_the_rest_of_the_history_follows() {
    let (client, _) = client();
    let first = say(&client, "ada", "1");
    let number: u64 = first
        .split('-')
        .nth(1)
        .and_then(|number| number.parse().ok())
        .expect("a number");
    let epoch = first.split('-').next().expect("an epoch");
    for unknown in [
        format!("{epoch}-{}", number + 1),
        format!("0-{number}"),
        format!("{epoch}-0{number}"),
        "x".to_owned(),
        "1".to_owned(),
        "ffffffffffffffff-18446744073709551615".to_owned(),
    ] {
        let mut stream = resume(&client, "ada", &unknown);
        assert_eq!(stream.event().expect("an event").event, "missed", "{unknown}");
        assert_eq!(text(stream.event()), "1", "{unknown}");
    }
}

#[test]
fn history_is_bounded_in_length_and_time() {
    let (client, _) = client_with(HubConfig {
        history_messages: 3,
        ..HubConfig::default()
    });
    let positions: Vec<String> = (1..=5).map(|number| say(&client, "ada", &number.to_string())).collect();
    let mut all = stream(&client, "/ada/history");
    for number in 3..=5 {
        assert_eq!(text(all.event()), number.to_string());
    }
    // A client that has the second message has lost nothing; one that has only the first has lost the second.
    assert_eq!(text(resume(&client, "ada", &positions[1]).event()), "3");
    let mut late = resume(&client, "ada", &positions[0]);
    assert_eq!(late.event().expect("an event").event, "missed");
    assert_eq!(text(late.event()), "3");
    // A client that has all messages has no gap.
    let mut current = resume(&client, "ada", &positions[4]);
    say(&client, "ada", "next");
    assert_eq!(text(current.event()), "next");
    drop((all, late, current));
    client.advance(Duration::from_secs(301));
    let mut late = resume(&client, "ada", &positions[3]);
    assert_eq!(late.event().expect("an event").event, "missed");
    say(&client, "ada", "6");
    assert_eq!(text(late.event()), "6");
}

#[test]
fn topic_without_history_stores_nothing() {
    let (client, hub) = client_with(HubConfig {
        history_messages: 0,
        ..HubConfig::default()
    });
    let position = say(&client, "ada", "1");
    let mut stream = stream(&client, "/ada/history");
    say(&client, "ada", "2");
    assert_eq!(text(stream.event()), "2");
    drop(stream);
    assert_eq!(
        resume(&client, "ada", &position).event().expect("an event").event,
        "missed"
    );
    client.advance(Duration::from_secs(1000));
    for number in 0..100 {
        say(&client, &format!("other-{number}"), "1");
    }
    assert!(hub.topics() <= 101, "{}", hub.topics());
}

#[test]
fn unused_topics_are_removed_after_the_time_of_the_history() {
    let (client, hub) = client();
    for number in 0..1000 {
        say(&client, &format!("old-{number}"), "1");
    }
    let kept = stream(&client, "/kept");
    assert_eq!(hub.topics(), 1001);
    client.advance(Duration::from_secs(400));
    // Each use of a part removes its unused topics.
    for number in 0..200 {
        say(&client, &format!("new-{number}"), "1");
    }
    assert_eq!(hub.topics(), 201);
    drop(kept);
}

/// The topic exists only while it is used, because it never has a message.
#[test]
fn departure_of_a_member_of_an_earlier_topic_is_not_received() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let test = async {
        let hub = Hub::with(HubConfig::default());
        let [other, topic] = ["other", "ada"].map(|key| hub.trusted::<Inbox>(key).expect("a short key"));
        // The queue of the worker has the notices of both topics.
        let _updates = other.subscribe(StartFrom::Now).await.expect("room");
        let updates = topic.subscribe(StartFrom::Now).await.expect("room");
        drop(topic.join("bob").await.expect("room"));
        drop(updates);
        let mut updates = topic.subscribe(StartFrom::Now).await.expect("room").with_presence();
        let message = Said { text: "1".to_owned() };
        topic.publish(&message).await.expect("it is published");
        let update = updates.next().await;
        assert!(matches!(update, Some(Update::Message(_))), "{update:?}");
    };
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}
