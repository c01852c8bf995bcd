//! Topics in PostgreSQL: the test rows of all engines, and those specific to this server.

mod database;
#[path = "../../conduit/tests/support/service.rs"]
mod service;
#[path = "../../conduit/tests/support/topic_rows.rs"]
mod topic_rows;
#[path = "../../conduit/tests/support/topic_server.rs"]
mod topic_server;

use std::time::Duration;

use conduit::hub::remote::RemoteEngineConfig;
use conduit::hub::{HubConfig, StartFrom, Topic, Update};
use conduit_postgres::PostgresEngine;
use database::Database;
use sqlx::{AssertSqlSafe, Connection as _};
use topic_rows::topic_rows;
use topic_server::{
    Numbers, TestServer, hub_with, next, next_number, patient, process, process_with_lease, publish_at_once, run,
    subscribe, topic, wait_until,
};

topic_rows!(Database);

#[test]
fn message_whose_notice_is_lost_is_received_with_a_check() {
    let Some(database) = Database::open(true) else { return };
    run(async {
        // Real time: the clock of PostgreSQL decides about the lease, and the checks follow its renewals.
        let one = process_with_lease(&database, Duration::from_millis(300));
        let mut updates = subscribe(&one, StartFrom::Now).await;
        one.publish(&1).await.expect("it is published");
        assert_eq!(next_number(&mut updates).await, Some(1));
        // A process that ends after the commit.
        let message = "WITH numbered AS (UPDATE conduit_topics SET last = last + 1 RETURNING name, epoch, last)
            INSERT INTO conduit_messages SELECT name, epoch, last, 'elsewhere', now(), now() + interval '1 hour', '2'
            FROM numbered";
        database.execute(message).await;
        assert_eq!(next_number(&mut updates).await, Some(2));
        one.publish(&3).await.expect("it is published");
        assert_eq!(next_number(&mut updates).await, Some(3));
    });
}

#[test]
fn burst_longer_than_the_history_reaches_subscribers() {
    let Some(database) = Database::open(true) else { return };
    run(async {
        let config = HubConfig {
            history_messages: 2,
            lag_messages: 1000,
            ..HubConfig::default()
        };
        let one = topic(&hub_with(&database, config.clone(), patient()));
        let two = topic(&hub_with(&database, config, patient()));
        let mut updates = subscribe(&two, StartFrom::Now).await;
        publish_at_once(&one, &mut updates, 700, std::future::ready(())).await;
    });
}

#[test]
fn rows_are_removed_beyond_their_bounds_and_after_their_time() {
    let Some(database) = Database::open(true) else { return };
    run(async {
        let config = HubConfig {
            history_messages: 10,
            ..HubConfig::default()
        };
        let engine = RemoteEngineConfig {
            // Real time: the clock of PostgreSQL decides about the lease.
            lease: Duration::from_millis(300),
            ..patient()
        };
        let hub = hub_with(&database, config, engine);
        let one = topic(&hub);
        one.publish(&0).await.expect("it is published");
        let earlier = "INSERT INTO conduit_messages
            SELECT name, epoch, n, 'old ' || n, now() - CASE WHEN n > 100 THEN interval '1 hour' ELSE '0' END,
                now() + interval '1 hour', '0' FROM conduit_topics, generate_series(2, 1400) n;
            UPDATE conduit_topics SET last = 1400";
        database.execute(earlier).await;
        for number in 1401..=1408 {
            one.publish(&number).await.expect("it is published");
        }
        // The bound of this step is that of number 1408: 1010 messages. A publisher may repeat the first hundred.
        assert_eq!(database.count("conduit_messages").await, 1110);
        database
            .join_elsewhere("numbers\0old", 9, &["ada"], Some(Duration::ZERO))
            .await;
        let old = "UPDATE conduit_messages SET expires_at = now() - interval '1 second' WHERE number < 1400;
            INSERT INTO conduit_topics VALUES ('gone', 1, 1, now() - interval '1 second');
            INSERT INTO conduit_messages VALUES ('gone', 1, 1, 'gone', now(), now() + interval '1 hour', '1')";
        database.execute(old).await;
        for (rows, left) in [
            ("conduit_messages", 9),
            ("conduit_topics", 1),
            ("conduit_members", 0),
            ("conduit_processes", 1),
        ] {
            wait_until(rows, async || database.count(rows).await == left).await;
        }
    });
}

#[test]
fn hub_with_a_short_history_keeps_the_messages_of_others() {
    let Some(database) = Database::open(true) else { return };
    run(async {
        let config = |seconds| HubConfig {
            history_time: Duration::from_secs(seconds),
            ..HubConfig::default()
        };
        let long = topic(&hub_with(&database, config(24 * 3600), patient()));
        long.publish(&1).await.expect("it is published");
        let old = "UPDATE conduit_messages SET published_at = now() - interval '1 hour';
            INSERT INTO conduit_messages VALUES ('short', 1, 1, 'short', now() - interval '1 hour', now(), '1')";
        database.execute(old).await;
        let short: Topic<Numbers> = hub_with(&database, config(1), patient())
            .trusted("short")
            .expect("a key");
        short.publish(&1).await.expect("it is published");
        let is_removed = async || database.count("conduit_messages WHERE token = 'short'").await == 0;
        wait_until("the removal of the short history", is_removed).await;
        assert_eq!(database.count("conduit_messages").await, 2);
    });
}

#[test]
fn many_ended_topics_are_removed_soon() {
    let Some(database) = Database::open(true) else { return };
    run(async {
        database.execute(conduit_postgres::CREATE_TOPIC_TABLES).await;
        let ended = "INSERT INTO conduit_topics SELECT n::text::bytea, 1, 0, now() FROM generate_series(1, 3500) n";
        database.execute(ended).await;
        // The next renewal of the lease follows after several minutes.
        let one = process_with_lease(&database, Duration::from_secs(3600));
        one.publish(&1).await.expect("it is published");
        let are_removed = async || database.count("conduit_topics").await == 1;
        wait_until("the removal of all ended topics", are_removed).await;
    });
}

/// A statement that removed all rows of a thousand topics would occupy the connection for longer than the timeout of a response.
#[test]
fn ended_topics_and_processes_with_many_rows_are_removed_in_bounded_steps() {
    let Some(database) = Database::open(true) else { return };
    run(async {
        database.execute(conduit_postgres::CREATE_TOPIC_TABLES).await;
        let later = "now() + interval '1 hour'";
        let ended = format!(
            "CREATE TABLE steps (rows bigint);
            CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN INSERT INTO steps SELECT count(*) FROM removed; RETURN NULL; END $$;
            CREATE TRIGGER note_messages AFTER DELETE ON conduit_messages REFERENCING OLD TABLE AS removed
                FOR EACH STATEMENT EXECUTE FUNCTION note_step();
            CREATE TRIGGER note_members AFTER DELETE ON conduit_members REFERENCING OLD TABLE AS removed
                FOR EACH STATEMENT EXECUTE FUNCTION note_step();
            INSERT INTO conduit_topics SELECT ('ended ' || n)::bytea, 1, 1, now() FROM generate_series(1, 3) n;
            INSERT INTO conduit_messages SELECT ('ended ' || n % 3 + 1)::bytea, 1, n, n::text, now(), {later}, '1'
                FROM generate_series(1, 4200) n;
            INSERT INTO conduit_members SELECT 'ended 1', 8, n::text::bytea FROM generate_series(1, 1500) n;
            INSERT INTO conduit_processes VALUES (9, now());
            INSERT INTO conduit_members SELECT 'live', 9, n::text::bytea FROM generate_series(1, 1500) n"
        );
        database.execute(&ended).await;
        // The next renewal of the lease follows after several minutes.
        let one = process_with_lease(&database, Duration::from_secs(3600));
        one.publish(&1).await.expect("it is published");
        for (rows, left) in [
            ("conduit_messages", 1),
            ("conduit_members", 0),
            ("conduit_topics", 1),
            ("conduit_processes", 1),
        ] {
            wait_until(rows, async || database.count(rows).await == left).await;
        }
        assert_eq!(database.count("steps WHERE rows > 1000").await, 0);
        assert!(database.count("steps WHERE rows = 1000").await >= 6);
    });
}

#[test]
fn message_and_member_whose_notices_are_refused_arrive_once() {
    let Some(database) = Database::open(true) else { return };
    run(async {
        // PostgreSQL rejects a notice in the same way if its queue is full.
        let refusal = "CREATE FUNCTION topics.pg_notify(text, text) RETURNS void LANGUAGE plpgsql
            AS $$ BEGIN RAISE 'too many notifications in the NOTIFY queue'; END $$";
        database.execute(refusal).await;
        let options = database.options.clone().options([("search_path", "topics,pg_catalog")]);
        let engine = RemoteEngineConfig {
            lease: Duration::from_secs(3),
            ..patient()
        };
        let engine = PostgresEngine::with(options, engine);
        let one: Topic<Numbers> = topic(&conduit::hub::Hub::with_engine(HubConfig::default(), engine));
        let two = process(&database);
        let mut updates = subscribe(&one, StartFrom::Now).await;
        let mut elsewhere = subscribe(&two, StartFrom::Now).await.with_presence();
        let position = one.publish(&1).await.expect("it is published");
        assert_eq!(next(&mut updates).await, Some((position, 1)));
        let _ada = one.join("ada").await.expect("it is present");
        database.execute("DROP FUNCTION topics.pg_notify").await;
        assert_eq!(next(&mut elsewhere).await, Some((position, 1)));
        assert!(matches!(elsewhere.next().await, Some(Update::Joined(member)) if &*member == "ada"));
        assert_eq!(database.count("conduit_messages").await, 1);
    });
}

#[test]
fn topics_are_locked_in_the_order_of_their_names() {
    let Some(database) = Database::open(true) else { return };
    run(async {
        database.execute(conduit_postgres::CREATE_TOPIC_TABLES).await;
        let rows =
            "INSERT INTO conduit_topics SELECT ('numbers\\000' || name)::bytea, 1, 1, now() + interval '20 seconds'
            FROM unnest(ARRAY['b', 'a']) name";
        database.execute(rows).await;
        let mut other = database.connect().await;
        let mut transaction = other.begin().await.expect("a transaction");
        let change = |name: &str| {
            let sql = format!("UPDATE conduit_topics SET last = 2 WHERE name = 'numbers\\000{name}'");
            sqlx::raw_sql(AssertSqlSafe(sql))
        };
        change("a").execute(&mut *transaction).await.expect("it is locked");
        let engine = RemoteEngineConfig {
            response_timeout: Duration::from_secs(120),
            ..patient()
        };
        let hub = hub_with(&database, HubConfig::default(), engine);
        let follow = |name: &str| {
            let topic: Topic<Numbers> = hub.trusted(name).expect("a short key");
            tokio::task::spawn_local(async move { subscribe(&topic, StartFrom::Now).await })
        };
        let (second, first) = (follow("b"), follow("a"));
        let waits = async || database.count("pg_locks WHERE NOT granted").await > 0;
        wait_until("a request that waits for the lock", waits).await;
        change("b").execute(&mut *transaction).await.expect("no deadlock");
        transaction.commit().await.expect("no deadlock");
        drop((first.await.expect("no panic"), second.await.expect("no panic")));
    });
}

#[test]
fn database_with_an_older_state_is_a_gap() {
    let Some(mut database) = Database::open(false) else {
        return;
    };
    run(async {
        let (one, two) = (process(&database), process(&database));
        let mut updates = subscribe(&two, StartFrom::Now).await;
        for number in 0..3 {
            one.publish(&number).await.expect("it is published");
            assert_eq!(next_number(&mut updates).await, Some(number));
        }
        let older = "DELETE FROM conduit_messages WHERE number > 1; UPDATE conduit_topics SET last = 1";
        database.execute_and_wait(older);
        TestServer::stop(&mut database);
        TestServer::start(&mut database);
        assert_eq!(next(&mut updates).await, None);
        let position = one.publish(&3).await.expect("it is published");
        assert_eq!(next(&mut updates).await, Some((position, 3)));
    });
}

#[test]
fn services_of_one_database_have_separate_schemas() {
    let Some(database) = Database::open(true) else { return };
    run(async {
        database
            .execute("DROP SCHEMA IF EXISTS other CASCADE; CREATE SCHEMA other")
            .await;
        let options = database.options.clone().options([("search_path", "other")]);
        let other = PostgresEngine::new(options);
        let other: Topic<Numbers> = topic(&conduit::hub::Hub::with_engine(HubConfig::default(), other));
        let one = process(&database);
        let mut updates = subscribe(&other, StartFrom::Now).await;
        one.publish(&1).await.expect("it is published");
        other.publish(&2).await.expect("it is published");
        assert_eq!(next_number(&mut updates).await, Some(2));
    });
}
