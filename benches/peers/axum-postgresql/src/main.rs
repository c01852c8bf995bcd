//! axum and sqlx as their documentation combines them, on the multi-thread runtime.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::{Json, Router, routing::get};
use queries::World;
use sqlx::PgPool;
use tokio::net::TcpListener;

#[path = "../../../postgresql/queries.rs"]
mod queries;

const USAGE: &str = "usage: bench-axum-postgresql ADDRESS URL CONNECTIONS";

async fn world(Path(id): Path<i32>, State(pool): State<PgPool>) -> Result<Json<World>, (StatusCode, String)> {
    queries::world(id, &pool).await.map(Json).map_err(internal_error)
}

async fn fortunes(State(pool): State<PgPool>) -> Result<Html<String>, (StatusCode, String)> {
    queries::fortunes(&pool).await.map(Html).map_err(internal_error)
}

fn internal_error(error: sqlx::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, url, connections] = arguments.as_slice() else {
        panic!("{USAGE}");
    };
    let pool = queries::open(url, connections.parse().expect(USAGE)).await?;
    let app = Router::new()
        .route("/worlds/{id}", get(world))
        .route("/fortunes", get(fortunes))
        .with_state(pool);
    axum::serve(TcpListener::bind(address).await?, app).await?;
    Ok(())
}
