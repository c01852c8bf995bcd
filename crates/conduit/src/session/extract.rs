//! `Session` and `ActiveSession`: the extractors.

use std::fmt;
use std::ops::{Deref, DerefMut};

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Sessions;
use super::current::CurrentSession;
use super::record::Record;
use crate::extract::{FromRef, FromRequest};
use crate::layer::StoreTransaction;
use crate::openapi::{Operation, SecurityScheme};
use crate::problem::Problem;
use crate::request::Request;

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
/// A change is written at once, even if the response is an error. Data that this version of the application cannot
/// read, because the type has changed, is replaced by the default, and a warning is logged; `#[serde(default)]` on the
/// struct makes new fields compatible. Data and messages have together at most 64 KiB as JSON.
///
/// A task, a stream or a WebSocket may keep a `Session` after the response. It can change or end a session then, but not begin
/// one or give it another id, because the cookie can no longer be sent.
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
    /// The first change begins the session, unless it leaves the default unchanged.
    ///
    /// # Errors
    ///
    /// Returns a 409 if the session has ended or has got another id, a 503 if the store fails, and a 500 if data and
    /// messages are too large, if the session would begin after the response, or after an
    /// [`update_in`](Self::update_in) of this request.
    pub async fn update<R>(&mut self, change: impl FnMut(&mut T) -> R) -> Result<R, Problem> {
        self.write(false, change).await
    }

    /// Changes the data as [`update`](Self::update) does, in a transaction of the caller in the database of the sessions' store: the
    /// change is committed together with the other effects of the transaction, or not at all. Other requests that change the
    /// session wait for the end of the transaction, so keep it short. An `update_in` in another open transaction waits, too:
    /// in PostgreSQL for at most the `lock_timeout` of its connection, 5 s if it has none, for each of up to two locks, and then
    /// returns 503.
    ///
    /// A visitor without a session receives an empty one before the change; it stays empty if the transaction is rolled
    /// back. This value contains the changed data in either case.
    ///
    /// Make further changes in this request with `update_in`, in the same transaction or, after its end, in another.
    /// [`update`](Self::update), [`rotate`](Self::rotate), [`flash`](Self::flash), [`take_flashes`](Self::take_flashes) and
    /// [`end`](Self::end) use another connection, which would wait for the transaction that waits for them: after `update_in`
    /// they return a 500. Call them before it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`update`](Self::update), and a 500 for [sessions in
    /// cookies](crate::session::Sessions::in_cookies). After an error, roll the transaction back or drop it.
    pub async fn update_in<R>(
        &mut self,
        transaction: &mut impl StoreTransaction,
        change: impl FnMut(&mut T) -> R,
    ) -> Result<R, Problem> {
        let (data, result) = self.current.write_in(transaction, to_record(change)).await?;
        self.data = data;
        Ok(result)
    }

    /// Changes the data as [`update`](Self::update) does, and continues under a new id: the old one is invalid at once, and the
    /// lifetime begins again. For a minute a request with the old id gets a 409 when it writes or ends the session, so that it does
    /// not overwrite the new cookie. An error leaves the session unchanged.
    ///
    /// A request with the old id may also call it, for example if a sign-in form is sent twice: `change` then begins
    /// another session. It starts with the data from before the session's first rotation; after a later rotation, with
    /// the default.
    ///
    /// Call it when the visitor signs in or gets more rights, so that an earlier id is useless to an attacker (session
    /// fixation).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`update`](Self::update), and a 500 after the response.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a future that is dropped may have made the old id invalid, while the client never receives the new one.
    /// The visitor is then signed out. So do not put a [`Timeout`](crate::layer::Timeout) directly around the call, and keep the
    /// default `disconnect = "finish"` of its route; a `Timeout` around the handler should be longer than the store needs.
    pub async fn rotate<R>(&mut self, change: impl FnMut(&mut T) -> R) -> Result<R, Problem> {
        self.write(true, change).await
    }

    /// Keeps a message for the next page, which [`take_flashes`](Self::take_flashes) returns: "The link was removed." after a
    /// redirect. A session keeps the last 16.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`update`](Self::update).
    pub async fn flash(&mut self, message: impl Into<String>) -> Result<(), Problem> {
        let message = message.into();
        self.current
            .write(false, |record| {
                record.push_flash(message.clone());
                Ok(())
            })
            .await
    }

    /// Removes and returns the messages, the oldest first. Each message is returned to only one of several concurrent
    /// requests. Without messages, nothing is written.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`update`](Self::update).
    pub async fn take_flashes(&mut self) -> Result<Vec<String>, Problem> {
        self.current
            .write(false, |record| Ok(std::mem::take(&mut record.flashes)))
            .await
    }

    /// Ends the session: removes it from the store and its cookie from the browser. The data is the default afterwards. If the
    /// future is dropped, the session has ended or continues, and the browser keeps its cookie.
    ///
    /// # Errors
    ///
    /// Returns a 503 if the store fails, a 409 if the session has got another id, and a 500 after an
    /// [`update_in`](Self::update_in) of this request; the session then continues.
    pub async fn end(&mut self) -> Result<(), Problem> {
        self.current.end().await?;
        self.data = T::default();
        Ok(())
    }

    /// Returns whether the visitor has a stored session.
    pub fn is_active(&self) -> bool {
        self.current.is_active()
    }

    async fn write<R>(&mut self, is_rotation: bool, change: impl FnMut(&mut T) -> R) -> Result<R, Problem> {
        let (data, result) = self.current.write(is_rotation, to_record(change)).await?;
        self.data = data;
        Ok(result)
    }
}

/// Converts a change of the data to a change of the record.
fn to_record<T: SessionData, R>(
    mut change: impl FnMut(&mut T) -> R,
) -> impl FnMut(&mut Record) -> Result<(T, R), Problem> {
    move |record| {
        let mut data = parse::<T>(&record.data);
        let result = change(&mut data);
        let json = serde_json::to_vec(&data).map_err(|error| Problem::internal(&error))?;
        // A visitor without a session has none after a change that changes nothing.
        if !record.data.is_empty() || serde_json::to_vec(&T::default()).ok().as_ref() != Some(&json) {
            record.data = json;
        }
        Ok((data, result))
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

/// Parses the JSON of the data; returns the default if it is empty or has another type.
fn parse<T: SessionData>(data: &[u8]) -> T {
    if data.is_empty() {
        return T::default();
    }
    serde_json::from_slice(data).unwrap_or_else(|error| {
        let of = std::any::type_name::<T>();
        tracing::warn!(%error, "cannot deserialize the session as {of}; replaced it with the default");
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
        let current = CurrentSession::of(request, Sessions::from_ref(state)).await?;
        let data = current.record().map(|record| parse(&record.data)).unwrap_or_default();
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
    SecurityScheme::api_key_in_cookie("__Host-session").description("The cookie of the session.")
}

pub(super) fn describe_problems(operation: &mut Operation) {
    operation.problem(StatusCode::SERVICE_UNAVAILABLE, "The store of sessions failed.");
}

/// The session of a visitor who has one: the credentials of a guard. It dereferences to the [`Session`].
///
/// `Option<Auth<…>>` with these credentials is `None` for a visitor without a cookie of a session. The cookie of an expired
/// session, which a browser may send for days, counts as wrong credentials and results in a 401. A page for all visitors should
/// take a [`Session`], and read the user from its data. A cookie counts if its value has the form of an id and its name
/// begins with `__Host-`; in development, its name does not matter.
///
/// # Errors
///
/// Rejects with 401 without a session, and with 503 if the store fails.
#[derive(Debug)]
pub struct ActiveSession<T>(pub Session<T>);

impl<T> ActiveSession<T> {
    /// Returns the 401 for an insufficient session, such as the session of a visitor who has not signed in.
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
            false => Err(Self::refused("a session is required: sign in first")),
        }
    }

    fn is_absent(request: &Request) -> bool {
        CurrentSession::is_absent(request)
    }

    fn describe(operation: &mut Operation) {
        operation
            .security("session", scheme(), &[])
            .problem(StatusCode::UNAUTHORIZED, "The request has no valid session.");
        describe_problems(operation);
    }
}
