//! The assets of the page, and the routes for the operator.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::from_fn;
use axum::response::IntoResponse;
use axum::routing::get;
use axum_prometheus::metrics_exporter_prometheus::PrometheusHandle;
use rust_embed::Embed;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Service;
use crate::layers::only_from_this_machine;
use crate::problem::Problem;
use crate::store::Store;

/// Set at the start of a shutdown.
pub(crate) static STOPS: AtomicBool = AtomicBool::new(false);

/// The style and the script of the page.
#[derive(Embed)]
#[folder = "../../../examples/shortlinks/assets"]
struct Assets;

pub(crate) fn router(metrics: PrometheusHandle) -> OpenApiRouter<Service> {
    let metrics = get(async move || metrics.render()).layer(from_fn(only_from_this_machine));
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .route("/assets/{name}", get(asset))
        .route("/metrics", metrics)
}

/// The path of an asset with its version, so that browsers cache it until it changes.
pub(crate) fn asset_path(name: &str) -> String {
    let asset = Assets::get(name).expect("the asset is in the directory");
    let [first, second, third, fourth, ..] = asset.metadata.sha256_hash();
    let version = u32::from_be_bytes([first, second, third, fourth]);
    format!("/assets/{name}?v={version:08x}")
}

async fn asset(Path(name): Path<String>) -> Result<impl IntoResponse, Problem> {
    let asset = Assets::get(&name).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND))?;
    let media_type = asset.metadata.mimetype().to_owned();
    let headers = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, asset.data))
}

/// Responds while the program runs.
#[utoipa::path(get, path = "/healthz", tag = "site", responses((status = OK, body = String)))]
async fn healthz() -> &'static str {
    "alive\n"
}

/// Responds with 200 while the service accepts requests: it is not shutting down, and its database responds.
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
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the database does not respond"
            );
            Err(unavailable("the database does not respond"))
        }
    }
}

fn unavailable(detail: &'static str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_detail(detail)
}
