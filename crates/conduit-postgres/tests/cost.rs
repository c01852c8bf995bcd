//! The statements and blocks of a publication, as PostgreSQL counts them; `--ignored` prints its rate.

mod database;
#[path = "../../conduit/tests/support/service.rs"]
mod service;
#[path = "../../conduit/tests/support/topic_cost.rs"]
mod topic_cost;
#[path = "../../conduit/tests/support/topic_server.rs"]
#[allow(dead_code, reason = "the rows of topics use the rest")]
mod topic_server;

use database::Database;
use sqlx::Connection as _;
use topic_cost::{MESSAGES, print_rates, publish_one_by_one, two_processes};
use topic_server::{TestServer as _, publish_at_once, run};

/// The number of calls since the last reset: publications, notices, and reads of messages.
const CALLS: &str = "
    SELECT coalesce(sum(calls) FILTER (WHERE query LIKE '%INSERT INTO conduit_messages%'), 0)::bigint,
        coalesce(sum(calls) FILTER (WHERE query LIKE '%pg_notify%'), 0)::bigint,
        coalesce(sum(calls) FILTER (WHERE query LIKE '%WITH ORDINALITY AS known%'), 0)::bigint
    FROM public.pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'";

/// A database that counts its statements. `None` where PostgreSQL or its extension is not installed.
async fn counting() -> Option<Database> {
    let mut database = Database::open(true)?;
    let extension = "pg_available_extensions WHERE name = 'pg_stat_statements'";
    if database.count(extension).await == 0 {
        assert!(std::env::var_os("CI").is_none(), "CI needs pg_stat_statements");
        eprintln!("SKIPPED: PostgreSQL has no extension `pg_stat_statements`");
        return None;
    }
    database
        .execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
        .await;
    database.stop();
    database.start();
    database
        .execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA public")
        .await;
    Some(database)
}

async fn reset(database: &Database) {
    database.execute("SELECT public.pg_stat_statements_reset()").await;
}

async fn calls(database: &Database) -> (i64, i64, i64) {
    let mut connection = database.connect().await;
    let calls = sqlx::query_as(CALLS).fetch_one(&mut connection).await;
    calls.expect("numbers")
}

#[test]
fn publication_is_two_statements_and_a_read_which_concurrent_ones_share() {
    run(async {
        let Some(database) = counting().await else { return };
        let (one, mut updates) = two_processes(&database).await;
        publish_one_by_one(&one, &mut updates, 1).await;
        reset(&database).await;
        publish_one_by_one(&one, &mut updates, MESSAGES).await;
        let count = i64::from(MESSAGES);
        let (publications, notices, reads) = calls(&database).await;
        // The first read of a notice may have the message of the next one, whose read then has none.
        assert_eq!((publications, notices), (count, count));
        assert!((count..=count + 1).contains(&reads), "{reads}");

        let mut other = database.connect().await;
        let mut transaction = other.begin().await.expect("a transaction");
        let lock = sqlx::query("SELECT FROM conduit_topics FOR UPDATE");
        lock.execute(&mut *transaction).await.expect("it is locked");
        reset(&database).await;
        let release = async { transaction.commit().await.expect("it ends") };
        publish_at_once(&one, &mut updates, MESSAGES, release).await;
        let (publications, notices, reads) = calls(&database).await;
        assert!(
            publications <= 2 && notices <= 2 && reads <= 3,
            "{publications}, {notices}, {reads}"
        );
    });
}

/// A removal that joined the messages of a topic with its oldest ones read millions of blocks.
#[test]
fn publication_reads_few_blocks_of_a_topic_with_many_messages() {
    run(async {
        let Some(database) = counting().await else { return };
        let (one, mut updates) = two_processes(&database).await;
        publish_one_by_one(&one, &mut updates, 1).await;
        let earlier = "INSERT INTO conduit_messages
            SELECT name, epoch, n, 'earlier ' || n, now() - interval '1 day', now() + interval '1 day', '0'
            FROM conduit_topics, generate_series(2, 5000) n;
            UPDATE conduit_topics SET last = 5000";
        database.execute(earlier).await;
        reset(&database).await;
        // One of these publications removes messages. The subscriber reads the others of the earlier ones, too.
        for number in 0..128 {
            one.publish(&number).await.expect("it is published");
        }
        drop(updates);
        let blocks = "SELECT sum(shared_blks_hit + shared_blks_read)::bigint FROM public.pg_stat_statements
            WHERE query LIKE '%INSERT INTO conduit_messages%FROM placed%'";
        let mut connection = database.connect().await;
        let blocks: i64 = sqlx::query_scalar(blocks)
            .fetch_one(&mut connection)
            .await
            .expect("a number");
        assert!((128..50_000).contains(&blocks), "{blocks}");
        // A publisher may still repeat the first of the oldest 1024 messages.
        assert_eq!(database.count("conduit_messages").await, 5000 + 128 - 1023);
    });
}

#[test]
#[ignore = "prints the rate of publications"]
fn rate() {
    run(async {
        let Some(database) = Database::open(true) else { return };
        print_rates(&database).await;
    });
}
