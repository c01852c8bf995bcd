use conduit::prelude::*;

#[get("/")]
async fn show() {}

async fn fine(request: Request, next: Next) -> Response {
    next.run(request).await
}

fn main() {
    let _: Routes = routes![#[layer] show];
    let _: Routes = routes![#[layer()] show];
    let _: Routes = routes![#[guard(fine)] show];
    let _: Routes = routes![#[layer(fine)]];
    let local = fine;
    let _: Routes = routes![#[layer(local)] show];
}
