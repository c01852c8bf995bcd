//! Sessions: data of a visitor that is kept between requests. Requires the feature `sessions`.
//!
//! [`Session<T>`] is an argument of handlers. `T` is a struct of the application, and initially its default. The
//! browser stores a random id in a cookie, and a [`Store`] contains the data. [`Sessions::in_cookies`] needs no store:
//! an encrypted cookie contains the data. The application's state contains the [`Sessions`], which are the store and
//! its settings; without them the application does not compile.
//!
//! # Example
//!
//! Visitors who sign in:
//!
//! ```
//! use conduit::prelude::*;
//! use conduit::session::{ActiveSession, Session, Sessions};
//! use conduit::{Auth, Authenticate};
//! use conduit::testing::TestClient;
//!
//! #[derive(Default, serde::Serialize, serde::Deserialize)]
//! #[serde(default)]
//! struct Visitor {
//!     user: Option<String>,
//!     visits: u32,
//! }
//!
//! /// The guard of pages for users.
//! struct User(String);
//!
//! impl<S> Authenticate<S> for User
//! where
//!     Sessions: FromRef<S>,
//! {
//!     type Credentials = ActiveSession<Visitor>;
//!
//!     async fn authenticate(session: ActiveSession<Visitor>, _: &S) -> Result<User, Problem> {
//!         let user = session.user.clone();
//!         user.map(User).ok_or_else(|| ActiveSession::<Visitor>::refused("sign in first"))
//!     }
//! }
//!
//! #[post("/sign-in")]
//! async fn sign_in(mut session: Session<Visitor>, name: String) -> Result<Redirect, Problem> {
//!     // The password was correct: the visitor continues under a new id.
//!     session.rotate(|visitor| visitor.user = Some(name.clone())).await?;
//!     session.flash("Welcome").await?;
//!     Ok(Redirect::to("/account"))
//! }
//!
//! #[get("/account")]
//! async fn account(user: Auth<User>, mut session: Session<Visitor>) -> Result<String, Problem> {
//!     let visits = session.update(|visitor| {
//!         visitor.visits += 1;
//!         visitor.visits
//!     });
//!     let visits = visits.await?;
//!     Ok(format!("{:?} {}: visit {visits}", session.take_flashes().await?, user.0.0))
//! }
//!
//! #[post("/sign-out")]
//! async fn sign_out(mut session: Session<Visitor>) -> Result<Redirect, Problem> {
//!     session.end().await?;
//!     Ok(Redirect::to("/"))
//! }
//!
//! let app = App::new(Sessions::in_memory()).routes(routes![sign_in, account, sign_out]);
//!
//! let client = TestClient::new(app);
//! client.get("/account").send().assert_status(401);
//! client.post("/sign-in").text("ada").send().assert_status(303);
//! client.get("/account").send().assert_text(r#"["Welcome"] ada: visit 1"#);
//! client.get("/account").send().assert_text("[] ada: visit 2");
//! client.post("/sign-out").send().assert_status(303);
//! client.get("/account").send().assert_status(401);
//! ```
//!
//! # Guarantees
//!
//! These hold for sessions in a store; [`Sessions::in_cookies`] lists the differences of sessions in cookies.
//!
//! - **No lost write.** [`Session::update`] reads, changes and writes the data in one atomic step: if another request has written
//!   meanwhile, the change is applied again to the newer data.
//! - **No return of an ended session.** A request that was in progress when its session ended or got a new id receives a 409 when
//!   it writes. It neither creates the session again nor sends a cookie. The same holds for a minute for requests that arrive with
//!   the old id: a poll with the old cookie does not sign the visitor out. Only a further [`Session::rotate`], such as that of a
//!   sign-in form that was sent twice, begins another session.
//! - **No session before the first write.** Requests that only read set no cookie and store nothing.
//! - **No id that a client has chosen.** An unknown id is ignored, and the first write generates a new one. [`Session::rotate`]
//!   replaces the id; call it when a visitor signs in.
//! - **No id in the store.** An id has 256 bits from the system's random generator, and the store has its SHA-256.
//! - **No request of another site.** A `Session` is [ambient](crate::FromRequest::IS_AMBIENT): a request with an unsafe method
//!   from a page of another origin gets a 403. [`require_token`] covers browsers that send neither `sec-fetch-site` nor `origin`.
//!
//! # The cookie
//!
//! `__Host-session` with `Secure`, `HttpOnly`, `SameSite=Lax` and `Path=/`: a browser sends it to this host alone, over TLS or to
//! `localhost`, and no other host of the domain can set it. In [development](crate::App::development) it is `session` without
//! `Secure`, so that a phone in the same network can be used. It lasts until the browser is closed, unless the sessions are
//! [`persistent`](Sessions::persistent). The server sends it only when the id changes.
//!
//! # Caches
//!
//! A response whose handler has extracted a session has `vary: cookie`, and `cache-control: private, no-cache` unless the handler
//! sets the field. A response that sets the cookie has `cache-control: no-store`.
//!
//! # Other stores
//!
//! [`MemoryStore`] loses all sessions at a restart. `conduit-sqlite`, `conduit-postgres` and `conduit-redis` contain
//! stores in SQLite, PostgreSQL and Redis. A custom [`Store`] needs two functions: `get`, and an atomic
//! compare-and-set. Open its pool for each worker, in [`App::open_per_worker`](crate::App::open_per_worker).
//!
//! [`Store`]: crate::layer::Store

mod backend;
mod cookie_seal;
mod current;
mod extract;
mod id;
mod record;
mod token;
mod token_field;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cookie::SameSite;

use self::backend::Backend;
use self::cookie_seal::CookieSeal;
use crate::extract::CookieKey;
use crate::layer::{MemoryStore, Store};

pub use self::extract::{ActiveSession, Session, SessionData};
pub use self::token::{FormToken, TokenSession, require_token};

/// The store or the keys, and the settings of sessions; a part of the application's state. Clones share the store.
///
/// # Example
///
/// Sessions that end after an hour without a request:
///
/// ```
/// use conduit::layer::MemoryStore;
/// use conduit::prelude::*;
/// use conduit::session::{Session, Sessions};
/// use std::time::Duration;
///
/// #[derive(Clone, FromRef)]
/// struct Shop {
///     sessions: Sessions,
/// }
///
/// #[derive(Default, serde::Serialize, serde::Deserialize)]
/// struct Cart(Vec<u32>);
///
/// #[post("/cart/{item}")]
/// async fn add(item: Path<u32>, mut cart: Session<Cart>) -> Result<Redirect, Problem> {
///     cart.update(|cart| cart.0.push(*item)).await?;
///     Ok(Redirect::to("/cart"))
/// }
///
/// let sessions = Sessions::new(MemoryStore::new(64 * 1024 * 1024)).idle_timeout(Duration::from_secs(3600));
/// let app = App::new(Shop { sessions }).routes(routes![add]);
/// ```
#[derive(Clone)]
pub struct Sessions {
    storage: SessionStorage,
    settings: Arc<SessionSettings>,
}

/// The storage of the data of all sessions.
#[derive(Clone)]
enum SessionStorage {
    Store(Arc<dyn Backend>),
    Cookie(Arc<CookieSeal>),
}

impl SessionStorage {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (SessionStorage::Store(one), SessionStorage::Store(other)) => Arc::ptr_eq(one, other),
            (SessionStorage::Cookie(one), SessionStorage::Cookie(other)) => Arc::ptr_eq(one, other),
            (SessionStorage::Store(_), SessionStorage::Cookie(_))
            | (SessionStorage::Cookie(_), SessionStorage::Store(_)) => false,
        }
    }
}

/// The settings that the cookie and the records of all sessions share.
#[derive(Clone, Debug)]
struct SessionSettings {
    name: String,
    same_site: SameSite,
    is_persistent: bool,
    idle: Duration,
    lifetime: Duration,
}

impl Sessions {
    /// Creates sessions in this store.
    pub fn new(store: impl Store + Sync) -> Self {
        Sessions::at(SessionStorage::Store(Arc::new(store)))
    }

    fn at(storage: SessionStorage) -> Self {
        Sessions {
            storage,
            settings: Arc::new(SessionSettings {
                name: "session".to_owned(),
                same_site: SameSite::Lax,
                is_persistent: false,
                idle: Duration::from_secs(24 * 60 * 60),
                lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            }),
        }
    }

    /// Creates sessions in the memory of this process, of at most 16 MiB: about 40,000 sessions. Clones share them.
    pub fn in_memory() -> Self {
        Sessions::new(MemoryStore::default())
    }

    /// Sessions in encrypted cookies (AES-256-GCM): the browser keeps the whole session, and the server nothing. The
    /// first key encrypts. Cookies of the previous keys are accepted, and replaced by cookies of the first one: insert
    /// a new key in front, and remove the old one when its sessions have ended. Replace a key before it has encrypted
    /// 2³² cookies.
    ///
    /// Id, times, data and messages are encrypted together, for the version of the format and the name of the cookie. A cookie
    /// with another name, version or key is ignored, as is one whose [idle time](Self::idle_timeout) or
    /// [lifetime](Self::lifetime) has ended. Data and messages have together about 2,900 bytes, because browsers keep no cookie
    /// of more than 4,096 bytes; more is a 500 that states the limit.
    ///
    /// # Limits
    ///
    /// The server does not know which sessions exist, so some guarantees of stores do not apply:
    ///
    /// - A copy of a cookie stays valid until its idle time or lifetime ends, after [`Session::end`] and
    ///   [`Session::rotate`] too: both change only the browser's cookie. Keep the times short, and use a store where a sign-out
    ///   must end the session everywhere.
    /// - An older copy contains the older data: do not store data that may be used only once, such as a voucher.
    /// - Of concurrent requests that write, the browser keeps the cookie of the last response.
    /// - After the response, as in a WebSocket, a session cannot change.
    ///
    /// # Example
    ///
    /// Keys of an environment variable, separated by spaces, the newest first:
    ///
    /// ```no_run
    /// use conduit::extract::CookieKey;
    /// use conduit::session::Sessions;
    ///
    /// # fn main() -> conduit::Result {
    /// let secrets = std::env::var("SESSION_SECRETS")?;
    /// let mut keys = secrets.split_whitespace().map(CookieKey::from_secret);
    /// let newest = keys.next().ok_or("SESSION_SECRETS is empty: make a key with `openssl rand -base64 48`")??;
    /// let sessions = Sessions::in_cookies(newest, keys.collect::<Result<Vec<_>, _>>()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_cookies(key: CookieKey, previous: impl IntoIterator<Item = CookieKey>) -> Self {
        Sessions::at(SessionStorage::Cookie(Arc::new(CookieSeal::new(key, previous))))
    }

    /// Sets the time without requests after which a session ends. Default: 24 hours. The resolution is 1 s.
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        Arc::make_mut(&mut self.settings).idle = time;
        self
    }

    /// Sets the maximum lifetime of a session, counted from its beginning or its last [rotation](Session::rotate).
    /// Default: 30 days.
    pub fn lifetime(mut self, time: Duration) -> Self {
        Arc::make_mut(&mut self.settings).lifetime = time;
        self
    }

    /// Lets browsers keep the cookie for the [lifetime](Self::lifetime), so that a session survives a restart of the browser.
    /// Default: off.
    pub fn persistent(mut self) -> Self {
        Arc::make_mut(&mut self.settings).is_persistent = true;
        self
    }

    /// Sends the cookie only with requests that a page of this site causes, `SameSite=Strict`: a visitor who follows a link from
    /// another site is then not signed in on the first page.
    pub fn strict(mut self) -> Self {
        Arc::make_mut(&mut self.settings).same_site = SameSite::Strict;
        self
    }

    /// Sets the name of the cookie, which follows `__Host-`. Default: `session`. Two applications of one host need two names: a
    /// cookie is sent to all ports. The OpenAPI document names the default.
    ///
    /// # Panics
    ///
    /// Panics if the name is empty or contains characters other than letters, digits, `-` and `_`.
    #[track_caller]
    pub fn cookie_name(mut self, name: &str) -> Self {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        assert!(
            !name.is_empty() && name.bytes().all(is_allowed),
            "invalid cookie name `{name}`: use letters, digits, `-` and `_`"
        );
        Arc::make_mut(&mut self.settings).name = name.to_owned();
        self
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
