//! A link shortener: a page, a JSON API, and short links that count how often they were followed.
//!
//! - `links.rs`: the routes.
//! - `new_link.rs`: what a new link must look like.
//! - `store.rs`: the links in SQLite.
//! - `page.html`: the page, which uses the API.
//!
//! The environment: `SHORTLINKS_DB` is the database's file, `shortlinks.db` in the current directory unless set;
//! `CONDUIT_ADDR` is the address to listen on, 127.0.0.1:8080 unless set.
#![forbid(unsafe_code)]

mod links;
mod new_link;
mod store;

use std::path::Path;
use std::time::Instant;

use conduit::prelude::*;
use store::{OpenError, Store};

/// No request of this service is larger than a link; the framework's own limit is 2 MiB.
const BODY_LIMIT_BYTES: u64 = 16 * 1024;

/// What handlers may take as `State`: any of its fields. Each worker thread has a clone.
#[derive(Clone, FromRef)]
struct Service {
    store: Store,
    started: Instant,
}

impl Service {
    async fn open() -> Result<Self, OpenError> {
        let path = std::env::var_os("SHORTLINKS_DB").unwrap_or_else(|| "shortlinks.db".into());
        Ok(Service {
            store: Store::open(Path::new(&path)).await?,
            started: Instant::now(),
        })
    }
}

fn main() -> conduit::Result {
    // Standard output is for the address that the server prints; what goes wrong is logged beside it.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    App::open(Service::open())?
        .routes(links::ROUTES)
        .docs(links::DOCS)
        .body_limit(BODY_LIMIT_BYTES)
        .run()
}
