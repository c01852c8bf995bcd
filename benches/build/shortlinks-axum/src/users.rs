//! Users: sign-up, sign-in, sign-out, and the guard of an account's data.

use axum::Json;
use axum::extract::{FromRequestParts, OptionalFromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use garde::Validate;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tower_sessions::Session;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::ValidJson;
use crate::new_link::has_letters_of_slugs;
use crate::problem::Problem;
use crate::store::Store;
use crate::{Service, password};

/// Browsers accept the prefix only with `Secure` and for the whole host.
pub(crate) const COOKIE: &str = "__Host-session";

/// The key of the signed-in user in the session.
const USER: &str = "user";

/// The error of a sign-in, which does not reveal the names of users.
pub(crate) const WRONG: &str = "No user has this name and password.";

/// The routes with passwords, which have a limit for each address: guessing takes many attempts, and each attempt is expensive.
pub(crate) fn limited_router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(sign_up)).routes(routes!(sign_in))
}

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(whoami, sign_out))
}

/// A user who has signed in. As an argument it guards a handler.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    #[serde(skip)]
    pub(crate) id: i64,
    pub(crate) name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<User, Problem> {
        let user = <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        user.ok_or_else(|| refused("sign in first"))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<User>, Problem> {
        let session = Session::from_request_parts(parts, state).await;
        let session = session.map_err(|(status, detail)| Problem::new(status).with_detail(detail))?;
        let user = session.get::<(i64, String)>(USER).await?;
        Ok(user.map(|(id, name)| User { id, name }))
    }
}

fn refused(detail: &str) -> Problem {
    Problem::unauthorized("ApiKey in=\"cookie\", name=\"__Host-session\"", detail)
}

/// A name and a password.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// 2 to 32 characters, each one of a-z, 0-9 and the hyphen.
    #[garde(custom(has_letters_of_slugs(2)))]
    #[schema(pattern = "^[a-z0-9-]{2,32}$")]
    name: String,
    /// 10 to 200 characters.
    #[garde(length(chars, min = 10, max = 200))]
    #[schema(min_length = 10, max_length = 200)]
    password: String,
}

#[derive(Debug, Error)]
pub(crate) enum SignUpError {
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

impl From<SignUpError> for Problem {
    fn from(error: SignUpError) -> Self {
        let detail = error.to_string();
        match error {
            SignUpError::NameTaken { .. } => Problem::new(StatusCode::CONFLICT)
                .with_title("Name taken")
                .with_detail(detail),
            SignUpError::Other(problem) => problem,
            SignUpError::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for SignUpError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// Signs up a user, who can then sign in.
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
    Ok((StatusCode::CREATED, Json(register(&store, new).await?)))
}

/// Adds a user.
pub(crate) async fn register(store: &Store, credentials: Credentials) -> Result<User, SignUpError> {
    let Credentials { name, password } = credentials;
    let hash = password::hash(password).await?;
    let user = store.insert_user(&name, &hash).await?;
    user.ok_or(SignUpError::NameTaken { name })
}

/// Signs in: the response sets the cookie of a session. The id of an earlier session is invalid from then on.
#[utoipa::path(
    post,
    path = "/api/session",
    tag = "users",
    request_body = Credentials,
    responses(
        (status = CREATED, body = User),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = UNAUTHORIZED, body = Problem, content_type = "application/problem+json"),
        (status = UNPROCESSABLE_ENTITY, body = Problem, content_type = "application/problem+json"),
        (status = TOO_MANY_REQUESTS, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn sign_in(
    State(store): State<Store>,
    session: Session,
    ValidJson(credentials): ValidJson<Credentials>,
) -> Result<impl IntoResponse, Problem> {
    let user = verify(&store, credentials).await?;
    let user = user.ok_or_else(|| refused(WRONG))?;
    begin(&session, &user).await?;
    Ok((StatusCode::CREATED, [(LOCATION, "/api/session")], Json(user)))
}

/// Returns the user with this name and password.
pub(crate) async fn verify(store: &Store, credentials: Credentials) -> Result<Option<User>, Problem> {
    let Credentials { name, password } = credentials;
    let (user, hash) = store.find_user(&name).await?.unzip();
    let is_right = password::is_right(password, hash).await?;
    Ok(user.filter(|_| is_right))
}

/// Assigns the session to the user, under another id.
pub(crate) async fn begin(session: &Session, user: &User) -> Result<(), Problem> {
    session.cycle_id().await?;
    session.insert(USER, (user.id, &user.name)).await?;
    Ok(())
}

/// Returns the signed-in user.
#[utoipa::path(
    get,
    path = "/api/session",
    tag = "users",
    security(("session" = [])),
    responses(
        (status = OK, body = User),
        (status = UNAUTHORIZED, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn whoami(user: User) -> Json<User> {
    Json(user)
}

/// Signs out: the session ends, also for clients with a copy of its cookie.
#[utoipa::path(
    delete,
    path = "/api/session",
    tag = "users",
    security(("session" = [])),
    responses(
        (status = NO_CONTENT),
        (status = UNAUTHORIZED, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn sign_out(_: User, session: Session) -> Result<StatusCode, Problem> {
    session.flush().await?;
    Ok(StatusCode::NO_CONTENT)
}
