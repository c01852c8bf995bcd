//! The statements of topics, each of which is a transaction unless its caller begins one.
//!
//! A statement reads with the snapshot of its beginning, but a change waits for the other changes of its row, and then finds
//! their result. Statements that lock several topics do so in the order of their names.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use conduit::hub::remote::{LaterMessages, ProcessLease, RemoteEngineConfig, RemoteMessage, time_to_live};
use conduit::hub::{EngineMessage, HubConfig, Position, TopicSnapshot};
use sqlx::{PgConnection, Row as _};

use crate::statements::{REMOVED_AT_ONCE, interval};

/// A message is kept for at least this time, in which its publisher may repeat it.
const SHORTEST_REPETITION: Duration = Duration::from_secs(30);
/// The number of messages of a topic besides its history: a process that lags by more has a gap.
const LAG_MESSAGES: i64 = 1000;
/// Messages beyond the bound are removed at each multiple of this number.
const REMOVAL_STEP: i64 = 128;
/// The most messages beyond the bound that one step removes: more than a step adds.
const REMOVED_AT_STEP: i64 = 1024;
/// The most messages of a topic that one statement reads after those of a replica.
const LATER_MESSAGES: i64 = 256;

/// Publishes messages, and removes those beyond the bound whose publishers no longer repeat them: of the oldest, whose array is
/// computed once, while a join could read them again for each message of the topic. The upsert takes the locks of the topics in the
/// order of the names, and keeps them until the commit.
const PUBLISH: &str = "
    WITH sent AS (
        SELECT topic, json, token, place,
            row_number() OVER (PARTITION BY topic ORDER BY place) AS rank, count(*) OVER (PARTITION BY topic) AS count
        FROM unnest($1::bytea[], $2::text[], $3::text[]) WITH ORDINALITY AS sent (topic, json, token, place)
    ), numbered AS (
        INSERT INTO conduit_topics AS known (name, epoch, last, expires_at)
        SELECT topic, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, count(*), clock_timestamp() + $4::interval
        FROM sent GROUP BY topic ORDER BY topic
        ON CONFLICT (name) DO UPDATE SET last = known.last + excluded.last,
            expires_at = CASE WHEN known.expires_at < clock_timestamp() + $4::interval / 2 THEN excluded.expires_at
                ELSE known.expires_at END
        RETURNING name, epoch, last
    ), placed AS (
        SELECT place, topic, epoch, last - count + rank AS number, token, json FROM sent JOIN numbered ON name = topic
    ), added AS (
        INSERT INTO conduit_messages (topic, epoch, number, token, published_at, expires_at, json)
        SELECT topic, epoch, number, token, clock_timestamp(), clock_timestamp() + $4::interval, json FROM placed
    ), removed AS (
        DELETE FROM conduit_messages WHERE ctid = ANY (ARRAY (
            SELECT oldest.ctid FROM placed AS step CROSS JOIN LATERAL (
                SELECT ctid, published_at FROM conduit_messages
                WHERE topic = step.topic AND epoch = step.epoch AND number <= step.number - $5
                ORDER BY number LIMIT $8
            ) AS oldest
            WHERE step.number % $6 = 0 AND published_at < statement_timestamp() - $7::interval
        ))
    )
    SELECT epoch, number FROM placed ORDER BY place";

const LOCK: &str = "SELECT FROM conduit_topics WHERE name = ANY ($1) ORDER BY name FOR UPDATE";

const FIND: &str = "SELECT token, epoch, number FROM conduit_messages WHERE token = ANY ($1)";

/// Begins topics that are missing. A topic without a message is short-lived until a process refreshes it: clients may have
/// invented its name.
const BEGIN: &str = "
    INSERT INTO conduit_topics (name, epoch, last, expires_at)
    SELECT name, greatest((extract(epoch FROM clock_timestamp()) * 1000)::bigint, epoch + 1), 0,
        clock_timestamp() + interval '1 minute'
    FROM unnest($1::bytea[], $2::bigint[]) AS missing (name, epoch)
    WHERE NOT EXISTS (SELECT FROM conduit_topics AS topics WHERE topics.name = missing.name)
    ORDER BY name
    ON CONFLICT (name) DO NOTHING";

/// Begins topics again whose messages are lost, and extends the time to live of others. It follows the commit of `BEGIN`:
/// each of both takes its locks in the order of the names.
const CONTINUE: &str = "
    WITH outdated AS (
        SELECT topics.name, known.epoch, known.last FROM conduit_topics AS topics
        JOIN unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS known (name, epoch, last) ON topics.name = known.name
        WHERE (topics.epoch, topics.last) < (known.epoch, known.last) OR topics.expires_at
            < clock_timestamp() + CASE topics.last WHEN 0 THEN interval '1 minute' ELSE $4::interval END / 2
        ORDER BY topics.name FOR UPDATE OF topics
    )
    UPDATE conduit_topics AS topics SET
        epoch = CASE WHEN (topics.epoch, topics.last) < (outdated.epoch, outdated.last)
            THEN greatest((extract(epoch FROM clock_timestamp()) * 1000)::bigint, outdated.epoch + 1) ELSE topics.epoch END,
        last = CASE WHEN (topics.epoch, topics.last) < (outdated.epoch, outdated.last) THEN 0 ELSE topics.last END,
        expires_at = greatest(topics.expires_at,
            clock_timestamp() + CASE topics.last WHEN 0 THEN interval '1 minute' ELSE $4::interval END)
    FROM outdated WHERE topics.name = outdated.name";

/// The last messages of topics within the bounds of the history, the newest first. A topic without one has a row, too.
const READ: &str = "
    SELECT topics.name, topics.epoch, topics.last, message.number, message.json, message.age
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS known (name, epoch, last)
    JOIN conduit_topics AS topics ON topics.name = known.name
    LEFT JOIN LATERAL (
        SELECT number, json, age FROM (
            SELECT number, json, (extract(epoch FROM clock_timestamp() - published_at) * 1000)::bigint AS age,
                sum(octet_length(json)) OVER (ORDER BY number DESC) AS bytes
            FROM (
                SELECT number, json, published_at FROM conduit_messages
                WHERE topic = topics.name AND epoch = topics.epoch
                    AND number > CASE WHEN known.epoch = topics.epoch THEN known.last ELSE 0 END
                ORDER BY number DESC LIMIT $4
            ) AS latest
        ) AS counted WHERE bytes <= $5
    ) AS message ON true
    ORDER BY topics.name, message.number DESC";

const READ_LATER: &str = "
    SELECT known.place, message.epoch, message.number, message.json, message.bytes
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS known (name, epoch, last, place)
    CROSS JOIN LATERAL (
        SELECT * FROM (
            SELECT epoch, number, json, sum(octet_length(json)) OVER (ORDER BY epoch, number) AS bytes FROM (
                SELECT epoch, number, json FROM conduit_messages
                WHERE topic = known.name AND (epoch, number) > (known.epoch, known.last)
                ORDER BY epoch, number LIMIT $4
            ) AS later
        ) AS counted WHERE bytes - octet_length(json) < $5
    ) AS message
    ORDER BY known.place, message.epoch, message.number";

const MEMBERS: &str = "
    SELECT topic, process, member FROM conduit_members JOIN conduit_processes USING (process)
    WHERE topic = ANY ($1) AND until > clock_timestamp()";

const LEAVE: &str = "
    DELETE FROM conduit_members AS members USING unnest($2::bytea[], $3::bytea[]) AS gone (topic, member)
    WHERE members.topic = gone.topic AND members.process = $1 AND members.member = gone.member";

/// Members of processes without a lease take no room.
const JOIN: &str = "
    WITH joining AS (
        SELECT * FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS joining (topic, member, place)
    ), missing AS (
        SELECT topic, member, row_number() OVER (PARTITION BY topic ORDER BY place) AS rank FROM joining
        WHERE NOT EXISTS (
            SELECT FROM conduit_members AS known
            WHERE known.topic = joining.topic AND known.process = $1 AND known.member = joining.member
        )
    ), taken AS (
        SELECT topic, count(*) AS count FROM conduit_members JOIN conduit_processes USING (process)
        WHERE topic = ANY ($2) AND until > clock_timestamp() GROUP BY topic
    ), refused AS (
        SELECT topic, member FROM missing LEFT JOIN taken USING (topic) WHERE rank + coalesce(count, 0) > $4
    ), added AS (
        INSERT INTO conduit_members (topic, process, member)
        SELECT topic, $1, member FROM missing WHERE (topic, member) NOT IN (SELECT topic, member FROM refused)
        ON CONFLICT DO NOTHING
    )
    SELECT place FROM joining JOIN refused USING (topic, member)";

const RENEW: &str = "
    WITH renewed AS (
        INSERT INTO conduit_processes (process, until) VALUES ($1::bigint, clock_timestamp() + $2::interval)
        ON CONFLICT (process) DO UPDATE SET until = excluded.until
    )
    SELECT EXISTS (SELECT FROM conduit_processes WHERE process = $1::bigint AND until > clock_timestamp()),
        ARRAY (SELECT process FROM conduit_processes WHERE until > clock_timestamp()) || $1::bigint";

const REFRESH: &str =
    "UPDATE conduit_topics SET expires_at = clock_timestamp() + $2::interval WHERE name = ANY (ARRAY (
    SELECT name FROM conduit_topics WHERE name = ANY ($1) ORDER BY name FOR UPDATE))";

/// The statement that removes rows of a table whose topics have expired.
macro_rules! remove_of_expired_topics {
    ($table:literal) => {
        concat!(
            "WITH ended AS MATERIALIZED (
                SELECT name FROM conduit_topics WHERE expires_at < statement_timestamp()
                ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
            ), removed AS (
                DELETE FROM ",
            $table,
            " WHERE ctid = ANY (ARRAY (
                    SELECT found.ctid FROM ended CROSS JOIN LATERAL (
                        SELECT ctid FROM ",
            $table,
            " WHERE topic = name LIMIT $1
                    ) AS found LIMIT $1
                )) RETURNING 1
            )
            SELECT count(*) FROM removed"
        )
    };
}

/// Statements that remove expired state. Each returns the number of removed rows, at most `$1`: a topic may have any number of
/// messages. A process and a topic follow their rows in other tables; their own rows are locked meanwhile, so that a process
/// that renews its lease announces its members after the removal. The limits of subqueries keep them from becoming joins, which
/// could read whole tables; arrays are computed once, while a subquery of `IN` could be executed again for each row.
const REMOVE: [&str; 6] = [
    "WITH ended AS MATERIALIZED (
        SELECT process FROM conduit_processes WHERE until < statement_timestamp() LIMIT $1 FOR UPDATE SKIP LOCKED
    ), removed AS (
        DELETE FROM conduit_members WHERE ctid = ANY (ARRAY (
            SELECT found.ctid FROM ended CROSS JOIN LATERAL (
                SELECT ctid FROM conduit_members AS members WHERE members.process = ended.process LIMIT $1
            ) AS found LIMIT $1
        )) RETURNING 1
    )
    SELECT count(*) FROM removed",
    "WITH removed AS (
        DELETE FROM conduit_processes WHERE process = ANY (ARRAY (
            SELECT process FROM conduit_processes AS ended WHERE until < statement_timestamp()
                AND (SELECT true FROM conduit_members AS members WHERE members.process = ended.process LIMIT 1) IS NULL
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )) RETURNING 1
    )
    SELECT count(*) FROM removed",
    remove_of_expired_topics!("conduit_messages"),
    remove_of_expired_topics!("conduit_members"),
    "WITH removed AS (
        DELETE FROM conduit_topics WHERE name = ANY (ARRAY (
            SELECT name FROM conduit_topics WHERE expires_at < statement_timestamp()
                AND (SELECT true FROM conduit_messages WHERE topic = name LIMIT 1) IS NULL
                AND (SELECT true FROM conduit_members WHERE topic = name LIMIT 1) IS NULL
            ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )) RETURNING 1
    )
    SELECT count(*) FROM removed",
    "WITH removed AS (
        DELETE FROM conduit_messages WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM conduit_messages WHERE expires_at < statement_timestamp()
            ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )) RETURNING 1
    )
    SELECT count(*) FROM removed",
];

/// The topics of a request as arrays of names, and of the positions that a process has.
fn arrays(topics: impl Iterator<Item = (Arc<str>, Position)>) -> (Vec<Vec<u8>>, Vec<i64>, Vec<i64>) {
    let mut arrays = (Vec::new(), Vec::new(), Vec::new());
    for (topic, position) in topics {
        arrays.0.push(topic.as_bytes().to_vec());
        arrays.1.push(signed(position.epoch()));
        arrays.2.push(signed(position.number()));
    }
    arrays
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The bounds of the messages in the table.
pub(crate) struct Bounds {
    /// The time for which a message is kept.
    pub(crate) ttl: Duration,
    /// The number of messages of a topic that are kept for this time.
    kept: i64,
    /// The time for which a publisher may repeat a message.
    repetition: Duration,
}

impl Bounds {
    pub(crate) fn new(hub: &HubConfig, engine: &RemoteEngineConfig) -> Self {
        let history = limit(hub.history_messages);
        let repetition = engine
            .queue_timeout
            .saturating_add(engine.response_timeout.saturating_mul(2));
        let ttl = time_to_live(hub);
        Bounds {
            ttl,
            kept: history.saturating_add(LAG_MESSAGES),
            repetition: repetition.clamp(SHORTEST_REPETITION, ttl),
        }
    }
}

fn position(epoch: i64, number: i64) -> Position {
    Position::new(epoch.cast_unsigned(), number.cast_unsigned())
}

/// Publishes messages in their order.
pub(crate) async fn publish(
    connection: &mut PgConnection,
    messages: &[&RemoteMessage],
    bounds: &Bounds,
) -> sqlx::Result<Vec<Position>> {
    let topics: Vec<&[u8]> = messages.iter().map(|message| message.topic.as_bytes()).collect();
    let json: Vec<&str> = messages.iter().map(|message| &*message.json).collect();
    let tokens: Vec<&str> = messages.iter().map(|message| &*message.token).collect();
    let query = sqlx::query_as(PUBLISH).bind(topics).bind(json).bind(tokens);
    let query = query.bind(interval(bounds.ttl)).bind(bounds.kept).bind(REMOVAL_STEP);
    let query = query.bind(interval(bounds.repetition)).bind(REMOVED_AT_STEP);
    let positions: Vec<(i64, i64)> = query.fetch_all(connection).await?;
    Ok(positions
        .into_iter()
        .map(|(epoch, number)| position(epoch, number))
        .collect())
}

/// Begins topics that are missing, each after this epoch.
async fn begin(connection: &mut PgConnection, names: &[Vec<u8>], epochs: &[i64]) -> sqlx::Result<()> {
    let begin = sqlx::query(BEGIN).bind(names).bind(epochs);
    begin.execute(connection).await?;
    Ok(())
}

/// Begins the topics of messages that are missing.
pub(crate) async fn begin_topics(connection: &mut PgConnection, messages: &[RemoteMessage]) -> sqlx::Result<()> {
    let names: Vec<_> = messages
        .iter()
        .map(|message| message.topic.as_bytes().to_vec())
        .collect();
    let epochs = vec![0; names.len()];
    begin(connection, &names, &epochs).await
}

/// Waits for the end of other requests that change these topics; later ones wait for the end of this transaction.
pub(crate) async fn lock(connection: &mut PgConnection, topics: Vec<&[u8]>) -> sqlx::Result<()> {
    sqlx::query(LOCK).bind(topics).execute(connection).await?;
    Ok(())
}

/// The positions of messages that are published.
pub(crate) async fn find(connection: &mut PgConnection, tokens: &[&str]) -> sqlx::Result<HashMap<String, Position>> {
    let found: Vec<(String, i64, i64)> = sqlx::query_as(FIND).bind(tokens).fetch_all(connection).await?;
    let found = found.into_iter();
    Ok(found
        .map(|(token, epoch, number)| (token, position(epoch, number)))
        .collect())
}

/// Reads topics, each after the position that this process has. `None` is a topic that another process has removed.
pub(crate) async fn read(
    connection: &mut PgConnection,
    topics: &[(Arc<str>, Option<Position>)],
    config: &HubConfig,
    ttl: Duration,
) -> sqlx::Result<Vec<Option<TopicSnapshot>>> {
    let known = topics
        .iter()
        .map(|(topic, known)| (Arc::clone(topic), known.unwrap_or_default()));
    let (names, epochs, numbers) = arrays(known);
    begin(connection, &names, &epochs).await?;
    let proceed = sqlx::query(CONTINUE).bind(&names).bind(&epochs).bind(&numbers);
    proceed.bind(interval(ttl)).execute(&mut *connection).await?;
    // The messages of a member that has left are visible to the later statement.
    let members = sqlx::query_as(MEMBERS).bind(&names).fetch_all(&mut *connection);
    let members: Vec<(Vec<u8>, i64, Vec<u8>)> = members.await?;
    let read = sqlx::query(READ).bind(&names).bind(&epochs).bind(&numbers);
    let read = read.bind(limit(config.history_messages));
    let rows = read.bind(limit(config.history_bytes)).fetch_all(connection).await?;
    let mut snapshots: HashMap<Vec<u8>, TopicSnapshot> = HashMap::new();
    for row in rows {
        let (epoch, last) = (row.try_get(1)?, row.try_get(2)?);
        let snapshot = snapshots.entry(row.try_get(0)?).or_insert_with(|| TopicSnapshot {
            last: position(epoch, last),
            complete_after: position(epoch, last),
            ..TopicSnapshot::default()
        });
        let number: Option<i64> = row.try_get(3)?;
        // The messages are the last ones without a gap.
        if let Some(number) = number
            && position(epoch, number) == snapshot.complete_after
        {
            let json: String = row.try_get(4)?;
            let age: i64 = row.try_get(5)?;
            snapshot.messages.push(EngineMessage {
                position: position(epoch, number),
                json: json.into(),
                age: Duration::from_millis(u64::try_from(age).unwrap_or(0)),
            });
            snapshot.complete_after = position(epoch, number - 1);
        }
    }
    for snapshot in snapshots.values_mut() {
        snapshot.messages.reverse();
    }
    for (topic, process, member) in members {
        if let Some(snapshot) = snapshots.get_mut(&topic)
            && let Ok(member) = String::from_utf8(member)
        {
            snapshot.members.push((process.cast_unsigned(), member.into()));
        }
    }
    Ok(names.iter().map(|name| snapshots.remove(name)).collect())
}

/// Reads the messages after those that this process has.
pub(crate) async fn read_later(
    connection: &mut PgConnection,
    topics: &[(Arc<str>, Position)],
    config: &HubConfig,
) -> sqlx::Result<LaterMessages> {
    let (names, epochs, numbers) = arrays(topics.iter().cloned());
    let read = sqlx::query_as(READ_LATER).bind(names).bind(epochs).bind(numbers);
    // The first message of a topic exceeds no bound.
    let limit_bytes = limit(config.history_bytes).max(1);
    let read = read.bind(LATER_MESSAGES).bind(limit_bytes).fetch_all(connection);
    let rows: Vec<(i64, i64, i64, String, i64)> = read.await?;
    let mut later = LaterMessages::default();
    let (mut topic, mut count) = (0, 0);
    for (place, epoch, number, json, bytes) in rows {
        if place != topic {
            (topic, count) = (place, 0);
        }
        count += 1;
        later.has_more |= count == LATER_MESSAGES || bytes >= limit_bytes;
        let known = usize::try_from(place - 1).ok().and_then(|place| topics.get(place));
        if let Some((topic, _)) = known {
            later
                .messages
                .push((Arc::clone(topic), position(epoch, number), json.into()));
        }
    }
    Ok(later)
}

/// Removes members of a process.
pub(crate) async fn leave(
    connection: &mut PgConnection,
    process: i64,
    topics: Vec<&[u8]>,
    members: Vec<&[u8]>,
) -> sqlx::Result<()> {
    let leave = sqlx::query(LEAVE).bind(process).bind(topics).bind(members);
    leave.execute(connection).await?;
    Ok(())
}

/// Adds members of a process. Returns the places of those without room, from 1 on.
pub(crate) async fn join(
    connection: &mut PgConnection,
    process: i64,
    topics: Vec<&[u8]>,
    members: Vec<&[u8]>,
    most: usize,
) -> sqlx::Result<Vec<i64>> {
    let join = sqlx::query_scalar(JOIN).bind(process).bind(topics).bind(members);
    let join = join.bind(limit(most));
    join.fetch_all(connection).await
}

pub(crate) async fn renew(connection: &mut PgConnection, process: u64, lease: Duration) -> sqlx::Result<ProcessLease> {
    let renew = sqlx::query_as(RENEW).bind(signed(process)).bind(interval(lease));
    let (was_live, live): (bool, Vec<i64>) = renew.fetch_one(connection).await?;
    Ok(ProcessLease {
        had_ended: !was_live,
        live: live.into_iter().map(i64::cast_unsigned).collect(),
    })
}

/// Extends the time to live of topics.
pub(crate) async fn refresh(connection: &mut PgConnection, topics: Vec<&[u8]>, ttl: Duration) -> sqlx::Result<()> {
    let refresh = sqlx::query(REFRESH).bind(topics).bind(interval(ttl));
    refresh.execute(connection).await?;
    Ok(())
}

/// Removes processes without a lease, topics that no process follows, and old messages. Returns whether more may remain.
pub(crate) async fn remove(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let most = i64::from(REMOVED_AT_ONCE);
    let mut has_more = false;
    for statement in REMOVE {
        let remove = sqlx::query_scalar(statement).bind(most);
        let removed: i64 = remove.fetch_one(&mut *connection).await?;
        has_more |= removed >= most;
    }
    Ok(has_more)
}
