//! The session of a request, which its layers and its handler share: the steps in the store, and the cookie.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conduit_core::internal::error_form::is_development_on_this_thread;
use conduit_core::internal::layer::PendingCookie;
use cookie::Cookie;
use cookie::time::Duration as CookieDuration;
use http::header::{CACHE_CONTROL, COOKIE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::cookie_seal::{self, HOST_PREFIX};
use super::id::SessionId;
use super::record::{Record, in_tombstone, tombstone};
use super::{SessionStorage, Sessions};
use crate::body::BoxError;
use crate::extract::{sent_cookies, sent_values};
use crate::layer::{StoreTransaction, Value, by_address, vary_on};
use crate::problem::Problem;
use crate::request::Request;

/// The largest stored form of a session: its data and messages as JSON, and two times.
const LIMIT_BYTES: usize = 64 * 1024;

/// The time for which the store remembers an old id, for slow and queued requests.
const TOMBSTONE_LIFETIME: Duration = Duration::from_secs(60);

/// The number of attempts to write while other requests write the same session.
const ATTEMPTS: usize = 32;

/// The sessions of a request, in its extensions: one for each cookie name.
#[derive(Clone, Default)]
struct CurrentSessions(Vec<CurrentSession>);

/// The session of a request, shared by all extractors of its layers and handler.
#[derive(Clone)]
pub(super) struct CurrentSession {
    sessions: Sessions,
    /// The account that the memory in the store is charged to.
    account: Arc<str>,
    status: Arc<Mutex<Status>>,
    pending_cookie: PendingCookie,
}

#[derive(Debug, Default)]
struct Status {
    stored: Stored,
    cookie: CookieChange,
    /// The header fields of the response are written, so the cookie can no longer change.
    is_answered: bool,
    /// A transaction of the handler may lock the record. Another connection would wait for its end, and the handler for both.
    is_in_transaction: bool,
}

/// The session as the store or its cookie has it.
#[derive(Clone, Debug, Default)]
enum Stored {
    #[default]
    Absent,
    /// The id and the record.
    Live(SessionId, Bytes),
    /// The session has another id, which this request does not know. The record is that of the first id, for a further sign-in.
    Rotated(Bytes),
}

/// The change of the client's cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CookieChange {
    #[default]
    Unchanged,
    Set,
    Removed,
}

impl Stored {
    fn record(&self) -> Option<Record> {
        match self {
            Stored::Live(_, bytes) => Record::parse(bytes),
            Stored::Absent | Stored::Rotated(_) => None,
        }
    }

    /// The record that a rotation continues.
    fn record_before_rotation(&self, sessions: &Sessions) -> Option<Record> {
        match self {
            Stored::Rotated(before) => {
                Record::parse(before).filter(|record| !record.remaining(&sessions.settings).is_zero())
            }
            other => other.record(),
        }
    }
}

impl CurrentSession {
    /// Returns the session that an extractor of the request has opened, or opens it.
    pub(super) async fn of(request: &mut Request, sessions: Sessions) -> Result<Self, Problem> {
        let name = &sessions.settings.name;
        let opened = request.extensions().get::<CurrentSessions>();
        let opened = opened.and_then(|opened| {
            let mut opened = opened.0.iter();
            opened.find(|current| current.sessions.settings.name == *name)
        });
        match opened {
            Some(current) if current.sessions.storage.is_same(&sessions.storage) => Ok(current.clone()),
            Some(_) => Err(misuse(format!(
                "two `Sessions` of one request use the cookie `{name}`: set another `Sessions::cookie_name` for one of \
                 them, or let `FromRef` return clones of the same `Sessions`"
            ))),
            None => Self::open(request, sessions).await,
        }
    }

    /// Looks up the session of a request, and attaches it to the request.
    async fn open(request: &mut Request, sessions: Sessions) -> Result<Self, Problem> {
        let pending_cookie = PendingCookie::of(request).ok_or_else(|| {
            misuse("an extractor or a layer that uses `Session` must set `FromRequest::IS_AMBIENT` to true")
        })?;
        let current = CurrentSession {
            pending_cookie,
            account: by_address(request).into(),
            sessions,
            status: Arc::default(),
        };
        let name = current.cookie_name();
        match &current.sessions.storage {
            SessionStorage::Store(_) => {
                let id = sent_values(request, &name).find_map(|value| SessionId::parse(&value.ok()?));
                if let Some(id) = id {
                    let stored = current.load(id).await?;
                    current.lock().stored = stored;
                }
            }
            SessionStorage::Cookie(seal) => {
                let cookie = sent_values(request, &name).find_map(|value| seal.open(&name, &value.ok()?));
                if let Some(opened) = cookie {
                    current.continue_opened(opened);
                }
            }
        }
        let at_the_end = current.clone();
        request.change_response(move |headers| at_the_end.change(headers, &name));
        let opened = request.extensions_mut().get_or_insert_default::<CurrentSessions>();
        opened.0.push(current.clone());
        Ok(current)
    }

    /// Returns whether the request cannot have a session: no layer has begun one, and no cookie has the form of an id.
    /// The name of the cookie is in the state, which is unavailable here.
    pub(super) fn is_absent(request: &Request) -> bool {
        let opened = request.extensions().get::<CurrentSessions>();
        if opened.is_some_and(|opened| opened.0.iter().any(CurrentSession::is_active)) {
            return false;
        }
        let prefix = if is_development_on_this_thread() {
            ""
        } else {
            HOST_PREFIX
        };
        !sent_cookies(request).any(|cookie| {
            let value = cookie.value();
            cookie.name.starts_with(prefix.as_bytes())
                && value.is_ok_and(|value| SessionId::parse(&value).is_some() || cookie_seal::is_sealed(&value))
        })
    }

    /// Continues the session of an encrypted cookie, unless it has ended.
    fn continue_opened(&self, opened: cookie_seal::Opened) {
        let Some(mut record) = Record::parse(opened.record.as_bytes()) else {
            return;
        };
        let settings = &self.sessions.settings;
        if record.remaining(settings).is_zero() {
            return;
        }
        let is_touched = record.is_touch_due(settings);
        if is_touched {
            record.touch();
        }
        let mut status = self.lock();
        status.stored = Stored::Live(opened.id, record.to_bytes().into());
        if is_touched || opened.is_outdated {
            // A layer may store the response: without the cookie of a renewal, the client keeps a valid one.
            status.cookie = CookieChange::Set;
        }
    }

    /// Returns the id, which concurrent requests of the session share until it rotates.
    pub(super) fn id(&self) -> Option<SessionId> {
        match self.lock().stored {
            Stored::Live(id, _) => Some(id),
            Stored::Absent | Stored::Rotated(_) => None,
        }
    }

    /// Begins an empty session for a visitor who has none.
    pub(super) async fn begin_if_absent(&self) -> Result<(), Problem> {
        if matches!(self.lock().stored, Stored::Absent) {
            self.begin(&Record::new()).await?;
        }
        Ok(())
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.lock().stored, Stored::Live(..))
    }

    pub(super) fn record(&self) -> Option<Record> {
        self.lock().stored.record()
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cookie_name(&self) -> String {
        let name = &self.sessions.settings.name;
        match is_development_on_this_thread() {
            true => name.clone(),
            false => format!("{HOST_PREFIX}{name}"),
        }
    }

    /// Loads the session of an id, and records the time of this request if that is due.
    async fn load(&self, id: SessionId) -> Result<Stored, Problem> {
        let found = self.get(id).await?;
        let (Stored::Live(_, bytes), Some(mut record)) = (&found, found.record()) else {
            return Ok(found);
        };
        if !record.is_touch_due(&self.sessions.settings) {
            return Ok(found);
        }
        record.touch();
        let touched = record.to_bytes();
        match self.replace(id, Some(bytes), Some(self.value(&record, &touched))).await {
            Ok(true) => Ok(Stored::Live(id, touched.into())),
            // Another request has written it, or ended it.
            Ok(false) => self.get(id).await,
            // The next request tries again; this one needs no write.
            Err(_) => Ok(found),
        }
    }

    async fn get(&self, id: SessionId) -> Result<Stored, Problem> {
        let SessionStorage::Store(store) = &self.sessions.storage else {
            return Ok(self.lock().stored.clone());
        };
        let found = store.get(&id.key()).await;
        let Some(bytes) = found.map_err(|error| failed(&error))? else {
            return Ok(Stored::Absent);
        };
        if let Some(before) = in_tombstone(&bytes) {
            return Ok(Stored::Rotated(before));
        }
        let is_live = Record::parse(&bytes).is_some_and(|record| !record.remaining(&self.sessions.settings).is_zero());
        Ok(if is_live {
            Stored::Live(id, bytes)
        } else {
            Stored::Absent
        })
    }

    /// A record, and its stored form.
    fn value<'a>(&'a self, record: &Record, bytes: &'a [u8]) -> Value<'a> {
        Value {
            bytes,
            lifetime: record.remaining(&self.sessions.settings),
            account: &self.account,
            is_pinned: false,
        }
    }

    /// Replaces the record in the store. For a session in a cookie, only compares it with that of this request; `continue_as` sets it.
    async fn replace(&self, id: SessionId, expected: Option<&[u8]>, value: Option<Value<'_>>) -> Result<bool, Problem> {
        match &self.sessions.storage {
            SessionStorage::Store(store) => {
                let replaced = store.replace(&id.key(), expected, value).await;
                replaced.map_err(|error| failed(&error))
            }
            SessionStorage::Cookie(_) => Ok(expected.is_none_or(|expected| {
                matches!(&self.lock().stored, Stored::Live(known, bytes) if *known == id && bytes == expected)
            })),
        }
    }

    /// Changes the record in one atomic step.
    pub(super) async fn write<R>(
        &self,
        is_rotation: bool,
        mut change: impl FnMut(&mut Record) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        self.check_is_unlocked()?;
        for _ in 0..ATTEMPTS {
            let stored = self.lock().stored.clone();
            let before = match is_rotation {
                true => stored.record_before_rotation(&self.sessions),
                false => stored.record(),
            };
            let before = before.unwrap_or_else(Record::new);
            let mut record = before.clone();
            let result = change(&mut record)?;
            if record == before && (!is_rotation || matches!(stored, Stored::Absent)) {
                return Ok(result);
            }
            match is_rotation {
                true => record.rotate(),
                false => record.touch(),
            }
            let is_written = match stored {
                Stored::Absent => self.begin(&record).await?,
                Stored::Live(id, bytes) if is_rotation => self.rotate(id, &bytes, &before, &record).await?,
                Stored::Live(id, bytes) => self.overwrite(id, &bytes, &record).await?,
                // A sign-in that was sent twice, or whose response was lost: the credentials entitle the visitor to a session.
                Stored::Rotated(_) if is_rotation => self.begin(&record).await?,
                Stored::Rotated(_) => return Err(ended()),
            };
            if is_written {
                return Ok(result);
            }
        }
        Err(contended())
    }

    /// Changes the record in a transaction of the caller, and rejects each later write of this request outside of one.
    pub(super) async fn write_in<R>(
        &self,
        transaction: &mut impl StoreTransaction,
        mut change: impl FnMut(&mut Record) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        if let SessionStorage::Cookie(_) = &self.sessions.storage {
            return Err(misuse(
                "sessions in cookies cannot change in a transaction: store the sessions in the database of the transaction",
            ));
        }
        // The id and the cookie are not part of the transaction, whose outcome is unknown here.
        self.begin_if_absent().await?;
        let id = self.id().ok_or_else(ended)?;
        for _ in 0..ATTEMPTS {
            let found = transaction
                .get(&id.key())
                .await
                .map_err(|error| failed(&error.to_string()))?;
            let before = found.as_deref().and_then(Record::parse);
            let (Some(bytes), Some(before)) = (&found, before) else {
                return Err(ended());
            };
            let mut record = before.clone();
            let result = change(&mut record)?;
            if record == before {
                return Ok(result);
            }
            record.touch();
            let changed = self.bounded(&record)?;
            let value = self.value(&record, &changed);
            // An error or a dropped call may also hold the lock until the rollback.
            self.lock().is_in_transaction = true;
            let replaced = transaction.replace(&id.key(), Some(bytes), Some(value)).await;
            if replaced.map_err(|error| failed(&error.to_string()))? {
                return Ok(result);
            }
        }
        Err(contended())
    }

    /// Rejects a write through the store whose record a transaction of this request may lock.
    fn check_is_unlocked(&self) -> Result<(), Problem> {
        match self.lock().is_in_transaction {
            true => Err(misuse(
                "the transaction of `Session::update_in` locks the session: change the session before `update_in`, or \
                 call `update_in` again",
            )),
            false => Ok(()),
        }
    }

    /// Begins the session.
    async fn begin(&self, record: &Record) -> Result<bool, Problem> {
        let (id, bytes) = self.store_new(record).await?;
        if !self.continue_as(id, &bytes) {
            self.discard(id, &bytes).await;
            return Err(too_late());
        }
        Ok(true)
    }

    /// Continues the session under a new id, unless another request has written meanwhile. The new record is stored first: an
    /// error of the store between the two steps loses no session.
    async fn rotate(&self, id: SessionId, expected: &Bytes, before: &Record, record: &Record) -> Result<bool, Problem> {
        let (next_id, next) = self.store_new(record).await?;
        let tombstone = tombstone(expected);
        let value = Value {
            lifetime: TOMBSTONE_LIFETIME,
            ..self.value(record, &tombstone)
        };
        let replaced = self.replace(id, Some(expected), Some(value)).await;
        if matches!(replaced, Ok(true)) && self.continue_as(next_id, &next) {
            return Ok(true);
        }
        self.discard(next_id, &next).await;
        if replaced? {
            // The response with the old id was sent meanwhile.
            self.replace(id, Some(&tombstone), Some(self.value(before, expected)))
                .await?;
            return Err(too_late());
        }
        self.reload(id, true).await
    }

    /// Writes the record, unless another request has written meanwhile.
    async fn overwrite(&self, id: SessionId, expected: &Bytes, record: &Record) -> Result<bool, Problem> {
        let bytes = self.bounded(record)?;
        if !self
            .replace(id, Some(expected), Some(self.value(record, &bytes)))
            .await?
        {
            return self.reload(id, false).await;
        }
        match &self.sessions.storage {
            SessionStorage::Store(_) => self.lock().stored = Stored::Live(id, bytes),
            SessionStorage::Cookie(_) if self.continue_as(id, &bytes) => {}
            SessionStorage::Cookie(_) => return Err(too_late()),
        }
        Ok(true)
    }

    /// Loads the newer record for the next attempt.
    async fn reload(&self, id: SessionId, is_rotation: bool) -> Result<bool, Problem> {
        let newer = self.get(id).await?;
        match &newer {
            Stored::Live(..) => {}
            Stored::Rotated(_) if is_rotation => {}
            Stored::Absent | Stored::Rotated(_) => return Err(ended()),
        }
        self.lock().stored = newer;
        Ok(false)
    }

    /// Stores a record under a new id.
    async fn store_new(&self, record: &Record) -> Result<(SessionId, Bytes), Problem> {
        if self.lock().is_answered {
            return Err(too_late());
        }
        let (id, bytes) = (SessionId::random()?, self.bounded(record)?);
        if !self.replace(id, None, Some(self.value(record, &bytes))).await? {
            return Err(misuse("the random id of a new session is already in use"));
        }
        Ok((id, bytes))
    }

    /// Returns the stored form of a record that is not too large.
    fn bounded(&self, record: &Record) -> Result<Bytes, Problem> {
        let bytes = record.to_bytes();
        let (limit, remedy) = match &self.sessions.storage {
            SessionStorage::Store(_) => (LIMIT_BYTES, "store them elsewhere, and their key in the session"),
            SessionStorage::Cookie(_) => (
                cookie_seal::record_limit(&self.cookie_name()),
                "a browser keeps no cookie of more than 4096 bytes: use sessions in a store",
            ),
        };
        if bytes.len() > limit {
            return Err(misuse(format!(
                "the data and the messages of a session have {} bytes, and the limit is {limit}; {remedy}",
                bytes.len()
            )));
        }
        Ok(bytes.into())
    }

    /// Removes a record whose id no client knows. If that fails, the record is removed at the end of its lifetime.
    async fn discard(&self, id: SessionId, bytes: &Bytes) {
        let _ = self.replace(id, Some(bytes), None).await;
    }

    /// Sets the session of this request and its cookie; returns `false` if the response has already been changed.
    fn continue_as(&self, id: SessionId, bytes: &Bytes) -> bool {
        let mut status = self.lock();
        if status.is_answered {
            return false;
        }
        status.stored = Stored::Live(id, bytes.clone());
        self.change_cookie(&mut status, CookieChange::Set);
        true
    }

    /// Changes the cookie with the response: a layer must not store the response, which is of this client alone.
    fn change_cookie(&self, status: &mut Status, change: CookieChange) {
        status.cookie = change;
        self.pending_cookie.set();
    }

    pub(super) async fn end(&self) -> Result<(), Problem> {
        self.check_is_unlocked()?;
        let mut stored = self.lock().stored.clone();
        loop {
            match stored {
                Stored::Absent => break,
                Stored::Rotated(_) => return Err(ended()),
                Stored::Live(id, bytes) => {
                    if self.replace(id, Some(&bytes), None).await? {
                        break;
                    }
                    stored = self.get(id).await?;
                }
            }
        }
        let mut status = self.lock();
        if status.is_answered && matches!(self.sessions.storage, SessionStorage::Cookie(_)) {
            return Err(too_late());
        }
        if !matches!(status.stored, Stored::Absent) {
            status.stored = Stored::Absent;
            self.change_cookie(&mut status, CookieChange::Removed);
        }
        Ok(())
    }

    /// Adds the cookie to the response, and the fields for caches.
    fn change(&self, headers: &mut HeaderMap, name: &str) {
        let mut status = self.lock();
        status.is_answered = true;
        vary_on(headers, &COOKIE);
        let mut cookie = match (&status.stored, status.cookie) {
            (Stored::Live(id, record), CookieChange::Set) => Cookie::new(
                name,
                match &self.sessions.storage {
                    SessionStorage::Store(_) => id.to_value(),
                    SessionStorage::Cookie(seal) => seal.seal(name, *id, record),
                },
            ),
            (_, CookieChange::Removed) => Cookie::new(name, ""),
            (_, CookieChange::Unchanged | CookieChange::Set) => {
                headers
                    .entry(CACHE_CONTROL)
                    .or_insert(HeaderValue::from_static("private, no-cache"));
                return;
            }
        };
        let settings = &self.sessions.settings;
        cookie.set_path("/");
        cookie.set_http_only(true);
        cookie.set_same_site(settings.same_site);
        cookie.set_secure(name.starts_with(HOST_PREFIX));
        if status.cookie == CookieChange::Removed {
            cookie.make_removal();
        } else if settings.is_persistent {
            cookie.set_max_age(CookieDuration::try_from(settings.lifetime).unwrap_or(CookieDuration::MAX));
        }
        // The value is base64, and the name was checked.
        if let Ok(value) = HeaderValue::try_from(cookie.to_string()) {
            headers.append(SET_COOKIE, value);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

fn misuse(message: impl Into<BoxError>) -> Problem {
    Problem::internal(&*message.into())
}

/// 500: the cookie cannot be sent.
fn too_late() -> Problem {
    misuse(
        "the response and its cookie have been sent: a session can no longer begin or get another id, and a session in a \
         cookie can no longer change; do so before a task, a stream or a WebSocket takes the `Session`",
    )
}

/// 409: the session was replaced after the request began.
fn ended() -> Problem {
    Problem::conflict("the session has ended or got another id after this request began: send the request again")
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

fn failed(error: &str) -> Problem {
    tracing::error!(error, "the store of sessions failed");
    unavailable()
}

fn contended() -> Problem {
    tracing::error!("session update failed: {ATTEMPTS} conflicts with concurrent requests");
    unavailable()
}

fn unavailable() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}
