//! Plain, signed and private cookies (RFC 6265).

use std::convert::Infallible;
use std::fmt;

use conduit_core::internal::error_form::is_development_on_this_thread;
use cookie::{Cookie, CookieJar, Key, SameSite};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use super::sent_cookies::sent_cookies;
use super::{FromRef, FromRequest};
use crate::body::{Body, BoxError};
use crate::openapi::Operation;
use crate::problem::{Excerpt, Problem};
use crate::request::Request;
use crate::response::{IntoHeaders, IntoResponse, Response};

/// The minimum length of the secret for a key.
const SHORTEST_SECRET_BYTES: usize = 32;

/// The request's cookies and those that the response sets: an argument of a handler, and a part of its return value next to a
/// body, as in `(cookies, "hello")`. Requires the feature `cookies`.
///
/// Changes by [`add`](Cookies::add) and [`remove`](Cookies::remove) are sent only if the handler returns the cookies. The
/// defaults are `HttpOnly`, `SameSite=Lax`, `Path=/`, and `Secure` unless the application is in
/// [development](crate::App::development). Names and values are percent-encoded when sent and decoded when received, so that a
/// value cannot inject attributes.
///
/// The client can send any cookie: use [`SignedCookies`] for values that must not be forged, and [`PrivateCookies`] for values
/// that the client must not read either.
///
/// # Example
///
/// A counter of visits:
///
/// ```
/// use conduit::extract::Cookies;
/// use conduit::cookie::Cookie;
/// use conduit::prelude::*;
///
/// #[get("/")]
/// async fn home(mut cookies: Cookies) -> (Cookies, String) {
///     let visits: u32 = cookies.value("visits").and_then(|text| text.parse().ok()).unwrap_or(0) + 1;
///     cookies.add(Cookie::new("visits", visits.to_string()));
///     (cookies, format!("visit {visits}"))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Cookies {
    jar: CookieJar,
    is_development: bool,
}

impl Cookies {
    fn of(request: &Request) -> Self {
        let mut jar = CookieJar::new();
        for cookie in sent_cookies(request) {
            if let (Ok(name), Ok(value)) = (str::from_utf8(cookie.name), cookie.value())
                && jar.get(name).is_none()
            {
                jar.add_original(Cookie::new(name.to_owned(), value.into_owned()));
            }
        }
        Cookies {
            jar,
            is_development: is_development_on_this_thread(),
        }
    }

    /// Returns the cookie of this name, as sent by the client or added by the handler; `None` if the handler has removed it.
    pub fn get(&self, name: &str) -> Option<&Cookie<'static>> {
        self.jar.get(name)
    }

    /// Returns the value of the cookie of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(Cookie::value)
    }

    /// Returns all cookies except for removed ones.
    pub fn iter(&self) -> impl Iterator<Item = &Cookie<'static>> {
        self.jar.iter()
    }

    /// Sets a cookie, and replaces one of the same name. A name consists of letters, digits and `!#$&'*+-._~`; any other name
    /// is logged and results in a 500.
    pub fn add(&mut self, cookie: impl Into<Cookie<'static>>) {
        let cookie = self.with_defaults(cookie.into());
        self.jar.add(cookie);
    }

    /// Removes a cookie from the client, which identifies it by name, path and domain: pass a [`Cookie`] with the path and
    /// domain that it was set with, or only its name if they are the defaults.
    pub fn remove(&mut self, cookie: impl Into<Cookie<'static>>) {
        let cookie = self.with_defaults(cookie.into());
        // The jar sends the removal of an original cookie only, but the client may have one with another path.
        self.jar.add_original(cookie.clone());
        self.jar.remove(cookie);
    }

    fn with_defaults(&self, mut cookie: Cookie<'static>) -> Cookie<'static> {
        if cookie.path().is_none() {
            cookie.set_path("/");
        }
        if cookie.http_only().is_none() {
            cookie.set_http_only(true);
        }
        if cookie.same_site().is_none() {
            cookie.set_same_site(SameSite::Lax);
        }
        if cookie.secure().is_none() {
            // Clients reject these cookies without the attribute, even over plain HTTP.
            let must = cookie.same_site() == Some(SameSite::None)
                || cookie.partitioned() == Some(true)
                || cookie.name().starts_with("__Host-")
                || cookie.name().starts_with("__Secure-");
            cookie.set_secure(must || !self.is_development);
        }
        cookie
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Cookies {
    const IS_AMBIENT: bool = true;
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(Cookies::of(request))
    }

    /// The document does not list the cookies that the handler reads.
    fn describe(_: &mut Operation) {}
}

impl IntoHeaders for Cookies {
    fn set(self, headers: &mut HeaderMap) -> Result<(), Problem> {
        for cookie in self.jar.delta() {
            if !is_sendable(cookie.name()) {
                let name = Excerpt::new(cookie.name());
                let message = format!("the cookie name {name:?} is not made of letters, digits and !#$&'*+-._~");
                return Err(Problem::internal(&*BoxError::from(message)));
            }
            let text = cookie.encoded().to_string();
            let value = HeaderValue::try_from(text).map_err(|error| Problem::internal(&error))?;
            headers.append(SET_COOKIE, value);
        }
        Ok(())
    }
}

/// Returns whether a name is sent unchanged: a token (RFC 6265, section 4.1.1) that needs no percent-encoding.
fn is_sendable(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-._~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_allowed)
}

/// The key for signing and encrypting cookies, a part of the application's state: a field, with `#[derive(FromRef)]`.
///
/// All processes that serve the same clients need the same key. A changed key invalidates all cookies made with the old one.
#[derive(Clone)]
pub struct CookieKey(Key);

impl CookieKey {
    /// Creates a key from a secret of at least 32 random bytes, such as the output of `openssl rand -base64 48`. The keys for
    /// signing and for encrypting are derived from it (HKDF, RFC 5869).
    ///
    /// # Errors
    ///
    /// Returns an error if the secret is shorter.
    pub fn from_secret(secret: impl AsRef<[u8]>) -> Result<Self, ShortSecret> {
        let secret = secret.as_ref();
        if secret.len() < SHORTEST_SECRET_BYTES {
            return Err(ShortSecret {
                length_bytes: secret.len(),
            });
        }
        Ok(CookieKey(Key::derive_from(secret)))
    }

    /// Creates a random key: cookies made with it are valid until the program ends.
    pub fn random() -> Self {
        CookieKey(Key::generate())
    }

    /// Encrypts a string for a purpose (AES-256-GCM with a random nonce), to base64.
    #[cfg(feature = "sessions")]
    pub(crate) fn seal(&self, purpose: &str, text: String) -> String {
        let mut jar = CookieJar::new();
        jar.private_mut(&self.0).add(Cookie::new(purpose.to_owned(), text));
        let sealed = jar.get(purpose).expect("the jar contains the cookie that was added");
        sealed.value().to_owned()
    }

    /// Returns the text that [`seal`](Self::seal) has encrypted with this key and for this purpose.
    #[cfg(feature = "sessions")]
    pub(crate) fn open(&self, purpose: &str, sealed: &str) -> Option<String> {
        let sealed = Cookie::new(purpose.to_owned(), sealed.to_owned());
        let opened = CookieJar::new().private(&self.0).decrypt(sealed)?;
        Some(opened.value().to_owned())
    }
}

impl fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieKey(…)")
    }
}

/// A secret that is too short for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortSecret {
    length_bytes: usize,
}

impl fmt::Display for ShortSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the secret for cookies has {} bytes, but at least {SHORTEST_SECRET_BYTES} are required: create one with \
             `openssl rand -base64 48`",
            self.length_bytes
        )
    }
}

impl std::error::Error for ShortSecret {}

/// Cookies that the client can read but not forge: each contains an authentication code (HMAC-SHA256) of its name and value.
/// They are an argument and a part of the return value like [`Cookies`], with the same defaults. Requires the feature
/// `cookies`.
///
/// The application's state contains the [`CookieKey`]. A cookie with a wrong code is treated as absent. Old cookies stay valid:
/// store the expiry of a session, for example, in the value or on the server.
///
/// # Example
///
/// The signed-in user:
///
/// ```
/// use conduit::cookie::Cookie;
/// use conduit::extract::{CookieKey, SignedCookies};
/// use conduit::prelude::*;
///
/// #[derive(Clone, FromRef)]
/// struct Site {
///     key: CookieKey,
/// }
///
/// #[post("/sign-in")]
/// async fn sign_in(mut cookies: SignedCookies) -> (SignedCookies, Redirect) {
///     cookies.add(Cookie::new("user", "7"));
///     (cookies, Redirect::to("/"))
/// }
///
/// #[get("/")]
/// async fn home(cookies: SignedCookies) -> Result<String, Problem> {
///     let user = cookies.get("user").ok_or(Problem::unauthorized("not signed in"))?;
///     Ok(format!("you are user {}", user.value()))
/// }
///
/// # fn main() -> conduit::Result {
/// let site = Site { key: CookieKey::from_secret("kept in a file, 48 random bytes, never in the source")? };
/// let app = App::new(site).routes(routes![sign_in, home]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SignedCookies {
    cookies: Cookies,
    key: CookieKey,
}

impl SignedCookies {
    /// Returns the cookie of this name with its signed value; `None` if it is absent or forged.
    pub fn get(&self, name: &str) -> Option<Cookie<'static>> {
        let mut cookie = self.cookies.jar.signed(&self.key.0).get(name)?;
        // The code covers only the value, so the signed value contains the name: it is invalid for another cookie.
        let value = cookie.value().strip_prefix(name)?.strip_prefix('=')?.to_owned();
        cookie.set_value(value);
        Some(cookie)
    }

    /// Signs and sets a cookie, and replaces one of the same name.
    pub fn add(&mut self, cookie: impl Into<Cookie<'static>>) {
        let mut cookie = self.cookies.with_defaults(cookie.into());
        cookie.set_value(format!("{}={}", cookie.name(), cookie.value()));
        self.cookies.jar.signed_mut(&self.key.0).add(cookie);
    }

    /// Like [`Cookies::remove`].
    pub fn remove(&mut self, cookie: impl Into<Cookie<'static>>) {
        self.cookies.remove(cookie);
    }
}

/// Cookies that the client can neither read nor forge: name and value are authenticated, the value is encrypted (AES-256-GCM).
/// They are an argument and a part of the return value like [`Cookies`], with the same defaults. Requires the feature
/// `cookies`.
///
/// The application's state contains the [`CookieKey`]. A cookie that cannot be decrypted is treated as absent. Old cookies stay
/// valid, as with [`SignedCookies`].
#[derive(Clone, Debug)]
pub struct PrivateCookies {
    cookies: Cookies,
    key: CookieKey,
}

impl PrivateCookies {
    /// Returns the decrypted cookie of this name; `None` if it is absent or forged.
    pub fn get(&self, name: &str) -> Option<Cookie<'static>> {
        self.cookies.jar.private(&self.key.0).get(name)
    }

    /// Encrypts and sets a cookie, and replaces one of the same name.
    pub fn add(&mut self, cookie: impl Into<Cookie<'static>>) {
        let cookie = self.cookies.with_defaults(cookie.into());
        self.cookies.jar.private_mut(&self.key.0).add(cookie);
    }

    /// Like [`Cookies::remove`].
    pub fn remove(&mut self, cookie: impl Into<Cookie<'static>>) {
        self.cookies.remove(cookie);
    }
}

macro_rules! with_a_key {
    ($($type:ident),*) => {$(
        impl<S> FromRequest<S> for $type
        where
            CookieKey: FromRef<S>,
        {
            const IS_AMBIENT: bool = true;
            type Rejection = Infallible;

            async fn from_request(request: &mut Request, state: &S) -> Result<Self, Infallible> {
                Ok($type {
                    cookies: Cookies::of(request),
                    key: CookieKey::from_ref(state),
                })
            }

            /// The document does not list the cookies that the handler reads.
            fn describe(_: &mut Operation) {}
        }

        impl IntoHeaders for $type {
            fn set(self, headers: &mut HeaderMap) -> Result<(), Problem> {
                self.cookies.set(headers)
            }
        }
    )*};
}

with_a_key!(SignedCookies, PrivateCookies);

macro_rules! answers_alone {
    ($($type:ident),*) => {$(
        #[diagnostic::do_not_recommend]
        impl IntoResponse for $type {
            /// Returns 200 without a body.
            fn into_response(self) -> Response {
                (self, Body::empty()).into_response()
            }

            fn describe(operation: &mut Operation) {
                operation.response_without_body();
            }
        }
    )*};
}

answers_alone!(Cookies, SignedCookies, PrivateCookies);
