//! salvo as its documentation serves it, on one current-thread runtime.

use salvo::conn::TcpListener;
use salvo::prelude::*;

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

#[handler]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

#[handler]
async fn json() -> Json<Message> {
    Json(Message {
        message: "Hello, World!",
    })
}

#[handler]
async fn user(request: &mut Request, response: &mut Response) {
    match request.param::<u64>("id") {
        Some(id) => response.render(id.to_string()),
        None => response.render(StatusError::bad_request()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address = std::env::args().nth(1).expect("usage: bench-salvo ADDRESS");
    let router = Router::new()
        .push(Router::with_path("plaintext").get(plaintext))
        .push(Router::with_path("json").get(json))
        .push(Router::with_path("users/{id}").get(user));
    Server::new(TcpListener::new(address).bind().await).serve(router).await;
}
