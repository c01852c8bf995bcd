use conduit::prelude::*;

#[derive(Clone)]
struct Store;

#[derive(Clone)]
struct Database;

#[get("/")]
async fn show(_: State<Database>) {}

async fn plain(request: Request, next: Next) -> Response {
    next.run(request).await
}

mod admin {
    use super::Database;
    use conduit::prelude::*;

    #[get("/users")]
    async fn list() {}

    pub const ROUTES: Routes<Database> = routes![list];
}

fn main() {
    let _: Routes<Store> = routes![#[layer(plain)] show];
    let _: Routes<Store> = routes![#[layer(plain)] "/admin" => admin::ROUTES];
}
