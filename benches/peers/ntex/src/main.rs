//! ntex with one worker on its own runtime, neon, which uses io_uring if the kernel allows it, and polling otherwise.
//! It runs the worker and its accept loop on separate threads.

use ntex::web;

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

#[web::get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

#[web::get("/json")]
async fn json() -> web::HttpResponse {
    web::HttpResponse::Ok().json(&Message {
        message: "Hello, World!",
    })
}

#[web::get("/users/{id}")]
async fn user(id: web::types::Path<u64>) -> String {
    id.to_string()
}

#[ntex::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).expect("usage: bench-ntex ADDRESS");
    web::server(async || web::App::new().service((plaintext, json, user)))
        .workers(1)
        .bind(address)?
        .run()
        .await
}
