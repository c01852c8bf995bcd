use conduit::prelude::*;

#[derive(Clone)]
struct Store;

#[derive(Clone)]
struct Other;

#[get("/")]
async fn show() {}

async fn without_next(_: Request) -> Response {
    ().into_response()
}

async fn other_order(_: Next, _: Request) -> Response {
    ().into_response()
}

async fn other_state(_: State<Other>, request: Request, next: Next) -> Response {
    next.run(request).await
}

async fn no_response(_: Request, _: Next) -> u64 {
    7
}

fn not_async(_: Request, _: Next) -> Response {
    ().into_response()
}

struct NoClone;

impl Layer for NoClone {
    async fn call(&self, request: Request, next: Next) -> Response {
        next.run(request).await
    }
}

fn main() {
    let _: Routes<Store> = routes![#[layer(without_next)] show];
    let _: Routes<Store> = routes![#[layer(other_order)] show];
    let _: Routes<Store> = routes![#[layer(other_state)] show];
    let _: Routes<Store> = routes![#[layer(no_response)] show];
    let _: Routes<Store> = routes![#[layer(not_async)] show];
    let _: Routes<Store> = routes![#[layer(show)] show];
    let _: Routes<Store> = routes![#[layer(7)] show];
    let _ = App::new(Store).layer(without_next);
}
