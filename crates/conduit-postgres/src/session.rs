//! The two connections of an engine, from their beginning until one is lost.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use conduit::hub::remote::{
    LaterMessages, MemberChange, MemberChangeKind, ProcessLease, RemoteEngineConfig, RemoteMessage, RemoteUpdate,
    SessionError, TopicSession,
};
use conduit::hub::{HubConfig, HubError, Position, TopicSnapshot};
use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};

use crate::notices::{ALL, Change, Notices, payload};
use crate::store::CREATION_LOCK;
use crate::topics::{self, Bounds};

const TABLES_EXIST: &str = "
    SELECT to_regclass('conduit_topics') IS NOT NULL AND to_regclass('conduit_messages') IS NOT NULL
        AND to_regclass('conduit_processes') IS NOT NULL AND to_regclass('conduit_members') IS NOT NULL";

pub(crate) struct Session {
    connection: PgConnection,
    listener: PgListener,
    notices: Notices,
    channel: String,
    config: HubConfig,
    bounds: Bounds,
    response_timeout: Duration,
    /// The server has refused a notice.
    owes_notice: bool,
}

impl Session {
    pub(crate) async fn open(
        database: PgConnectOptions,
        config: HubConfig,
        engine: &RemoteEngineConfig,
    ) -> Result<Self, SessionError> {
        let response_timeout = engine.response_timeout;
        let mut connection = within(response_timeout, PgConnection::connect_with(&database)).await?;
        let created = create_tables(&mut connection);
        within(response_timeout, created).await?;
        // The number of the table distinguishes services that share a database.
        let channel = sqlx::query_scalar("SELECT 'conduit_topics_' || to_regclass('conduit_topics')::oid");
        let channel: String = within(response_timeout, channel.fetch_one(&mut connection)).await?;
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(response_timeout)
            .connect_lazy_with(database);
        let mut listener = PgListener::connect_with(&pool).await.map_err(session_error)?;
        listener.eager_reconnect(false);
        within(response_timeout, listener.listen(&channel)).await?;
        Ok(Session {
            connection,
            listener,
            notices: Notices::default(),
            channel,
            bounds: Bounds::new(&config, engine),
            config,
            response_timeout,
            owes_notice: false,
        })
    }

    /// Notifies all processes. The notice has no part in a transaction with data: one that notifies holds a lock of the whole
    /// server during its commit. The change is done although the server refuses the notice, such as with a full queue.
    async fn notify(&mut self, payload: String) -> Result<(), SessionError> {
        let notify = sqlx::query("SELECT pg_notify($1, $2)")
            .bind(&self.channel)
            .bind(payload);
        match within(self.response_timeout, notify.execute(&mut self.connection)).await {
            Err(SessionError::Refused(error)) => {
                tracing::error!(
                    error,
                    "PostgreSQL rejected a NOTIFY; the next renewal of the lease repeats it"
                );
                self.owes_notice = true;
                Ok(())
            }
            notified => notified.map(drop),
        }
    }

    /// Publishes messages of which some may be published.
    async fn publish_again(&mut self, messages: &[RemoteMessage]) -> sqlx::Result<Vec<Position>> {
        topics::begin_topics(&mut self.connection, messages).await?;
        let mut transaction = self.connection.begin().await?;
        let names = messages.iter().map(|message| message.topic.as_bytes()).collect();
        topics::lock(&mut transaction, names).await?;
        let tokens: Vec<&str> = messages.iter().map(|message| &*message.token).collect();
        let found = topics::find(&mut transaction, &tokens).await?;
        let missing: Vec<_> = messages
            .iter()
            .filter(|message| !found.contains_key(&message.token))
            .collect();
        let mut published = topics::publish(&mut transaction, &missing, &self.bounds)
            .await?
            .into_iter();
        transaction.commit().await?;
        let position = |message: &RemoteMessage| found.get(&message.token).copied().or_else(|| published.next());
        Ok(messages.iter().filter_map(position).collect())
    }

    async fn join(&mut self, process: i64, joins: &[&MemberChange]) -> sqlx::Result<Vec<i64>> {
        let (names, members): (Vec<_>, Vec<_>) = joins.iter().map(|change| arrays(change)).unzip();
        let mut transaction = self.connection.begin().await?;
        topics::lock(&mut transaction, names.clone()).await?;
        let full = topics::join(&mut transaction, process, names, members, self.config.members).await?;
        transaction.commit().await?;
        Ok(full)
    }
}

impl TopicSession for Session {
    const SENDS_HINTS: bool = true;

    async fn update(&mut self) -> Result<RemoteUpdate, SessionError> {
        loop {
            if let Some(update) = self.notices.take() {
                return Ok(update);
            }
            let notice = self.listener.try_recv().await;
            self.notices.note(noticed(notice)?.payload());
            // Notices of one moment are one update.
            while let Poll::Ready(notice) = at_once(self.listener.try_recv()).await {
                self.notices.note(noticed(notice)?.payload());
            }
        }
    }

    async fn subscribe(&mut self, topics: &[Arc<str>]) -> Result<(), SessionError> {
        for topic in topics {
            self.notices.subscribe(topic);
        }
        Ok(())
    }

    async fn unsubscribe(&mut self, topic: &Arc<str>) -> Result<(), SessionError> {
        self.notices.unsubscribe(topic);
        Ok(())
    }

    async fn read(
        &mut self,
        topics: &[(Arc<str>, Option<Position>)],
    ) -> Result<Vec<Result<TopicSnapshot, String>>, SessionError> {
        let read = topics::read(&mut self.connection, topics, &self.config, self.bounds.ttl);
        match within(self.response_timeout, read).await {
            Ok(read) => {
                let removed = || "another process has removed the topic".to_owned();
                Ok(read.into_iter().map(|snapshot| snapshot.ok_or_else(removed)).collect())
            }
            Err(SessionError::Refused(error)) => Ok(vec![Err(error); topics.len()]),
            Err(error) => Err(error),
        }
    }

    async fn read_after(&mut self, topics: &[(Arc<str>, Position)]) -> Result<LaterMessages, SessionError> {
        let read = topics::read_later(&mut self.connection, topics, &self.config);
        within(self.response_timeout, read).await
    }

    async fn remove_expired(&mut self) -> Result<bool, SessionError> {
        within(self.response_timeout, topics::remove(&mut self.connection)).await
    }

    async fn publish(&mut self, messages: &[RemoteMessage]) -> Result<Vec<Result<Position, String>>, SessionError> {
        let timeout = self.response_timeout;
        let positions = if messages.iter().any(|message| message.is_retry) {
            within(timeout, self.publish_again(messages)).await?
        } else {
            let messages: Vec<_> = messages.iter().collect();
            let published = topics::publish(&mut self.connection, &messages, &self.bounds);
            within(timeout, published).await?
        };
        let topics = messages.iter().map(|message| &message.topic);
        self.notify(payload(Change::Messages, topics)).await?;
        Ok(positions.into_iter().map(Ok).collect())
    }

    async fn change_members(
        &mut self,
        process: u64,
        changes: &[MemberChange],
    ) -> Result<Vec<Result<(), HubError>>, SessionError> {
        let process = process.cast_signed();
        // The last change of a member wins.
        let last: HashMap<_, _> = changes
            .iter()
            .enumerate()
            .map(|(place, change)| (arrays(change), place))
            .collect();
        let (leaving, joining): (Vec<_>, Vec<_>) = changes
            .iter()
            .enumerate()
            .filter(|(place, change)| last.get(&arrays(change)) == Some(place))
            .map(|(_, change)| change)
            .partition(|change| change.kind == MemberChangeKind::Leave);
        if !leaving.is_empty() {
            let (names, members): (Vec<_>, Vec<_>) = leaving.into_iter().map(arrays).unzip();
            let left = topics::leave(&mut self.connection, process, names, members);
            within(self.response_timeout, left).await?;
        }
        let mut full = HashSet::new();
        if !joining.is_empty() {
            let timeout = self.response_timeout;
            for place in within(timeout, self.join(process, &joining)).await? {
                let refused = usize::try_from(place - 1).ok().and_then(|place| joining.get(place));
                full.extend(refused.map(|change| arrays(change)));
            }
        }
        // All joins of a member have the result of the last one.
        let result = |change: &MemberChange| match full.contains(&arrays(change)) {
            true if change.kind != MemberChangeKind::Leave => Err(HubError::Full { what: "members" }),
            _ => Ok(()),
        };
        let results = changes.iter().map(result).collect();
        let topics = changes.iter().map(|change| &change.topic);
        self.notify(payload(Change::Members, topics)).await?;
        Ok(results)
    }

    async fn renew_lease(&mut self, process: u64, lease: Duration) -> Result<ProcessLease, SessionError> {
        let renewed = topics::renew(&mut self.connection, process, lease);
        let renewed = within(self.response_timeout, renewed).await?;
        let responds = sqlx::query("SELECT").execute(&mut self.listener);
        within(self.response_timeout, responds).await?;
        if std::mem::take(&mut self.owes_notice) {
            self.notify(ALL.to_owned()).await?;
        }
        Ok(renewed)
    }

    async fn refresh(&mut self, topics: &[Arc<str>]) -> Result<(), SessionError> {
        let names = topics.iter().map(|topic| topic.as_bytes()).collect();
        let refresh = topics::refresh(&mut self.connection, names, self.bounds.ttl);
        within(self.response_timeout, refresh).await
    }
}

fn arrays(change: &MemberChange) -> (&[u8], &[u8]) {
    (change.topic.as_bytes(), change.member.as_bytes())
}

/// Creates the tables if they are missing. A role that cannot create tables needs no right for that where they exist.
async fn create_tables(connection: &mut PgConnection) -> sqlx::Result<()> {
    let exist: bool = sqlx::query_scalar(TABLES_EXIST).fetch_one(&mut *connection).await?;
    if !exist {
        // The statements of one text are one transaction. Without the lock, concurrent creations of one table can fail.
        let sql = format!("{CREATION_LOCK} {}", crate::CREATE_TOPIC_TABLES);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await?;
    }
    Ok(())
}

/// Polls a future once, which must be cancel safe.
async fn at_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// The notice; the listener returns none after the loss of its connection.
fn noticed(notice: sqlx::Result<Option<PgNotification>>) -> Result<PgNotification, SessionError> {
    let notice = notice.map_err(|error| SessionError::Lost(error.to_string()))?;
    notice.ok_or_else(|| SessionError::Lost("the connection for notices was lost".to_owned()))
}

async fn within<T>(time: Duration, request: impl Future<Output = sqlx::Result<T>>) -> Result<T, SessionError> {
    match tokio::time::timeout(time, request).await {
        Ok(result) => result.map_err(session_error),
        Err(_) => Err(SessionError::Lost("the server does not respond".to_owned())),
    }
}

/// An error that ends the session, or one that concerns a request, such as that of a full disk.
fn session_error(error: sqlx::Error) -> SessionError {
    // The classes of SQLSTATE: connections, a read-only standby, a request that lost a conflict, resources, operators.
    let ends_session =
        |code: &str| ["08", "25", "40", "57P"].iter().any(|class| code.starts_with(class)) || code == "53300";
    let is_refusal = match &error {
        sqlx::Error::Database(refusal) => !refusal.code().is_some_and(|code| ends_session(&code)),
        _ => false,
    };
    match is_refusal {
        true => SessionError::Refused(error.to_string()),
        false => SessionError::Lost(error.to_string()),
    }
}
