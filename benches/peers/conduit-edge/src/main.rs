//! Conduit with one worker: HTTPS, and files. The directory that it is started in has `certificate.pem`, `key.pem` and
//! `static/`.

use conduit::prelude::*;
use conduit::{Files, Tls};

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

fn main() -> conduit::Result {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("usage: bench-conduit-edge ADDRESS [tls]");
    let mut app = App::new(())
        .routes(routes![plaintext, "/static" => Files::new("static").precompressed()])
        .workers(1)
        // All of the load comes from one address.
        .peer_connection_limit(16_384);
    if arguments.next().is_some() {
        app = app.tls(Tls::files("certificate.pem", "key.pem"));
    }
    app.listen(address)?.run()
}
