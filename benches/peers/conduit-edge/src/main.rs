//! Conduit with one worker: HTTPS, and files. The directory that it is started in has `certificate.pem`, `key.pem` and
//! `static/`.

use std::fs::File;

use conduit::Tls;
use conduit::prelude::*;

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

#[get("/static/{name}")]
async fn file(name: Path<String>) -> Result<impl IntoResponse, Problem> {
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(Problem::not_found("no file has such a name"));
    }
    let file = File::open(format!("static/{}", *name))?;
    let length = file.metadata()?.len();
    Ok(([("content-type", "text/plain")], Body::from_file(file, 0..length)))
}

fn main() -> conduit::Result {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("usage: bench-conduit-edge ADDRESS [tls]");
    let mut app = App::new(())
        .routes(routes![plaintext, file])
        .workers(1)
        // All of the load comes from one address.
        .peer_connection_limit(16_384);
    if arguments.next().is_some() {
        app = app.tls(Tls::files("certificate.pem", "key.pem"));
    }
    app.listen(address)?.run()
}
