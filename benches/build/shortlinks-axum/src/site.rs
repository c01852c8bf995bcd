//! The page, and the routes for the operator.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::middleware::from_fn;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum_prometheus::metrics_exporter_prometheus::PrometheusHandle;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Service;
use crate::layers::only_from_this_machine;
use crate::problem::Problem;
use crate::store::Store;

/// Set at the start of a shutdown.
pub(crate) static STOPS: AtomicBool = AtomicBool::new(false);

const PAGE: &str = include_str!("../../../../examples/shortlinks/src/page.html");
/// The page loads nothing from elsewhere, sends nothing elsewhere, and cannot be framed.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn router(metrics: PrometheusHandle) -> OpenApiRouter<Service> {
    let metrics = get(async move || metrics.render()).layer(from_fn(only_from_this_machine));
    OpenApiRouter::new()
        .routes(routes!(page))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .route("/metrics", metrics)
}

/// The page.
#[utoipa::path(get, path = "/", tag = "site", responses((status = OK, body = String, content_type = "text/html")))]
async fn page() -> impl IntoResponse {
    ([(CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(PAGE))
}

/// Responds while the program is alive.
#[utoipa::path(get, path = "/healthz", tag = "site", responses((status = OK, body = String)))]
async fn healthz() -> &'static str {
    "alive\n"
}

/// Responds 200 while the service accepts requests: it is not shutting down, and its database responds.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "site",
    responses(
        (status = OK, body = String),
        (status = SERVICE_UNAVAILABLE, body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn readyz(State(store): State<Store>) -> Result<&'static str, Problem> {
    if STOPS.load(Ordering::Relaxed) {
        return Err(unavailable("the service stops"));
    }
    match store.check().await {
        Ok(()) => Ok("ready\n"),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the database does not answer");
            Err(unavailable("the database does not answer"))
        }
    }
}

fn unavailable(detail: &'static str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_detail(detail)
}
