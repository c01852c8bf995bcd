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

#[get("/many")]
#[rustfmt::skip]
fn many(_a: Method, _b: Method, _c: Method, _d: Method, _e: Method, _f: Method, _g: Method, _h: Method, _i: Method, _j: Method, _k: Method, _l: Method, _m: Method, _n: Method, _o: Method, _p: Method, _q: Method) {}

fn main() {}
