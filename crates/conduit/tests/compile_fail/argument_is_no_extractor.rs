use conduit::Valid;
use conduit::prelude::*;

struct Session;

#[get("/users")]
fn list(_session: Session) {}

#[get("/count")]
fn count(_count: Vec<u8>) {}

#[post("/text")]
fn text(_text: Valid<String>) {}

fn main() {
    App::new(()).routes(routes![list, count, text]);
}
