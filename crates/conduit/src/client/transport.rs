//! The transports of requests to a service.

use std::future::Future;

use bytes::Bytes;

use crate::BoxError;

/// Sends the requests of a [`TypedClient`](super::TypedClient). The target of a request is its path and query.
pub trait Transport {
    /// Sends a request and receives the whole response.
    fn send(&self, request: http::Request<Bytes>) -> impl Future<Output = Result<http::Response<Bytes>, BoxError>>;
}

/// A service at a URL, over HTTP. Requires the feature `reqwest`.
#[cfg(feature = "reqwest")]
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    address: String,
    http: reqwest::Client,
}

#[cfg(feature = "reqwest")]
impl ReqwestTransport {
    /// Creates a transport to the service at this URL, such as `https://links.example.com`; `https` needs a feature of `reqwest`
    /// for TLS. Set timeouts and redirects on `http`.
    pub fn new(address: impl Into<String>, http: reqwest::Client) -> Self {
        let mut address = address.into();
        address.truncate(address.trim_end_matches('/').len());
        ReqwestTransport { address, http }
    }
}

#[cfg(feature = "reqwest")]
impl Transport for ReqwestTransport {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, BoxError> {
        let (head, body) = request.into_parts();
        let address = format!("{}{}", self.address, head.uri);
        let sent = self.http.request(head.method, address).headers(head.headers).body(body);
        let response = sent.send().await?;
        let mut received = http::Response::new(Bytes::new());
        *received.status_mut() = response.status();
        *received.headers_mut() = response.headers().clone();
        *received.body_mut() = response.bytes().await?;
        Ok(received)
    }
}

#[cfg(feature = "testing")]
impl Transport for crate::testing::TestClient {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, BoxError> {
        let (head, body) = request.into_parts();
        let mut request = self.request(head.method.as_str(), &head.uri.to_string());
        for (name, value) in &head.headers {
            request = request.header(name.as_str(), str::from_utf8(value.as_bytes())?);
        }
        let response = request.body(body).await;
        let mut received = http::Response::new(Bytes::copy_from_slice(response.bytes()));
        *received.status_mut() = response.status();
        *received.headers_mut() = response.headers().clone();
        Ok(received)
    }
}
