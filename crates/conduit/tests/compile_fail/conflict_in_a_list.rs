use conduit::prelude::*;

#[get("/users/{id}")]
fn show(id: Path<u64>) -> String {
    id.to_string()
}

#[get("/users/{name}")]
fn find(name: Path<String>) -> String {
    name.0
}

fn main() {
    App::new(()).routes(routes![show, find]);
}
