//! `Session`: the extractor, and its cookie.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use conduit_core::error_form::is_development_on_this_thread;
use cookie::Cookie;
use cookie::time::Duration as CookieDuration;
use http::header::{CACHE_CONTROL, COOKIE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Sessions;
use super::id::SessionId;
use super::record::Record;
use crate::body::BoxError;
use crate::extract::{FromRef, FromRequest, sent_values};
use crate::layer::{Value, by_address, vary_on};
use crate::openapi::{Operation, SecurityScheme};
use crate::problem::Problem;
use crate::request::Request;

/// The largest data of a session, as JSON.
const DATA_LIMIT_BYTES: usize = 64 * 1024;

/// The number of attempts to write while other requests write the same session.
const ATTEMPTS: usize = 32;

/// The prefix of a cookie that only this host can set (RFC 6265bis, section 4.1.3.2).
const HOST_PREFIX: &str = "__Host-";

/// The data of a session: a struct that derives `Default`, `serde::Serialize` and `serde::Deserialize`. There is nothing to
/// implement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the data of a session",
    label = "`{Self}` lacks `Default`, `serde::Serialize` or `serde::Deserialize`",
    note = "write `#[derive(Default, serde::Serialize, serde::Deserialize)]` and `#[serde(default)]` on `{Self}`; fields own their values"
)]
pub trait SessionData: Default + Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Default + Serialize + DeserializeOwned> SessionData for T {}

/// The session of a request. It dereferences to its data, as it was when the request began or at the last change by this
/// request; the data of a visitor without a session is the default. The [module](super) has an example and the guarantees.
///
/// A change is written at once, also if the response is an error. Data that this version of the application cannot read, because the
/// type has changed, begins as the default again, and a warning is logged; `#[serde(default)]` on the struct makes new fields
/// compatible. The data has at most 64 KiB as JSON.
///
/// # Errors
///
/// Rejects with 503 if the store fails.
pub struct Session<T> {
    current: CurrentSession,
    data: T,
}

impl<T: SessionData> Session<T> {
    /// Changes the data in one atomic step, and returns the result of `change`. If another request has written meanwhile,
    /// `change` is called again with the newer data: it should do nothing else.
    ///
    /// The first change begins the session, unless it leaves the default as it is.
    ///
    /// # Errors
    ///
    /// 409 if the session has ended or has got another id since the request began, 503 if the store fails, 500 if the data is
    /// too large.
    pub async fn update<R>(&mut self, change: impl FnMut(&mut T) -> R) -> Result<R, Problem> {
        self.write(false, change).await
    }

    /// As [`update`](Self::update), and continues under a new id: the old one is invalid at once, and the lifetime begins again.
    /// Call it where the visitor signs in or gets more rights, so that an id from before is of no use to others (session
    /// fixation).
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub async fn rotate<R>(&mut self, change: impl FnMut(&mut T) -> R) -> Result<R, Problem> {
        self.write(true, change).await
    }

    /// Keeps a message for the next page, which [`take_flashes`](Self::take_flashes) returns: "The link was removed." after a
    /// redirect. A session keeps the last 16.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub async fn flash(&mut self, message: impl Into<String>) -> Result<(), Problem> {
        let message = message.into();
        self.current
            .write(false, |record| {
                record.push_flash(message.clone());
                Ok(())
            })
            .await
    }

    /// Removes and returns the messages, the oldest first. Of several concurrent requests one gets each message. Without messages
    /// nothing is written.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub async fn take_flashes(&mut self) -> Result<Vec<String>, Problem> {
        self.current
            .write(false, |record| Ok(std::mem::take(&mut record.flashes)))
            .await
    }

    /// Ends the session: removes it from the store and its cookie from the browser. The data is the default afterwards.
    ///
    /// # Errors
    ///
    /// 503 if the store fails; the session goes on then.
    pub async fn end(&mut self) -> Result<(), Problem> {
        self.current.end().await?;
        self.data = T::default();
        Ok(())
    }

    /// Returns whether the visitor has a session: one is stored.
    pub fn is_active(&self) -> bool {
        self.current.lock().stored.is_some()
    }

    async fn write<R>(&mut self, is_rotation: bool, mut change: impl FnMut(&mut T) -> R) -> Result<R, Problem> {
        let data = &mut self.data;
        let change = |record: &mut Record| {
            let mut next = parse::<T>(&record.data);
            let result = change(&mut next);
            let json = serde_json::to_vec(&next).map_err(|error| Problem::internal(&error))?;
            if json.len() > DATA_LIMIT_BYTES {
                let message = format!(
                    "the data of a session has {} bytes, at most {DATA_LIMIT_BYTES} are kept: store it elsewhere, and its \
                     key in the session",
                    json.len()
                );
                return Err(Problem::internal(&*BoxError::from(message)));
            }
            // A visitor without a session has none after a change that changes nothing.
            if !record.data.is_empty() || serde_json::to_vec(&T::default()).ok().as_ref() != Some(&json) {
                record.data = json;
            }
            *data = next;
            Ok(result)
        };
        self.current.write(is_rotation, change).await
    }
}

impl<T> Deref for Session<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: fmt::Debug> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// The data in JSON; the default where it is empty or of another type.
fn parse<T: SessionData>(data: &[u8]) -> T {
    if data.is_empty() {
        return T::default();
    }
    serde_json::from_slice(data).unwrap_or_else(|error| {
        let of = std::any::type_name::<T>();
        tracing::warn!(%error, "the stored data of a session is no {of}, and begins again as the default");
        T::default()
    })
}

#[diagnostic::do_not_recommend]
impl<S, T: SessionData> FromRequest<S> for Session<T>
where
    Sessions: FromRef<S>,
{
    const IS_AMBIENT: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        let current = match request.extensions().get::<CurrentSession>() {
            Some(current) => current.clone(),
            None => CurrentSession::open(request, Sessions::from_ref(state)).await?,
        };
        let record = current.lock().record();
        let data = record.map(|record| parse(&record.data)).unwrap_or_default();
        Ok(Session { current, data })
    }

    /// A visitor may have no session.
    fn describe(operation: &mut Operation) {
        operation.optional(|operation| {
            operation.security("session", scheme(), &[]);
        });
        describe_problems(operation);
    }
}

fn scheme() -> SecurityScheme {
    SecurityScheme::api_key_in_cookie("__Host-session").description("The cookie of a session.")
}

fn describe_problems(operation: &mut Operation) {
    operation.problem(StatusCode::SERVICE_UNAVAILABLE, "The store of sessions fails.");
}

/// The session of a visitor who has one: the credentials of a guard. It dereferences to the [`Session`].
///
/// # Errors
///
/// Rejects with 401 without a session, and with 503 if the store fails.
#[derive(Debug)]
pub struct ActiveSession<T>(pub Session<T>);

impl<T> ActiveSession<T> {
    /// The 401 for a session that does not suffice: that of a visitor who has not signed in, for example.
    pub fn refused(detail: &'static str) -> Problem {
        let challenge = HeaderValue::from_static("ApiKey in=\"cookie\", name=\"__Host-session\"");
        Problem::unauthorized(detail).with_header(WWW_AUTHENTICATE, challenge)
    }
}

impl<T> Deref for ActiveSession<T> {
    type Target = Session<T>;

    fn deref(&self) -> &Session<T> {
        &self.0
    }
}

impl<T> DerefMut for ActiveSession<T> {
    fn deref_mut(&mut self) -> &mut Session<T> {
        &mut self.0
    }
}

#[diagnostic::do_not_recommend]
impl<S, T: SessionData> FromRequest<S> for ActiveSession<T>
where
    Sessions: FromRef<S>,
{
    const IS_AMBIENT: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        let session = Session::<T>::from_request(request, state).await?;
        match session.is_active() {
            true => Ok(ActiveSession(session)),
            false => Err(Self::refused("this needs a session: sign in first")),
        }
    }

    fn describe(operation: &mut Operation) {
        operation
            .security("session", scheme(), &[])
            .problem(StatusCode::UNAUTHORIZED, "There is no valid session.");
        describe_problems(operation);
    }
}

/// In the extensions of a request: its session, for all extractors of its layers and handler.
#[derive(Clone)]
struct CurrentSession {
    sessions: Sessions,
    /// The party that the memory in the store is accounted to.
    account: Arc<str>,
    status: Arc<Mutex<Status>>,
}

#[derive(Debug, Default)]
struct Status {
    /// The id of the stored session, and its record as it is stored.
    stored: Option<(SessionId, Bytes)>,
    cookie: CookieChange,
}

/// The change of the client's cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CookieChange {
    #[default]
    Unchanged,
    Set,
    Removed,
}

impl Status {
    fn record(&self) -> Option<Record> {
        self.stored.as_ref().and_then(|(_, bytes)| Record::parse(bytes))
    }
}

impl CurrentSession {
    /// Looks up the session of a request, and attaches it to the request.
    async fn open(request: &mut Request, sessions: Sessions) -> Result<Self, Problem> {
        let current = CurrentSession {
            account: by_address(request).into(),
            sessions,
            status: Arc::default(),
        };
        let name = current.cookie_name();
        let sent = sent_values(request, &name).find_map(|value| SessionId::parse(&value.ok()?));
        if let Some(id) = sent {
            let stored = current.load(id).await?;
            current.lock().stored = stored.map(|bytes| (id, bytes));
        }
        let at_the_end = current.clone();
        if !request.change_response(move |headers| at_the_end.change(headers, &name)) {
            let message = "an extractor or a layer that uses `Session` must set `FromRequest::IS_AMBIENT` to true";
            return Err(Problem::internal(&*BoxError::from(message)));
        }
        request.extensions_mut().insert(current.clone());
        Ok(current)
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

    /// The live record of an id, with the time of this request where that is due.
    async fn load(&self, id: SessionId) -> Result<Option<Bytes>, Problem> {
        let Some(bytes) = self.get(id).await? else {
            return Ok(None);
        };
        let Some(mut record) = Record::parse(&bytes) else {
            return Ok(None);
        };
        if !record.is_touch_due(&self.sessions.settings) {
            return Ok(Some(bytes));
        }
        record.touch();
        let touched = record.to_bytes();
        match self.replace(id, Some(&bytes), Some((&record, &touched))).await {
            Ok(true) => Ok(Some(touched.into())),
            // Another request has written it, or ended it.
            Ok(false) => self.get(id).await,
            // The next request tries again; this one needs no write.
            Err(_) => Ok(Some(bytes)),
        }
    }

    /// The record of an id, unless it has ended.
    async fn get(&self, id: SessionId) -> Result<Option<Bytes>, Problem> {
        let found = self
            .sessions
            .store
            .get(&id.key())
            .await
            .map_err(|error| failed(&error))?;
        let is_live = |bytes: &Bytes| {
            Record::parse(bytes).is_some_and(|record| !record.remaining(&self.sessions.settings).is_zero())
        };
        Ok(found.filter(is_live))
    }

    async fn replace(
        &self,
        id: SessionId,
        expected: Option<&[u8]>,
        record: Option<(&Record, &[u8])>,
    ) -> Result<bool, Problem> {
        let value = record.map(|(record, bytes)| Value {
            bytes,
            lifetime: record.remaining(&self.sessions.settings),
            account: &self.account,
            is_pinned: false,
        });
        let replaced = self.sessions.store.replace(&id.key(), expected, value).await;
        replaced.map_err(|error| failed(&error))
    }

    /// Changes the record in one atomic step.
    async fn write<R>(
        &self,
        is_rotation: bool,
        mut change: impl FnMut(&mut Record) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        for _ in 0..ATTEMPTS {
            let stored = self.lock().stored.clone();
            let before = self.lock().record().unwrap_or_else(Record::new);
            let mut record = before.clone();
            let result = change(&mut record)?;
            if record == before && !(is_rotation && stored.is_some()) {
                return Ok(result);
            }
            record.touch();
            let Some((id, bytes)) = stored else {
                self.begin(&record).await?;
                return Ok(result);
            };
            let next = record.to_bytes();
            let value = (!is_rotation).then_some((&record, &next[..]));
            if !self.replace(id, Some(&bytes), value).await? {
                let newer = self.get(id).await?.ok_or_else(ended)?;
                self.lock().stored = Some((id, newer));
                continue;
            }
            if is_rotation {
                self.lock().stored = None;
                record.created = record.touched;
                self.begin(&record).await?;
            } else {
                self.lock().stored = Some((id, next.into()));
            }
            return Ok(result);
        }
        tracing::error!("{ATTEMPTS} attempts to write a session met a write of another request each");
        Err(unavailable())
    }

    /// Stores a record under a new id.
    async fn begin(&self, record: &Record) -> Result<(), Problem> {
        let (id, bytes) = (SessionId::random()?, record.to_bytes());
        if !self.replace(id, None, Some((record, &bytes))).await? {
            return Err(Problem::internal(&*BoxError::from("a random id of a session is taken")));
        }
        let mut status = self.lock();
        status.stored = Some((id, bytes.into()));
        status.cookie = CookieChange::Set;
        Ok(())
    }

    async fn end(&self) -> Result<(), Problem> {
        let Some((id, mut bytes)) = self.lock().stored.clone() else {
            return Ok(());
        };
        while !self.replace(id, Some(&bytes), None).await? {
            match self.get(id).await? {
                Some(newer) => bytes = newer,
                None => break,
            }
        }
        let mut status = self.lock();
        status.stored = None;
        status.cookie = CookieChange::Removed;
        Ok(())
    }

    /// Adds the cookie to the response, and the fields for caches.
    fn change(&self, headers: &mut HeaderMap, name: &str) {
        let status = self.lock();
        vary_on(headers, &COOKIE);
        let mut cookie = match (&status.stored, status.cookie) {
            (_, CookieChange::Unchanged) | (None, CookieChange::Set) => {
                headers
                    .entry(CACHE_CONTROL)
                    .or_insert(HeaderValue::from_static("private, no-cache"));
                return;
            }
            (Some((id, _)), CookieChange::Set) => Cookie::new(name, id.to_value()),
            (_, CookieChange::Removed) => Cookie::new(name, ""),
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

/// 409: the session is another one since the request began.
fn ended() -> Problem {
    Problem::conflict("the session has ended or has another id since this request began: send it again")
}

fn failed(error: &str) -> Problem {
    tracing::error!(error, "the store of sessions failed");
    unavailable()
}

fn unavailable() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}
