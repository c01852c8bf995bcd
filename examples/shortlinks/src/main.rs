//! A link shortener: a page, a JSON API for registered users, and short links with a counter of visits.
//!
//! - `settings.rs`: the settings from the environment.
//! - `pages.rs`: the page and its forms, with the template in `templates/`. `site.rs`: the routes for the operator.
//! - `users.rs`: sign-up, sign-in, sign-out, and the guard of an account's data. `password.rs`: passwords.
//! - `links.rs`: the links. `new_link.rs`: the rules for a new link.
//! - `store/`: users, sessions and links in SQLite.
//! - `tests.rs`: the API through the client for tests; `tests/program`: the program itself.
#![forbid(unsafe_code)]

mod links;
mod new_link;
mod pages;
mod password;
mod settings;
mod site;
mod store;
#[cfg(test)]
mod tests;
mod users;

use conduit::layer::{Compression, Conditional, RateLimit, RequestIds, SecurityHeaders};
use conduit::openapi::Info;
use conduit::prelude::*;
use conduit::session::Sessions;
use settings::Settings;
use store::{OpenError, Store, Writer};

/// The literal paths take precedence over `/{slug}`, at any position in the list.
pub(crate) const ROUTES: Routes<Service> = routes![pages::ROUTES, site::ROUTES, users::ROUTES, links::ROUTES];

/// The page that describes the API and sends requests to it.
pub(crate) const DOCS: &str = "/docs";

/// No request of this service is larger than a link; the framework's own limit is 2 MiB.
const BODY_LIMIT_BYTES: u64 = 16 * 1024;

/// The state of a worker: handlers extract any of its fields.
#[derive(Clone, FromRef)]
struct Service {
    store: Store,
    sessions: Sessions,
    limits: Limits,
}

/// The rate limit of an address for expensive or guessable operations. Clones share the counter.
#[derive(Clone)]
struct Limits {
    sign_in: RateLimit,
    new_links: RateLimit,
}

impl Limits {
    fn new(settings: &Settings) -> Self {
        Limits {
            sign_in: RateLimit::new(settings.sign_ins_per_minute, settings::MINUTE).named("sign-in"),
            new_links: RateLimit::new(settings.new_links_per_minute, settings::MINUTE).named("new-links"),
        }
    }
}

/// Builds the whole service. Each worker opens the database; all share the limits and the connection for writing. The layer that is
/// added last is the outermost: a request gets its id first.
fn app(settings: Settings) -> App<Service, Routes<Service>> {
    let limits = Limits::new(&settings);
    let writer = Writer::default();
    let open = move || {
        let (database, writer, limits) = (settings.database.clone(), writer.clone(), limits.clone());
        async move {
            let (store, sessions) = Store::open(&database, &writer).await?;
            Ok::<_, OpenError>(Service {
                store,
                sessions,
                limits,
            })
        }
    };
    App::open_per_worker(open)
        .routes(ROUTES)
        .info(Info::new("Short links", env!("CARGO_PKG_VERSION")).description(
            "Sign up with `POST /api/users` and sign in with `POST /api/session`: the response sets the cookie that other \
             requests need. Pages of other sites cannot use it.",
        ))
        .docs(DOCS)
        .body_limit(BODY_LIMIT_BYTES)
        .layer(Conditional::new())
        .layer(Compression::new())
        .layer(SecurityHeaders::new().content_security_policy(pages::POLICY))
        .layer(RequestIds::new().always_new())
}

fn main() -> conduit::Result {
    // Standard output is for the address that the server prints; errors go to standard error.
    conduit::log::set_panic_hook();
    tracing_subscriber::fmt().with_writer(conduit::log::stderr).init();
    app(Settings::from_environment()?).run()
}
