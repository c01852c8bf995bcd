//! Conduit with one worker: HTTP/2 in cleartext by prior knowledge, and over TLS by ALPN. The directory that it is started
//! in has `certificate.pem` and `key.pem`.

use std::sync::LazyLock;

use conduit::Tls;
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

#[post("/upload")]
async fn upload(body: Bytes) -> String {
    body.len().to_string()
}

#[get("/download")]
async fn download() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| "Sixty-four bytes of a file, which a server gives away as it is.\n".repeat(16 * 1024));
    &TEXT
}

fn main() -> conduit::Result {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("usage: bench-conduit-http2 ADDRESS [tls]");
    let mut app = App::new(())
        .routes(routes![plaintext, json, user, upload, download])
        .workers(1)
        // All of the load comes from one address.
        .peer_connection_limit(16_384);
    if arguments.next().is_some() {
        app = app.tls(Tls::files("certificate.pem", "key.pem"));
    }
    app.listen(address)?.run()
}
