//! Runs with PostgreSQL: the test rows of all engines.

mod database;
#[path = "../../conduit/tests/support/program.rs"]
#[allow(dead_code, reason = "the test needs some of it")]
mod program;
#[path = "../../conduit/tests/support/run_rows.rs"]
#[allow(dead_code, reason = "the test needs some of it")]
mod run_rows;
#[path = "../../conduit/tests/support/service.rs"]
mod service;
#[path = "../../conduit/tests/support/topic_server.rs"]
#[allow(dead_code, reason = "the rows of topics use the rest")]
mod topic_server;

use conduit_postgres::PostgresEngine;
use database::Database;
use run_rows::run_rows;
use sqlx::postgres::PgConnectOptions;
use topic_server::TestServer;

run_rows!(Database, "CONDUIT_TEST_SERVER", Database::url, |url: &str| {
    let options: PgConnectOptions = url.parse().expect("a URL");
    PostgresEngine::new(options.options([("search_path", "topics")]))
});
