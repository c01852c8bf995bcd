//! The routes for the operator.

use std::borrow::Cow;
use std::net::IpAddr;

use conduit::prelude::*;
use conduit::{Client, health, metrics};

use crate::Service;
use crate::store::Store;

pub(crate) const ROUTES: Routes<Service> = routes![
    health::healthz,
    readyz,
    #[layer(only_from_this_machine)]
    metrics::page
];

/// Responds with 200 while the service accepts requests: it is not shutting down, and its database responds.
///
/// The framework's `/healthz` only shows that the program runs: a restart would not repair a database.
#[get("/readyz")]
async fn readyz(store: State<Store>) -> Result<&'static str, Problem> {
    // The framework's reason: a shutdown, no memory for bodies, or the loss of a dependency.
    if let Err(Status(reason)) = health::readyz() {
        return Err(unavailable(reason.trim_end().to_owned()));
    }
    match store.check().await {
        Ok(()) => Ok("ready\n"),
        Err(error) => Err(unavailable("the database does not respond").with_cause(&error)),
    }
}

fn unavailable(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_detail(detail)
}

/// The metrics reveal how the service is used; they are not public.
async fn only_from_this_machine(client: Client, request: Request, next: Next) -> Result<Response, Problem> {
    match client.address() {
        Some(address) if is_loopback(address) => Ok(next.run(request).await),
        _ => Err(Problem::forbidden("this is available on the machine itself only")),
    }
}

/// `::ffff:127.0.0.1` is the form of 127.0.0.1 on a socket for both address families.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
