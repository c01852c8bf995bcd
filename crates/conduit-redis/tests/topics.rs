//! Topics in Redis: the test rows of all engines, and those specific to this server.

#[path = "../../conduit/tests/support/redis.rs"]
mod redis_server;
mod server;
#[path = "../../conduit/tests/support/topic_rows.rs"]
mod topic_rows;
#[path = "../../conduit/tests/support/topic_server.rs"]
mod topic_server;

use std::time::Duration;

use conduit::hub::{HubConfig, HubError, StartFrom, Topic, Update};
use redis::aio::MultiplexedConnection;
use redis_server::RedisServer;
use server::connection;
use topic_rows::topic_rows;
use topic_server::{
    Numbers, TestServer, hub_with, next, next_number, patient, process, process_with_lease, run, subscribe, topic,
    wait_until,
};

topic_rows!(RedisServer);

#[test]
fn stream_of_a_topic_without_history_is_empty() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let config = HubConfig {
            history_messages: 0,
            ..HubConfig::default()
        };
        let one = topic(&hub_with(&server, config, patient()));
        one.publish(&1).await.expect("it is published");
        let mut length = redis::cmd("XLEN");
        length.arg("conduit:hub:numbers\0all");
        let length: u64 = length
            .query_async(&mut connection(&server).await)
            .await
            .expect("a stream");
        assert_eq!(length, 0);
    });
}

#[test]
fn invented_topic_is_short_lived() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let hub = hub_with(&server, HubConfig::default(), patient());
        // The engine refreshes the topics that it follows when it starts.
        for number in 0..100 {
            let topic: Topic<Numbers> = hub.trusted(&number.to_string()).expect("a short key");
            drop(subscribe(&topic, StartFrom::History).await);
        }
        let mut ttl = redis::cmd("PTTL");
        ttl.arg("conduit:hub:numbers\x0099");
        let left: i64 = ttl.query_async(&mut connection(&server).await).await.expect("a time");
        assert!(0 < left && left <= 60_000, "{left} ms");
    });
}

#[test]
fn key_of_another_type_fails_only_the_requests_of_its_topic() {
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
        assert_eq!(next_number(&mut updates).await, Some(1));
        assert_eq!(next_number(&mut updates).await, Some(2));
    });
}

/// Limits the memory of the server to this number of bytes: 1 is exceeded at once, and 0 means no limit.
async fn limit_memory(connection: &mut MultiplexedConnection, bytes: &str) {
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("maxmemory").arg(bytes);
    let () = set.query_async(connection).await.expect("it is set");
}

#[test]
fn full_server_refuses_messages_and_continues_when_it_has_memory() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let one = process(&server);
        let mut updates = subscribe(&one, StartFrom::Now).await;
        one.publish(&1).await.expect("it is published");
        let mut other = connection(&server).await;
        limit_memory(&mut other, "1").await;
        assert_eq!(one.publish(&2).await, Err(HubError::Unavailable));
        assert_eq!(one.join("ada").await.err(), Some(HubError::Unavailable));
        limit_memory(&mut other, "0").await;
        one.publish(&3).await.expect("it is published");
        assert_eq!(next_number(&mut updates).await, Some(1));
        assert_eq!(next_number(&mut updates).await, Some(3));
    });
}

#[test]
fn members_stay_present_while_the_server_is_full() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let process = || process_with_lease(&server, Duration::from_secs(30));
        let (one, two) = (process(), process());
        let mut updates = subscribe(&two, StartFrom::Now).await.with_presence();
        let ada = one.join("ada").await.expect("room");
        assert!(matches!(updates.next().await, Some(Update::Joined(member)) if &*member == "ada"));
        let mut other = connection(&server).await;
        limit_memory(&mut other, "1").await;
        assert_eq!(one.publish(&1).await, Err(HubError::Unavailable));
        // Each process renews its lease long before it expires.
        let time = redis::cmd("TIME");
        let (seconds, micros): (u64, u64) = time.query_async(&mut other).await.expect("the time");
        let begin_millis = seconds * 1000 + micros / 1000;
        let mut renewed = redis::cmd("ZCOUNT");
        let after = format!("({}", begin_millis + 30_000);
        renewed.arg("conduit:processes").arg(after).arg("+inf");
        let are_renewed = async || {
            let mut other = other.clone();
            let count: u64 = renewed.query_async(&mut other).await.expect("a number");
            count == 2
        };
        wait_until("renewed leases", are_renewed).await;
        // A process that begins now reads the members of those with a lease.
        let third = process();
        for topic in [&two, &third] {
            assert_eq!(topic.present().await, Ok(vec!["ada".to_owned()]));
        }
        // The end of a presence needs no memory.
        drop(ada);
        assert!(matches!(updates.next().await, Some(Update::Left(member)) if &*member == "ada"));
    });
}

#[test]
fn members_of_a_process_with_an_expired_lease_return_while_the_server_is_full() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        // Real time: the clock of Redis decides about the lease.
        let one = process_with_lease(&server, Duration::from_millis(600));
        let _updates = subscribe(&one, StartFrom::Now).await;
        let _ada = one.join("ada").await.expect("room");
        let mut other = connection(&server).await;
        let mut lose = redis::pipe();
        lose.cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").ignore();
        lose.cmd("DEL")
            .arg("conduit:processes")
            .arg("conduit:members:numbers\0all")
            .ignore();
        let () = lose.query_async(&mut other).await.expect("the members are lost");
        let second = process(&server);
        let is_present = async || second.present().await == Ok(vec!["ada".to_owned()]);
        wait_until("the member", is_present).await;
        // Another member needs memory.
        assert_eq!(one.join("bob").await.err(), Some(HubError::Unavailable));
    });
}

#[test]
fn topic_that_the_server_refuses_after_a_reconnect_keeps_its_subscribers_and_continues() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        // Real time: the clock of Redis decides about the lease.
        let process = || process_with_lease(&server, Duration::from_millis(600));
        let (one, two) = (process(), process());
        let mut updates = subscribe(&two, StartFrom::Now).await;
        let first = one.publish(&1).await.expect("it is published");
        assert_eq!(next(&mut updates).await, Some((first, 1)));
        let mut other = connection(&server).await;
        let rename = |from: &str, to: &str| {
            let mut rename = redis::cmd("RENAME");
            rename.arg(from).arg(to);
            rename
        };
        let (stream, elsewhere) = ("conduit:hub:numbers\0all", "elsewhere");
        let mut take_away = redis::pipe();
        take_away.add_command(rename(stream, elsewhere)).ignore();
        take_away.cmd("SET").arg(stream).arg("text").ignore();
        let () = take_away.query_async(&mut other).await.expect("another type");
        server.close_connections().await;
        assert_eq!(one.publish(&2).await, Err(HubError::Unavailable));
        let mut other = connection(&server).await;
        let () = rename(elsewhere, stream)
            .query_async(&mut other)
            .await
            .expect("the stream is back");
        let second = one.publish(&3).await.expect("it is published");
        assert_eq!(next(&mut updates).await, Some((second, 3)));
    });
}

#[test]
fn server_that_has_become_a_replica_is_left_and_messages_wait() {
    let Some(server) = RedisServer::volatile() else { return };
    run(async {
        let one = process(&server);
        let mut updates = subscribe(&one, StartFrom::Now).await;
        one.publish(&1).await.expect("it is published");
        assert_eq!(next_number(&mut updates).await, Some(1));
        server.execute("REPLICAOF 127.0.0.1 1");
        let published = {
            let one = one.clone();
            tokio::task::spawn_local(async move { one.publish(&2).await })
        };
        let joined = {
            let one = one.clone();
            tokio::task::spawn_local(async move { one.join("ada").await })
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!published.is_finished() && !joined.is_finished());
        server.execute("REPLICAOF NO ONE");
        published.await.expect("no panic").expect("it is published");
        let _ada = joined.await.expect("no panic").expect("it is present");
        assert_eq!(next_number(&mut updates).await, Some(2));
        assert_eq!(one.present().await, Ok(vec!["ada".to_owned()]));
    });
}
