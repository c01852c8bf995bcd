//! A board that several browsers share: cursors and messages by WebSocket, an activity feed as an event stream, presence,
//! and uploads.
//!
//! - `topics.rs`: the topics, and the rule for their clients.
//! - `socket.rs`: the WebSocket of a page. `uploads.rs`: files.
//! - `tests.rs`: the API through the client for tests; `tests/program`: the program with two pages of Chromium.
#![forbid(unsafe_code)]

mod socket;
#[cfg(test)]
mod tests;
mod topics;
mod uploads;

use std::env::{self, VarError};
use std::sync::LazyLock;

use conduit::events::LastEventId;
use conduit::hub::{Hub, HubConfig, StartFrom};
use conduit::prelude::*;
use conduit::{Embedded, Events, Files, asset, embed, health};
use conduit_postgres::PostgresEngine;
use conduit_redis::Engines;

use topics::{Activity, Feed, Name};
use uploads::Uploads;

/// The state: topics with a history, cursors without one, and the last files.
#[derive(Clone, FromRef)]
struct Board {
    hub: Hub,
    cursors: CursorHub,
    uploads: Uploads,
}

/// The hub of cursors, without a history, because old positions are irrelevant.
#[derive(Clone)]
struct CursorHub(Hub);

impl Board {
    /// The topics are in PostgreSQL if `BOARD_DATABASE_URL` is set, or in Redis if `CONDUIT_REDIS_URL` is set, and processes
    /// share them. Otherwise they are in this process.
    fn from_env() -> conduit::Result<Self> {
        let cursors = HubConfig {
            history_messages: 0,
            ..HubConfig::default()
        };
        Ok(Board {
            hub: hub(HubConfig::default())?,
            cursors: CursorHub(hub(cursors)?),
            uploads: Uploads::default(),
        })
    }
}

fn hub(config: HubConfig) -> conduit::Result<Hub> {
    Ok(match env::var("BOARD_DATABASE_URL") {
        Ok(url) => Hub::with_engine(config, PostgresEngine::at(&url)?),
        Err(VarError::NotPresent) => Engines::from_env()?.hub(config),
        Err(error) => return Err(format!("invalid BOARD_DATABASE_URL: {error}").into()),
    })
}

const ROUTES: Routes<Board> = routes![
    page,
    "/assets" => Files::embedded(ASSETS),
    socket::ROUTES,
    feed,
    uploads::ROUTES,
    health::healthz,
    health::readyz
];

/// The style and the script of the page.
const ASSETS: Embedded = embed!("assets", "/assets");

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let page = include_str!("page.html").replace("{css}", asset!(ASSETS, "page.css"));
    page.replace("{js}", asset!(ASSETS, "page.js"))
});

/// The page loads from and sends to this service only, and runs no inline script.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page.
#[get("/")]
fn page() -> impl IntoResponse {
    ([("content-security-policy", PAGE_POLICY)], Html(PAGE.as_str()))
}

/// The activity on the board, from the beginning of its history.
#[get("/feed")]
async fn feed(last: LastEventId, hub: State<Hub>) -> Result<Events<Activity>, Problem> {
    let feed = hub.authorize::<Feed>(&Name::reader(), topics::BOARD).await?;
    let from = match last.0 {
        Some(_) => last.into(),
        None => StartFrom::History,
    };
    Ok(feed.events(from).await?)
}

fn app(board: Board) -> App<Board, Routes<Board>> {
    App::new(board).routes(ROUTES).body_limit(uploads::FILE_BYTES)
}

fn main() -> conduit::Result {
    // Standard output is for the address that the server prints; errors go to standard error.
    conduit::log::set_panic_hook();
    tracing_subscriber::fmt().with_writer(conduit::log::stderr).init();
    app(Board::from_env()?).run()
}
