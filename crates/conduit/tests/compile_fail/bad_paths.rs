use conduit::prelude::*;

#[get("users")]
fn no_leading_slash() {}

#[get("/users//all")]
fn empty_segment() {}

#[get("/users/../all")]
fn dot_segment() {}

#[get("/users/{id")]
fn unclosed_brace() {}

#[get("/users/id}")]
fn unopened_brace() {}

#[get("/users/{}")]
fn empty_name() {}

#[get("/users/{*}")]
fn empty_rest() {}

#[get("/users/{user-id}")]
fn no_identifier() {}

#[get("/users/{id}/posts/{id}")]
fn duplicate_name() {}

#[get("/users/{a}-{b}")]
fn two_in_a_segment() {}

#[get("/files/{*path}/info")]
fn rest_not_last() {}

#[get("/files/v{*path}")]
fn rest_with_prefix() {}

#[get("/files/{*path}.json")]
fn rest_with_suffix() {}

#[get("/all users")]
fn space() {}

#[get("/münchen")]
fn umlaut() {}

#[get("/users?page=1")]
fn query() {}

#[get("/users#top")]
fn fragment() {}

#[get("/a%2fb")]
fn lower_case_escape() {}

#[get("/users/:id")]
fn colon_parameter() {}

#[get("/files/*path")]
fn star_parameter() {}

#[get("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}")]
fn seventeen() {}

fn main() {
    App::new(()).routes(routes![no_leading_slash, empty_segment, unclosed_brace]);
}
