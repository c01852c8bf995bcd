use conduit::prelude::*;

#[post("/")]
async fn show(_: String) {}

async fn reads(_: String, request: Request, next: Next) -> Response {
    next.run(request).await
}

fn main() {
    let _ = App::new(()).routes(routes![show]).layer(reads);
}
