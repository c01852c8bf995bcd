//! The request that a handler receives.

mod body;

use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use conduit_proto::h1::Head;
use conduit_route::{Definition, Miss, ParameterPlace, Parameters};
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

use self::body::RequestBody;
use crate::body::{Body, Channel, ExchangeEventSender};
use crate::charge::Charge;
use crate::connection_info::ConnectionInfo;
use crate::pool::Buffer;
use crate::target;

/// The number of requests whose memory a thread keeps for reuse.
const KEPT: usize = 64;

thread_local! {
    #[expect(clippy::vec_box, reason = "the box is kept, so that a request moves as one pointer")]
    static FREE: RefCell<Vec<Box<Parts>>> = const { RefCell::new(Vec::new()) };
}

/// A request: method, target, header fields, path parameters, the client's address, and the body.
///
/// A handler may take the whole request, or parts of it through [extractors](crate::extract). Its memory is
/// reused for later requests, and the [`HeaderMap`] and the [`Uri`] are built on demand;
/// [`header`](Request::header) and [`path`](Request::path) return the received bytes at no cost.
///
/// # Example
///
/// A response that describes the request:
///
/// ```
/// use conduit::prelude::*;
///
/// #[get("/what")]
/// fn what(request: Request) -> String {
///     format!("{} {} from {}", request.method(), request.path(), request.peer_address())
/// }
/// ```
pub struct Request(Option<Box<Parts>>);

/// The paths of an application, with and without parameters.
pub(crate) trait KnownPaths {
    /// Returns whether a path has a route or a built-in page for this method.
    fn support(&self, method: &Method, path: &str) -> bool;
}

/// The state of the look-up of a request's route.
#[derive(Default)]
pub(crate) enum Matched {
    /// The route was not looked up since the request was received, or since its method or path was changed.
    #[default]
    NotYet,
    /// The index in the table, and the route.
    Route(usize, &'static Definition),
    /// No route of this application matches.
    Missed(Miss, Rc<dyn KnownPaths>),
}

#[derive(Default)]
struct Parts {
    head: Head,
    parameters: Parameters,
    matched: Matched,
    peer: Option<SocketAddr>,
    info: Option<Rc<ConnectionInfo>>,
    uri: OnceCell<Uri>,
    headers: OnceCell<HeaderMap>,
    /// The map has been changed: the head is outdated.
    edited: bool,
    extensions: Extensions,
    /// The values of the layers around the handler, the innermost last; each is an `Option<T>`.
    provided: Vec<Rc<dyn Any>>,
    body: RequestBody,
    /// The sender of informational responses, where the connection sends them.
    informer: Option<ExchangeEventSender>,
    /// The bytes that an extractor has read of the body, for an outer extractor.
    #[cfg(feature = "validate")]
    read: Read,
}

/// The state of keeping the bytes that are read of a body.
#[cfg(feature = "validate")]
#[derive(Default)]
enum Read {
    #[default]
    Dropped,
    Wanted,
    Kept(Buffer),
}

impl Request {
    /// The method (RFC 9110, section 9).
    pub fn method(&self) -> &Method {
        self.parts().head.method()
    }

    /// The path as it was sent: not percent-decoded, without the query.
    pub fn path(&self) -> &str {
        self.parts().head.path()
    }

    /// The query as it was sent, without the `?`; `None` where the target has no `?`.
    pub fn query(&self) -> Option<&str> {
        self.parts().head.query()
    }

    /// The request's target as a [`Uri`]; built at the first call. Its path and query equal [`path`](Request::path) and
    /// [`query`](Request::query); it has an authority where the target is absolute.
    pub fn uri(&self) -> &Uri {
        self.parts().uri.get_or_init(|| target::uri_of(&self.parts().head))
    }

    /// The version of HTTP that the client uses.
    pub fn version(&self) -> Version {
        self.parts().head.version()
    }

    /// The first header field with this name, as it was sent; the name is compared without regard to case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let parts = self.parts();
        if parts.edited {
            return parts.headers.get()?.get(name).map(HeaderValue::as_bytes);
        }
        parts.head.header(name)
    }

    /// All header fields; the map is built at the first call.
    pub fn headers(&self) -> &HeaderMap {
        let parts = self.parts();
        parts.headers.get_or_init(|| parts.head.header_map())
    }

    /// The header fields, to add, change or remove fields on the way to the handler; the map is built at the first call. Values
    /// that the engine has parsed from them, such as the length of the body, do not change.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        let parts = self.parts_mut();
        parts.headers.get_or_init(|| parts.head.header_map());
        parts.edited = true;
        parts.headers.get_mut().expect("it was built just now")
    }

    /// The address of the connection's peer. For a Unix socket it is the unspecified address `0.0.0.0:0`, which cannot be
    /// mistaken for an address of this machine; `UnixPeer` identifies the peer process.
    pub fn peer_address(&self) -> SocketAddr {
        self.parts().peer.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// The route that the request was matched to: its method, path and handler as written; `None` if no route matches,
    /// and before the next look-up after [`set_method`](Request::set_method) or
    /// [`set_path`](Request::set_path).
    pub fn route(&self) -> Option<&'static Definition> {
        match self.parts().matched {
            Matched::Route(_, definition) => Some(definition),
            Matched::NotYet | Matched::Missed(..) => None,
        }
    }

    /// Changes the method on the way to the handler. In a layer of the application the route is looked up again; a layer of
    /// a list runs after the look-up. The response still follows the original method: `HEAD` has no body.
    pub fn set_method(&mut self, method: Method) {
        let parts = self.parts_mut();
        parts.head.set_method(method);
        parts.matched = Matched::NotYet;
    }

    /// Changes the path and keeps the query, and the authority of an absolute target. In a layer of the application the
    /// route is looked up again; a layer of a list runs after the look-up. Bytes that a path cannot hold are percent-encoded, `?`
    /// and `#` too, and a missing slash at the beginning is added.
    ///
    /// # Panics
    ///
    /// Panics if path and query are longer than 65,534 bytes, the maximum length of a target.
    pub fn set_path(&mut self, path: &str) {
        self.set_uri(target::with_path(self.uri(), path, self.query()));
    }

    /// Returns whether the request arrived over TLS at this server; a proxy that terminates TLS does not count.
    pub fn is_tls(&self) -> bool {
        self.connection_info().is_some_and(|info| info.tls.is_some())
    }

    /// The value of the route's parameter at this index, counted from 0 in the order of the path, without
    /// percent-decoding.
    pub fn parameter(&self, index: usize) -> Option<&str> {
        let parts = self.parts();
        let bytes = parts.head.path_bytes().get(parts.parameters.range(index)?)?;
        str::from_utf8(bytes).ok()
    }

    /// Sends an informational response before the response (RFC 9110, section 15.2), such as 103 with `link` fields for resources
    /// that the client can load meanwhile (RFC 8297).
    ///
    /// It is sent at once where the client has HTTP/2. In HTTP/1.1 some clients do not expect it, so `App::inform_http1` has to
    /// permit it. Otherwise, and once the response has begun, nothing is sent.
    ///
    /// # Panics
    ///
    /// Panics if the status is not informational, or is 100, which is sent when the handler reads the body, or 101, which is a
    /// final response.
    ///
    /// # Example
    ///
    /// ```
    /// use conduit::prelude::*;
    /// use http::{HeaderMap, HeaderValue, header};
    ///
    /// #[get("/page")]
    /// async fn page(request: Request) -> &'static str {
    ///     let style = HeaderValue::from_static("</style.css>; rel=preload; as=style");
    ///     request.inform(StatusCode::EARLY_HINTS, HeaderMap::from_iter([(header::LINK, style)]));
    ///     tokio::task::yield_now().await;
    ///     "the page"
    /// }
    /// # let app = App::new(()).routes(routes![page]).inform_http1();
    /// ```
    pub fn inform(&self, status: StatusCode, headers: HeaderMap) {
        assert!(
            status.is_informational() && !matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS),
            "{status} is not an informational response: use 103 Early Hints, or 102"
        );
        if let Some(informer) = &self.parts().informer {
            informer.inform(status, headers);
        }
    }

    /// The values of any type that layers attach to the request.
    pub fn extensions(&self) -> &Extensions {
        &self.parts().extensions
    }

    /// The [`extensions`](Request::extensions), to add or remove values.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.parts_mut().extensions
    }

    /// Returns whether the request has a body (RFC 9112, section 6.3) that was not taken. A declared length of 0 means no body.
    pub fn has_body(&self) -> bool {
        !self.parts().body.is_empty()
    }

    /// Replaces the request's body for inner layers and the handler. The application's limit on bodies does not apply to
    /// it, except for bytes that it takes from the original body; the limit of an inner layer applies. An original body that was
    /// not taken is discarded.
    pub fn set_body(&mut self, body: Body) {
        self.parts_mut().body.set(body);
    }

    /// Takes the body. A second call returns an empty one.
    pub fn take_body(&mut self) -> Body {
        self.parts_mut().body.take()
    }

    fn parts(&self) -> &Parts {
        self.0.as_deref().expect("a request has its parts until it is dropped")
    }

    fn parts_mut(&mut self) -> &mut Parts {
        self.0
            .as_deref_mut()
            .expect("a request has its parts until it is dropped")
    }
}

/// A part of the budget of memory, among the request's extensions.
#[derive(Clone)]
struct Held(#[expect(dead_code, reason = "its drop returns the part")] Arc<Charge>);

/// Methods for the worker.
impl Request {
    /// The channel that the worker feeds the body into.
    pub fn open_channel(&mut self, sender: ExchangeEventSender) -> Rc<Channel> {
        let parts = self.parts_mut();
        parts.body.open(parts.head.body(), sender)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let Some(mut parts) = self.0.take() else { return };
        // No data of this request may reach another one.
        parts.head.clear();
        parts.parameters.clear();
        parts.matched = Matched::NotYet;
        parts.peer = None;
        parts.info = None;
        // An assignment moves nothing out of them.
        parts.uri = OnceCell::new();
        parts.headers = OnceCell::new();
        parts.edited = false;
        parts.extensions.clear();
        parts.provided.clear();
        parts.body.clear();
        parts.informer = None;
        #[cfg(feature = "validate")]
        {
            parts.read = Read::Dropped;
        }
        // A request can outlive the locals of its thread; then it is freed.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(parts);
            }
        });
    }
}

impl Request {
    /// The values of all header fields with this name; no map is built for them.
    pub fn header_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let parts = self.parts();
        let edited = parts.headers.get().filter(|_| parts.edited);
        let edited = edited.map(|map| map.get_all(name).iter().map(HeaderValue::as_bytes));
        let sent = edited.is_none().then(|| parts.head.header_all(name));
        edited.into_iter().flatten().chain(sent.into_iter().flatten())
    }

    /// Changes the target to that of a URI.
    pub fn set_uri(&mut self, uri: Uri) {
        let uri = target::normalized(uri);
        let parts = self.parts_mut();
        parts
            .head
            .set_target(uri.path_and_query().map_or("/", PathAndQuery::as_str));
        parts.uri = OnceCell::from(uri);
        parts.parameters = Parameters::default();
        parts.matched = Matched::NotYet;
    }

    /// The declared length of the body in bytes, or the length of a body that a layer has set; `None` without a declaration or
    /// without a body.
    pub fn declared_length(&self) -> Option<u64> {
        self.parts().body.length()
    }

    /// Sets the maximum size of the body in bytes, which replaces the application's limit. It applies to a body that an outer layer
    /// has set, too.
    pub fn set_body_limit(&mut self, bytes: u64) {
        self.parts_mut().body.set_limit(bytes);
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.head();
        f.debug_struct("Request")
            .field("method", head.method())
            .field("target", &head.target())
            .field("version", &head.version())
            .field("headers", self.headers())
            .field("peer", &self.parts().peer)
            .finish_non_exhaustive()
    }
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl Request {
    /// The header fields as an owned map.
    pub fn take_headers(&mut self) -> HeaderMap {
        let parts = self.parts_mut();
        if parts.edited {
            return parts.headers.get().cloned().unwrap_or_default();
        }
        parts.headers.take().unwrap_or_else(|| parts.head.header_map())
    }

    /// The value of the parameter with this name and place in the route's path, as it was sent.
    pub fn parameter_at(&self, name: &str, place: ParameterPlace) -> Option<&str> {
        let index = match place {
            ParameterPlace::FromEnd(after) => self.parts().parameters.len().checked_sub(after + 1)?,
            ParameterPlace::Prefix => {
                let mut names = self.route()?.path.split('{').skip(1);
                names.position(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('}')))?
            }
        };
        self.parameter(index)
    }

    /// Returns whether a chunked body, which declares no length, turns out to have no bytes. If `is_absent` returns true,
    /// it waits for the first bytes without taking them.
    pub(crate) async fn has_no_body_after_all(&mut self, is_absent: impl FnOnce(&Request) -> bool) -> bool {
        if !self.parts().body.is_chunked() {
            return false;
        }
        let body = self.parts_mut().body.take_raw();
        let would_be_absent = is_absent(self);
        let parts = self.parts_mut();
        parts.body.put_back(body);
        would_be_absent && std::future::poll_fn(|context| parts.body.poll_is_empty(context)).await
    }

    /// Adds the value of a layer, an `Option<T>`.
    pub(crate) fn provide(&mut self, value: Rc<dyn Any>) {
        self.parts_mut().provided.push(value);
    }

    /// The value of the innermost layer that provides this type.
    pub fn provided<T: 'static>(&self) -> Option<&T> {
        let mut values = self.parts().provided.iter().rev();
        values.find_map(|value| value.downcast_ref::<Option<T>>()?.as_ref())
    }

    /// Keeps a part of the budget of memory until the handler has ended.
    pub fn hold(&mut self, charge: Charge) {
        if charge.is_some() {
            self.extensions_mut().insert(Held(Arc::new(charge)));
        }
    }

    /// Transforms the body by `reading` when it is taken, with the limit of its length at that time.
    pub fn read_body_through(&mut self, reading: impl FnOnce(Body, u64) -> Body + 'static) {
        self.parts_mut().body.read_through(Box::new(reading));
    }

    /// Replaces the body, as [`set_body`](Self::set_body) does, by one of the client's bytes: the limit on bodies applies to it.
    pub fn resume_body(&mut self, body: Body) {
        self.parts_mut().body.receive(body);
    }

    /// Returns whether a request without a route or a built-in page would have one at this path.
    pub fn is_routed_at(&self, path: &str) -> bool {
        let Matched::Missed(_, paths) = &self.parts().matched else {
            return false;
        };
        !paths.support(self.method(), self.path()) && paths.support(self.method(), path)
    }

    /// Makes an extractor that reads the body retain its bytes.
    #[cfg(feature = "validate")]
    pub fn retain_body(&mut self) {
        self.parts_mut().read = Read::Wanted;
    }

    /// Returns whether an outer extractor wants the bytes of the body.
    #[cfg(feature = "validate")]
    pub fn retains_body(&self) -> bool {
        matches!(self.parts().read, Read::Wanted)
    }

    /// Takes over bytes that an extractor has read and no longer needs.
    pub fn was_read(&mut self, bytes: Buffer) {
        #[cfg(feature = "validate")]
        if matches!(self.parts().read, Read::Wanted) {
            self.parts_mut().read = Read::Kept(bytes);
            return;
        }
        drop(bytes);
    }

    /// The bytes that were read since they were requested.
    #[cfg(feature = "validate")]
    pub fn take_retained_body(&mut self) -> Buffer {
        match std::mem::take(&mut self.parts_mut().read) {
            Read::Kept(bytes) => bytes,
            Read::Wanted | Read::Dropped => Buffer::default(),
        }
    }

    /// Memory for a request whose head is yet to be parsed.
    pub fn blank() -> Self {
        Request(Some(FREE.with_borrow_mut(Vec::pop).unwrap_or_default()))
    }

    /// A request that another server has read; missing information about the peer is unknown.
    #[cfg(feature = "tower")]
    pub fn assembled(request: http::Request<Body>, peer: Option<SocketAddr>, info: Option<Rc<ConnectionInfo>>) -> Self {
        let (head, body) = request.into_parts();
        let mut request = Request::blank();
        let parts = request.parts_mut();
        let mut headers = head.headers;
        // HTTP/2 and 3 name the host in the target alone; in HTTP/1.1 the target wins (RFC 9113, section 8.3.1; RFC 9112,
        // section 3.2.2).
        let authority = head.uri.authority().map(|authority| authority.as_str());
        let host = authority.map(|authority| authority.rsplit('@').next().unwrap_or_default());
        if let Some(Ok(host)) = host.map(HeaderValue::try_from) {
            headers.insert(http::header::HOST, host);
        }
        let uri = match head.uri.path_and_query() {
            None if head.method == Method::CONNECT => head.uri,
            Some(path) if path == "*" => head.uri,
            _ => target::normalized(head.uri),
        };
        let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
        parts.head.assemble(head.method, head.version, target, &headers);
        parts.uri = OnceCell::from(uri);
        parts.headers = OnceCell::from(headers);
        parts.extensions = head.extensions;
        parts.body.receive(body);
        parts.peer = peer;
        parts.info = info;
        request
    }

    /// The information about the connection besides the peer's address, if any.
    pub fn connection_info(&self) -> Option<&ConnectionInfo> {
        self.parts().info.as_deref()
    }

    pub fn head(&self) -> &Head {
        &self.parts().head
    }

    pub fn head_mut(&mut self) -> &mut Head {
        &mut self.parts_mut().head
    }

    /// The method and path, and the storage for the parameters and for the route.
    pub(crate) fn routing(&mut self) -> (&Head, &mut Parameters, &mut Matched) {
        let parts = self.parts_mut();
        (&parts.head, &mut parts.parameters, &mut parts.matched)
    }

    /// Sets the parts that are not in the head.
    pub fn arrived(&mut self, peer: SocketAddr, info: Option<&Rc<ConnectionInfo>>) {
        let parts = self.parts_mut();
        parts.peer = Some(peer);
        parts.info = info.cloned();
    }

    /// Sets the sender of informational responses.
    pub fn set_informer(&mut self, informer: ExchangeEventSender) {
        self.parts_mut().informer = Some(informer);
    }
}
