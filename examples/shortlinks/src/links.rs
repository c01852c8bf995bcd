//! The routes: the page, the JSON API that it uses, and the short links themselves.

use std::time::Instant;

use conduit::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Service;
use crate::new_link::{NewLink, Slug};
use crate::store::{Link, Store};

/// All routes. `/{slug}` gives way to the paths that have a name, wherever it stands in the list.
pub(crate) const ROUTES: Routes<Service> = routes![page, healthz, list, create, show, remove, follow];

const PAGE: &str = include_str!("page.html");
/// The page loads nothing from elsewhere, sends nothing elsewhere, and is framed by nobody.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the API is shown, and can be tried.
pub(crate) const DOCS: &str = "/docs";

const DEFAULT_LIMIT: u32 = 20;
const GREATEST_LIMIT: u32 = 100;

/// How often to look for a slug that is free. With a million links one in 27,000 is taken, so once is nearly always
/// enough.
const SLUG_ATTEMPTS: usize = 5;

/// The page.
#[get("/")]
fn page() -> impl IntoResponse {
    ([("content-security-policy", PAGE_POLICY)], Html(PAGE))
}

#[derive(Serialize, JsonSchema)]
struct Health {
    status: &'static str,
    uptime_seconds: u64,
}

/// Whether the service works, for whoever watches it: 503 where the database does not answer.
#[get("/healthz")]
async fn healthz(store: State<Store>, started: State<Instant>) -> Result<Json<Health>, Problem> {
    match store.check().await {
        Ok(()) => Ok(Json(Health {
            status: "ok",
            uptime_seconds: started.elapsed().as_secs(),
        })),
        Err(error) => {
            tracing::error!(%error, "the database does not answer");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_detail("the database does not answer"))
        }
    }
}

/// Which part of the list a client wants.
#[derive(Deserialize, JsonSchema)]
struct Range {
    /// The id of the last link that the client has; without it the list begins with the newest.
    after: Option<i64>,
    /// How many links at most.
    limit: Option<u32>,
}

/// A part of the list.
#[derive(Serialize, JsonSchema)]
struct Page {
    links: Vec<Link>,
    /// What to send as `after` for the next part; `null` at the end.
    next: Option<i64>,
}

/// The links, the newest first.
#[get("/api/links")]
async fn list(range: Query<Range>, store: State<Store>) -> Result<Json<Page>, Problem> {
    let limit = range.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=GREATEST_LIMIT).contains(&limit) {
        let detail = format!("limit is {limit}: a number from 1 to {GREATEST_LIMIT} is expected");
        return Err(Problem::bad_request(detail));
    }
    // One more than is asked for tells whether there is a next part.
    let mut links = store.list(range.after, limit + 1).await?;
    let more = links.len() > limit as usize;
    links.truncate(limit as usize);
    let next = links.last().map(|link| link.id).filter(|_| more);
    Ok(Json(Page { links, next }))
}

/// Makes a link, with a slug of the client's own or a random one.
#[post("/api/links")]
async fn create(new: Json<NewLink>, store: State<Store>) -> Result<Created<Json<Link>>, Problem> {
    let (url, wanted) = new.0.parse(is_reserved)?;
    let link = match wanted {
        Some(slug) => store
            .insert(&slug, &url)
            .await?
            .ok_or_else(|| Problem::conflict(format!("The slug {:?} is taken: choose another.", slug.as_str())))?,
        None => insert_at_random(&store, &url).await?,
    };
    Ok(Created::at(format!("/api/links/{}", link.slug), Json(link)))
}

async fn insert_at_random(store: &Store, url: &url::Url) -> Result<Link, Problem> {
    for _ in 0..SLUG_ATTEMPTS {
        if let Some(link) = store.insert(&Slug::random(), url).await? {
            return Ok(link);
        }
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_detail("No slug was free: try again, or choose one."))
}

/// Whether a short link with this slug would never be reached, because another route has its path.
fn is_reserved(slug: &str) -> bool {
    let routes = ROUTES.definitions().iter().map(|route| route.path);
    routes.chain([DOCS]).any(|path| path.strip_prefix('/') == Some(slug))
}

/// One link, without following it.
#[get("/api/links/{slug}")]
async fn show(slug: Path<String>, store: State<Store>) -> Result<Json<Link>, Problem> {
    let link = store.find(&slug).await?;
    link.map(Json).ok_or_else(|| no_link(&slug))
}

/// Removes a link.
#[delete("/api/links/{slug}")]
async fn remove(slug: Path<String>, store: State<Store>) -> Result<StatusCode, Problem> {
    if store.remove(&slug).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_link(&slug))
    }
}

/// Follows a link. The redirect is temporary (307): a permanent one is kept by browsers, which then would not come here
/// again to be counted, nor see that the link was removed. Of the temporary ones 307 alone has just one meaning for
/// every method; 302 lets the client choose.
///
/// `HEAD` finds this route too. It asks where the link leads and does not go there, so it is not counted.
#[get("/{slug}")]
async fn follow(slug: Path<String>, method: Method, store: State<Store>) -> Result<Redirect, Problem> {
    let url = if method == Method::HEAD {
        store.find(&slug).await?.map(|link| link.url)
    } else {
        store.follow(&slug).await?
    };
    url.map(Redirect::temporary).ok_or_else(|| no_link(&slug))
}

fn no_link(slug: &str) -> Problem {
    Problem::not_found(format!("There is no link {slug:?}."))
}
