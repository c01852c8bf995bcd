//! Cross-origin resource sharing (Fetch standard).

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::{Layer, Next, fields};
use crate::body::Body;
use crate::cross_origin::PermittedByCors;
use crate::request::Request;
use crate::response::Response;

/// Returns whether pages of an origin, such as `https://app.example.com`, may read the responses.
type OriginPredicate = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Allows pages of the listed origins to use the application (Fetch standard, section 3.3).
///
/// A browser lets a page read a response of another origin only if the response permits it. Before all but the simplest
/// requests it sends an `OPTIONS` request, the preflight. This layer responds to preflights with 204 and adds the header fields to
/// all other responses, including errors. No origin is allowed by default: [`new`](Cors::new) starts with an empty list.
///
/// For a given target and method, every response has the same `vary`: `origin` unless any origin is allowed, and for `OPTIONS`
/// the three fields of a preflight. If any origin is allowed, every response has `access-control-allow-origin: *`, even without
/// an `Origin` in the request, because a shared cache may reuse the response for a page.
///
/// A response to a disallowed origin lacks those fields, and the browser hides it from the page. A request that needs no
/// preflight is still processed, so CORS does not protect the server: it relaxes the browser's restrictions.
///
/// It must be a layer of the application: a preflight is an `OPTIONS` request, which layers in a list of routes do not receive.
///
/// # Example
///
/// An API for the pages of one site, with cookies:
///
/// ```
/// use std::time::Duration;
/// use conduit::layer::Cors;
/// use conduit::prelude::*;
///
/// #[put("/settings")]
/// async fn save(settings: String) -> StatusCode {
///     StatusCode::NO_CONTENT
/// }
///
/// let cors = Cors::new()
///     .allow_origin("https://app.example.com")
///     .allow_methods([Method::GET, Method::PUT])
///     .allow_headers(["content-type"])
///     .allow_credentials()
///     .max_age(Duration::from_secs(600));
/// let app = App::new(()).routes(routes![save]).layer(cors);
/// ```
#[derive(Clone)]
pub struct Cors {
    origins: Origins,
    methods: Vec<Method>,
    allow_methods: Option<HeaderValue>,
    allow_headers: Headers,
    expose_headers: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
    credentials: bool,
}

#[derive(Clone)]
enum Origins {
    Listed(Vec<HeaderValue>),
    Accepted(OriginPredicate),
    Any,
}

#[derive(Clone)]
enum Headers {
    Listed(Option<HeaderValue>),
    /// Allows all fields that the preflight requests.
    Any,
}

impl Cors {
    /// Allows no origin, the methods `GET`, `HEAD` and `POST`, only the safelisted header fields, and no credentials.
    pub fn new() -> Self {
        Cors {
            origins: Origins::Listed(Vec::new()),
            methods: vec![Method::GET, Method::HEAD, Method::POST],
            allow_methods: None,
            allow_headers: Headers::Listed(None),
            expose_headers: None,
            max_age: None,
            credentials: false,
        }
        .joined()
    }

    /// Allows any origin, any header field and all common methods, but no credentials: for a public API that is anonymous or
    /// authenticates callers with a key in a header field.
    pub fn permissive() -> Self {
        Cors::new()
            .allow_any_origin()
            .allow_methods([
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_any_header()
    }

    /// Allows pages of this origin, such as `https://app.example.com`: scheme, host, and port unless it is the scheme's
    /// default. Call it once per origin.
    ///
    /// # Panics
    ///
    /// Panics if the origin has a path, a trailing slash or an upper-case letter, or lacks a scheme: browsers send no such
    /// origin except for `null`, which any page can have. Also panics after [`allow_any_origin`](Cors::allow_any_origin) or
    /// [`allow_origins`](Cors::allow_origins), which already allow it.
    #[track_caller]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        crate::origin::require(origin);
        let Origins::Listed(origins) = &mut self.origins else {
            panic!("`{origin}` is allowed already: remove `allow_any_origin` or `allow_origins`");
        };
        origins.push(HeaderValue::try_from(origin).expect("it is visible ASCII"));
        self
    }

    /// Allows pages of the origins for which `allowed` returns true, such as all subdomains. Its argument is the whole origin.
    /// Match a suffix with care: `https://evil-example.com` ends in `example.com`.
    pub fn allow_origins(mut self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.origins = Origins::Accepted(Arc::new(allowed));
        self
    }

    /// Allows pages of any origin.
    ///
    /// # Panics
    ///
    /// Panics with [`allow_credentials`](Cors::allow_credentials): any page could then act on behalf of its visitors. Browsers
    /// reject `*` with credentials for that reason.
    pub fn allow_any_origin(mut self) -> Self {
        self.origins = Origins::Any;
        self.checked()
    }

    /// Sets the methods that pages may use.
    pub fn allow_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self.joined()
    }

    /// Sets the header fields that pages may send, in addition to `accept`, `accept-language`, `content-language` and the
    /// simple content types. JSON is not a simple content type: a JSON API needs `content-type` here.
    ///
    /// # Panics
    ///
    /// Panics if a name is not a valid field name.
    pub fn allow_headers<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.allow_headers = Headers::Listed(joined(names));
        self
    }

    /// Lets pages send any header field.
    ///
    /// # Panics
    ///
    /// Panics with [`allow_credentials`](Cors::allow_credentials): list the header fields instead.
    pub fn allow_any_header(mut self) -> Self {
        self.allow_headers = Headers::Any;
        self.checked()
    }

    /// Sets the response header fields that pages may read, in addition to the safelisted ones.
    ///
    /// # Panics
    ///
    /// Panics if a name is not a valid field name.
    pub fn expose_headers<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.expose_headers = joined(names);
        self
    }

    /// Allows pages to send the user's cookies and other credentials, including with unsafe methods to handlers that read
    /// cookies.
    ///
    /// # Panics
    ///
    /// Panics with [`allow_any_origin`](Cors::allow_any_origin) or [`allow_any_header`](Cors::allow_any_header).
    pub fn allow_credentials(mut self) -> Self {
        self.credentials = true;
        self.checked()
    }

    /// Sets how long a browser may cache a preflight response. Browsers default to five seconds. Resolution: 1 s.
    pub fn max_age(mut self, duration: Duration) -> Self {
        self.max_age = Some(HeaderValue::from(duration.as_secs()));
        self
    }

    fn checked(self) -> Self {
        assert!(
            !(self.credentials && matches!(self.origins, Origins::Any)),
            "credentials for any origin would let every page act in its visitor's name: name the origins with `allow_origin`"
        );
        assert!(
            !(self.credentials && matches!(self.allow_headers, Headers::Any)),
            "credentials cannot be combined with any header field: list the fields with `allow_headers`"
        );
        self
    }

    fn joined(mut self) -> Self {
        self.allow_methods = joined(self.methods.iter().map(Method::as_str));
        self
    }

    /// Returns the value of `access-control-allow-origin` if the origin is allowed. If any origin is allowed, a request without
    /// `Origin` gets it too: a cache may reuse its response for other requests.
    fn allowed(&self, origin: Option<&[u8]>) -> Option<HeaderValue> {
        match &self.origins {
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::Listed(origins) => origins.iter().find(|known| Some(known.as_bytes()) == origin).cloned(),
            Origins::Accepted(is_allowed) => {
                let origin = origin?;
                let text = str::from_utf8(origin).ok()?;
                is_allowed(text).then(|| HeaderValue::from_bytes(origin).ok()).flatten()
            }
        }
    }

    fn preflight(&self, request: &Request, origin: Option<HeaderValue>) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let Some(origin) = origin else { return response };
        self.allow(&mut response, origin);
        let allow_headers = match &self.allow_headers {
            Headers::Listed(names) => names.clone(),
            // Listed one by one: `*` does not cover `authorization`.
            Headers::Any => requested_headers(request),
        };
        let more = [
            (ACCESS_CONTROL_ALLOW_METHODS, self.allow_methods.clone()),
            (ACCESS_CONTROL_ALLOW_HEADERS, allow_headers),
            (ACCESS_CONTROL_MAX_AGE, self.max_age.clone()),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    fn allow(&self, response: &mut Response, origin: HeaderValue) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Adds the request fields that the response depends on to `vary`, even if the request lacks them: caches distinguish the
    /// responses to a target by the latest `vary`.
    fn vary(&self, response: &mut Response, is_options: bool) {
        if is_options || !matches!(self.origins, Origins::Any) {
            fields::vary(response, &ORIGIN);
        }
        if is_options {
            fields::vary(response, &ACCESS_CONTROL_REQUEST_METHOD);
            fields::vary(response, &ACCESS_CONTROL_REQUEST_HEADERS);
        }
    }
}

impl Default for Cors {
    fn default() -> Self {
        Cors::new()
    }
}

impl std::fmt::Debug for Cors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cors")
            .field("methods", &self.methods)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Layer for Cors {
    async fn call(&self, mut request: Request, next: Next) -> Response {
        let origin = request.header("origin");
        let allowed = self.allowed(origin);
        let is_options = request.method() == Method::OPTIONS;
        let is_preflight = is_options && origin.is_some() && request.header("access-control-request-method").is_some();
        let mut response = if is_preflight {
            self.preflight(&request, allowed)
        } else {
            if allowed.is_some() && self.credentials {
                request.extensions_mut().insert(PermittedByCors);
            }
            let mut response = next.run(request).await;
            if let Some(origin) = allowed {
                self.allow(&mut response, origin);
                if let Some(names) = &self.expose_headers {
                    response
                        .headers_mut()
                        .insert(ACCESS_CONTROL_EXPOSE_HEADERS, names.clone());
                }
            }
            response
        };
        self.vary(&mut response, is_options);
        response
    }
}

/// The list of header fields that a preflight requests, joined from all lines (RFC 9110, section 5.3).
fn requested_headers(request: &Request) -> Option<HeaderValue> {
    let lines: Vec<_> = request.header_all(ACCESS_CONTROL_REQUEST_HEADERS.as_str()).collect();
    let list = (!lines.is_empty()).then(|| lines.join(&b", "[..]))?;
    HeaderValue::from_bytes(&list).ok()
}

/// Joins names to a field value; `None` for an empty list.
fn joined<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<HeaderValue> {
    let mut list = String::new();
    for name in names {
        // Methods and field names are both tokens.
        assert!(
            HeaderName::try_from(name).is_ok(),
            "`{name}` is not a valid header field name: use letters, digits and `-`"
        );
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(name);
    }
    (!list.is_empty()).then(|| HeaderValue::try_from(list).expect("tokens are allowed in a header field"))
}
