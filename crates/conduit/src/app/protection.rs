//! Settings for protection against cross-site requests.

use super::App;
use crate::{cross_origin, origin};

impl<S, R> App<S, R> {
    /// Permits pages of this origin to send requests with unsafe methods, such as `POST`, to handlers that read cookies or
    /// other credentials that browsers attach automatically. Call it once per origin.
    ///
    /// By default, only same-origin pages may: a page of another site could otherwise act on behalf of its visitor. Other
    /// requests get a 403 before the handler and the layers of its list run. The check needs no token: it reads
    /// `sec-fetch-site`, which all browsers have sent since 2023, or compares `origin` with the host of the request. Requests
    /// with neither field do not come from pages. Handlers without such credentials accept all requests, as does a route with
    /// the option `cross_origin`, `#[post("/hook", cross_origin)]`. [`Cors`](crate::layer::Cors) with credentials permits its
    /// origins, too.
    ///
    /// Safe methods (`GET`, `HEAD`, `OPTIONS`, `TRACE`, `QUERY`) are always permitted: their handlers must not change state.
    ///
    /// # Panics
    ///
    /// Panics if the origin is not scheme, host and port in lower case, the only form that browsers send.
    ///
    /// # Example
    ///
    /// A form on the company's website that signs its visitors in here:
    ///
    /// ```
    /// # #[cfg(feature = "cookies")]
    /// # mod example {
    /// use conduit::cookie::Cookie;
    /// use conduit::extract::Cookies;
    /// use conduit::prelude::*;
    ///
    /// #[post("/sign-in")]
    /// async fn sign_in(mut cookies: Cookies, name: String) -> (Cookies, Redirect) {
    ///     cookies.add(Cookie::new("name", name));
    ///     (cookies, Redirect::to("/"))
    /// }
    ///
    /// # pub fn run() {
    /// let app = App::new(()).routes(routes![sign_in]).trusted_origin("https://www.example.com");
    /// # }
    /// # }
    /// # #[cfg(feature = "cookies")]
    /// # example::run();
    /// ```
    #[track_caller]
    pub fn trusted_origin(mut self, trusted: &str) -> Self {
        origin::require(trusted);
        self.trusted_origins.push(trusted.to_owned());
        self.stack.cross_origin = Some(cross_origin::guard(self.trusted_origins.clone()));
        self
    }
}
