use conduit::prelude::*;

#[get("/users/{name}")]
async fn user(name: Path<&str>) -> String {
    name.to_string()
}

#[get("/static/{name}")]
async fn fixed(name: Path<&'static str>) -> String {
    name.to_string()
}

#[get("/pairs/{id}/{name}")]
async fn pair(Path((id, name)): Path<(u64, &str)>) -> String {
    format!("{id} {name}")
}

#[get("/maybe/{name}")]
async fn maybe(name: Option<Path<&str>>) -> String {
    name.map(|name| name.to_string()).unwrap_or_default()
}

#[post("/bytes")]
async fn bytes(bytes: Json<&[u8]>) -> String {
    bytes.len().to_string()
}

fn main() {
    App::new(()).routes(routes![user, fixed, pair, maybe, bytes]);
}
