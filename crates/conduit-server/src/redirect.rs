//! The redirect of requests over plain TCP to HTTPS.

use http::header::LOCATION;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, StatusCode};

use crate::dispatch::no_tunnel;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The response that sends a client to the same target over HTTPS.
pub(super) fn to_https(request: &Request, port: u16) -> Response {
    let head = request.head();
    if request.method() == Method::CONNECT {
        return no_tunnel();
    }
    let authority = head
        .authority()
        .and_then(|authority| authority.parse::<Authority>().ok());
    let target = match head.path() {
        // The server as a whole has no path.
        "*" => "",
        _ => request.uri().path_and_query().map_or("/", PathAndQuery::as_str),
    };
    let location = authority.filter(|authority| !authority.host().is_empty());
    let location = location.map(|authority| match port {
        443 => format!("https://{}{target}", authority.host()),
        port => format!("https://{}:{port}{target}", authority.host()),
    });
    let location = location.and_then(|location| HeaderValue::try_from(location).ok());
    match location {
        Some(location) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)], ()).into_response(),
        None => Problem::bad_request("use HTTPS, and send a Host field").into_response(),
    }
}
