use conduit::prelude::*;

#[post("/users")]
fn create() {}

#[post("/users")]
fn add() {}

const ROUTES: Routes = routes![create, add];

fn main() {
    App::new(()).routes(ROUTES);
}
