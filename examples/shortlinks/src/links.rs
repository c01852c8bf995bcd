//! The links: those of a user through the API, and all of them to follow.

use conduit::prelude::*;
use conduit::{Auth, Valid};
use garde::Validate;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::new_link::{NewLink, random_slug};
use crate::store::{Link, Store};
use crate::users::User;
use crate::{DOCS, Limits, Service};

pub(crate) const ROUTES: Routes<Service> = routes![
    list,
    #[layer(few_new_links)]
    create,
    show,
    remove,
    follow
];

const DEFAULT_LIMIT: u32 = 20;

/// The number of attempts to find a free slug. With a million links one in 27,000 is taken, so the first attempt nearly
/// always succeeds.
const SLUG_ATTEMPTS: usize = 5;

#[derive(Debug, Problem)]
pub(crate) enum LinkError {
    /// A link of another user is reported as missing, so that its owner is not revealed.
    #[problem(status = 404, title = "No such link", detail = "There is no link {slug:?}.")]
    NoLink { slug: String },
    #[problem(
        status = 409,
        title = "Slug taken",
        detail = "The slug {slug:?} is taken: choose another."
    )]
    SlugTaken { slug: String },
    #[problem(status = 503, detail = "No slug was free: try again, or choose one.")]
    NoSlugFree,
    #[problem(status = 500)]
    NoUrl(#[problem(from)] url::ParseError),
    #[problem(status = 500)]
    Database(#[problem(from)] sqlx::Error),
}

/// The part of the list that a client requests.
#[derive(Default, Deserialize, JsonSchema, Serialize, Validate)]
pub(crate) struct Range {
    /// The id of the last link that the client has; without it the list begins with the newest.
    #[garde(skip)]
    pub(crate) after: Option<i64>,
    /// The maximum number of links; 20 by default.
    #[garde(range(min = 1, max = 100))]
    pub(crate) limit: Option<u32>,
}

/// A part of the list.
#[derive(Serialize, JsonSchema)]
struct Page {
    links: Vec<Link>,
    /// The value of `after` for the next part; `null` at the end.
    next: Option<i64>,
}

/// Your links, the newest first.
#[get("/api/links")]
async fn list(user: Auth<User>, range: Valid<Query<Range>>, store: State<Store>) -> Result<Json<Page>, LinkError> {
    let (links, next) = part(&store, &user.0, &range).await?;
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

/// Creates a link, with a given slug or a random one.
#[post("/api/links")]
async fn create(
    user: Auth<User>,
    new: Valid<Json<NewLink>>,
    store: State<Store>,
) -> Result<Created<Json<Link>>, LinkError> {
    let link = insert(&store, &user.0, &new).await?;
    Ok(Created::at(show::path(&link.slug), Json(link)))
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
    let link = match is_reserved(slug) {
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

/// Returns whether another route has the path of this slug, so that its link would be unreachable.
fn is_reserved(slug: &str) -> bool {
    let routes = crate::ROUTES.definitions().iter().map(|route| route.path);
    routes.chain([DOCS]).any(|path| path.strip_prefix('/') == Some(slug))
}

/// One of your links, without following it.
#[get("/api/links/{slug}", link)]
async fn show(user: Auth<User>, slug: Path<String>, store: State<Store>) -> Result<Json<Link>, LinkError> {
    let link = store.find(&user.0, &slug).await?;
    link.map(Json).ok_or(LinkError::NoLink { slug: slug.0 })
}

/// Removes one of your links.
#[delete("/api/links/{slug}")]
async fn remove(user: Auth<User>, slug: Path<String>, store: State<Store>) -> Result<NoContent, LinkError> {
    match store.remove(&user.0, &slug).await? {
        true => Ok(NoContent),
        false => Err(LinkError::NoLink { slug: slug.0 }),
    }
}

/// Follows a link. The redirect is temporary (307): browsers cache a permanent one, so later visits would not be counted, and a
/// removed link would still work. Among the temporary ones, only 307 has one meaning for every method; 302 lets the client choose.
///
/// `HEAD` matches this route, too. It requests the target without following it, so it is not counted.
#[get("/{slug}", link)]
pub(crate) async fn follow(slug: Path<String>, method: Method, store: State<Store>) -> Result<Redirect, LinkError> {
    let url = match method {
        Method::HEAD => store.target(&slug).await?,
        _ => store.follow(&slug).await?,
    };
    url.map(Redirect::temporary).ok_or(LinkError::NoLink { slug: slug.0 })
}

/// Space in the database is bounded, too.
pub(crate) async fn few_new_links(limits: State<Limits>, request: Request, next: Next) -> Response {
    limits.new_links.call(request, next).await
}
