//! actix-web with one worker. It runs the worker and its accept loop on separate threads.

use actix_web::{App, HttpServer, Responder, get, web};

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

#[get("/json")]
async fn json() -> impl Responder {
    web::Json(Message {
        message: "Hello, World!",
    })
}

#[get("/users/{id}")]
async fn user(id: web::Path<u64>) -> String {
    id.to_string()
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).expect("usage: bench-actix ADDRESS");
    HttpServer::new(|| App::new().service(plaintext).service(json).service(user))
        .workers(1)
        .bind(address)?
        .run()
        .await
}
