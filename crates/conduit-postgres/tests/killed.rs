//! A process that is killed after it has committed a message, and before its notice.

mod database;
#[path = "../../conduit/tests/support/program.rs"]
#[allow(dead_code, reason = "the test needs some of it")]
mod program;
#[path = "../../conduit/tests/support/service.rs"]
mod service;
#[path = "../../conduit/tests/support/topic_server.rs"]
#[allow(dead_code, reason = "the rows of topics use the rest")]
mod topic_server;

use std::io::Write;
use std::time::Duration;

use conduit::hub::remote::RemoteEngineConfig;
use conduit::hub::{Hub, HubConfig, StartFrom};
use conduit::prelude::*;
use conduit_postgres::PostgresEngine;
use database::Database;
use program::{Directory, Program, begin_program};
use sqlx::postgres::PgConnectOptions;
use topic_server::{TestServer as _, next_number, patient, process_with_lease, run, subscribe, topic, wait_until};

const URL: &str = "CONDUIT_TEST_SERVER";

#[post("/messages/{number}")]
async fn publish(number: Path<u32>, hub: State<Hub>) -> Result<NoContent, Problem> {
    topic(&hub).publish(&number).await?;
    Ok(NoContent)
}

/// A function that does not return sends the notices of this program.
#[test]
#[ignore = "a program of the tests"]
fn the_program() {
    begin_program();
    let url = std::env::var(URL).expect("the test sets it");
    let options: PgConnectOptions = url.parse().expect("a URL");
    let engine = RemoteEngineConfig {
        response_timeout: Duration::from_secs(3600),
        ..patient()
    };
    let engine = PostgresEngine::with(options.options([("search_path", "topics,pg_catalog")]), engine);
    let hub = Hub::with_engine(HubConfig::default(), engine);
    App::new(hub).routes(routes![publish]).run().expect("it serves");
}

#[test]
fn message_of_a_process_that_is_killed_between_its_commit_and_its_notice_is_received_with_the_next_check() {
    let Some(database) = Database::open(true) else { return };
    run(async {
        // The transaction of the function waits, and not the one of the message.
        let waiting = "CREATE FUNCTION topics.pg_notify(text, text) RETURNS void LANGUAGE sql
            AS $$ SELECT pg_sleep(3600) $$";
        database.execute(waiting).await;
        let one = process_with_lease(&database, Duration::from_secs(3));
        let mut updates = subscribe(&one, StartFrom::Now).await;
        let directory = Directory::new("killed");
        let mut program = Program::start(program::program(&directory).env(URL, database.url()), 1);
        let request = "POST /messages/7 HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n";
        let mut client = program.connect();
        client.stream.write_all(request.as_bytes()).expect("it is sent");
        let notifies = "pg_stat_activity WHERE wait_event = 'PgSleep'";
        wait_until("the commit", async || database.count(notifies).await == 1).await;
        assert_eq!(database.count("conduit_messages").await, 1);
        program.child.kill().expect("it runs");
        program.child.wait().expect("it is our child");
        assert_eq!(next_number(&mut updates).await, Some(7));
        database.close_connections().await;
    });
}
