//! actix-web with one worker: HTTPS by rustls, files by actix-files. The directory that it is started in has
//! `certificate.pem`, `key.pem` and `static/`.

use actix_files::Files;
use actix_web::{App, HttpServer, get};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

fn files() -> Files {
    Files::new("/static", "static").try_compressed()
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
    let address = arguments.next().expect("usage: bench-actix-edge ADDRESS [tls]");
    let server = HttpServer::new(|| App::new().service(plaintext).service(files()))
        .workers(1)
        // The default of 5 seconds is shorter than 10,000 handshakes take.
        .keep_alive(std::time::Duration::from_secs(75));
    if arguments.next().is_some() {
        server.bind_rustls_0_23(address, tls())?.run().await
    } else {
        server.bind(address)?.run().await
    }
}
