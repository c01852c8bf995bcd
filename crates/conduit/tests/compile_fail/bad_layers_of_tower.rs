//! A layer of tower that does not fit around a handler.

use conduit::prelude::*;
use tower_http::catch_panic::CatchPanicLayer;

#[get("/")]
async fn home() -> &'static str {
    "home"
}

fn asks_for_send() {
    let _ = App::new(()).routes(routes![home]).layer(conduit::tower::layer(CatchPanicLayer::new()));
}

fn is_no_layer() {
    let _ = App::new(()).routes(routes![home]).layer(conduit::tower::layer(7));
}

fn is_no_layer_with_send() {
    let _ = App::new(()).routes(routes![home]).layer(conduit::tower::send_layer("a layer"));
}

fn main() {}
