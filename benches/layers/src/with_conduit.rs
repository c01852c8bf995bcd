//! The cases in Conduit.

use std::sync::Arc;
use std::time::Duration;

use conduit::extract::Cookies;
use conduit::layer::{BodyLimit, Compression, ConcurrencyLimit, Cors, RequestIds, SecurityHeaders, Timeout};
use conduit::prelude::*;

use crate::shared::{LARGE, Page, Person};

#[get("/x")]
async fn nothing() -> &'static str {
    "ok"
}

#[get("/x/{id}")]
async fn path(id: Path<u64>) -> &'static str {
    if *id == 42 { "ok" } else { "no" }
}

#[get("/x/{id}/items/{item}")]
async fn paths(id: Path<u64>, item: Path<String>) -> &'static str {
    if *id == 42 && *item == "lamp" { "ok" } else { "no" }
}

#[get("/x")]
async fn query(query: Query<Page>) -> &'static str {
    if query.page == 3 && query.size == 20 && query.sort == "name" {
        "ok"
    } else {
        "no"
    }
}

#[get("/x")]
async fn state(state: State<Arc<str>>) -> &'static str {
    if &**state == "state" { "ok" } else { "no" }
}

#[get("/x")]
async fn headers(headers: HeaderMap) -> &'static str {
    if headers.get("x-client").is_some_and(|client| client == "seven") {
        "ok"
    } else {
        "no"
    }
}

#[get("/x")]
async fn cookies(cookies: Cookies) -> &'static str {
    if cookies.value("visits") == Some("7") {
        "ok"
    } else {
        "no"
    }
}

#[post("/x")]
async fn bytes(body: Bytes) -> &'static str {
    if body.len() == 1024 { "ok" } else { "no" }
}

#[post("/x")]
async fn json(person: Json<Person>) -> Json<Person> {
    person
}

#[post("/x")]
async fn form(person: Form<Person>) -> &'static str {
    if person.year == 1815 { "ok" } else { "no" }
}

#[get("/x")]
async fn large() -> Response {
    ([("content-type", "application/json")], LARGE.as_str()).into_response()
}

async fn empty(request: Request, next: Next) -> Response {
    next.run(request).await
}

pub(crate) fn serve(case: &str, address: &str) -> conduit::Result {
    let app = App::new(Arc::<str>::from("state"));
    let app = match case {
        "nothing" | "trace" => app.routes(routes![nothing]),
        "path" => app.routes(routes![path]),
        "paths" => app.routes(routes![paths]),
        "query" => app.routes(routes![query]),
        "state" => app.routes(routes![state]),
        "headers" => app.routes(routes![headers]),
        "cookies" => app.routes(routes![cookies]),
        "bytes" => app.routes(routes![bytes]),
        "json" => app.routes(routes![json]),
        "form" => app.routes(routes![form]),
        "function" => app.routes(routes![
            #[layer(empty)]
            nothing
        ]),
        "cors" => app
            .routes(routes![nothing])
            .layer(Cors::new().allow_origin("https://app.example.com")),
        "request-id" => app.routes(routes![
            #[layer(RequestIds::new())]
            nothing
        ]),
        "timeout" => app.routes(routes![
            #[layer(Timeout::new(Duration::from_secs(5)))]
            nothing
        ]),
        "concurrency" => app.routes(routes![
            #[layer(ConcurrencyLimit::new(100))]
            nothing
        ]),
        "limit" => app.routes(routes![
            #[layer(BodyLimit::new(4096))]
            bytes
        ]),
        "security" => app.routes(routes![
            #[layer(SecurityHeaders::new())]
            nothing
        ]),
        "gzip" => app.routes(routes![
            #[layer(Compression::new())]
            large
        ]),
        other => panic!("no case is called {other}"),
    };
    app.workers(1).listen(address)?.run()
}
