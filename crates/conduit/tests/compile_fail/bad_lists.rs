use conduit::prelude::*;

#[get("/")]
fn show() {}

fn no_route() {}

fn main() {
    let _: Routes = routes!["/{tenant}" => [show]];
    let _: Routes = routes!["/admin/" => [show]];
    let _: Routes = routes!["admin" => [show]];
    let _: Routes = routes!["/" => [show]];
    let _: Routes = routes!["/admin" show];
    let _: Routes = routes![show()];
    let _: Routes = routes![[show]];
    let _: Routes = routes![7];
    let _: Routes = routes![no_route];
    let _: Routes = routes![String];
}
