use conduit::prelude::*;
use conduit::{Auth, Header, Valid};

struct NewUser {
    name: String,
}

struct User {
    name: String,
}

#[derive(serde::Deserialize)]
struct Borrowing<'a> {
    name: &'a str,
}

struct Operator;

#[post("/json")]
fn json(user: Json<NewUser>) -> String {
    user.0.name
}

#[get("/query")]
fn query(user: Option<Query<NewUser>>) -> String {
    user.map(|user| user.0.name).unwrap_or_default()
}

#[get("/header")]
fn header(user: Header<NewUser>) -> String {
    user.0.name
}

#[post("/borrowing")]
fn borrowing(user: Json<Borrowing<'static>>) -> String {
    user.name.to_owned()
}

#[get("/path/{user}")]
fn path(user: Path<NewUser>) -> String {
    user.0.name
}

#[post("/valid")]
fn valid(user: Valid<Json<NewUser>>) -> String {
    user.0.0.name
}

#[get("/guard")]
fn guard(_: Auth<Operator>) {}

#[get("/written")]
fn written() -> Json<User> {
    Json(User { name: String::new() })
}

#[get("/result")]
async fn result() -> Result<Created<Json<User>>, Problem> {
    Err(Problem::not_found("nobody"))
}

fn main() {
    App::new(()).routes(routes![json, query, header, borrowing, path, valid, guard, written, result]);
}
