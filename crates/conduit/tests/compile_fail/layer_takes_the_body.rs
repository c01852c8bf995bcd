use conduit::prelude::*;

#[post("/")]
async fn show(_: String) {}

async fn reads(_: String, request: Request, next: Next) -> Response {
    next.run(request).await
}

async fn reads_json(_: State<()>, _: Option<Json<u64>>, request: Request, next: Next) -> Response {
    next.run(request).await
}

fn main() {
    let app = App::new(()).routes(routes![#[layer(reads_json)] show]);
    let _ = app.layer(reads);
}
