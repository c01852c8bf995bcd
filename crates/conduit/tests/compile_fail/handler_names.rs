use conduit::prelude::*;

mod users {}

#[get("/users")]
async fn users() {}

#[get("/files")]
fn files() {}

mod files {}

#[get("/str")]
fn str() {}

#[get("/bool")]
async fn bool() {}

#[derive(serde::Deserialize, JsonSchema)]
struct User {
    name: String,
    active: std::primitive::bool,
}

fn main() {}
