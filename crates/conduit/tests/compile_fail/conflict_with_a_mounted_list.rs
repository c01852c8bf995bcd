use conduit::prelude::*;

mod admin {
    use conduit::prelude::*;

    #[get("/users/{id}")]
    pub fn show(id: Path<u64>) -> String {
        id.to_string()
    }

    pub const ROUTES: Routes = routes![show];
}

#[get("/admin/users/{name}")]
fn find(name: Path<String>) -> String {
    name.0
}

fn main() {
    App::new(()).routes(routes![find, "/admin" => admin::ROUTES]);
}
