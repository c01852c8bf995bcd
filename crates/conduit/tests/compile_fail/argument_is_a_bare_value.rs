use conduit::prelude::*;

#[get("/users/{id}/posts/{slug}")]
fn post(id: u64, slug: &str) {}

#[get("/notes/{title}")]
async fn note(title: String, user: Option<Query<u64>>) {}

#[get("/count")]
fn count(limit: u32, exact: bool) {}

#[post("/borrowed")]
async fn borrowed(text: &str, headers: &HeaderMap) {}

#[post("/request")]
async fn request(request: &mut Request) {}

fn main() {
    App::new(()).routes(routes![post, note, count, borrowed, request]);
}
