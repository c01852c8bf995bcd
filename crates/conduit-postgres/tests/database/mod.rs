//! A database of a test with a schema of its engine.

use std::sync::Mutex;
use std::time::Duration;

use conduit::hub::HubEngine;
use conduit::hub::remote::RemoteEngineConfig;
use conduit_postgres::PostgresEngine;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::service::Service;
use crate::topic_server::TestServer;

/// Servers of tests that have ended, for later tests of this process.
static FREE: Mutex<Vec<Service>> = Mutex::new(Vec::new());

/// A server for one test. Its data survives its end, so that `kill` removes that of a volatile one first.
pub(crate) struct Database {
    service: Option<Service>,
    pub(crate) options: PgConnectOptions,
    is_volatile: bool,
    is_stopped: bool,
}

#[allow(dead_code, reason = "not each test file uses all of these")]
impl Database {
    pub(crate) fn open(is_volatile: bool) -> Option<Self> {
        // A server of an earlier test is used again with another schema.
        let free = FREE.lock().expect("no panic").pop();
        let service = free.or_else(Service::start)?;
        let options: PgConnectOptions = service.url.parse().expect("a URL");
        let mut database = Database {
            service: Some(service),
            options,
            is_volatile,
            is_stopped: false,
        };
        database.execute_and_wait("DROP SCHEMA IF EXISTS topics CASCADE; CREATE SCHEMA topics");
        database.options = database.options.clone().options([("search_path", "topics")]);
        Some(database)
    }

    /// The URL of the server; the tables of the test are in the schema `topics`.
    pub(crate) fn url(&self) -> String {
        self.service
            .as_ref()
            .expect("the server is returned by the drop")
            .url
            .clone()
    }

    pub(crate) fn command(&mut self, command: &str) {
        let service = self.service.as_mut().expect("the server is returned by the drop");
        service.command(command);
        self.is_stopped = command != "start";
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.options).await.expect("a connection")
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await;
        done.unwrap_or_else(|error| panic!("{error}: {sql}"));
        connection.close().await.expect("it closes");
    }

    /// Executes as [`execute`](Self::execute) does, outside of a runtime or inside.
    pub(crate) fn execute_and_wait(&self, sql: &str) {
        let execute = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(self.execute(sql));
        };
        std::thread::scope(|scope| scope.spawn(execute).join().expect("no panic"));
    }

    pub(crate) async fn count(&self, of: &str) -> i64 {
        let count = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {of}")));
        count.fetch_one(&mut self.connect().await).await.expect("a number")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Some(mut service) = self.service.take()
        {
            if self.is_stopped {
                service.command("start");
            }
            FREE.lock().expect("no panic").push(service);
        }
    }
}

impl TestServer for Database {
    fn volatile() -> Option<Self> {
        Database::open(true)
    }

    fn durable() -> Option<Self> {
        Database::open(false)
    }

    fn engine(&self, config: RemoteEngineConfig) -> impl HubEngine {
        PostgresEngine::with(self.options.clone(), config)
    }

    fn without_server() -> impl HubEngine {
        PostgresEngine::new(PgConnectOptions::new_without_pgpass().socket("/nonexistent/conduit"))
    }

    fn stop(&mut self) {
        self.command("stop");
    }

    fn kill(&mut self) {
        if self.is_volatile {
            let tables = "conduit_topics, conduit_messages, conduit_processes, conduit_members";
            self.execute_and_wait(&format!("TRUNCATE {tables}"));
        }
        self.command("kill");
    }

    fn start(&mut self) {
        self.command("start");
    }

    async fn close_connections(&self) {
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            .await;
    }

    async fn join_elsewhere(&self, topic: &str, process: u32, members: &[&str], lease: Option<Duration>) {
        // The first connection of an engine creates the tables.
        let mut sql = conduit_postgres::CREATE_TOPIC_TABLES.to_owned();
        let topic: String = topic.bytes().map(|byte| format!("{byte:02x}")).collect();
        if let Some(lease) = lease {
            let until = format!("clock_timestamp() + interval '{} ms'", lease.as_millis());
            sql += &format!("INSERT INTO conduit_processes VALUES ({process}, {until});");
        }
        for member in members {
            let row = format!("'\\x{topic}', {process}, '{member}'");
            sql += &format!("INSERT INTO conduit_members VALUES ({row}) ON CONFLICT DO NOTHING;");
        }
        let channel = "'conduit_topics_' || 'conduit_topics'::regclass::oid";
        sql += &format!("SELECT pg_notify({channel}, '*')");
        self.execute(&sql).await;
    }

    async fn end_lease(&self, process: u32) {
        self.execute(&format!(
            "UPDATE conduit_processes SET until = '2000-01-01' WHERE process = {process}"
        ))
        .await;
    }
}
