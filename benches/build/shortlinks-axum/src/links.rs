//! The links: those of a user through the API, and all of them to follow.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use garde::Validate;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Service;
use crate::extract::{ValidJson, ValidQuery};
use crate::new_link::{NewLink, random_slug};
use crate::problem::Problem;
use crate::store::{Link, Store};
use crate::users::User;

const DEFAULT_LIMIT: u32 = 20;

/// The number of attempts to find a free slug. With a million links one in 27,000 is taken, so the first attempt nearly
/// always succeeds.
const SLUG_ATTEMPTS: usize = 5;

/// The slugs whose links would be unreachable, because another route has their path.
const RESERVED: [&str; 4] = ["docs", "healthz", "metrics", "readyz"];

/// The route that creates links, which has a limit for each address, because space in the database is bounded, too.
pub(crate) fn limited_router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(create))
}

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, remove))
        .routes(routes!(follow))
}

#[derive(Debug, Error)]
pub(crate) enum LinkError {
    /// The response does not reveal whether another user has this link.
    #[error("There is no link {slug:?}.")]
    NoLink { slug: String },
    #[error("The slug {slug:?} is taken: choose another.")]
    SlugTaken { slug: String },
    #[error("No slug was free: try again, or choose one.")]
    NoSlugFree,
    #[error(transparent)]
    NoUrl(#[from] url::ParseError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        let detail = error.to_string();
        match error {
            LinkError::NoLink { .. } => Problem::new(StatusCode::NOT_FOUND)
                .with_title("No such link")
                .with_detail(detail),
            LinkError::SlugTaken { .. } => Problem::new(StatusCode::CONFLICT)
                .with_title("Slug taken")
                .with_detail(detail),
            LinkError::NoSlugFree => Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_detail(detail),
            LinkError::NoUrl(error) => error.into(),
            LinkError::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for LinkError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// The part of the list that a client requests.
#[derive(Default, Deserialize, IntoParams, Validate)]
#[into_params(parameter_in = Query)]
pub(crate) struct Range {
    /// The id of the last link that the client has; without it the list begins with the newest.
    #[garde(skip)]
    after: Option<i64>,
    /// The maximum number of links; 20 by default.
    #[garde(range(min = 1, max = 100))]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// A part of the list.
#[derive(Serialize, ToSchema)]
struct Page {
    links: Vec<Link>,
    /// The value of `after` for the next part; `null` at the end.
    next: Option<i64>,
}

/// Your links, the newest first.
#[utoipa::path(
    get,
    path = "/api/links",
    tag = "links",
    security(("session" = [])),
    params(Range),
    responses(
        (status = OK, body = Page),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = UNAUTHORIZED, body = Problem, content_type = "application/problem+json"),
        (status = UNPROCESSABLE_ENTITY, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn list(
    State(store): State<Store>,
    user: User,
    ValidQuery(range): ValidQuery<Range>,
) -> Result<Json<Page>, LinkError> {
    let (links, next) = part(&store, &user, &range).await?;
    Ok(Json(Page { links, next }))
}

/// A part of the user's list, and the value of `after` for the next part.
pub(crate) async fn part(store: &Store, user: &User, range: &Range) -> sqlx::Result<(Vec<Link>, Option<i64>)> {
    let limit = range.limit.unwrap_or(DEFAULT_LIMIT);
    // One more than requested shows whether there is a next part.
    let mut links = store.list(user, range.after, limit + 1).await?;
    let more = links.len() > limit as usize;
    links.truncate(limit as usize);
    let next = links.last().map(|link| link.id).filter(|_| more);
    Ok((links, next))
}

/// Creates a link, with the given slug or a random one.
#[utoipa::path(
    post,
    path = "/api/links",
    tag = "links",
    security(("session" = [])),
    request_body = NewLink,
    responses(
        (status = CREATED, body = Link),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = UNAUTHORIZED, body = Problem, content_type = "application/problem+json"),
        (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
        (status = UNPROCESSABLE_ENTITY, body = Problem, content_type = "application/problem+json"),
        (status = TOO_MANY_REQUESTS, body = Problem, content_type = "application/problem+json"),
        (status = SERVICE_UNAVAILABLE, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn create(
    State(store): State<Store>,
    user: User,
    ValidJson(new): ValidJson<NewLink>,
) -> Result<impl IntoResponse, LinkError> {
    let link = insert(&store, &user, &new).await?;
    let location = format!("/api/links/{}", link.slug);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(link)))
}

/// Adds a link of the user.
pub(crate) async fn insert(store: &Store, user: &User, new: &NewLink) -> Result<Link, LinkError> {
    let url = new.location()?;
    match new.slug() {
        Some(slug) => insert_as(slug, store, user, &url).await,
        None => insert_at_random(store, user, &url).await,
    }
}

async fn insert_as(slug: &str, store: &Store, user: &User, url: &Url) -> Result<Link, LinkError> {
    let link = match RESERVED.contains(&slug) {
        true => None,
        false => store.insert(user, slug, url).await?,
    };
    link.ok_or_else(|| LinkError::SlugTaken { slug: slug.to_owned() })
}

async fn insert_at_random(store: &Store, user: &User, url: &Url) -> Result<Link, LinkError> {
    for _ in 0..SLUG_ATTEMPTS {
        if let Some(link) = store.insert(user, &random_slug(), url).await? {
            return Ok(link);
        }
    }
    Err(LinkError::NoSlugFree)
}

/// One of your links, without following it.
#[utoipa::path(
    get,
    path = "/api/links/{slug}",
    tag = "links",
    security(("session" = [])),
    params(("slug" = String, Path)),
    responses(
        (status = OK, body = Link),
        (status = UNAUTHORIZED, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn show(State(store): State<Store>, user: User, Path(slug): Path<String>) -> Result<Json<Link>, LinkError> {
    let link = store.find(&user, &slug).await?;
    link.map(Json).ok_or(LinkError::NoLink { slug })
}

/// Removes one of your links.
#[utoipa::path(
    delete,
    path = "/api/links/{slug}",
    tag = "links",
    security(("session" = [])),
    params(("slug" = String, Path)),
    responses(
        (status = NO_CONTENT),
        (status = UNAUTHORIZED, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn remove(State(store): State<Store>, user: User, Path(slug): Path<String>) -> Result<StatusCode, LinkError> {
    match store.remove(&user, &slug).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(LinkError::NoLink { slug }),
    }
}

/// Follows a link, and counts it. The redirect is temporary (307), since browsers keep a permanent one.
///
/// `HEAD` matches this route, too. It requests the target without following it, so it is not counted.
#[utoipa::path(
    get,
    path = "/{slug}",
    tag = "links",
    params(("slug" = String, Path)),
    responses(
        (status = TEMPORARY_REDIRECT),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn follow(State(store): State<Store>, method: Method, Path(slug): Path<String>) -> Result<Redirect, LinkError> {
    let url = match method {
        Method::HEAD => store.target(&slug).await?,
        _ => store.follow(&slug).await?,
    };
    url.map(|url| Redirect::temporary(&url))
        .ok_or(LinkError::NoLink { slug })
}
