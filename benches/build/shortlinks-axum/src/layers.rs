//! Layers that no crate provides, or that need no more lines than the configuration of such a crate.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_extra::TypedHeader;
use axum_extra::headers::{ETag, HeaderMapExt, IfNoneMatch};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::{GovernorError, GovernorLayer};
use utoipa_axum::router::OpenApiRouter;

use crate::Service;
use crate::problem::Problem;
use crate::settings::MINUTE;

/// The maximum length of a response that gets a tag.
const TAGGED_BYTES: usize = 4 * 1024 * 1024;

/// The page that shows the API contains a script and styles from its crate.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The nonce of one response, for the elements of the page that the browser may use.
#[derive(Clone)]
pub(crate) struct CspNonce(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for CspNonce {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<CspNonce, Problem> {
        let nonce = parts.extensions.get().cloned();
        nonce.ok_or_else(|| Problem::new(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

/// Adds the fields by which a browser protects a page and its users, unless the response has them.
pub(crate) async fn security_headers(mut request: Request, next: Next) -> Response {
    let policy = match request.uri().path() == "/docs/" {
        true => HeaderValue::from_static(DOCS_POLICY),
        false => {
            let nonce = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
            let policy = format!(
                "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; \
                 form-action 'self'; frame-ancestors 'none'"
            );
            request.extensions_mut().insert(CspNonce(nonce));
            HeaderValue::try_from(policy).expect("base64 is valid in a header field")
        }
    };
    let mut response = next.run(request).await;
    if response.status() != StatusCode::NOT_MODIFIED {
        let headers = response.headers_mut();
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    }
    for (name, value) in SECURITY_HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Responds to `GET` and `HEAD` with 304 if the client has the current version, by a tag that is computed from the body.
pub(crate) async fn conditional(
    known: Option<TypedHeader<IfNoneMatch>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = next.run(request).await;
    if !is_read || response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, TAGGED_BYTES)
        .await
        .map_err(|error| Problem::internal(&error))?;
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16]));
    let tag: ETag = tag.parse().expect("base64 is valid in a tag");
    parts.headers.typed_insert(tag.clone());
    if known.is_some_and(|TypedHeader(known)| !known.precondition_passes(&tag)) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// The metrics reveal how the service is used; they are not public.
pub(crate) async fn only_from_this_machine(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match peer.ip().to_canonical().is_loopback() {
        true => Ok(next.run(request).await),
        false => Err(Problem::new(StatusCode::FORBIDDEN).with_detail("this is available on the machine itself only")),
    }
}

/// The limit of requests of one address to all routes of the router together.
pub(crate) fn limited(router: OpenApiRouter<Service>, per_minute: u32) -> OpenApiRouter<Service> {
    let config = GovernorConfigBuilder::default()
        .period(MINUTE / per_minute)
        .burst_size(per_minute)
        .finish()
        .expect("neither is zero");
    let limiter = config.limiter().clone();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_secs(60));
        loop {
            interval.tick().await;
            limiter.retain_recent();
        }
    });
    router.layer(GovernorLayer::new(config).error_handler(too_many))
}

fn too_many(error: GovernorError) -> Response {
    let (status, headers) = match error {
        GovernorError::TooManyRequests { headers, .. } => (StatusCode::TOO_MANY_REQUESTS, headers),
        GovernorError::UnableToExtractKey => (StatusCode::INTERNAL_SERVER_ERROR, None),
        GovernorError::Other { code, headers, .. } => (code, headers),
    };
    let problem = Problem::new(status).with_headers(headers.unwrap_or_else(HeaderMap::new));
    problem.into_response()
}
