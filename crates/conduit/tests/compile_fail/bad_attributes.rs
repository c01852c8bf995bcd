use conduit::prelude::*;

#[get]
fn no_path() {}

#[get(PATH)]
fn no_literal() {}

#[get("/a", "/b")]
fn two_paths() {}

#[route("/a")]
fn no_method() {}

#[route(GET)]
fn method_alone() {}

#[route(get, "/a")]
fn lower_case() {}

#[route("G T", "/a")]
fn no_token() {}

#[route(, "/a")]
fn nothing() {}

#[get("/a", disconnect = "drop")]
fn no_disconnect() {}

#[get("/a", disconnect)]
fn no_value() {}

#[route(GET, "/a", timeout = "5s")]
fn no_setting() {}

#[get("/a", disconnect = "abort", disconnect = "abort")]
fn twice() {}

fn main() {}
