use conduit::prelude::*;

#[get("/")]
fn show() {}

fn no_route() {}

mod users {
    use conduit::prelude::*;

    pub async fn remove(_: Path<u64>) -> &'static str {
        "gone"
    }

    pub const list_in_lower_case: Routes = routes![];
}

fn main() {
    let _: Routes = routes!["/files/{*rest}" => [show]];
    let _: Routes = routes!["/admin/" => [show]];
    let _: Routes = routes!["admin" => [show]];
    let _: Routes = routes!["/" => [show]];
    let _: Routes = routes!["/admin" show];
    let _: Routes = routes![show()];
    let _: Routes = routes![[show]];
    let _: Routes = routes![7];
    let _: Routes = routes![no_route];
    let _: Routes = routes!["/admin" => [show, users::remove]];
    let _: Routes = routes![users::list_in_lower_case];
    let _: Routes = routes![String];
    let _: Routes = routes![shwo];
    let _: Routes = routes![users::remvoe];
}
