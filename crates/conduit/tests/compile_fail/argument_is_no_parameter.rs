use conduit::prelude::*;

#[get("/users/{id}")]
fn show(user_id: Path<u64>) -> String {
    user_id.to_string()
}

#[get("/users/{id}/posts/{slug}")]
fn post(Path(user): Path<u64>, slug: Path<String>) -> String {
    format!("{user} {}", *slug)
}

#[get("/users")]
fn list(page: Path<u64>) -> String {
    page.to_string()
}

#[get("/teams/{id}")]
fn team(_: Path<u64>) {}

#[get("/wrapped/{id}")]
fn wrapped(user_id: Option<Path<u64>>) {}

fn main() {
    App::new(()).routes(routes![show, post, list]);
}
