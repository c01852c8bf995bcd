use conduit::client::NoArgument;
use conduit::extract::{Paging, Sort};
use conduit::prelude::*;
use conduit::{Events, WebSocketUpgrade};

/// An extractor without an implementation for the client.
struct Tenant(String);

impl<S> FromRequest<S> for Tenant {
    type Rejection = Problem;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Problem> {
        Ok(Tenant(String::new()))
    }
}

#[get("/a", client)]
fn unknown_extractor(tenant: Tenant) -> String {
    tenant.0
}

#[get("/b", client)]
fn unknown_extractor_in_an_option(tenant: Option<Tenant>) -> NoContent {
    drop(tenant);
    NoContent
}

#[post("/c", client)]
fn whole_request(request: Request) -> String {
    request.path().to_owned()
}

#[get("/d", client)]
fn websocket(upgrade: WebSocketUpgrade) -> NoContent {
    drop(upgrade);
    NoContent
}

#[derive(serde::Deserialize, JsonSchema)]
struct Received {
    name: String,
}

#[post("/e", client)]
fn content_that_no_client_writes(new: Json<Received>) -> String {
    new.0.name
}

#[derive(serde::Deserialize, JsonSchema)]
enum Column {
    Name,
}

#[get("/f", client)]
fn order_that_no_client_writes(order: Sort<Column>, paging: Paging<u8>) -> String {
    format!("{} {}", order.0.len(), paging.limit())
}

#[get("/h", client)]
fn events() -> Result<Events<String>, Problem> {
    Err(Problem::not_found("no events"))
}

/// Declares that it has no argument.
struct Locale;

impl<S> FromRequest<S> for Locale {
    type Rejection = Problem;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Problem> {
        Ok(Locale)
    }
}

impl NoArgument for Locale {}

#[get("/i", client)]
fn known(_locale: Locale) {}

fn main() {}
