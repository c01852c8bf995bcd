//! The extractor: from a request for an upgrade to the response with 101.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use conduit_core::internal::charge::Charge;
use conduit_proto::h1::BodyLength;
use conduit_proto::ws::{Deflate, DeflateConfig, Handshake, HandshakeError, choose_subprotocol, offers_websocket};
use http::header::{
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pin_project_lite::pin_project;

use super::origin::PermittedOrigins;
use super::socket::WebSocket;
use crate::body::{Body, BoxError};
use crate::extract::FromRequest;
use crate::openapi::Operation;
use crate::origin::PageOrigin;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::server::websocket::{PendingSocket, SocketOptions, SocketResult, is_served};

/// A request that opens a WebSocket. [`on_upgrade`](Self::on_upgrade) accepts it.
///
/// In HTTP/1.1 it is a `GET` with `upgrade: websocket`, and in HTTP/2 a `CONNECT` with `:protocol: websocket` (RFC 8441), which
/// reaches the route of the `GET`. The handler sees no difference.
///
/// Other requests are rejected: with 426 if they request no upgrade, or another version than 13, and with 400 if the key is
/// invalid, or if the request has content.
///
/// # Example
///
/// A WebSocket for pages of two origins, with a choice of subprotocols:
///
/// ```
/// use conduit::WebSocketUpgrade;
/// use conduit::prelude::*;
///
/// #[get("/news")]
/// async fn news(upgrade: WebSocketUpgrade) -> Response {
///     upgrade
///         .allow_origins(["https://example.org"])
///         .subprotocols(["news.v2", "news.v1"])
///         .on_upgrade(|socket| async move {
///             socket.send("Nothing happened.").await
///         })
/// }
/// ```
pub struct WebSocketUpgrade {
    handshake: Handshake,
    /// The fields that are negotiated.
    offers: HeaderMap,
    origin: PageOrigin,
    origins: PermittedOrigins,
    subprotocol: Option<String>,
    compression: Option<DeflateConfig>,
    message_bytes: Option<usize>,
    queue_bytes: Option<usize>,
}

impl WebSocketUpgrade {
    /// Permits pages of these origins in addition to the origin of the request: scheme, host and port as browsers send them in
    /// `origin`, such as `https://example.org`.
    ///
    /// By default only same-origin pages are permitted: those with the host and port of the request, or those that a
    /// [trusted proxy](crate::App::trusted_proxies) sends. Requests without `origin` are not from browsers, and are
    /// always permitted.
    ///
    /// # Panics
    ///
    /// Panics if an origin has a path, a trailing slash or an upper-case letter, or lacks a scheme: browsers send no such origin
    /// except for `null`, which any page can have.
    #[track_caller]
    pub fn allow_origins<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        let more: Vec<String> = origins.into_iter().map(Into::into).collect();
        for origin in &more {
            crate::origin::require(origin);
        }
        match &mut self.origins {
            PermittedOrigins::Own => self.origins = PermittedOrigins::Listed(more),
            PermittedOrigins::Listed(listed) => listed.extend(more),
            PermittedOrigins::Any => {}
        }
        self
    }

    /// Permits pages of any origin: for WebSockets that depend on no cookie and no network of the client.
    pub fn allow_any_origin(mut self) -> Self {
        self.origins = PermittedOrigins::Any;
        self
    }

    /// Sets the supported subprotocols, in order of preference. The response contains the first one that the client
    /// offers, if any. Default: none.
    pub fn subprotocols<'a>(mut self, supported: impl IntoIterator<Item = &'a str>) -> Self {
        self.subprotocol = choose_subprotocol(&self.offers, supported).map(str::to_owned);
        self
    }

    /// Returns the subprotocol that [`subprotocols`](Self::subprotocols) has selected.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Compresses messages (permessage-deflate, RFC 7692) if the client offers it. Default: no compression.
    ///
    /// The default configuration costs no memory for each WebSocket: all WebSockets of a worker share a compressor, and a
    /// message does not refer to earlier ones. With `context_takeover` the compressors of all WebSockets, and the encoders of
    /// compressed responses, have a quarter of the [memory for bodies](crate::App::body_memory); a further WebSocket uses the
    /// compressor of its worker, and is counted as `compression_memory`. Do not compress messages that contain both a secret and
    /// text that another user chooses: their length reveals whether the text equals the secret.
    pub fn compression(mut self, config: DeflateConfig) -> Self {
        self.compression = Some(config);
        self
    }

    /// Sets the limit of a message in bytes, instead of [`App::websocket_message_limit`](crate::App::websocket_message_limit).
    pub fn message_limit(mut self, bytes: usize) -> Self {
        self.message_bytes = Some(bytes);
        self
    }

    /// Sets the size of each queue in bytes, instead of [`App::websocket_queue_limit`](crate::App::websocket_queue_limit).
    pub fn queue_limit(mut self, bytes: usize) -> Self {
        self.queue_bytes = Some(bytes);
        self
    }

    /// Returns the response that opens the WebSocket and starts `handler`. The status is 101, sent as 200 in HTTP/2.
    /// The handler starts when the response has been written, runs on the same worker, and need not be `Send`. It
    /// returns `()` or a `Result`: an error is logged, and closes the WebSocket with 1011.
    ///
    /// The response is a 403 if the origin of the page is not permitted; `handler` is then not called.
    pub fn on_upgrade<F, H>(self, handler: F) -> Response
    where
        F: FnOnce(WebSocket) -> H + 'static,
        H: Future + 'static,
        H::Output: SocketOutcome,
    {
        if !self.origins.permit(&self.origin) {
            let origin = self.origin.sent.unwrap_or_default();
            tracing::debug!(
                origin,
                "refused a WebSocket of another origin; WebSocketUpgrade::allow_origins permits it"
            );
            return Problem::forbidden("pages of this origin may not open this WebSocket").into_response();
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Some(accept) = self.handshake.accept() {
            insert(headers, SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(subprotocol) = &self.subprotocol {
            insert(headers, SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        let negotiated = self.compression.and_then(|config| negotiate(config, &self.offers));
        let (deflate, charge) = match negotiated {
            Some((deflate, charge, value)) => {
                insert(headers, SEC_WEBSOCKET_EXTENSIONS, &value);
                (Some(deflate), charge)
            }
            None => (None, Charge::default()),
        };
        let options = SocketOptions {
            message_bytes: self.message_bytes,
            queue_bytes: self.queue_bytes,
            deflate,
            charge,
        };
        let socket = PendingSocket::new(options, |handle| {
            Box::pin(Handler {
                handler: handler(WebSocket::new(handle)),
            })
        });
        response.extensions_mut().insert(socket.into_ticket());
        response
    }
}

pin_project! {
    /// The handler of a WebSocket, whose output is converted to a `Result`. An async block would store the handler's future twice.
    struct Handler<H> {
        #[pin]
        handler: H,
    }
}

impl<H> Future for Handler<H>
where
    H: Future,
    H::Output: SocketOutcome,
{
    type Output = SocketResult;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<SocketResult> {
        self.project().handler.poll(context).map(SocketOutcome::into_result)
    }
}

/// The parameters of the compression, the memory of the WebSocket's compressors, and the value of the response's field. Without
/// memory for compressors the WebSocket uses those of the worker.
fn negotiate(config: DeflateConfig, offers: &HeaderMap) -> Option<(Deflate, Charge, String)> {
    let (deflate, value) = config.negotiate(offers)?;
    match Charge::of_encoders(deflate.own_bytes()) {
        Ok(charge) => Some((deflate, charge, value)),
        Err(_) => {
            let shared = DeflateConfig {
                context_takeover: false,
                ..config
            };
            let (deflate, value) = shared.negotiate(offers)?;
            Some((deflate, Charge::default(), value))
        }
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Values of the engine, and a subprotocol that equals a part of a received field.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The result of the handler of a WebSocket: `()`, or a `Result` whose error is logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a WebSocket's handler",
    label = "the handler of this WebSocket returns `{Self}`",
    note = "return `()`, or a `Result<(), E>` whose error converts into `Box<dyn std::error::Error + Send + Sync>`"
)]
pub trait SocketOutcome {
    /// Returns the outcome of the handler.
    ///
    /// # Errors
    ///
    /// Returns the error of the handler.
    fn into_result(self) -> Result<(), BoxError>;
}

impl SocketOutcome for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> SocketOutcome for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for WebSocketUpgrade {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let handshake = match request.head().protocol() {
            Some(_) => Handshake::parse_connect(request.headers()),
            None => Handshake::parse(request.method(), request.version(), request.headers()),
        };
        let handshake = handshake.map_err(rejection)?;
        // Content of a GET has no meaning (RFC 9110, section 9.3.1), and frames may begin only after it (section 7.8).
        if request.head().body() != BodyLength::None {
            return Err(Problem::new(StatusCode::BAD_REQUEST).with_detail(
                "the request for a WebSocket has content: send it without 'content-length' and 'transfer-encoding'",
            ));
        }
        if !is_served() {
            return Err(Problem::new(StatusCode::NOT_IMPLEMENTED).with_detail(
                "WebSockets are not supported on this connection, which another server has accepted: connect \
                    to the application directly",
            ));
        }
        let mut offers = HeaderMap::new();
        for name in [SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_EXTENSIONS] {
            for value in request.headers().get_all(&name) {
                offers.append(name.clone(), value.clone());
            }
        }
        let origin = PageOrigin::of(request);
        Ok(WebSocketUpgrade {
            handshake,
            offers,
            origin,
            origins: PermittedOrigins::Own,
            subprotocol: None,
            compression: None,
            message_bytes: None,
            queue_bytes: None,
        })
    }

    fn describe(operation: &mut Operation) {
        operation.at_status(StatusCode::SWITCHING_PROTOCOLS, |operation| {
            operation
                .response_without_body()
                .response_description("The connection continues as a WebSocket (RFC 6455).");
        });
        operation.problem(
            StatusCode::BAD_REQUEST,
            "The key of the WebSocket is invalid, or the request has content.",
        );
        operation.problem(
            StatusCode::FORBIDDEN,
            "The origin of the page may not open this WebSocket.",
        );
        operation.problem(
            StatusCode::UPGRADE_REQUIRED,
            "The request is not an upgrade to version 13 of the WebSocket protocol.",
        );
    }

    fn is_absent(request: &Request) -> bool {
        let offers = || request.header(UPGRADE.as_str()).is_some() && offers_websocket(request.headers());
        request.head().protocol().is_none() && !offers()
    }
}

fn rejection(error: HandshakeError) -> Problem {
    let problem = Problem::new(error.status()).with_detail(error.to_string());
    match error.status() {
        StatusCode::UPGRADE_REQUIRED => problem
            .with_header(UPGRADE, HeaderValue::from_static("websocket"))
            .with_header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        _ => problem,
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("origin", &self.origin)
            .field("subprotocol", &self.subprotocol)
            .finish_non_exhaustive()
    }
}
