use conduit::prelude::*;

#[get("/users/{id}")]
#[delete("/users/{id}")]
fn user(id: Path<u64>) -> String {
    id.to_string()
}

#[conduit::post("/users")]
#[conduit::route(PROPFIND, "/users")]
async fn users() {}

fn main() {
    App::new(()).routes(routes![user, users]);
}
