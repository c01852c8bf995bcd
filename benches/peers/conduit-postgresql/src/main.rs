//! Conduit and sqlx with the default workers, with a pool for each worker or one for all.

use std::thread::available_parallelism;

use conduit::prelude::*;
use queries::World;
use sqlx::PgPool;

#[path = "../../../postgresql/queries.rs"]
mod queries;

const USAGE: &str = "usage: bench-conduit-postgresql ADDRESS URL CONNECTIONS per-worker|shared";

#[derive(Clone, FromRef)]
struct Service {
    pool: PgPool,
}

#[get("/worlds/{id}")]
async fn world(id: Path<i32>, pool: State<PgPool>) -> Result<Json<World>, Problem> {
    Ok(Json(queries::world(*id, &pool).await?))
}

#[get("/fortunes")]
async fn fortunes(pool: State<PgPool>) -> Result<Html<String>, Problem> {
    Ok(Html(queries::fortunes(&pool).await?))
}

async fn open(url: String, connections: u32) -> Result<Service, sqlx::Error> {
    let pool = queries::open(&url, connections).await?;
    Ok(Service { pool })
}

fn main() -> conduit::Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, url, connections, pools] = arguments.as_slice() else {
        panic!("{USAGE}");
    };
    let (address, url) = (address.clone(), url.clone());
    let connections: u32 = connections.parse().expect(USAGE);
    let app = match pools.as_str() {
        "per-worker" => {
            // The default number of workers.
            let workers = available_parallelism()?.get() as u32;
            App::open_per_worker(move || open(url.clone(), connections / workers))
        }
        "shared" => App::open(open(url, connections))?,
        _ => panic!("{USAGE}"),
    };
    app.routes(routes![world, fortunes]).listen(address)?.run()
}
