use conduit::prelude::*;

#[get("/users/{id}")]
fn show() {}

#[get("/users/{id}/posts/{slug}")]
fn post(id: Path<u64>) -> String {
    id.to_string()
}

fn main() {
    App::new(()).routes(routes![show, post]);
}
