//! The client of a request that proxies have forwarded.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::uri::Authority;

use super::FromRequest;
use crate::connection_info::Origin;
use crate::networks::Forwarding;
use crate::openapi::Operation;
use crate::request::Request;

/// The client as seen by the outermost trusted proxy: its address, and the scheme and host of its request. Without a proxy,
/// these are the connection's and the request's.
///
/// Forwarding fields are trusted only if the request comes from a proxy in
/// [`App::trusted_proxies`](crate::App::trusted_proxies), and a PROXY header only from those in
/// [`App::proxy_protocol`](crate::App::proxy_protocol). The list of hops is read from the right: the first untrusted hop is the
/// client, and the hops to its left, which the client may have forged, are ignored. See `docs/proxies.md` of the repository.
///
/// # Example
///
/// A handler that greets by address:
///
/// ```
/// use conduit::prelude::*;
/// use conduit::Client;
///
/// #[get("/")]
/// async fn hello(client: Client) -> String {
///     match client.address() {
///         Some(address) => format!("hello, {address}, connected by {}", client.scheme()),
///         None => "hello, stranger".to_owned(),
///     }
/// }
///
/// // nginx on this machine, which sets `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
/// let app = App::new(()).routes(routes![hello]).trusted_proxies(["127.0.0.1", "::1"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    address: Option<IpAddr>,
    is_secure: bool,
    host: Option<String>,
}

impl Client {
    /// Returns the client's address; `None` if a proxy does not send it, or for a Unix socket.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Returns the scheme that the client used: `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// Returns whether the client's connection is encrypted.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Returns the host of the request, and its port if present.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Returns the client of a request: for layers and their functions, such as [`RateLimit::by`](crate::layer::RateLimit::by).
    /// Handlers take a `Client` as an argument.
    ///
    /// # Example
    ///
    /// A layer that accepts only requests from this machine:
    ///
    /// ```
    /// use conduit::prelude::*;
    /// use conduit::Client;
    ///
    /// async fn only_ours(request: Request, next: Next) -> Result<Response, Problem> {
    ///     let address = Client::of(&request).address();
    ///     if !address.is_some_and(|address| address.is_loopback()) {
    ///         return Err(Problem::new(StatusCode::FORBIDDEN));
    ///     }
    ///     Ok(next.run(request).await)
    /// }
    /// ```
    pub fn of(request: &Request) -> Self {
        let mut client = Client::without_own_host(request);
        if client.host.is_none() {
            // A layer may have set a target with another authority than `host`.
            let authority = request.uri().authority().map(|authority| authority.as_str());
            let host = authority.map(|authority| authority.rsplit('@').next().unwrap_or_default().to_owned());
            client.host = host.or_else(|| host_of(&String::from_utf8_lossy(request.header("host")?)));
        }
        client
    }

    /// Returns only the address: without a proxy, it parses and allocates nothing.
    pub(crate) fn address_of(request: &Request) -> Option<IpAddr> {
        Client::without_own_host(request).address
    }

    /// Returns the client, with a host only if a proxy sends it.
    fn without_own_host(request: &Request) -> Self {
        let info = request.connection_info();
        let nearest = match info.map(|info| info.origin).unwrap_or_default() {
            Origin::Peer => Some(request.peer_address().ip()).filter(|address| !address.is_unspecified()),
            Origin::Unknown => None,
            Origin::Address(address) => Some(address.ip()),
        };
        let mut client = Client {
            address: nearest.map(|address| address.to_canonical()),
            is_secure: request.is_tls(),
            host: None,
        };
        match info.and_then(|info| info.forwarding.as_deref()) {
            Some(forwarding) if forwarding.standard => client.read_standard(request.headers(), forwarding),
            Some(forwarding) => client.read_customary(request.headers(), forwarding),
            None => {}
        }
        client
    }

    /// Applies `X-Forwarded-For`, `-Proto` and `-Host`.
    fn read_customary(&mut self, headers: &HeaderMap, forwarding: &Forwarding) {
        let hops = list(headers, "x-forwarded-for");
        let walked = self.walk(hops.split(',').rev().map(Some), forwarding);
        // Proxies that append send a value per hop; proxies that overwrite send one.
        let hop_value = |name| {
            let all = list(headers, name);
            let values = || all.split(',').map(str::trim).filter(|value| !value.is_empty());
            let behind = values().count().saturating_sub(walked + 1);
            values().nth(behind).map(str::to_owned)
        };
        self.set_origin(
            hop_value("x-forwarded-proto").as_deref(),
            hop_value("x-forwarded-host").as_deref(),
        );
    }

    /// Applies `Forwarded` (RFC 7239). A malformed field is ignored as a whole, including the client's address.
    fn read_standard(&mut self, headers: &HeaderMap, forwarding: &Forwarding) {
        let all = list(headers, "forwarded");
        if all.is_empty() {
            return;
        }
        let Some(elements) = elements(&all) else {
            self.address = None;
            return;
        };
        let walked = self.walk(elements.iter().rev().map(|element| element.node.as_deref()), forwarding);
        if let Some(element) = elements.iter().rev().nth(walked) {
            self.set_origin(element.scheme.as_deref(), element.host.as_deref());
        }
    }

    /// Walks from the nearest hop to the first untrusted one, which is the client. Returns the number of hops between them.
    fn walk<'a>(&mut self, hops: impl Iterator<Item = Option<&'a str>>, forwarding: &Forwarding) -> usize {
        let mut walked = 0;
        let hops = hops.filter(|hop| hop.is_none_or(|hop| !hop.trim().is_empty()));
        for (place, hop) in hops.enumerate() {
            walked = place;
            self.address = hop.and_then(node);
            if !self.address.is_some_and(|address| forwarding.trusted.contains(address)) {
                break;
            }
        }
        walked
    }

    /// Sets the scheme and the host if they are valid.
    fn set_origin(&mut self, scheme: Option<&str>, host: Option<&str>) {
        match scheme {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => self.is_secure = true,
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => self.is_secure = false,
            _ => {}
        }
        if let Some(host) = host.and_then(host_of) {
            self.host = Some(host);
        }
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Client {
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(Client::of(request))
    }

    /// Proxies set the fields, not clients.
    fn describe(_: &mut Operation) {}
}

/// Joins all lines of a field to one list.
fn list(headers: &HeaderMap, name: &str) -> String {
    let lines = headers.get_all(name).iter();
    let lines: Vec<Cow<'_, str>> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    lines.join(",")
}

/// Returns a valid host without user information.
fn host_of(text: &str) -> Option<String> {
    let authority: Authority = text.trim().parse().ok()?;
    (!authority.as_str().contains('@')).then(|| authority.as_str().to_owned())
}

/// Returns the address of a hop, with or without a port; `None` for `unknown` and for names.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    Some(address.or_else(bare)?.to_canonical())
}

/// One proxy's element of `Forwarded`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Element {
    node: Option<String>,
    scheme: Option<String>,
    host: Option<String>,
}

/// Parses `Forwarded` (RFC 7239, section 4) to its elements, in order; `None` if it is malformed.
fn elements(text: &str) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    let mut element = Element::default();
    let mut is_empty = true;
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let end = rest.find([',', ';', '=', '"', ' ', '\t']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if let Some(value) = behind.strip_prefix('=') {
            let (value, behind) = word(value)?;
            let place = match name.to_ascii_lowercase().as_str() {
                "" => return None,
                "for" => Some(&mut element.node),
                "proto" => Some(&mut element.scheme),
                "host" => Some(&mut element.host),
                _ => None,
            };
            // A parameter may occur only once per element.
            if let Some(place) = place
                && place.replace(value).is_some()
            {
                return None;
            }
            is_empty = false;
            rest = behind.trim_start_matches([' ', '\t']);
        } else if name.is_empty() {
            rest = behind;
        } else {
            return None;
        }
        let separator = rest.bytes().next();
        if !is_empty && separator != Some(b';') {
            elements.push(std::mem::take(&mut element));
            is_empty = true;
        }
        match separator {
            None => return Some(elements),
            Some(b',' | b';') => rest = &rest[1..],
            Some(_) => return None,
        }
    }
}

/// Parses a token or a quoted string; returns it and the rest of the input.
fn word(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', '=', '"', ' ', '\t']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[place + 1..])),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}
