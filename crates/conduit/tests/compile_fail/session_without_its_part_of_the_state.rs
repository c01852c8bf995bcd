use conduit::prelude::*;
use conduit::session::Session;

#[derive(Clone, FromRef)]
struct Site {
    name: &'static str,
}

#[get("/")]
async fn show(_: Session<u64>) {}

fn main() {
    let _ = App::new(Site { name: "home" }).routes(routes![show]);
}
