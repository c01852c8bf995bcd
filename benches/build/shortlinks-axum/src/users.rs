//! Users: signing up, in and out, and the guard for everything that is somebody's.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum_extra::TypedHeader;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use garde::Validate;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::ValidJson;
use crate::layers::limited;
use crate::problem::Problem;
use crate::store::{SESSION_DAYS, Store};
use crate::{Service, password};

const COOKIE: &str = "session";

/// Guessing passwords takes many tries, and each try takes work.
pub(crate) fn router(sign_ins_per_minute: u32) -> OpenApiRouter<Service> {
    let few = OpenApiRouter::new().routes(routes!(sign_up)).routes(routes!(sign_in));
    OpenApiRouter::new()
        .merge(limited(few, sign_ins_per_minute))
        .routes(routes!(whoami, sign_out))
}

/// A user who has signed in. As an argument it is the guard before a handler.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    #[serde(skip)]
    pub(crate) id: i64,
    pub(crate) name: String,
}

impl FromRequestParts<Service> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<User, Problem> {
        let Token(token) = Token::from_request_parts(parts, service).await?;
        let user = service.store.user_of_session(&token).await?;
        user.ok_or_else(|| refused("no session has this token: sign in again"))
    }
}

fn refused(detail: &str) -> Problem {
    Problem::unauthorized("Bearer error=\"invalid_token\"", detail)
}

/// A session's token: programs send it as a bearer token, the page as the cookie that signing in has set.
struct Token(String);

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Token, Problem> {
        let bearer = Option::<TypedHeader<Authorization<Bearer>>>::from_request_parts(parts, state).await;
        let bearer = bearer.map_err(|rejection| refused(&rejection.to_string()))?;
        if let Some(bearer) = bearer {
            return Ok(Token(bearer.token().to_owned()));
        }
        let cookies = CookieJar::from_headers(&parts.headers);
        match cookies.get(COOKIE) {
            Some(cookie) => Ok(Token(cookie.value().to_owned())),
            None => Err(Problem::unauthorized("Bearer", "a bearer token is missing")),
        }
    }
}

/// A name and a password.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// 2 to 32 characters, each one of a-z, 0-9 and the hyphen.
    #[garde(pattern("^[a-z0-9-]{2,32}$"))]
    #[schema(pattern = "^[a-z0-9-]{2,32}$")]
    name: String,
    /// 10 to 200 characters.
    #[garde(length(chars, min = 10, max = 200))]
    #[schema(min_length = 10, max_length = 200)]
    password: String,
}

/// A session, which lasts for 30 days.
#[derive(Serialize, ToSchema)]
struct Session {
    /// What to send as `authorization: Bearer …`. It is not shown again.
    token: String,
    user: User,
}

#[derive(Debug, Error)]
enum SignUpError {
    #[error("The name {name:?} is taken: choose another.")]
    NameTaken { name: String },
    #[error("hashing failed")]
    Other(Problem),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Problem> for SignUpError {
    fn from(problem: Problem) -> Self {
        SignUpError::Other(problem)
    }
}

impl IntoResponse for SignUpError {
    fn into_response(self) -> Response {
        let detail = self.to_string();
        let problem = match self {
            SignUpError::NameTaken { .. } => Problem::new(StatusCode::CONFLICT)
                .with_title("Name taken")
                .with_detail(detail),
            SignUpError::Other(problem) => problem,
            SignUpError::Database(error) => error.into(),
        };
        problem.into_response()
    }
}

/// Signs up a user, who can sign in then.
#[utoipa::path(
    post,
    path = "/api/users",
    tag = "users",
    request_body = Credentials,
    responses(
        (status = CREATED, body = User),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
        (status = UNPROCESSABLE_ENTITY, body = Problem, content_type = "application/problem+json"),
        (status = TOO_MANY_REQUESTS, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn sign_up(
    State(store): State<Store>,
    ValidJson(new): ValidJson<Credentials>,
) -> Result<(StatusCode, Json<User>), SignUpError> {
    let Credentials { name, password } = new;
    let hash = password::hash(password).await?;
    match store.insert_user(&name, &hash).await? {
        Some(user) => Ok((StatusCode::CREATED, Json(user))),
        None => Err(SignUpError::NameTaken { name }),
    }
}

/// Signs in: the answer has a token for programs, and sets it as a cookie for the page.
#[utoipa::path(
    post,
    path = "/api/session",
    tag = "users",
    request_body = Credentials,
    responses(
        (status = CREATED, body = Session),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = UNAUTHORIZED, body = Problem, content_type = "application/problem+json"),
        (status = UNPROCESSABLE_ENTITY, body = Problem, content_type = "application/problem+json"),
        (status = TOO_MANY_REQUESTS, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn sign_in(
    State(store): State<Store>,
    cookies: CookieJar,
    ValidJson(credentials): ValidJson<Credentials>,
) -> Result<impl IntoResponse, Problem> {
    let Credentials { name, password } = credentials;
    let (user, hash) = store.find_user(&name).await?.unzip();
    let is_right = password::is_right(password, hash).await?;
    let user = user.filter(|_| is_right);
    let user = user.ok_or_else(|| refused("No user has this name and password."))?;
    let token = store.insert_session(&user).await?;
    let cookie = Cookie::build((COOKIE, token.clone()))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .max_age(Duration::days(SESSION_DAYS));
    let session = Json(Session { token, user });
    Ok((
        StatusCode::CREATED,
        cookies.add(cookie),
        [(LOCATION, "/api/session")],
        session,
    ))
}

/// Returns the signed-in user.
#[utoipa::path(
    get,
    path = "/api/session",
    tag = "users",
    security(("bearer" = [])),
    responses(
        (status = OK, body = User),
        (status = UNAUTHORIZED, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn whoami(user: User) -> Json<User> {
    Json(user)
}

/// Signs out: the token is worth nothing from now on.
#[utoipa::path(
    delete,
    path = "/api/session",
    tag = "users",
    security(("bearer" = [])),
    responses(
        (status = NO_CONTENT),
        (status = UNAUTHORIZED, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn sign_out(
    State(store): State<Store>,
    _: User,
    Token(token): Token,
    cookies: CookieJar,
) -> Result<(StatusCode, CookieJar), Problem> {
    store.remove_session(&token).await?;
    let cookies = cookies.remove(Cookie::build(COOKIE).path("/"));
    Ok((StatusCode::NO_CONTENT, cookies))
}
