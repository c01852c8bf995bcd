//! Layers of tower that do not fit around a handler.

use tower_http::catch_panic::CatchPanicLayer;

#[derive(Clone)]
struct NoLayer;

fn asks_for_send() {
    conduit::tower::layer(CatchPanicLayer::new());
}

fn is_no_layer() {
    conduit::tower::layer(NoLayer);
}

fn is_no_layer_with_send() {
    conduit::tower::send_layer(NoLayer);
}

fn main() {}
