use conduit::prelude::*;

#[get("/reports/{id}.json")]
fn show(id: Path<u64>) -> String {
    id.to_string()
}

#[get("/reports/{name}.json")]
fn find(name: Path<String>) -> String {
    name.0
}

fn main() {
    App::new(()).routes(routes![show, find]);
}
