//! Paths that differ from a route's by a trailing slash.

use http::Method;

use super::{Layer, Next};
use crate::request::Request;
use crate::response::{IntoResponse, Redirect, Response};

/// Handles requests whose path has no route and no built-in page (such as that of `App::docs`), but would have one with or without a
/// trailing slash.
///
/// Without this layer, such a path results in a 404: that is the strict policy. Requests with a route are not affected. It must
/// be a layer of the application, since layers of a list run after the route look-up.
///
/// A path that would need the change of another layer as well, such as the prefix of [`Versions`](super::Versions), results in a
/// 404: each of the layers acts only if its change alone leads to a route.
///
/// # Example
///
/// `/about/` redirects to `/about`:
///
/// ```
/// use conduit::layer::TrailingSlash;
/// use conduit::prelude::*;
///
/// #[get("/about")]
/// async fn about() -> &'static str {
///     "about us"
/// }
///
/// let app = App::new(()).routes(routes![about]).layer(TrailingSlash::redirect());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TrailingSlash {
    redirects: bool,
}

impl TrailingSlash {
    /// Responds with a 308 to the path that has a route. Each page keeps one address, as search engines and caches prefer, and
    /// the client repeats method and body. The location is relative to the request: `../about`, so that it is correct for an
    /// application under a prefix of another router or of a proxy.
    pub const fn redirect() -> Self {
        TrailingSlash { redirects: true }
    }

    /// Serves the request as if the client had used the path that has a route.
    pub const fn ignore() -> Self {
        TrailingSlash { redirects: false }
    }
}

impl Layer for TrailingSlash {
    async fn call(&self, mut request: Request, next: Next) -> Response {
        if request.route().is_some() || request.method() == Method::CONNECT {
            return next.run(request).await;
        }
        let path = request.path();
        let other = match path.strip_suffix('/') {
            Some("") => return next.run(request).await,
            Some(without) => without.to_owned(),
            None => format!("{path}/"),
        };
        if !request.is_routed_at(&other) {
            return next.run(request).await;
        }
        if !self.redirects {
            request.set_path(&other);
            return next.run(request).await;
        }
        Redirect::permanent(reference(request.path(), request.query())).into_response()
    }
}

/// Returns a reference to the path with or without the slash. It is relative, so that it is correct if a router or a proxy has
/// removed a prefix, and cannot name another host; with the dots, a colon in the segment does not end a scheme (RFC 3986,
/// section 4.2).
fn reference(path: &str, query: Option<&str>) -> String {
    let (dots, path, slash) = match path.strip_suffix('/') {
        Some(without) => ("../", without, ""),
        None => ("./", path, "/"),
    };
    let segment = path.rsplit('/').next().unwrap_or_default();
    let (mark, query) = query.map_or(("", ""), |query| ("?", query));
    format!("{dots}{segment}{slash}{mark}{query}")
}
