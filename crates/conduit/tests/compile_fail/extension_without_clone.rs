use conduit::Extension;
use conduit::prelude::*;

struct Tenant(String);

#[get("/")]
async fn show(tenant: Extension<Tenant>) -> String {
    tenant.0.0.clone()
}

#[get("/maybe")]
async fn maybe(tenant: Option<Extension<Tenant>>) -> String {
    tenant.map(|tenant| tenant.0.0.clone()).unwrap_or_default()
}

fn main() {
    App::new(()).routes(routes![show, maybe]);
}
