//! The handlers of the tower tests.

use conduit::prelude::*;

#[get("/new/{id}")]
pub(crate) async fn new(id: Path<u32>) -> String {
    format!("new {}", *id)
}

#[post("/echo")]
pub(crate) async fn echo(body: String) -> String {
    body
}

#[post("/stream")]
pub(crate) async fn stream(body: Body) -> Body {
    body
}

#[get("/never")]
pub(crate) async fn never() {
    std::future::pending().await
}

#[get("/panics")]
pub(crate) async fn panics() -> &'static str {
    panic!("requested by the test")
}
