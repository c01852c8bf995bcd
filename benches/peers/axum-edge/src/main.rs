//! axum as axum-server serves it, on one current-thread runtime: HTTPS by rustls, files by tower-http. The directory that it
//! is started in has `certificate.pem`, `key.pem` and `static/`.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tower_http::services::ServeDir;

async fn plaintext() -> &'static str {
    "Hello, World!"
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("usage: bench-axum-edge ADDRESS [tls]");
    let address: SocketAddr = address.parse().expect("an IP address and a port");
    let app = Router::new()
        .route("/plaintext", get(plaintext))
        .nest_service("/static", ServeDir::new("static").precompressed_gzip());
    if arguments.next().is_some() {
        let config = RustlsConfig::from_pem_file("certificate.pem", "key.pem").await?;
        // Without TCP_NODELAY a client that resumes a session waits 40 ms for its first response.
        let acceptor = RustlsAcceptor::new(config).acceptor(NoDelayAcceptor::new());
        axum_server::bind(address)
            .acceptor(acceptor)
            .serve(app.into_make_service())
            .await
    } else {
        axum::serve(tokio::net::TcpListener::bind(address).await?, app).await
    }
}
