use conduit::prelude::*;

struct User;

#[get("/user")]
fn show() -> User {
    User
}

#[get("/count")]
async fn count() -> Result<String, u64> {
    Err(7)
}

fn main() {
    App::new(()).routes(routes![show, count]);
}
