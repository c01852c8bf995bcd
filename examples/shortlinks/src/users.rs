//! Users: signing up, in and out, and the guard for everything that is somebody's.

use conduit::cookie::time::Duration;
use conduit::cookie::{Cookie, SameSite};
use conduit::extract::Cookies;
use conduit::openapi::Operation;
use conduit::prelude::*;
use conduit::{ApiKey, Auth, Authenticate, Bearer, Key, KeyPlace, Secret, Valid};
use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::store::{SESSION_DAYS, Store};
use crate::{Limits, Service, password};

pub(crate) const ROUTES: Routes<Service> = routes![
    #[layer(few_sign_ins)]
    [sign_up, sign_in],
    whoami,
    sign_out
];

const COOKIE: &str = "session";

/// A user who has signed in. As `Auth<User>` it is the guard before a handler.
#[derive(Serialize, JsonSchema)]
pub(crate) struct User {
    #[serde(skip)]
    pub(crate) id: i64,
    pub(crate) name: String,
}

impl<S> Authenticate<S> for User
where
    Store: FromRef<S>,
{
    type Credentials = Token;

    async fn authenticate(token: Token, state: &S) -> Result<User, Problem> {
        let user = Store::from_ref(state).user_of_session(token.0.reveal()).await?;
        user.ok_or_else(|| Bearer::refused("no session has this token: sign in again"))
    }
}

/// A session's token: programs send it as a bearer token, the page as the cookie that signing in has set.
pub(crate) struct Token(Secret);

/// The cookie of the page. `SameSite=Strict` keeps other sites from acting for the user.
struct SessionCookie;

impl Key for SessionCookie {
    const PLACE: KeyPlace = KeyPlace::Cookie(COOKIE);
}

impl<S> FromRequest<S> for Token {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        let bearer = Option::<Bearer>::from_request(request, state).await?;
        let cookie = Option::<ApiKey<SessionCookie>>::from_request(request, state).await?;
        match (bearer, cookie) {
            (Some(bearer), _) => Ok(Token(bearer.token)),
            (None, Some(cookie)) => Ok(Token(cookie.key)),
            (None, None) => Bearer::from_request(request, state)
                .await
                .map(|bearer| Token(bearer.token)),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.any_of(&[
            <Bearer as FromRequest<S>>::describe,
            <ApiKey<SessionCookie> as FromRequest<S>>::describe,
        ]);
    }
}

/// A name and a password.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// 2 to 32 characters, each one of a-z, 0-9 and the hyphen.
    #[garde(pattern("^[a-z0-9-]{2,32}$"))]
    name: String,
    /// 10 to 200 characters.
    #[garde(length(chars, min = 10, max = 200))]
    password: String,
}

/// A session, which lasts for 30 days.
#[derive(Serialize, JsonSchema)]
struct Session {
    /// What to send as `authorization: Bearer …`. It is not shown again.
    token: String,
    user: User,
}

#[derive(Debug, Problem)]
enum SignUpError {
    #[problem(
        status = 409,
        title = "Name taken",
        detail = "The name {name:?} is taken: choose another."
    )]
    NameTaken { name: String },
    #[problem(transparent)]
    Other(#[problem(from)] Problem),
    #[problem(status = 500)]
    Database(#[problem(from)] sqlx::Error),
}

/// Signs up a user, who can sign in then.
#[post("/api/users")]
async fn sign_up(new: Valid<Json<Credentials>>, store: State<Store>) -> Result<Status<201, Json<User>>, SignUpError> {
    let Valid(Json(Credentials { name, password })) = new;
    let hash = password::hash(password).await?;
    match store.insert_user(&name, &hash).await? {
        Some(user) => Ok(Status(Json(user))),
        None => Err(SignUpError::NameTaken { name }),
    }
}

/// Signs in: the answer has a token for programs, and sets it as a cookie for the page.
#[post("/api/session")]
async fn sign_in(
    credentials: Valid<Json<Credentials>>,
    mut cookies: Cookies,
    store: State<Store>,
) -> Result<(Cookies, Created<Json<Session>>), Problem> {
    let Valid(Json(Credentials { name, password })) = credentials;
    let (user, hash) = store.find_user(&name).await?.unzip();
    let is_right = password::is_right(password, hash).await?;
    let user = user.filter(|_| is_right);
    let user = user.ok_or_else(|| Bearer::refused("No user has this name and password."))?;
    let token = store.insert_session(&user).await?;
    let cookie = Cookie::build((COOKIE, token.clone())).same_site(SameSite::Strict);
    cookies.add(cookie.max_age(Duration::days(SESSION_DAYS)));
    Ok((cookies, Created::at("/api/session", Json(Session { token, user }))))
}

/// Returns the signed-in user.
#[get("/api/session")]
async fn whoami(user: Auth<User>) -> Json<User> {
    Json(user.0)
}

/// Signs out: the token is worth nothing from now on.
#[delete("/api/session")]
async fn sign_out(
    _: Auth<User>,
    token: Token,
    mut cookies: Cookies,
    store: State<Store>,
) -> Result<(Cookies, NoContent), Problem> {
    store.remove_session(token.0.reveal()).await?;
    cookies.remove(COOKIE);
    Ok((cookies, NoContent))
}

/// Guessing passwords takes many tries, and each try takes work.
async fn few_sign_ins(limits: State<Limits>, request: Request, next: Next) -> Response {
    limits.sign_in.call(request, next).await
}
