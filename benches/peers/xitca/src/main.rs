//! xitca-web with one worker. It runs the worker and its accept loop on separate threads.

use xitca_web::{
    App,
    handler::{handler_service, json::Json, params::Params},
    route::get,
};

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

async fn plaintext() -> &'static str {
    "Hello, World!"
}

async fn json() -> Json<Message> {
    Json(Message {
        message: "Hello, World!",
    })
}

async fn user(Params(id): Params<u64>) -> String {
    id.to_string()
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).expect("usage: bench-xitca ADDRESS");
    App::new()
        .at("/plaintext", get(handler_service(plaintext)))
        .at("/json", get(handler_service(json)))
        .at("/users/{id}", get(handler_service(user)))
        .serve()
        .worker_threads(1)
        .bind(address)?
        .run()
        .wait()
}
