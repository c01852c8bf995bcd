//! Conduit with one worker: the same service of tonic, next to a route.

#[path = "../../tonic-grpc/src/greeter.rs"]
mod greeter;

use conduit::prelude::*;

use crate::greeter::GreeterServer;

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

fn main() -> conduit::Result {
    let address = std::env::args().nth(1).expect("usage: bench-conduit-grpc ADDRESS");
    App::new(())
        .routes(routes![plaintext])
        .fallback(conduit::tower::service(GreeterServer))
        .workers(1)
        // All of the load comes from one address.
        .peer_connection_limit(16_384)
        .listen(address)?
        .run()
}
