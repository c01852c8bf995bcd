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

fn main() {}
