use conduit::prelude::*;

#[derive(Clone)]
struct Store {
    names: Vec<String>,
}

#[get("/spawned")]
async fn spawned(store: State<Store>) {
    let names = &store.names;
    tokio::task::spawn_local(async move {
        names.len();
    });
}

#[get("/returned")]
async fn returned(store: State<Store>) -> &'static str {
    store.names[0].as_str()
}

#[get("/text")]
async fn text() -> &str {
    "a text"
}

#[get("/numbers")]
fn numbers(_: State<Store>) -> Json<&[u64]> {
    Json(&[])
}

async fn layer(request: &mut Request, next: Next) -> Response {
    next.run(request).await
}

fn main() {
    App::new(Store { names: Vec::new() }).layer(layer).routes(routes![spawned, returned, text, numbers]);
}
