//! The statements of the store, each of which is atomic. An expired row counts as absent.
//!
//! A statement reads with the snapshot of its beginning, but a change waits for the other changes of its row, and then finds
//! their result. So `clock_timestamp()` in a change is the time after this wait.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use conduit::layer::{Budget, Taken, Value};
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

/// The most rows that one statement removes.
pub(crate) const REMOVED_AT_ONCE: u16 = 1000;

const GET: &str = "SELECT value FROM conduit_store WHERE key = $1 AND expires_at > statement_timestamp()";

const SET_ABSENT: &str = "
    INSERT INTO conduit_store AS stored (key, value, expires_at) VALUES ($1, $2, clock_timestamp() + $3)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
    WHERE stored.expires_at <= clock_timestamp()";

const SET_EXPECTED: &str = "
    UPDATE conduit_store SET value = $3, expires_at = clock_timestamp() + $4
    WHERE key = $1 AND value = $2 AND expires_at > clock_timestamp()";

const REMOVE_EXPECTED: &str = "
    DELETE FROM conduit_store WHERE key = $1 AND value = $2 AND expires_at > clock_timestamp()";

/// Returns the present value, NULL after an insertion, and no row if another request has set the value meanwhile.
const INSERT: &str = "
    WITH found AS (
        SELECT value FROM conduit_store WHERE key = $1 AND expires_at > statement_timestamp()
    ), inserted AS (
        INSERT INTO conduit_store AS stored (key, value, expires_at)
        SELECT $1, $2, clock_timestamp() + $3 WHERE NOT EXISTS (SELECT FROM found)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
        WHERE stored.expires_at <= clock_timestamp()
        RETURNING NULL::bytea AS value
    )
    SELECT value FROM found UNION ALL SELECT value FROM inserted";

/// A budget is an empty value that expires at the arrival time. Parameters: the key, the interval, the tolerance minus the
/// interval, and the longest lead. Returns the time by which the request is ahead; no row if other requests have exhausted the
/// budget meanwhile. A request that finds an exhausted budget writes nothing: the arrival time decreases only after the clock was
/// set back.
const TAKE: &str = "
    WITH exhausted AS (
        SELECT expires_at - statement_timestamp() + $2 AS ahead FROM conduit_store
        WHERE key = $1 AND expires_at > statement_timestamp() + $3 AND expires_at <= statement_timestamp() + $4
    ), taken AS (
        INSERT INTO conduit_store AS stored (key, value, expires_at)
        SELECT $1, '', clock_timestamp() + $2 WHERE NOT EXISTS (SELECT FROM exhausted)
        ON CONFLICT (key) DO UPDATE
        SET value = '', expires_at = $2 + CASE
            WHEN stored.expires_at > clock_timestamp() + $4 THEN clock_timestamp() + $3
            ELSE greatest(stored.expires_at, clock_timestamp())
        END
        WHERE stored.expires_at <= clock_timestamp() + $3 OR stored.expires_at > clock_timestamp() + $4
        RETURNING expires_at - clock_timestamp() AS ahead
    )
    SELECT ahead FROM exhausted UNION ALL SELECT ahead FROM taken";

/// The longest wait of a change in a transaction of the caller for another transaction.
const LOCK_WAIT: &str = "5s";

const BOUND_WAIT: &str = "SELECT set_config('lock_timeout', $1, true) WHERE current_setting('lock_timeout') = '0'";

const END_BOUND: &str = "SELECT set_config('lock_timeout', '0', true)";

const LOCKED: &str = "another transaction has changed this value and did not end within `lock_timeout` (default: 5 s): \
    roll this transaction back, end the other one, and try again; a request with two transactions must change its session \
    in only one of them";

/// The array is computed once; a subquery of `IN` could be executed again for each row, without its limit.
const REMOVE: &str = "
    DELETE FROM conduit_store WHERE key = ANY (ARRAY (
        SELECT key FROM conduit_store WHERE expiry_hour <= statement_timestamp() AT TIME ZONE 'UTC' - interval '1 hour'
        ORDER BY expiry_hour LIMIT $1 FOR UPDATE SKIP LOCKED
    ))";

pub(crate) async fn get(connection: &mut PgConnection, key: &[u8]) -> sqlx::Result<Option<Bytes>> {
    let value: Option<Vec<u8>> = sqlx::query_scalar(GET).bind(key).fetch_optional(connection).await?;
    Ok(value.map(Bytes::from))
}

pub(crate) async fn replace(
    connection: &mut PgConnection,
    key: &[u8],
    expected: Option<&[u8]>,
    value: Option<Value<'_>>,
) -> sqlx::Result<bool> {
    let change = match (expected, value) {
        (None, Some(value)) => sqlx::query(SET_ABSENT)
            .bind(key)
            .bind(value.bytes)
            .bind(lifetime(value)),
        (Some(expected), Some(value)) => sqlx::query(SET_EXPECTED)
            .bind(key)
            .bind(expected)
            .bind(value.bytes)
            .bind(lifetime(value)),
        (Some(expected), None) => sqlx::query(REMOVE_EXPECTED).bind(key).bind(expected),
        (None, None) => return Ok(get(connection, key).await?.is_none()),
    };
    Ok(change.execute(connection).await?.rows_affected() == 1)
}

pub(crate) async fn insert(connection: &mut PgConnection, key: &[u8], value: Value<'_>) -> sqlx::Result<Option<Bytes>> {
    loop {
        let insert = sqlx::query_scalar(INSERT)
            .bind(key)
            .bind(value.bytes)
            .bind(lifetime(value));
        let found: Option<Option<Vec<u8>>> = insert.fetch_optional(&mut *connection).await?;
        // The next statement sees the value that another request has set during this one.
        if let Some(found) = found {
            return Ok(found.map(Bytes::from));
        }
    }
}

pub(crate) async fn take(connection: &mut PgConnection, key: &[u8], budget: Budget) -> sqlx::Result<Taken> {
    let (needed, tolerance) = (budget.interval(), budget.tolerance());
    // The tolerance is at least one interval.
    let slack = tolerance.saturating_sub(needed);
    let take = sqlx::query_scalar(TAKE)
        .bind(key)
        .bind(interval(needed))
        .bind(interval(slack))
        .bind(interval(budget.longest_lead()));
    let ahead: Option<PgInterval> = take.fetch_optional(connection).await?;
    Ok(budget.taken(ahead.map_or(tolerance + needed, duration)))
}

/// Replaces a value as [`replace`] does, in a transaction of the caller. The wait for a lock is bounded, by the
/// `lock_timeout` of the caller if it has one: the lock may belong to another transaction of the same handler, a
/// deadlock that the server cannot detect. The setting is restored for the later statements of the transaction; an
/// error rolls it back.
pub(crate) async fn replace_in(
    connection: &mut PgConnection,
    key: &[u8],
    expected: Option<&[u8]>,
    value: Option<Value<'_>>,
) -> sqlx::Result<bool> {
    let bounded = sqlx::query(BOUND_WAIT).bind(LOCK_WAIT).fetch_optional(&mut *connection);
    let is_bounded_here = bounded.await?.is_some();
    let replaced = replace(connection, key, expected, value).await;
    let replaced = replaced.map_err(|error| match is_lock_timeout(&error) {
        true => sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, LOCKED)),
        false => error,
    })?;
    if is_bounded_here {
        sqlx::query(END_BOUND).execute(connection).await?;
    }
    Ok(replaced)
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(refusal) if refusal.code().as_deref() == Some("55P03"))
}

/// Removes rows whose hour has ended, except for those that another statement changes. Returns the number of rows.
pub(crate) async fn remove(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let remove = sqlx::query(REMOVE).bind(i64::from(REMOVED_AT_ONCE));
    Ok(remove.execute(connection).await?.rows_affected())
}

fn lifetime(value: Value<'_>) -> PgInterval {
    interval(value.lifetime.min(Value::LONGEST_LIFETIME))
}

pub(crate) fn interval(time: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(time.as_micros()).unwrap_or(i64::MAX),
    }
}

/// The difference of two times, whose days have 24 hours; zero for a negative one.
fn duration(interval: PgInterval) -> Duration {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    let micros = i64::from(interval.days)
        .saturating_mul(DAY)
        .saturating_add(interval.microseconds);
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
