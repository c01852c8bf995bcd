//! The messages of another server: its requests as those of the application, and the responses of the application as it sends them.

use std::net::SocketAddr;
use std::rc::Rc;

use conduit_proto::message::{BodyLength, MethodKind, ResponseBody, content_length};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};

use crate::body::Body;
use crate::config::Config;
use crate::connection_info::ConnectionInfo;
use crate::dispatch::Application;
use crate::exchange::response::replace_invalid;
use crate::request::Request;
use crate::response::Response;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// A request for an application, from one that another server has read.
pub(crate) fn assemble(request: http::Request<Body>, peer: Option<SocketAddr>, config: &Config) -> Request {
    let forwarding = peer.and_then(|peer| config.proxies.forwarding_of(peer));
    let info = forwarding.map(|forwarding| {
        Rc::new(ConnectionInfo {
            forwarding: Some(forwarding),
            ..ConnectionInfo::default()
        })
    });
    Request::assembled(request, peer, info)
}

/// The framing of a response that another library sends, by the method of its request.
#[derive(Clone, Copy)]
pub(crate) struct ResponseFraming(MethodKind);

impl ResponseFraming {
    /// The properties of this request.
    pub(crate) fn of(request: &Request) -> Self {
        ResponseFraming(MethodKind::of(request.head().method()))
    }

    /// The response without the fields that belong to the connection, and with the body and the `content-length` that the
    /// engines of this server would send.
    pub(crate) fn finish(self, mut response: Response, application: &Application) -> Response {
        // A 2xx to CONNECT would make a tunnel, which this server does not serve.
        let is_final = self.0.has_final(response.status());
        replace_invalid(&mut response, is_final, application);
        let status = response.status();
        let body = response.body().len().map_or(BodyLength::Chunked, BodyLength::Exact);
        let headers = response.headers_mut();
        for name in [TRANSFER_ENCODING, CONNECTION, KEEP_ALIVE] {
            headers.remove(name);
        }
        // The length of a body that is present follows from it.
        let declared = headers.remove(CONTENT_LENGTH);
        let declared = || content_length(declared?.as_bytes());
        if let ResponseBody::Bodiless(length) = ResponseBody::of(self.0, status, body, declared) {
            if let Some(length) = length {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            *response.body_mut() = Body::empty();
        }
        response
    }
}
