use conduit::prelude::*;

#[get("/files/{*path}")]
fn file(path: Path<String>) -> String {
    path.0
}

#[get("/files/{*rest}")]
fn other(rest: Path<String>) -> String {
    rest.0
}

fn main() {
    App::new(()).routes(routes![file, other]);
}
