//! actix-web with one worker: HTTP/2 in cleartext by prior knowledge, and over TLS by ALPN. The directory that it is started
//! in has `certificate.pem` and `key.pem`.

use std::sync::LazyLock;

use actix_web::web::{Bytes, Json, Path};
use actix_web::{App, HttpServer, get, post};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

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
async fn user(id: Path<u64>) -> String {
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

fn tls() -> ServerConfig {
    let certificates = CertificateDer::pem_file_iter("certificate.pem").expect("certificate.pem can be read");
    let key = PrivateKeyDer::from_pem_file("key.pem").expect("key.pem has a key");
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            certificates.collect::<Result<_, _>>().expect("they are certificates"),
            key,
        )
        .expect("the key is the certificate's")
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("usage: bench-actix-http2 ADDRESS [tls]");
    let server = HttpServer::new(|| {
        App::new()
            .service(plaintext)
            .service(json)
            .service(user)
            .service(upload)
            .service(download)
    })
    .workers(1)
    .keep_alive(std::time::Duration::from_secs(75));
    if arguments.next().is_some() {
        server.bind_rustls_0_23(address, tls())?.run().await
    } else {
        server.bind_auto_h2c(address)?.run().await
    }
}
