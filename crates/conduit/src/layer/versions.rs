//! Versions of an API, selected by a header field.

use std::borrow::Cow;

use http::HeaderName;

use super::{Layer, Next, fields};
use crate::problem::{Excerpt, Problem};
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// Selects one of several versions of an API by a header field of the request: each version is a prefix of the routes, so that
/// clients can use either the field or the prefix.
///
/// A request whose path has a route is not affected. For any other request, the layer prepends the prefix of the version in the
/// field, or of the default version, to the path, if that path has a route. An unknown version results in a 400 that lists the
/// versions, if the path has a route in one of them. The layer must be one of the application, since layers
/// of a list run after the route look-up. The OpenAPI document has the paths with prefixes.
///
/// A path that would need the change of another layer as well, such as that of [`TrailingSlash`](super::TrailingSlash), results in a
/// 404. Fallbacks and pages of mounted applications count as paths without a route, so a version whose routes match every path,
/// such as `/v1/{*rest}`, hides them.
///
/// # Example
///
/// Clients without the field use the first version:
///
/// ```
/// use conduit::layer::Versions;
/// use conduit::prelude::*;
///
/// #[get("/links")]
/// fn first() -> &'static str {
///     "first"
/// }
///
/// #[get("/links")]
/// fn second() -> &'static str {
///     "second"
/// }
///
/// let versions = Versions::by_header("api-version").version("1", "/v1").version("2", "/v2").default_version("1");
/// let app = App::new(()).routes(routes!["/v1" => [first], "/v2" => [second]]).layer(versions);
/// # let client = conduit::testing::TestClient::new(app);
/// # client.get("/links").send().assert_text("first").assert_header("vary", "api-version");
/// # client.get("/links").header("api-version", "2").send().assert_text("second");
/// # client.get("/v2/links").send().assert_text("second");
/// # client.get("/links").header("api-version", "3").send().assert_status(400);
/// ```
#[derive(Clone, Debug)]
pub struct Versions {
    header: HeaderName,
    /// Each with its prefix.
    versions: Vec<(String, String)>,
    default: Option<String>,
}

impl Versions {
    /// Creates a layer whose versions are selected by the header field with this name.
    ///
    /// # Panics
    ///
    /// Panics if the name is not one of a header field, in lower case.
    #[track_caller]
    pub fn by_header(name: &'static str) -> Self {
        let header = HeaderName::from_bytes(name.as_bytes()).ok();
        let Some(header) = header.filter(|header| header.as_str() == name) else {
            panic!(
                "`Versions::by_header({name:?})`: give the name of a header field in lower case, such as \"api-version\""
            );
        };
        Versions {
            header,
            versions: Vec::new(),
            default: None,
        }
    }

    /// Adds a version, with the prefix of its routes, such as `/v1`.
    ///
    /// # Panics
    ///
    /// Panics if the prefix does not begin with a slash or ends with one, and if the version has been added before.
    #[track_caller]
    pub fn version(mut self, version: impl Into<String>, prefix: impl Into<String>) -> Self {
        let (version, prefix) = (version.into(), prefix.into());
        assert!(
            prefix.starts_with('/') && !prefix.ends_with('/'),
            "`Versions::version({version:?}, {prefix:?})`: give a prefix that begins with a slash and does not end with one, \
             such as \"/v1\""
        );
        assert!(
            !self.is_known(&version),
            "`Versions::version({version:?}, {prefix:?})`: the version has a prefix already; give each version one prefix"
        );
        self.versions.push((version, prefix));
        self
    }

    /// Sets the version of a request without the field. Without a default, such a request has no route.
    ///
    /// # Panics
    ///
    /// Panics if the version has not been added before.
    #[track_caller]
    pub fn default_version(mut self, version: impl Into<String>) -> Self {
        let version = version.into();
        assert!(
            self.is_known(&version),
            "`Versions::default_version({version:?})`: the version is unknown; add it with `version` before"
        );
        self.default = Some(version);
        self
    }

    fn is_known(&self, version: &str) -> bool {
        self.versions.iter().any(|(known, _)| known == version)
    }

    /// Returns whether the path has a route in one of the versions.
    fn has_route(&self, request: &Request) -> bool {
        let mut versions = self.versions.iter();
        versions.any(|(_, prefix)| request.is_routed_at(&format!("{prefix}{}", request.path())))
    }

    /// Returns the prefix of the version in the request; `None` without the field and without a default version.
    fn prefix(&self, request: &Request) -> Result<Option<&str>, Problem> {
        let named = request.header(self.header.as_str());
        let Some(name) = named.or(self.default.as_ref().map(|name| name.as_bytes())) else {
            return Ok(None);
        };
        let mut versions = self.versions.iter();
        if let Some((_, prefix)) = versions.find(|(version, _)| version.as_bytes() == name) {
            return Ok(Some(prefix));
        }
        let known: Vec<&str> = self.versions.iter().map(|(version, _)| &**version).collect();
        let (header, known) = (&self.header, known.join(" or "));
        Err(Problem::bad_request(format!(
            "unknown version {:?} in the header field {header}: expected {known}",
            Excerpt::new(name)
        )))
    }
}

impl Layer for Versions {
    async fn call(&self, mut request: Request, next: Next) -> Response {
        if request.route().is_some() {
            return next.run(request).await;
        }
        let mut response = match self.prefix(&request) {
            Err(problem) if self.has_route(&request) => problem.into_response(),
            Err(_) => next.run(request).await,
            Ok(None) => next.run(request).await,
            Ok(Some(prefix)) => {
                let path = format!("{prefix}{}", request.path());
                if request.is_routed_at(&path) {
                    request.set_path(&path);
                }
                next.run(request).await
            }
        };
        fields::vary(&mut response, &self.header);
        response
    }

    fn name(&self) -> Cow<'static, str> {
        let versions = self.versions.iter();
        let mut list: Vec<String> = versions
            .map(|(version, prefix)| format!("{version}={prefix}"))
            .collect();
        list.extend(self.default.as_ref().map(|default| format!("default {default}")));
        Cow::Owned(format!("Versions({}: {})", self.header, list.join(", ")))
    }
}
