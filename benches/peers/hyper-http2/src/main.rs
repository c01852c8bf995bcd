//! hyper's HTTP/2 connection with a service written by hand, on one current-thread runtime; TLS by tokio-rustls. The directory
//! that it is started in has `certificate.pem` and `key.pem`.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

fn answer(content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn refuse(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

async fn route(request: Request<Incoming>, download: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match request.uri().path() {
        "/plaintext" => answer("text/plain", Bytes::from_static(b"Hello, World!")),
        "/json" => match serde_json::to_vec(&Message {
            message: "Hello, World!",
        }) {
            Ok(body) => answer("application/json", body.into()),
            Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR),
        },
        "/upload" => match request.into_body().collect().await {
            Ok(body) => answer("text/plain", body.to_bytes().len().to_string().into()),
            Err(_) => refuse(StatusCode::BAD_REQUEST),
        },
        "/download" => answer("text/plain", download),
        path => match path.strip_prefix("/users/").map(str::parse::<u64>) {
            Some(Ok(id)) => answer("text/plain", id.to_string().into()),
            Some(Err(_)) => refuse(StatusCode::BAD_REQUEST),
            None => refuse(StatusCode::NOT_FOUND),
        },
    })
}

async fn serve<I: Read + Write + Unpin + 'static>(stream: I, download: Bytes) {
    let service = service_fn(move |request| route(request, download.clone()));
    // A broken connection is the client's concern; the server continues.
    let _ = http2::Builder::new(TokioExecutor::new())
        .serve_connection(stream, service)
        .await;
}

fn tls() -> TlsAcceptor {
    let certificates = CertificateDer::pem_file_iter("certificate.pem").expect("certificate.pem can be read");
    let key = PrivateKeyDer::from_pem_file("key.pem").expect("key.pem has a key");
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            certificates.collect::<Result<_, _>>().expect("they are certificates"),
            key,
        )
        .expect("the key is the certificate's");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("usage: bench-hyper-http2 ADDRESS [tls]");
    let acceptor = arguments.next().map(|_| tls());
    let download = Bytes::from("Sixty-four bytes of a file, which a server gives away as it is.\n".repeat(16 * 1024));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, download) = (acceptor.clone(), download.clone());
        // Without TCP_NODELAY a response waits for the acknowledgement of the previous one.
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            match acceptor {
                None => serve(TokioIo::new(stream), download).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(TokioIo::new(stream), download).await;
                    }
                }
            }
        });
    }
}
