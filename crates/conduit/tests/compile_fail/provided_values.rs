use conduit::layer::RateLimit;
use conduit::prelude::*;

#[derive(Clone)]
struct User;

#[derive(Clone)]
struct Tenant;

struct NoClone;

#[get("/me")]
async fn me(_: Provided<User>) {}

#[get("/optional")]
async fn optional(_: Option<Provided<User>>) {}

#[get("/home")]
async fn home() {}

#[get("/no-clone")]
async fn no_clone(_: Provided<NoClone>) {}

async fn user(request: Request, next: NextWith<User>) -> Response {
    next.run(request, User).await
}

async fn tenant(request: Request, next: NextWith<Tenant>) -> Response {
    next.run(request, Tenant).await
}

async fn of_user(_: Provided<User>, request: Request, next: Next) -> Response {
    next.run(request).await
}

async fn not_cloned(request: Request, next: NextWith<NoClone>) -> Response {
    next.run(request, NoClone).await
}

fn limit() -> RateLimit {
    RateLimit::new(1, std::time::Duration::from_secs(1))
}

async fn missing(_: Provided<User>) {}

mod account {
    use super::{Tenant, User};
    use conduit::prelude::*;

    pub const ROUTES: Routes<(), With<User, With<Tenant>>> = routes![super::me];
}

fn main() {
    // No layer.
    let _: Routes = routes![me];
    let _: Routes = routes![optional];
    // The layer of another entry, and of another list.
    let _: Routes = routes![#[layer(user)] home, "/outside" => [me]];
    let _: Routes = routes![#[layer(user)] "/list" => [home, me], "/other" => account::ROUTES];
    // Another type.
    let _: Routes = routes![#[layer(tenant)] me];
    // One of the values of a list.
    let _: Routes = routes![#[layer(user)] "/account" => account::ROUTES];
    // A layer outside of the one that it needs.
    let _: Routes = routes![#[layer(of_user, user)] home];
    // A value without `Clone`.
    let _: Routes = routes![#[layer(not_cloned)] no_clone];
    // A built-in layer without the layer whose value it reads.
    let _: Routes = routes![#[layer(limit().by_provided(|_: &User| Some(1)))] home];
    // A layer and a fallback of the application.
    App::new(()).layer(user);
    App::new(()).fallback(missing);
    App::new(()).routes(account::ROUTES);
}
