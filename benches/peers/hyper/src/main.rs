//! hyper's HTTP/1 connection with a service written by hand: one current-thread runtime, one task a connection.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

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

fn route<B>(request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return refuse(StatusCode::METHOD_NOT_ALLOWED);
    }
    match request.uri().path() {
        "/plaintext" => answer("text/plain", Bytes::from_static(b"Hello, World!")),
        "/json" => match serde_json::to_vec(&Message {
            message: "Hello, World!",
        }) {
            Ok(body) => answer("application/json", body.into()),
            Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR),
        },
        path => match path.strip_prefix("/users/").map(str::parse::<u64>) {
            Some(Ok(id)) => answer("text/plain", id.to_string().into()),
            Some(Err(_)) => refuse(StatusCode::BAD_REQUEST),
            None => refuse(StatusCode::NOT_FOUND),
        },
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).expect("usage: bench-hyper ADDRESS");
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| async move { Ok::<_, Infallible>(route(&request)) });
            // A broken connection is the client's concern; the server continues.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
