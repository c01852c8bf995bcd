//! The rejection of requests from pages of other origins, for handlers with credentials that browsers attach automatically.

use conduit_core::internal::error_form::is_development_on_this_thread;
use conduit_core::internal::layer::CrossOriginGuard;

use crate::origin::PageOrigin;
use crate::problem::{Excerpt, Problem};
use crate::request::Request;

/// Marks a request, in its extensions, whose origin `Cors` permits with credentials.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PermittedByCors;

/// The guard of an application that trusts these origins.
pub(crate) fn guard(trusted: Vec<String>) -> CrossOriginGuard {
    CrossOriginGuard::new(move |request| check(request, &trusted))
}

/// Checks a request with an unsafe method. Browsers send `sec-fetch-site` to hosts with TLS and to this machine (Fetch Metadata,
/// section 2.3), and otherwise `origin`; a request with neither is not from a page.
fn check(request: &Request, trusted: &[String]) -> Result<(), Problem> {
    let site = request.header("sec-fetch-site");
    if matches!(site, Some(b"same-origin" | b"none")) {
        return Ok(());
    }
    let origin = PageOrigin::of(request);
    let is_own = site.is_none() && origin.is_own();
    if is_own || origin.is_among(trusted) || request.extensions().get::<PermittedByCors>().is_some() {
        return Ok(());
    }
    Err(rejection(&origin))
}

#[cold]
fn rejection(origin: &PageOrigin) -> Problem {
    let sent = origin.sent.as_deref().unwrap_or("null");
    let mut detail = format!("a page of another origin, {:?}, sent this request", Excerpt::new(sent));
    let remedy = "permit the origin with App::trusted_origin, or all origins with the option cross_origin of the route";
    tracing::debug!(origin = sent, "rejected a request of another origin; {remedy}");
    if is_development_on_this_thread() {
        detail.push_str("; ");
        detail.push_str(remedy);
    }
    Problem::forbidden(detail)
}
