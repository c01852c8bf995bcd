//! Conduit with one worker and the plain text as the last of 10 or of 1,000 routes.

use conduit::prelude::*;

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

include!(concat!(env!("OUT_DIR"), "/routes.rs"));

fn main() -> conduit::Result {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bench-conduit-routes ADDRESS 10|1000";
    let address = arguments.next().expect(usage);
    let app = match arguments.next().as_deref() {
        Some("1000") => App::new(()).routes(THOUSAND),
        _ => App::new(()).routes(TEN),
    };
    app.workers(1).listen(address)?.run()
}
