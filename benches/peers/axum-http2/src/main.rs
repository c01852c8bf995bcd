//! axum on one current-thread runtime: HTTP/2 in cleartext by prior knowledge as `axum::serve` does it, and over TLS by ALPN
//! with axum-server. The directory that it is started in has `certificate.pem` and `key.pem`.

use std::net::SocketAddr;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};

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

async fn user(Path(id): Path<u64>) -> String {
    id.to_string()
}

async fn upload(body: Bytes) -> String {
    body.len().to_string()
}

async fn download() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| "Sixty-four bytes of a file, which a server gives away as it is.\n".repeat(16 * 1024));
    &TEXT
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("usage: bench-axum-http2 ADDRESS [tls]");
    let address: SocketAddr = address.parse().expect("an IP address and a port");
    let app = Router::new()
        .route("/plaintext", get(plaintext))
        .route("/json", get(json))
        .route("/users/{id}", get(user))
        .route("/upload", post(upload))
        .route("/download", get(download));
    if arguments.next().is_some() {
        let config = RustlsConfig::from_pem_file("certificate.pem", "key.pem").await?;
        let acceptor = RustlsAcceptor::new(config).acceptor(NoDelayAcceptor::new());
        axum_server::bind(address)
            .acceptor(acceptor)
            .serve(app.into_make_service())
            .await
    } else {
        // As over TLS: without TCP_NODELAY a response waits for the acknowledgement of the previous one.
        let listener = tokio::net::TcpListener::bind(address).await?.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await
    }
}
