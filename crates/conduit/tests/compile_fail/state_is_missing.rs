use conduit::prelude::*;

#[derive(Clone)]
struct Database;

#[derive(Clone)]
struct Store;

#[get("/users")]
fn list(_database: State<Database>) {}

fn main() {
    App::new(Store).routes(routes![list]);
}
