use conduit::prelude::*;

#[get("/struct")]
struct Show;

#[get("/module")]
mod users {}

struct Users;

impl Users {
    #[get("/method")]
    fn method(&self) {}
}

#[get("/generic")]
fn generic<T>(_value: State<T>) {}

#[get("/lifetime")]
fn lifetime<'a>(_value: State<&'a str>) {}

#[get("/impl-trait")]
fn impl_trait(_value: State<impl Clone>) {}

#[get("/unsafe")]
unsafe fn unchecked() {}

fn main() {}
