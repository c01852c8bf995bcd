//! may_minihttp with one coroutine worker and routes matched by hand: it has no router.

use std::io;
use std::io::Write;

use may_minihttp::{HttpServer, HttpService, Request, Response};

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

#[derive(Clone)]
struct Service;

impl HttpService for Service {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        if request.method() != "GET" {
            response.status_code(405, "Method Not Allowed");
            return Ok(());
        }
        match request.path() {
            "/plaintext" => {
                response.header("Content-Type: text/plain").body("Hello, World!");
            }
            "/json" => {
                response.header("Content-Type: application/json");
                serde_json::to_writer(
                    BodyWriter(response),
                    &Message {
                        message: "Hello, World!",
                    },
                )?;
            }
            path => match path.strip_prefix("/users/").map(str::parse::<u64>) {
                Some(Ok(id)) => {
                    response.header("Content-Type: text/plain");
                    write!(BodyWriter(response), "{id}")?;
                }
                Some(Err(_)) => {
                    response.status_code(400, "Bad Request");
                }
                None => {
                    response.status_code(404, "Not Found");
                }
            },
        }
        Ok(())
    }
}

/// Writes into the buffer of the response, so that a body needs no allocation.
struct BodyWriter<'a, 'b>(&'a mut Response<'b>);

impl Write for BodyWriter<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.body_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).expect("usage: bench-may ADDRESS");
    // may would pin its worker to the first core instead of the core that the harness selects.
    may::config().set_workers(1).set_worker_pin(false);
    HttpServer(Service)
        .start(address)?
        .join()
        .expect("the server's coroutine panicked");
    Ok(())
}
