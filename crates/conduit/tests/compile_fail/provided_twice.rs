use conduit::prelude::*;

#[derive(Clone)]
struct User;

#[get("/me")]
async fn me(_: Provided<User>) {}

async fn user(request: Request, next: NextWith<User>) -> Response {
    next.run(request, User).await
}

fn main() {
    // The compiler cannot decide which place is the nearest.
    let _: Routes = routes![#[layer(user, user)] me];
}
