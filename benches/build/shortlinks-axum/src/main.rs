//! The link shortener of `examples/shortlinks` in axum: the same routes and responses, so that building the two can be
//! compared. It is written as typical axum applications are, with the crates that they use; `benches/build/README.md` lists them.
#![forbid(unsafe_code)]

mod extract;
mod layers;
mod links;
mod new_link;
mod pages;
mod password;
mod problem;
#[path = "../../../../examples/shortlinks/src/settings.rs"]
mod settings;
mod site;
mod store;
mod users;

use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum_prometheus::PrometheusMetricLayer;
use axum_server::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::CsrfLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration as SessionDuration;
use tower_sessions::{Expiry, SessionManagerLayer};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use layers::limited;
use problem::Problem;
use settings::Settings;
use store::Store;

/// No request of this service is larger than a link; the framework's own limit is 2 MiB.
const BODY_LIMIT_BYTES: usize = 16 * 1024;

/// The lifetime of a session without a request.
const SESSION_DAYS: i64 = 30;

/// The time that the service waits for its last responses at shutdown.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The state: handlers extract any of its fields.
#[derive(Clone, FromRef)]
struct Service {
    store: Store,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Short links",
        description = "Sign up with `POST /api/users` and sign in with `POST /api/session`: the response sets the cookie \
            that other requests need. Pages of other sites cannot use it.",
    ),
    modifiers(&Schemes),
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let session = ApiKey::Cookie(ApiKeyValue::new(users::COOKIE));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    }
}

/// Builds the whole service. The layer that is added last is the outermost.
async fn app(settings: Settings) -> Result<Router, Box<dyn Error>> {
    let store = Store::open(&settings.database).await?;
    let sessions = SessionManagerLayer::new(store.sessions())
        .with_name(users::COOKIE)
        .with_same_site(SameSite::Strict)
        .with_expiry(Expiry::OnInactivity(SessionDuration::days(SESSION_DAYS)));
    let (count, metrics) = PrometheusMetricLayer::pair();
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(site::router(metrics))
        .merge(limited(
            users::limited_router().merge(pages::sign_in_router()),
            settings.sign_ins_per_minute,
        ))
        .merge(limited(
            links::limited_router().merge(pages::create_router()),
            settings.new_links_per_minute,
        ))
        .merge(pages::router())
        .merge(users::router())
        .merge(links::router())
        .split_for_parts();
    let router = router
        .merge(SwaggerUi::new("/docs").url("/docs/openapi.json", document))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(sessions)
        .layer(CsrfLayer::new().with_rejection_response(Problem::of_other_site))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(CatchPanicLayer::custom(Problem::of_panic))
        .layer(from_fn(layers::conditional))
        .layer(CompressionLayer::new())
        .layer(from_fn(layers::security_headers))
        .layer(count)
        .layer(TraceLayer::new_for_http())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .with_state(Service { store });
    Ok(router)
}

async fn no_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND).with_detail("no route has this path")
}

async fn no_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED).with_detail("this path has other methods")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Standard output is for the address; errors go to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let app = app(Settings::from_environment()?).await?;
    let address = std::env::var("SHORTLINKS_ADDR").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    announce(listener.local_addr()?);
    let handle = Handle::new();
    tokio::spawn(stop_at_signal(handle.clone()));
    axum_server::from_tcp(listener)?
        .handle(handle)
        .serve(app.into_make_service_with_connect_info::<SocketAddr>())
        .await?;
    Ok(())
}

fn announce(address: SocketAddr) {
    println!("Listening on http://{address}");
}

/// Waits for the signals by which a service manager and a terminal stop a program.
async fn stop_at_signal(handle: Handle<SocketAddr>) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    site::STOPS.store(true, Ordering::Relaxed);
    handle.graceful_shutdown(Some(STOP_TIMEOUT));
    Ok(())
}
