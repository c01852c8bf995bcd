//! Conduit with one worker.

use conduit::prelude::*;

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

#[get("/json")]
async fn json() -> Json<Message> {
    Json(Message {
        message: "Hello, World!",
    })
}

#[get("/users/{id}")]
async fn user(Path(id): Path<u64>) -> String {
    id.to_string()
}

fn main() -> conduit::Result {
    let address = std::env::args().nth(1).expect("usage: bench-conduit ADDRESS");
    App::new(())
        .routes(routes![plaintext, json, user])
        .workers(1)
        // All of the load comes from one address.
        .peer_connection_limit(16_384)
        .listen(address)?
        .run()
}
